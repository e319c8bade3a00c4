package elasticsearch

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// records returns n actions of one operation with documents of 250 bytes, in the shape of a shipper's body.
func records(n int, op string) []byte {
	var b bytes.Buffer
	doc := `{"@timestamp":"2026-11-20T12:00:00.000Z","message":"` + strings.Repeat("x", 197) + `"}`
	for i := range n {
		fmt.Fprintf(&b, `{"%s":{"_index":"logs-2026.11.20","_id":"%022d"}}`+"\n"+"%s\n", op, i, doc)
	}
	return b.Bytes()
}

func TestCountingAgreesWithTheStrictServer(t *testing.T) {
	body := `{"create":{"_index":"a","_id":"1"}}
{"n":1}
{"create":{"_index":"a","_id":"2"}}
{"m":"\"_id\":\"no\""}
{"index":{"_index":"b","_id":"3"}}
{"n":1}
{"create":{"_id":"4","_index":"a"}}
{"n":1}
{"create":{"_index":"a","_id":"5","routing":"r"}}
{"n":1}
`
	strict, fast := newServer(t, Options{}), newServer(t, Options{CountOnly: true})
	_, want := mustBulk(t, strict, "/_bulk", body)
	_, got := mustBulk(t, fast, "/_bulk", body)
	if len(got) != len(want) {
		t.Fatalf("%d items, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].Op != want[i].Op || got[i].ID != want[i].ID || got[i].Status != 201 {
			t.Errorf("item %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	a, b := strict.Report().Totals, fast.Report().Counted
	if a.Documents != b.Items || a.Checksum != b.Checksum || b.Bytes != uint64(len(body)) {
		t.Errorf("counted %+v, want %+v", b, a)
	}
}

func TestCountingInPieces(t *testing.T) {
	body := records(100, "create")
	var whole, pieces counting
	whole.buf, pieces.buf = make([]byte, readSize), make([]byte, 64) // Lines are longer than that.
	whole.begin(shape{})
	pieces.begin(shape{})
	if err := whole.read(bytes.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	if err := pieces.read(iotest.OneByteReader(bytes.NewReader(body))); err != nil {
		t.Fatal(err)
	}
	if whole.items != 100 || pieces.items != whole.items || pieces.checksum != whole.checksum || !bytes.Equal(pieces.out, whole.out) {
		t.Errorf("%d items, sum %x; in pieces %d, %x", whole.items, whole.checksum, pieces.items, pieces.checksum)
	}
	if err := pieces.read(strings.NewReader(`{"create":{}}`)); err == nil {
		t.Error("a body without a final newline was taken")
	}
}

func TestDeletionsHaveNoDocument(t *testing.T) {
	s := newServer(t, Options{CountOnly: true})
	_, items := mustBulk(t, s, "/_bulk", `{"delete":{"_index":"a","_id":"1"}}
{"delete":{"_index":"a","_id":"2"}}
{"index":{"_index":"a"}}
{}
`)
	if len(items) != 3 || items[1].ID != "2" {
		t.Errorf("got %+v", items)
	}
}

func BenchmarkCounting(b *testing.B) {
	body := records(16<<10, "index")
	c := counting{buf: make([]byte, readSize)}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		c.begin(shape{})
		if err := c.read(bytes.NewReader(body)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStrict(b *testing.B) {
	body := records(16<<10, "index")
	s := newServer(b, Options{KeepBytes: -1})
	var one bulk
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := one.actions(s, body); err != nil {
			b.Fatal(err)
		}
		s.judge(&one, nil)
		one.out = s.appendReply(one.out[:0], one.items, nil, "")
	}
}

// BenchmarkCountingOverTCP is what a client sees that sends ready-made bodies over loopback; it has the same cores.
func BenchmarkCountingOverTCP(b *testing.B) {
	body := records(16<<10, "index")
	address := serve(b, newServer(b, Options{CountOnly: true})) + "/_bulk?filter_path=errors,items.*.status"
	client := &http.Client{}
	defer client.CloseIdleConnections()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		resp, err := client.Post(address, "application/x-ndjson", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestCountingAnswersWhatIsAskedFor(t *testing.T) {
	body := `{"create":{"_index":"a","_id":"1"}}` + "\n{}\n" + `{"index":{"_index":"a"}}` + "\n{}\n"
	for filter, want := range map[string]string{
		"errors,items.*.status": `{"errors":false,"items":[{"create":{"status":201}},{"index":{"status":201}}]}`,
		"errors,items.*._id,items.*.status": `{"errors":false,"items":[{"create":{"_id":"1","status":201}},` +
			`{"index":{"_id":"counted-2","status":201}}]}`,
	} {
		s := newServer(t, Options{CountOnly: true})
		if got := mustCall(t, s, "POST", "/_bulk?filter_path="+filter, body); got != want {
			t.Errorf("%s: got %s, want %s", filter, got, want)
		}
		if sum := s.Report().Counted.Checksum; sum != HashID("1") {
			t.Errorf("checksum %x, want that of the one id", sum)
		}
	}
}
