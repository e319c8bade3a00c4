package ledger_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/ledger"
)

// The keys of a balance, which other programs read. Nothing may be renamed,
// left out when it is zero, or added without thought.
var (
	numberKeys = []string{
		"received", "delivered", "dropped", "dead_lettered", "pending", "recovered", "unaccounted", "dropped_by_reason",
	}
	sheetKeys = append([]string{
		"possible_duplicates", "markers", "bytes", "lines_read", "split_lines", "empty_lines", "invalid_utf8",
	}, numberKeys...)
	markerKeys = []string{"made", "delivered", "pending", "refused"}
)

// object reads a JSON object and holds its keys to the wanted ones.
func object(t *testing.T, raw []byte, keys ...string) map[string]json.RawMessage {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(keys)), slices.Sorted(maps.Keys(m))); diff != "" {
		t.Errorf("keys of %s (-want +got):\n%s", raw, diff)
	}
	return m
}

// TestKeys holds the JSON of a balance, also of one with nothing in it, to its
// documented keys.
func TestKeys(t *testing.T) {
	full := ledger.New()
	a := full.Open("stdout")
	a.Received(ledger.Count{Records: 3, Bytes: 30})
	a.Dropped(ledger.Shutdown, ledger.Count{Records: 1, Bytes: 10})
	for name, l := range map[string]*ledger.Ledger{"full": full, "empty": ledger.New()} {
		t.Run(name, func(t *testing.T) {
			raw, err := json.Marshal(l.Balance(nil))
			if err != nil {
				t.Fatal(err)
			}
			top := object(t, raw, append([]string{"streams"}, sheetKeys...)...)
			object(t, top["markers"], markerKeys...)
			object(t, top["bytes"], numberKeys...)
			var streams []json.RawMessage
			if err := json.Unmarshal(top["streams"], &streams); err != nil || streams == nil {
				t.Fatalf("streams are %s, want a list: %v", top["streams"], err)
			}
			for _, raw := range streams {
				s := object(t, raw, append([]string{"stream"}, sheetKeys...)...)
				object(t, s["markers"], markerKeys...)
				object(t, s["bytes"], numberKeys...)
				object(t, s["dropped_by_reason"], "shutdown")
			}
		})
	}
}

// TestBalance books one of everything and draws the whole sheet.
func TestBalance(t *testing.T) {
	l := ledger.New()
	a := l.Open("stdout")
	a.Received(ledger.Count{Records: 10, Bytes: 1000})
	a.Delivered(ledger.Count{Records: 4, Bytes: 400})
	a.Dropped(ledger.OverflowNewest, ledger.Count{Records: 1, Bytes: 100})
	a.Dropped(ledger.OverflowNewest, ledger.Count{Records: 1, Bytes: 50})
	a.Dropped(ledger.RejectedTooOld, ledger.Count{Records: 1, Bytes: 150})
	a.PossiblyDuplicated(2)
	a.Markers(5, 0)
	a.Markers(-1, 1)
	a.MarkersRefused(1)
	a.MarkersRefused(1)
	a.Lines(ledger.Lines{Read: 9, Split: 1, Empty: 2, InvalidUTF8: 3})
	a.Lines(ledger.Lines{Read: 1, Split: 1, Empty: 1, InvalidUTF8: 1})
	l.Open("stderr").Received(ledger.Count{Records: 1, Bytes: 1})

	reasons := func(newest, old int64) map[ledger.Reason]int64 {
		return map[ledger.Reason]int64{ledger.OverflowNewest: newest, ledger.RejectedTooOld: old}
	}
	out := ledger.Sheet{
		Numbers:            ledger.Numbers{Received: 10, Delivered: 4, Dropped: 3, Pending: 3, ByReason: reasons(2, 1)},
		Bytes:              ledger.Numbers{Received: 1000, Delivered: 400, Dropped: 300, Pending: 300, ByReason: reasons(150, 150)},
		PossibleDuplicates: 2, Markers: ledger.Markers{Made: 4, Delivered: 1, Pending: 1, Refused: 2},
		Lines: ledger.Lines{Read: 10, Split: 2, Empty: 3, InvalidUTF8: 4},
	}
	none := map[ledger.Reason]int64{}
	err := ledger.Sheet{
		Numbers: ledger.Numbers{Received: 1, Pending: 1, ByReason: none}, Bytes: ledger.Numbers{Received: 1, Pending: 1, ByReason: none},
	}
	all := out
	all.Received, all.Pending, all.Bytes.Received, all.Bytes.Pending = 11, 4, 1001, 301
	want := ledger.Balance{Sheet: all, Streams: []ledger.StreamBalance{{Stream: "stdout", Sheet: out}, {Stream: "stderr", Sheet: err}}}
	got := l.Balance(map[string]ledger.Count{"stdout": {Records: 3, Bytes: 300}, "stderr": {Records: 1, Bytes: 1}})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("balance (-want +got):\n%s", diff)
	}
}

// TestUnaccounted books numbers that do not add up: the difference must show,
// with its sign, and must not be hidden by one of the other sign elsewhere.
func TestUnaccounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := ledger.New()
		pending := map[string]ledger.Count{}
		var total ledger.Count
		var want []ledger.Count
		count := rapid.Custom(func(t *rapid.T) ledger.Count {
			return ledger.Count{Records: rapid.Int64Range(0, 50).Draw(t, "records"), Bytes: rapid.Int64Range(0, 50).Draw(t, "bytes")}
		})
		for i := range rapid.IntRange(1, 3).Draw(t, "streams") {
			name := strconv.Itoa(i)
			a := l.Open(name)
			in, out, lost, held := count.Draw(t, "received"), count.Draw(t, "delivered"), count.Draw(t, "dropped"), count.Draw(t, "held")
			a.Received(in)
			a.Delivered(out)
			a.Dropped(ledger.Shutdown, lost)
			pending[name] = held
			off := ledger.Count{
				Records: in.Records - out.Records - lost.Records - held.Records,
				Bytes:   in.Bytes - out.Bytes - lost.Bytes - held.Bytes,
			}
			want, total = append(want, off), total.Plus(off)
		}
		b := l.Balance(pending)
		for i, s := range b.Streams {
			if got := (ledger.Count{Records: s.Unaccounted, Bytes: s.Bytes.Unaccounted}); got != want[i] {
				t.Fatalf("stream %s: unaccounted %+v, want %+v", s.Stream, got, want[i])
			}
		}
		if got := (ledger.Count{Records: b.Unaccounted, Bytes: b.Bytes.Unaccounted}); got != total {
			t.Fatalf("unaccounted %+v, want %+v", got, total)
		}
	})
}

// TestBalanceIsACopy: a balance that was drawn does not change any more.
func TestBalanceIsACopy(t *testing.T) {
	l := ledger.New()
	a := l.Open("stdout")
	a.Dropped(ledger.Shutdown, ledger.Count{Records: 1, Bytes: 1})
	before, again := l.Balance(nil), l.Balance(nil)
	a.Dropped(ledger.Shutdown, ledger.Count{Records: 1, Bytes: 1})
	a.Dropped(ledger.MaxBlock, ledger.Count{Records: 1, Bytes: 1})
	if diff := cmp.Diff(again, before); diff != "" {
		t.Errorf("the balance changed after it was drawn:\n%s", diff)
	}
}

// TestManyStreams: names are foreign data, so only so many are kept.
func TestManyStreams(t *testing.T) {
	l := ledger.New()
	for i := range ledger.MaxNamedStreams + 10 {
		l.Open(fmt.Sprint("stream ", i)).Received(ledger.Count{Records: 1, Bytes: int64(i)})
	}
	l.Open("stream 7").Received(ledger.Count{Records: 1, Bytes: 1})
	b := l.Balance(map[string]ledger.Count{ledger.OtherStreams: {Records: 4}})
	if got, want := len(b.Streams), ledger.MaxNamedStreams+1; got != want {
		t.Fatalf("%d streams are in the balance, want %d", got, want)
	}
	if s := b.Streams[7]; s.Stream != "stream 7" || s.Received != 2 {
		t.Errorf("a stream that returns is %+v, want its old account with 2 received", s)
	}
	other := b.Streams[ledger.MaxNamedStreams]
	if other.Stream != ledger.OtherStreams || other.Received != 10 || other.Bytes.Received != 10*ledger.MaxNamedStreams+45 || other.Pending != 4 {
		t.Errorf("the rest is %+v, want 10 records of %d bytes in %q, 4 pending", other, 10*ledger.MaxNamedStreams+45, ledger.OtherStreams)
	}
	if b.Received != ledger.MaxNamedStreams+11 {
		t.Errorf("%d received in all, want %d", b.Received, ledger.MaxNamedStreams+11)
	}
}

// TestConcurrentCounting counts in many goroutines while balances are drawn;
// each balance must be a consistent cut.
func TestConcurrentCounting(t *testing.T) {
	const writers, rounds = 8, 400
	l := ledger.New()
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for range rounds {
				a := l.Open(strconv.Itoa(i % 3))
				a.Received(ledger.Count{Records: 2, Bytes: 20})
				a.Delivered(ledger.Count{Records: 1, Bytes: 10})
				a.Dropped(ledger.OverflowOldest, ledger.Count{Records: 1, Bytes: 10})
				a.PossiblyDuplicated(1)
				a.Markers(1, 1)
				a.Lines(ledger.Lines{Read: 1})
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		b := l.Balance(nil)
		if b.Unaccounted < 0 || b.Unaccounted > 2*writers || b.Bytes.Unaccounted != 10*b.Unaccounted {
			t.Fatalf("%d records and %d bytes are between two books, more than the writers can hold", b.Unaccounted, b.Bytes.Unaccounted)
		}
	}
	b := l.Balance(nil)
	n := int64(writers * rounds)
	if b.Received != 2*n || b.Delivered != n || b.Dropped != n || b.Unaccounted != 0 || b.PossibleDuplicates != n ||
		b.Markers != (ledger.Markers{Made: n, Delivered: n}) || b.Lines.Read != n {
		t.Errorf("after %d rounds the balance is %+v", n, b.Sheet)
	}
}

func TestLost(t *testing.T) {
	n := ledger.Numbers{Dropped: 15, ByReason: map[ledger.Reason]int64{
		ledger.Shutdown: 1, ledger.OverflowNewest: 2, ledger.Returned: 3, ledger.Tombstone: 4, ledger.Duplicate: 5,
	}}
	if got := n.Lost(); got != 3 {
		t.Errorf("%d records are lost, want the 3 that no source has and somebody wanted", got)
	}
}
