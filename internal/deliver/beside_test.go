package deliver_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
)

// TestDropped: what a destination's owner wants none of is dropped and counted, and
// kept from the dead letters; its neighbours are not.
func TestDropped(t *testing.T) {
	in(t, func(t *testing.T) {
		dead := &box{}
		s := &script{answer: func(_ context.Context, _ int, a attempt) sink.Outcome {
			return sink.Outcome{Verdict: sink.Delivered, Rejected: []sink.Rejection{
				{First: 1, End: 2, Reason: "rejected-invalid"},
				{First: 2, End: 3, Reason: string(ledger.Duplicate), Drop: true},
				{First: 3, End: 4, Reason: "rejected-conflict", Drop: true},
			}}
		}}
		r := start(t, buffer.Config{NoLossMarkers: true}, s, deliver.Config{DeadLetters: dead})
		r.hand(0, 5)
		b := r.drain()
		if b.Delivered != 2 || b.DeadLettered != 1 || b.Dropped != 2 || b.ByReason["duplicate"] != 1 || b.ByReason["rejected-conflict"] != 1 {
			t.Errorf("the balance is %+v", b.Sheet)
		}
		if len(dead.letters) != 1 || string(dead.letters[0].Body) != "000002" {
			t.Errorf("the dead letters are %+v", dead.letters)
		}
	})
}

// TestDuplicatesLeaveNoMarker: the destination has what they say.
func TestDuplicatesLeaveNoMarker(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{answer: func(_ context.Context, n int, a attempt) sink.Outcome {
			if n > 0 {
				return delivered
			}
			return sink.Outcome{Verdict: sink.Delivered, Rejected: []sink.Rejection{{First: 0, End: 1, Reason: string(ledger.Duplicate), Drop: true}}}
		}}
		r := start(t, buffer.Config{}, s, deliver.Config{})
		r.hand(0, 3)
		if b := r.drain(); b.Delivered != 2 || b.Dropped != 1 || b.Markers.Made != 0 {
			t.Errorf("the balance is %+v", b.Sheet)
		}
	})
}

// TestSomeWaitForSomebody: while a destination refuses some records for what it is
// itself, its health is red, although it takes others; and green once they are
// through.
func TestSomeWaitForSomebody(t *testing.T) {
	in(t, func(t *testing.T) {
		var open atomic.Bool
		s := &script{limits: sink.Limits{InFlight: 2}}
		s.answer = func(_ context.Context, _ int, a attempt) sink.Outcome {
			out := sink.Outcome{Verdict: sink.Delivered, AlreadyThere: 1, Replaced: 2}
			for i, text := range a.texts {
				if text == "0:000002" && !open.Load() {
					out.Again, out.Config, out.Err = []sink.Span{{First: i, End: i + 1}}, true, errors.New("the index is closed")
				}
			}
			if len(out.Again) == len(a.texts) {
				return sink.Outcome{Err: out.Err, Config: true}
			}
			return out
		}
		r := start(t, buffer.Config{}, s, deliver.Config{})
		r.hand(0, 3)
		time.Sleep(50 * time.Millisecond)
		if h := r.deliver.Health(); h.Up || !h.Config || h.Error != "the index is closed" || h.AlreadyThere != 1 || h.Replaced != 2 {
			t.Errorf("while a record waits the health is %+v", h)
		}
		open.Store(true)
		time.Sleep(time.Minute)
		if h := r.deliver.Health(); !h.Up || h.Config || h.Error != "" || h.AlreadyThere != 2 {
			t.Errorf("after that the health is %+v", h)
		}
		r.drain()
	})
}

// TestIdempotent: where the destination takes what it has for what it is, nothing
// is possibly there twice, but a request still tells that it was tried before.
func TestIdempotent(t *testing.T) {
	for _, idempotent := range []bool{false, true} {
		in(t, func(t *testing.T) {
			s := &script{limits: sink.Limits{InFlight: 1, Idempotent: idempotent}}
			var repeated [][]sink.Span
			s.ask = func(req sink.Request) { repeated = append(repeated, req.Repeated()) }
			s.answer = func(_ context.Context, n int, a attempt) sink.Outcome {
				if n == 0 {
					return sink.Outcome{Err: errors.New("no answer"), Unsure: true}
				}
				return delivered
			}
			r := start(t, buffer.Config{}, s, deliver.Config{})
			r.hand(0, 3)
			time.Sleep(time.Minute)
			r.hand(0, 1)
			b := r.drain()
			if want := map[bool]int64{false: 3, true: 0}[idempotent]; b.PossibleDuplicates != want {
				t.Errorf("%d are possibly there twice, want %d", b.PossibleDuplicates, want)
			}
			if diff := cmp.Diff([][]sink.Span{nil, {{First: 0, End: 3}}, nil}, repeated); diff != "" {
				t.Errorf("what was tried before (-want +got):\n%s", diff)
			}
		})
	}
}
