package elasticsearch

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// bulkOf returns a bulk body of n documents with the ids 0 to n-1.
func bulkOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"create":{"_index":"a","_id":"%d"}}`+"\n"+`{"n":%d}`+"\n", i, i)
	}
	return b.String()
}

func TestFaultsThatAnswer(t *testing.T) {
	for _, c := range []struct {
		fault    string
		status   int
		contains string
		stored   uint64
	}{
		{"400", 400, "illegal_argument_exception", 0},
		{"401", 401, "security_exception", 0},
		{"403", 403, "security_exception", 0},
		{"404", 404, "index_not_found_exception", 0},
		{"413", 413, "", 0},
		{"429", 429, "es_rejected_execution_exception", 0},
		{"429,type=rejected_execution_exception", 429, `"rejected_execution_exception"`, 0},
		{"502", 502, "<html>", 0},
		{"503", 503, "no master", 0},
		{"503,stored=yes", 503, "no master", 10},
		{"read-only", 403, "FORBIDDEN/6", 0},
		{"item-429,ok=1", 200, "es_rejected_execution_exception", 1},
		{"item-400,match=\"n\":3", 200, "document_parsing_exception", 9},
		{"item-409,share=0.5", 200, "version_conflict_engine_exception", 5},
		{"item-503,index=b", 200, `"errors":false`, 10},
		{"mapping,share=0.1", 200, "failed to parse field", 9},
		{"closed", 200, "index_closed_exception", 0},
		{"write-block", 200, "FORBIDDEN/8", 0},
		{"flood-stage", 200, "TOO_MANY_REQUESTS/12", 0},
		{"field-limit", 200, "Limit of total fields", 0},
		{"no-type", 200, `"error":{"reason"`, 0},
		{"text-error", 200, `"error":"MapperParsingException`, 0},
		{"part-400,ok=5", 400, "Malformed action/metadata line", 5},
		{"part-400,part=4,match=\"n\":7", 400, "Malformed action/metadata line", 4},
		{"part-400,part=4,match=\"n\":3", 400, "Malformed action/metadata line", 0},
		{"part-400,match=none", 200, `"errors":false`, 10},
		{"part-400,part=4,match=\"n\":9,type=action_request_validation_exception", 200, "action_request_validation_exception", 8},
		{"part-400,part=4,match=\"n\":2,type=action_request_validation_exception", 400, "action_request_validation_exception", 0},
		{"part-400,ok=3,type=task_cancelled_exception", 200, "task_cancelled_exception", 3},
		{"part-413,ok=6", 413, "", 6},
		{"part-429,ok=6", 200, "exceeds the maximum allowed limit", 6},
		{"part-429,part=20", 429, "exceeds the maximum allowed limit", 0},
		{"part-503,ok=2", 200, "no master", 2},
		{"not-json", 200, "<html>", 10},
		{"empty", 200, "", 10},
		{"items-missing", 200, `"_id":"8"`, 10},
		{"items-extra", 200, `"_id":"9"`, 10},
		{"no-items", 200, `{"took":1,"errors":false}`, 10},
		{"swapped", 200, `"items":[{"create":{"_index":"a","_id":"1"`, 10},
		{"wrong-ids", 200, `"_id":"not-0"`, 10},
		{"slow,delay=1us", 200, `"_id":"9"`, 10},
		{"slow-read,delay=1us", 200, `"_id":"9"`, 10},
		{"503,nth=2", 200, `"errors":false`, 10},
		{"503,over=1m", 200, `"errors":false`, 10},
		{"503,at=1h", 200, `"errors":false`, 10},
	} {
		t.Run(c.fault, func(t *testing.T) {
			s := newServer(t, Options{Faults: []string{c.fault}})
			status, answer := call(t, s, "POST", "/_bulk", bulkOf(10))
			if status != c.status || !strings.Contains(answer, c.contains) {
				t.Errorf("%d %s, want %d and %q", status, answer, c.status, c.contains)
			}
			if got := s.Report().Totals.Documents; got != c.stored {
				t.Errorf("%d documents stored, want %d", got, c.stored)
			}
		})
	}
}

func TestNumbersOfItems(t *testing.T) {
	for fault, want := range map[string]int{"items-missing": 9, "items-extra": 11, "wrong-ids": 10, "swapped": 10} {
		s := newServer(t, Options{Faults: []string{fault}})
		if _, items := mustBulk(t, s, "/_bulk", bulkOf(10)); len(items) != want {
			t.Errorf("%s: %d items, want %d", fault, len(items), want)
		}
	}
}

func TestFaultsTakeTheirTurns(t *testing.T) {
	s := newServer(t, Options{Faults: []string{"503,nth=2,every=2,times=2", "429,nth=3"}})
	var got []int
	for range 7 {
		status, _ := call(t, s, "POST", "/_bulk", bulkOf(1))
		got = append(got, status)
	}
	// The first fault that is on takes the request; one that is not asked does not count it.
	if want := []int{200, 503, 200, 503, 429, 429, 429}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if f := s.Report().Faults; f["503"] != 2 || f["429"] != 3 {
		t.Errorf("applied: %v", f)
	}
}

func TestFaultsThatBreakTheConnection(t *testing.T) {
	for _, c := range []struct {
		fault  string
		stored uint64
	}{{"away", 0}, {"reset", 0}, {"reset-after", 10}, {"truncated", 10}, {"hang,for=1ms", 0}, {"silent,for=1ms", 10}} {
		t.Run(c.fault, func(t *testing.T) {
			s := newServer(t, Options{Faults: []string{c.fault}})
			address := serve(t, s)
			if resp, answer, err := post(t, address, bulkOf(10), nil); err == nil {
				t.Errorf("got %d %s, want a broken connection", resp.StatusCode, answer)
			}
			if got := s.Report().Totals.Documents; got != c.stored {
				t.Errorf("%d documents stored, want %d", got, c.stored)
			}
			if err := s.SetFaults(); err != nil {
				t.Fatal(err)
			}
			if _, _, err := post(t, address, bulkOf(10), nil); err != nil {
				t.Errorf("after the fault: %v", err)
			}
		})
	}
}

func TestHangEndsWithTheFault(t *testing.T) {
	s := newServer(t, Options{Faults: []string{"hang"}})
	address := serve(t, s)
	done := make(chan error, 1)
	go func() {
		_, _, err := post(t, address, bulkOf(1), nil)
		done <- err
	}()
	for s.Report().Faults["hang"] == 0 {
		select {
		case err := <-done:
			t.Fatalf("answered: %v", err)
		default:
		}
	}
	if err := s.SetFaults(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("a request that hung was answered")
	}
}

func TestScript(t *testing.T) {
	s := newServer(t, Options{})
	s.Script(func(r *Request) *Answer {
		if r.N == 1 {
			return &Answer{Status: 503, Type: "x", Reason: "y", Header: http.Header{"Retry-After": {"2"}}, Handle: true}
		}
		return &Answer{Item: func(i int, it *Item) *ItemAnswer {
			if i == 1 {
				return &ItemAnswer{Status: 429, Type: "es_rejected_execution_exception"}
			}
			return nil
		}}
	})
	if status, answer := call(t, s, "POST", "/_bulk", bulkOf(1)); status != 503 || !strings.Contains(answer, `"type":"x"`) {
		t.Errorf("%d %s", status, answer)
	}
	_, items := mustBulk(t, s, "/_bulk", bulkOf(3))
	if items[0].Status != 409 || items[1].Status != 429 || items[2].Status != 201 {
		t.Errorf("got %+v", items)
	}
}

func TestBadFaults(t *testing.T) {
	for _, text := range []string{"", "nonsense", "200", "item-", "item-200", "503,nth=0", "503,share=2", "503,what=1", "503,at=soon", "503,on=some", "503,stored=x", "part-", "part-200", "part-400,part=0"} {
		if _, err := ParseFault(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	if _, err := New(Options{CountOnly: true, Faults: []string{"item-429"}}); err == nil {
		t.Error("a fault of items was taken by a server that only counts")
	}
	if _, err := New(Options{CountOnly: true, Faults: []string{"part-400"}}); err == nil {
		t.Error("a fault of parts was taken by a server that only counts")
	}
}

func TestGzipAndCredentials(t *testing.T) {
	s := newServer(t, Options{User: "u", Password: "p", APIKey: "key"})
	address := serve(t, s)
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	if _, err := zw.Write([]byte(bulkOf(100))); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		authorization string
		status        int
	}{{"", 401}, {"Basic dTpw", 200}, {"Basic dTpx", 401}, {"ApiKey key", 200}} {
		resp, answer, err := post(t, address, packed.String(), http.Header{"Content-Encoding": {"gzip"}, "Authorization": {c.authorization}})
		if err != nil || resp.StatusCode != c.status {
			t.Errorf("%q: %v %s, want %d", c.authorization, err, answer, c.status)
		}
	}
	if got := s.Report().Totals; got.Documents != 100 || got.Conflicts != 100 {
		t.Errorf("%+v", got)
	}
}

func TestProducts(t *testing.T) {
	for _, c := range []struct {
		product, version, contentType string
		status                        int
		header                        string
	}{
		{"", "", "application/json", 200, "Elasticsearch"},
		{"", "", "application/vnd.elasticsearch+json; compatible-with=8", 200, "Elasticsearch"},
		{"", "", "application/vnd.elasticsearch+json; compatible-with=9", 406, "Elasticsearch"},
		{"", "", "text/plain", 406, "Elasticsearch"},
		{OpenSearch, "", "application/vnd.elasticsearch+json; compatible-with=8", 406, ""},
		{OpenSearch, "3.8.0", "application/x-ndjson", 200, ""},
	} {
		s := newServer(t, Options{Product: c.product, Version: c.version})
		resp, answer, err := post(t, serve(t, s), bulkOf(1), http.Header{"Content-Type": {c.contentType}})
		if err != nil || resp.StatusCode != c.status || resp.Header.Get("X-Elastic-Product") != c.header {
			t.Errorf("%+v: %v %v %s", c, err, resp, answer)
		}
	}
	s := newServer(t, Options{Faults: []string{"no-product"}})
	if resp, _, err := post(t, serve(t, s), bulkOf(1), nil); err != nil || resp.Header.Get("X-Elastic-Product") != "" {
		t.Errorf("no-product: %v %v", err, resp)
	}
}

func TestTooLarge(t *testing.T) {
	s := newServer(t, Options{MaxContentLength: 100})
	if status, _ := call(t, s, "POST", "/_bulk", bulkOf(100)); status != 413 {
		t.Errorf("status %d, want 413", status)
	}
	if status, _ := call(t, s, "POST", "/_bulk", bulkOf(1)); status != 200 {
		t.Errorf("status %d, want 200", status)
	}
}
