package cloudwatch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// putLogEvents is the request as the API reference of PutLogEvents has it.
type putLogEvents struct {
	Group  string     `json:"logGroupName"`
	Stream string     `json:"logStreamName"`
	Events []putEvent `json:"logEvents"`
}

type putEvent struct {
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

// wanted is what the service must find in the request.
func wanted(group, stream string, events []sinktest.Event) putLogEvents {
	p := putLogEvents{Group: repaired(group), Stream: repaired(stream), Events: []putEvent{}}
	for _, e := range events {
		message := repaired(e.Body)
		switch {
		case e.Loss != nil:
			message = string(e.Loss.AppendText(nil))
		case message == "":
			message = " "
		}
		p.Events = append(p.Events, putEvent{e.Time.UnixMilli(), message})
	}
	return p
}

// repaired has one U+FFFD for each bad byte.
func repaired(text string) string { return string([]rune(text)) }

// checkJSON reports where encoded is not exactly what it should be. It looks at
// the bytes first, since encoding/json would repair bad UTF-8 without a word.
func checkJSON(encoded []byte, want putLogEvents) error {
	if !utf8.Valid(encoded) {
		return fmt.Errorf("not valid UTF-8: %.300q", encoded)
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.DisallowUnknownFields()
	var got putLogEvents
	if err := decoder.Decode(&got); err != nil {
		return fmt.Errorf("%w in %.300q", err, encoded)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("something follows the object in %.300q", encoded)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("decoded otherwise (-want +got):\n%.2000s", diff)
	}
	return nil
}

// readBody reads all of b with slices of the lengths that size gives. Behind
// each is more capacity, which must stay as it was.
func readBody(b *body, size func() int) ([]byte, error) {
	const guard = 64
	var all []byte
	idle := 0
	mem := make([]byte, (64<<10)+guard)
	for {
		p := mem[:size()]
		over := mem[len(p) : len(p)+guard]
		for i := range over {
			over[i] = 0xa5
		}
		n, err := b.Read(p)
		if n < 0 || n > len(p) {
			return nil, fmt.Errorf("read %d bytes into %d", n, len(p))
		}
		if bytes.Count(over, []byte{0xa5}) != guard {
			return nil, fmt.Errorf("a read into %d bytes wrote behind them: %x", len(p), over)
		}
		all = append(all, p[:n]...)
		if errors.Is(err, io.EOF) {
			return all, endOnly(b)
		}
		if err != nil {
			return nil, err
		}
		// An io.Reader should not return nothing; never twice in a row.
		if idle++; n > 0 || len(p) == 0 {
			idle = 0
		}
		if idle > 1 {
			return nil, fmt.Errorf("%d reads into %d bytes brought nothing after %d bytes", idle, len(p), len(all))
		}
	}
}

// endOnly checks that after the end nothing comes but the end.
func endOnly(b *body) error {
	if more, err := b.Read(make([]byte, 2048)); more != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the end came %d bytes and %w", more, err)
	}
	return nil
}

// awkward draws bodies around all that the encoder treats differently: escapes
// of two and of six characters, runes of each length, bad bytes, and lengths
// about those of its windows.
func awkward() *rapid.Generator[string] {
	unit := rapid.SampledFrom([]string{
		"a", "plain text of an access log ", `"`, `\`, "\t", "\n", "\r", "\x00", "\x1f", "\x7f", "é", "€", "😀", "\u2028", "<",
		"\xff", "\x80", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\ufffd",
	})
	length := rapid.OneOf(rapid.IntRange(0, 20), rapid.SampledFrom([]int{minWindow - 40, minWindow, 4096, 32 << 10}))
	return rapid.Custom(func(t *rapid.T) string {
		if rapid.Bool().Draw(t, "random bytes") {
			return string(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes"))
		}
		first, n := unit.Draw(t, "unit"), length.Draw(t, "length")
		shift := strings.Repeat("x", rapid.IntRange(0, 7).Draw(t, "shift"))
		return shift + strings.Repeat(first, n/len(first)) + unit.Draw(t, "last")
	})
}

// someEvents draws events as the buffer may hold them, their times in order.
func someEvents() *rapid.Generator[[]sinktest.Event] {
	return rapid.Custom(func(t *rapid.T) []sinktest.Event {
		at := time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "start"))
		events := make([]sinktest.Event, rapid.IntRange(1, 12).Draw(t, "events"))
		for i := range events {
			at = at.Add(rapid.SampledFrom([]time.Duration{0, 0, 1, 999_999, time.Second}).Draw(t, "later"))
			e := sinktest.Event{Stream: rapid.Uint32Range(0, 1).Draw(t, "stream"), Time: at}
			switch rapid.IntRange(0, 9).Draw(t, "kind") {
			case 0:
				e.Loss = &record.Loss{Lost: 17, Bytes: 1 << 40, Reason: "overflow-newest"}
			case 1:
			case 2:
				e.Part = record.Part{Ordinal: 2, Last: true}
				fallthrough
			default:
				e.Body = awkward().Draw(t, "body")
			}
			events[i] = e
		}
		return events
	})
}

// numbered is a request of the events; their markers are complete then.
func numbered(events []sinktest.Event) *sinktest.Request {
	req := sinktest.NewRequest(events...)
	i := 0
	for _, b := range req.Batches() {
		if b.Kind == record.KindLoss {
			loss := b.Loss()
			events[i].Loss = &loss
		}
		i += b.Count
	}
	return req
}

// TestBodyIsTheRequest reads random requests in random pieces and compares with
// what encoding/json makes of them.
func TestBodyIsTheRequest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.StringMatching(`[-a-z/._#]{1,40}`), awkward())
		group, stream := name.Draw(t, "group"), name.Draw(t, "stream")
		events := someEvents().Draw(t, "all")
		s := New(Config{Group: group, Stream: stream})
		req := numbered(events)

		sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(minWindow-3, minWindow+3),
			rapid.IntRange(1, 64<<10)), 1, 8).Draw(t, "sizes")
		sizes = append(sizes, rapid.IntRange(1, 64<<10).Draw(t, "size")) // Not all are 0.
		turn := 0
		b := newBody(s.head, batches(req))
		defer b.stop()
		encoded, err := readBody(b, func() int { turn++; return sizes[turn%len(sizes)] })
		if err != nil {
			t.Fatal(err)
		}
		if err := checkJSON(encoded, wanted(group, stream, events)); err != nil {
			t.Fatal(err)
		}
		// The pass that hashes must see what the pass that sends sees.
		size, sum, err := s.hash(chronological(req))
		if err != nil {
			t.Fatal(err)
		}
		want := sha256.Sum256(encoded)
		if size != int64(len(encoded)) || sum != hex.EncodeToString(want[:]) {
			t.Fatalf("the pass that hashes saw %d bytes with the sum %s, the other %d with %x", size, sum, len(encoded), want)
		}
	})
}

// TestBodyIsAReader holds the body to the contract of io.Reader.
func TestBodyIsAReader(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	events := []sinktest.Event{
		{Time: at, Body: strings.Repeat("long and \"quoted\" ", 10_000)}, {Time: at}, {Time: at, Body: "\xff"},
		{Time: at, Body: "after"}, {Time: at, Loss: &record.Loss{Lost: 1, Reason: "shutdown"}},
	}
	s := New(Config{Group: testGroup, Stream: testStream})
	req := numbered(events)
	whole, err := json.Marshal(wanted(testGroup, testStream, events))
	if err != nil {
		t.Fatal(err)
	}
	b := newBody(s.head, batches(req))
	defer b.stop()
	if err := iotest.TestReader(b, whole); err != nil {
		t.Error(err)
	}
}

// TestBodyEndsAnywhere lets the end of a window fall on each byte of the text
// around a message, and on each byte of the end of the request.
func TestBodyEndsAnywhere(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	s := New(Config{Group: testGroup, Stream: testStream})
	for length := range minWindow + 100 {
		for _, events := range [][]sinktest.Event{
			{{Time: at, Body: strings.Repeat("a", length)}},
			{{Time: at, Body: strings.Repeat("a", length)}, {Time: at, Body: "\""}},
		} {
			b := newBody(s.head, batches(numbered(events)))
			encoded, err := readBody(b, func() int { return minWindow })
			b.stop()
			if err == nil {
				err = checkJSON(encoded, wanted(testGroup, testStream, events))
			}
			if err != nil {
				t.Fatalf("%d bytes in the first of %d events: %v", length, len(events), err)
			}
		}
	}
}

// TestBodyStopsAnywhere ends the reading in the middle, as a connection that
// breaks does: the batches' iterator must have ended when stop returns.
func TestBodyStopsAnywhere(t *testing.T) {
	s := New(Config{Group: testGroup, Stream: testStream})
	for _, n := range []int{0, 1, 30, 60, 200, 5000} {
		inside := false
		all := func(yield func(*record.Batch) bool) {
			inside = true
			defer func() { inside = false }()
			batches(request(strings.Repeat("a", 100), strings.Repeat("b", 4000), "c"))(yield)
		}
		b := newBody(s.head, iter.Seq[*record.Batch](all))
		if _, err := io.CopyN(io.Discard, b, int64(n)); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		b.stop()
		b.stop()
		if inside {
			t.Errorf("after %d bytes stop left the iterator where it was", n)
		}
	}
}

// FuzzBody encodes foreign bodies: the lines of data, read in pieces of size.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{"", "a", "\n\n", "\"\\\x00\xff\n😀\xf0\x9f", strings.Repeat("\xe2\x82\n", 300)} {
		f.Add([]byte(seed), uint16(1))
		f.Add([]byte(seed), uint16(minWindow))
	}
	s := New(Config{Group: testGroup, Stream: testStream})
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		at := time.UnixMilli(1_700_000_000_000)
		var events []sinktest.Event
		for line := range bytes.SplitSeq(data, []byte{'\n'}) {
			events = append(events, sinktest.Event{Time: at, Body: string(line)})
		}
		b := newBody(s.head, batches(numbered(events)))
		defer b.stop()
		encoded, err := readBody(b, func() int { return max(int(size), 1) })
		if err != nil {
			t.Fatal(err)
		}
		if err := checkJSON(encoded, wanted(testGroup, testStream, events)); err != nil {
			t.Fatal(err)
		}
	})
}
