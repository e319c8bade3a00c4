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

// TestThrottling: a destination that asks for fewer requests gets fewer at once
// and small ones more seldom, and as many as before once it bears them again.
func TestThrottling(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{limits: sink.Limits{Events: 10, InFlight: 8}}
		s.answer = func(_ context.Context, _ int, a attempt) sink.Outcome {
			time.Sleep(20 * time.Millisecond)
			if a.active > 2 {
				return sink.Outcome{Err: errors.New("ThrottlingException"), Throttled: true}
			}
			return delivered
		}
		r := start(t, buffer.Config{Limit: 4 << 20}, s, deliver.Config{FlushInterval: 3 * time.Second})
		r.hand(0, 2000)
		time.Sleep(time.Minute)
		if b := r.balance(); b.Delivered != 2000 {
			t.Errorf("%d of 2000 are delivered", b.Delivered)
		}
		refused, most := 0, 0
		for _, a := range r.attempts {
			if a.out.Throttled {
				refused++
			}
			if a.begin > time.Second {
				most = max(most, a.active)
			}
		}
		if refused > len(r.attempts)/3 || most > 4 {
			t.Errorf("%d of %d attempts were refused, later up to %d were made at once", refused, len(r.attempts), most)
		}
		r.from(always(delivered, 20*time.Millisecond))
		r.hand(0, 2000)
		time.Sleep(time.Minute)
		n := len(r.begun())
		r.hand(0, 500)
		time.Sleep(10 * time.Millisecond)
		if got := len(r.begun()) - n; got != 8 {
			t.Errorf("%d requests were under way after the destination bore them again, want 8", got)
		}
		r.drain()
	})
}

// TestThrottlingSpacesSmallRequests: each throttled request doubles the time
// between small ones, up to the flush interval, until the window is wide again.
func TestThrottlingSpacesSmallRequests(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{limits: sink.Limits{InFlight: 16}}
		s.answer = func(_ context.Context, n int, _ attempt) sink.Outcome {
			if n < 5 {
				return sink.Outcome{Err: errAway, Throttled: true}
			}
			return delivered
		}
		r := start(t, buffer.Config{}, s, deliver.Config{FlushInterval: 4 * time.Second})
		for range 40_000 {
			r.hand(0, 1)
			time.Sleep(10 * time.Millisecond)
		}
		begun := r.begun()
		gaps := map[time.Duration]int{}
		for i := 7; i < len(begun); i++ {
			gaps[(begun[i]-begun[i-1]).Round(100*time.Millisecond)]++
		}
		if len(gaps) != 2 || gaps[4*time.Second] == 0 || gaps[200*time.Millisecond] == 0 {
			t.Errorf("times between requests: %v, want some of 4s and then 200ms", gaps)
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

// TestHealth follows a destination away and back.
func TestHealth(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{}, &script{answer: always(delivered, 0)}, deliver.Config{})
		check := func(what string, want deliver.Health) {
			t.Helper()
			if diff := cmp.Diff(want, r.deliver.Health()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		check("before the first answer", deliver.Health{Up: true})
		begin := time.Now()
		r.hand(0, 1)
		time.Sleep(time.Second)
		check("up", deliver.Health{Up: true, Since: begin})
		r.from(always(sink.Outcome{Err: errAway, Config: true}, 0))
		away := time.Now()
		r.hand(0, 1)
		synctest.Wait()
		check("away", deliver.Health{Since: away, Failures: 1, Error: "connection refused", Config: true})
		r.from(always(sink.Outcome{}, 0))
		time.Sleep(200 * time.Millisecond)
		check("still away", deliver.Health{Since: away, Failures: 2, Error: "no answer"})
		r.from(always(delivered, 0))
		time.Sleep(5 * time.Second)
		h := r.deliver.Health()
		if !h.Up || !h.Since.After(away) || h.Failures != 0 || h.Error != "" || h.Config {
			t.Errorf("back: %+v", h)
		}
		r.drain()
	})
}

// TestWarnsAtMostOnceAMinute, whatever goes wrong and however often.
func TestWarnsAtMostOnceAMinute(t *testing.T) {
	for name, out := range map[string]sink.Outcome{
		"away":     {Err: errAway},
		"refuses":  {Verdict: sink.Refuse, Reason: "rejected-invalid", Err: errors.New("bad record")},
		"rejects":  {Verdict: sink.Delivered, Rejected: []sink.Rejection{{First: 0, End: 1, Reason: "rejected-too-old"}}},
		"silently": {},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				r := start(t, buffer.Config{}, &script{answer: always(out, 0), limits: sink.Limits{Events: 10}}, deliver.Config{})
				for range 300 {
					r.hand(0, 2)
					time.Sleep(time.Second)
				}
				if n := r.log.count("WARN"); n < 4 || n > 6 {
					t.Errorf("%d warnings in five minutes, such as %q", n, r.log.lines[0])
				}
				if name != "silently" && r.log.count("rejected-too-old")+r.log.count("bad record")+r.log.count("connection refused") == 0 {
					t.Errorf("no warning says what is wrong: %q", r.log.lines)
				}
				r.from(always(delivered, 0))
				r.drain()
			})
		})
	}
}
