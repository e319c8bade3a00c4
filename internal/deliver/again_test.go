package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
)

// some is an outcome that takes what is in no span.
func some(err error, again ...sink.Span) sink.Outcome {
	return sink.Outcome{Verdict: sink.Delivered, Err: err, Again: again}
}

// TestAgain: only what the destination wants again is sent again, at once where it
// does not fail and after a pause where it does; everything else is settled.
func TestAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		pause time.Duration // at least
	}{{"as much as fits", nil, 0}, {"busy", errors.New("429"), 70 * time.Millisecond}} {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				s := &script{limits: sink.Limits{InFlight: 1}}
				settled := int64(-1)
				var r *rig
				s.answer = func(_ context.Context, n int, _ attempt) sink.Outcome {
					switch n {
					case 0:
						return some(c.err, sink.Span{First: 1, End: 3}, sink.Span{First: 5, End: 6})
					case 1:
						settled = r.buf.Balance().Delivered
						return some(c.err, sink.Span{First: 1, End: 2})
					}
					return delivered
				}
				r = start(t, buffer.Config{}, s, deliver.Config{})
				r.hand(0, 8)
				r.drain()
				var sent [][]string
				for _, a := range r.seen() {
					sent = append(sent, a.texts)
				}
				want := [][]string{
					{"0:000001", "0:000002", "0:000003", "0:000004", "0:000005", "0:000006", "0:000007", "0:000008"},
					{"0:000002", "0:000003", "0:000006"},
					{"0:000003"},
				}
				if diff := cmp.Diff(want, sent); diff != "" {
					t.Errorf("attempts (-want +got):\n%s", diff)
				}
				if settled != 5 {
					t.Errorf("%d were settled before the second attempt, want 5", settled)
				}
				for i, at := range r.begun()[1:] {
					if pause := at - r.seen()[i].end; pause < c.pause || c.pause == 0 && pause > 0 {
						t.Errorf("%s before attempt %d", pause, i+2)
					}
				}
				if h := r.deliver.Health(); !h.Up || h.Failures > 0 {
					t.Errorf("the health is %+v", h)
				}
			})
		})
	}
}

// TestAgainAll: a destination that takes nothing is one that fails, whatever it
// calls that.
func TestAgainAll(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{answer: func(_ context.Context, n int, a attempt) sink.Outcome {
			if n < 3 {
				return some(nil, sink.Span{First: 0, End: len(a.texts)})
			}
			return delivered
		}}
		r := start(t, buffer.Config{}, s, deliver.Config{})
		r.hand(0, 4)
		r.drain()
		for i, at := range r.begun()[1:] {
			if pause := at - r.begun()[i]; pause < 70*time.Millisecond {
				t.Errorf("%s before attempt %d", pause, i+2)
			}
		}
	})
}

// TestAgainThrottled: a destination that takes a part and asks for less gets less.
func TestAgainThrottled(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{limits: sink.Limits{InFlight: 8, Events: 10}}
		s.answer = func(_ context.Context, n int, a attempt) sink.Outcome {
			time.Sleep(10 * time.Millisecond)
			if n < 16 && len(a.texts) > 1 {
				out := some(errors.New("429"), sink.Span{First: 1, End: len(a.texts)})
				out.Throttled = true
				return out
			}
			return delivered
		}
		r := start(t, buffer.Config{Limit: 1 << 20}, s, deliver.Config{})
		r.hand(0, 600)
		r.drain()
		least := 8
		for _, a := range r.seen()[8:20] {
			least = min(least, a.active)
		}
		if least > 2 {
			t.Errorf("at least %d attempts were under way at once", least)
		}
	})
}

// TestAgainAndRejected: the indexes of what is rejected are those of the request as
// it was sent.
func TestAgainAndRejected(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{answer: func(_ context.Context, n int, _ attempt) sink.Outcome {
			if n > 0 {
				return delivered
			}
			out := some(nil, sink.Span{First: 0, End: 1}, sink.Span{First: 3, End: 5})
			out.Rejected = []sink.Rejection{{First: 2, End: 3, Reason: "rejected-too-old"}, {First: 6, End: 8, Reason: "rejected-too-new"}}
			return out
		}}
		r := start(t, buffer.Config{NoLossMarkers: true}, s, deliver.Config{})
		r.hand(0, 8)
		b := r.drain()
		want := []string{"0:000002", "0:000006", "0:000001", "0:000004", "0:000005"}
		if diff := cmp.Diff(want, r.has); diff != "" {
			t.Errorf("delivered (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[ledger.Reason]int64{ledger.RejectedTooOld: 1, ledger.RejectedTooNew: 2}, b.ByReason); diff != "" {
			t.Errorf("dropped (-want +got):\n%s", diff)
		}
	})
}

// TestAgainAnywhere draws what a destination takes of each request.
func TestAgainAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			s := &script{limits: sink.Limits{InFlight: rapid.IntRange(1, 3).Draw(t, "in flight"), Events: 20}}
			s.answer = func(_ context.Context, n int, a attempt) sink.Outcome {
				if n > 60 {
					return delivered
				}
				out := sink.Outcome{Verdict: sink.Delivered}
				for i := 0; i < len(a.texts); {
					size := 1 + (n*7+i*3)%4
					end := min(i+size, len(a.texts))
					switch (n + i) % 3 {
					case 0:
						out.Again = append(out.Again, sink.Span{First: i, End: end})
					case 1:
						if n%2 == 0 {
							out.Rejected = append(out.Rejected, sink.Rejection{First: i, End: end, Reason: "rejected-too-old"})
						}
					}
					i = end
				}
				if n%3 == 0 {
					out.Err = fmt.Errorf("attempt %d", n)
				}
				return out
			}
			r := start(t, buffer.Config{Limit: 1 << 20}, s, deliver.Config{})
			for range rapid.IntRange(1, 5).Draw(t, "times") {
				r.hand(rapid.IntRange(0, 1).Draw(t, "stream"), rapid.IntRange(1, 60).Draw(t, "lines"))
			}
			r.drain()
		})
	})
}

// TestEager: a destination that says so gets each record at once, and a busy one
// what has gathered meanwhile.
func TestEager(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{limits: sink.Limits{InFlight: 1, Eager: true}, answer: always(delivered, time.Millisecond)}
		r := start(t, buffer.Config{}, s, deliver.Config{})
		for range 10 {
			r.hand(0, 1)
			time.Sleep(5 * time.Millisecond)
		}
		want := []time.Duration{0, 5, 10, 15, 20, 25, 30, 35, 40, 45}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if got := r.begun(); !slices.Equal(want, got) {
			t.Errorf("attempts at %v", got)
		}
		r.drain()
	})
}
