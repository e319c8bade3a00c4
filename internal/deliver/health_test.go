package deliver_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/sink"
)

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
