package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/sink"
)

var errAway = errors.New("connection refused")

// until answers out before a time, and delivers from then on.
func until(back time.Duration, out sink.Outcome) *script {
	s := &script{limits: sink.Limits{Events: 10, InFlight: 4}}
	s.answer = func(context.Context, int, attempt) sink.Outcome {
		time.Sleep(time.Millisecond)
		if s.since() < back {
			return out
		}
		return delivered
	}
	return s
}

// TestRetryForEver: a destination may be away for as long as it likes; one
// request at a time asks for it, more and more seldom but never more seldom than
// every five seconds; and then all that waited goes at once.
func TestRetryForEver(t *testing.T) {
	in(t, func(t *testing.T) {
		const back = 5 * time.Hour
		r := start(t, buffer.Config{Limit: 1 << 20}, until(back, sink.Outcome{Err: errAway}), deliver.Config{})
		r.hand(0, 45)
		time.Sleep(back + 20*time.Second)
		if b := r.balance(); b.Delivered != 45 {
			t.Fatalf("after the destination came back, %d of 45 are delivered", b.Delivered)
		}
		begun := r.begun()
		// The first four found out together.
		for i, at := range begun[4:] {
			if at >= back {
				r.checkRecovery(begun[4+i:])
				break
			}
			pause := at - r.attempts[3+i].end
			if low, high := 70*time.Millisecond, 5*time.Second; pause < low || pause > high {
				t.Errorf("pause %d before an attempt is %s, want %s to %s", i, pause, low, high)
			}
			if i == 0 && pause > 130*time.Millisecond || i > 8 && pause < 3500*time.Millisecond {
				t.Errorf("pause %d before an attempt is %s", i, pause)
			}
			if r.attempts[4+i].active != 1 {
				t.Errorf("%d attempts at once at a destination that is away", r.attempts[4+i].active)
			}
		}
		r.drain()
	})
}

// checkRecovery holds what follows the first success to beginning as soon as
// that is known.
func (r *rig) checkRecovery(begun []time.Duration) {
	r.Helper()
	for _, at := range begun[1:4] {
		if at != begun[0]+time.Millisecond {
			r.Errorf("after the success of %s a request left at %s", begun[0], at)
		}
	}
}

// TestBackOffBeginsAnew after each recovery.
func TestBackOffBeginsAnew(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{}, &script{}, deliver.Config{})
		for range 3 {
			r.from(always(away, 0))
			r.hand(0, 1)
			synctest.Wait()
			n := len(r.begun())
			time.Sleep(time.Minute)
			if pause := r.begun()[n] - r.begun()[n-1]; pause > 130*time.Millisecond {
				t.Errorf("the first pause of an outage is %s", pause)
			}
			r.from(always(delivered, 0))
			time.Sleep(time.Minute)
		}
		r.drain()
	})
}

// TestRetryAfter: the pause that the destination asks for is kept, by all.
func TestRetryAfter(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{limits: sink.Limits{Events: 10, InFlight: 4}}
		s.answer = func(_ context.Context, n int, _ attempt) sink.Outcome {
			time.Sleep(time.Millisecond)
			if n < 6 {
				return sink.Outcome{Err: errAway, RetryAfter: 30 * time.Second}
			}
			return delivered
		}
		r := start(t, buffer.Config{Limit: 1 << 20}, s, deliver.Config{})
		r.hand(0, 40)
		time.Sleep(100 * time.Second)
		first, pause := time.Millisecond, 30*time.Second
		second, third, back := first+pause, 2*(first+pause), 3*(first+pause)
		want := []time.Duration{0, 0, 0, 0, second, third, back, back + first, back + first, back + first}
		if diff := cmp.Diff(want, r.begun()); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		r.drain()
	})
}

// TestLongestRetryAfterHolds: an attempt that fails later and asks for less does
// not shorten the pause.
func TestLongestRetryAfterHolds(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{limits: sink.Limits{Events: 10, InFlight: 2}}
		s.answer = func(_ context.Context, n int, _ attempt) sink.Outcome {
			time.Sleep(time.Duration(n+1) * time.Millisecond)
			return []sink.Outcome{{RetryAfter: 30 * time.Second}, {RetryAfter: time.Second}, delivered, delivered}[n]
		}
		r := start(t, buffer.Config{Limit: 1 << 20}, s, deliver.Config{})
		r.hand(0, 20)
		time.Sleep(time.Minute)
		if got := r.begun()[2]; got != 30*time.Second+time.Millisecond {
			t.Errorf("the next attempt is made after %s, want 30.001s", got)
		}
		r.drain()
	})
}

// TestPossibleDuplicates: what may have arrived before is counted once for each
// record, however often it was tried; a failure that is sure counts nothing.
func TestPossibleDuplicates(t *testing.T) {
	for _, c := range []struct {
		outcomes []sink.Outcome
		want     int64
	}{
		{[]sink.Outcome{away, away}, 0},
		{[]sink.Outcome{{Unsure: true}, away, {Unsure: true}}, 10},
		{[]sink.Outcome{{Unsure: true}, away, away, away}, 10},
		{[]sink.Outcome{{Unsure: true}, {Verdict: sink.Refuse, Reason: "rejected-invalid"}}, 10},
	} {
		t.Run(fmt.Sprint(len(c.outcomes)), func(t *testing.T) {
			in(t, func(t *testing.T) {
				s := &script{answer: func(_ context.Context, n int, _ attempt) sink.Outcome {
					if n < len(c.outcomes) {
						return c.outcomes[n]
					}
					return delivered
				}}
				r := start(t, buffer.Config{}, s, deliver.Config{})
				r.hand(0, 10)
				if b := r.drain(); b.PossibleDuplicates != c.want || b.Delivered != 10 {
					t.Errorf("%d delivered, %d possible duplicates, want %d", b.Delivered, b.PossibleDuplicates, c.want)
				}
			})
		})
	}
}
