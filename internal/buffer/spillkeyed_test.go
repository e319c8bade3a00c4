package buffer_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
)

// TestKeyedIsLeftInOrder: where records of one key must keep their order, what a process
// leaves behind is at its place for the next one, though what stands behind it was
// delivered: that comes again, and is told to.
func TestKeyedIsLeftInOrder(t *testing.T) {
	for _, keyed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := small(t, buffer.Kernel, buffer.Block)
			l.sink.Keyed, l.sink.InFlight = keyed, 4
			if err := l.leave(); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				l.hand(3)
				if !l.take() {
					t.Fatal("there is nothing to take")
				}
			}
			l.hand(3)
			all := bodies(l.flight...)
			// Of the first request the second record is to be tried again, the second is
			// delivered, and the third waits for the first.
			others, again := l.flight[0].Divide([]sink.Span{{First: 1, End: 2}})
			l.buf.Settle(others, buffer.Fate{})
			l.buf.Settle(l.flight[1], buffer.Fate{})
			l.buf.HandOver()
			for _, r := range []*buffer.Request{again, l.flight[2]} {
				l.buf.Settle(r, buffer.Fate{Dropped: ledger.Shutdown})
			}
			if err := l.leave(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for r := l.buf.Take(true); r != nil; r = l.buf.Take(true) {
				got = append(got, bodies(r)...)
				l.buf.Settle(r, buffer.Fate{})
			}
			at := map[string]int{}
			for i, body := range got {
				at[body] = i
			}
			if inOrder := at[all[1]] < at[all[6]]; inOrder != keyed {
				t.Errorf("with keys: %v; the record that was to be tried again comes at %d, the first of those behind at %d", keyed, at[all[1]], at[all[6]])
			}
			left, twice := int64(7), int64(1) // What is written a second time was in a request.
			if keyed {
				left, twice = 12, 9
			}
			b := l.buf.Balance()
			if diff := cmp.Diff([]int64{left, twice, 0, 0}, []int64{b.Delivered, b.PossibleDuplicates, b.Pending, b.Unaccounted}); diff != "" {
				t.Errorf("with keys: %v; delivered, possible duplicates, pending and unaccounted (-want +got):\n%s", keyed, diff)
			}
		})
	}
}

// bodies are the records of requests.
func bodies(requests ...*buffer.Request) (all []string) {
	for _, r := range requests {
		for _, b := range r.Batches() {
			for frames := b.Frames; len(frames) > 0; {
				var body []byte
				body, _, frames = b.Next(frames)
				all = append(all, string(body))
			}
		}
	}
	return all
}
