package deliver_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/sink"
)

// exchange makes another script the destination, which then has what this one has.
func (r *rig) exchange(to *script) (free <-chan struct{}) {
	r.Helper()
	before := r.script
	to.start, to.limits.InFlight = before.start, max(to.limits.InFlight, 1)
	free = r.deliver.Exchange(deliver.Config{Name: "another"}, to)
	// What the one before took in its last second counts as well.
	<-free
	before.mu.Lock()
	defer before.mu.Unlock()
	to.mu.Lock()
	defer to.mu.Unlock()
	if before.active != 0 {
		r.Errorf("the sink before is free with %d attempts under way", before.active)
	}
	to.has = append(slices.Clone(before.has), to.has...)
	r.script = to
	return free
}

// untilCut answers when the attempt is given up, without knowing what came of it.
func untilCut(ctx context.Context, _ int, _ attempt) sink.Outcome {
	<-ctx.Done()
	return sink.Outcome{Err: ctx.Err(), Unsure: true}
}

// TestExchangeCutsOffWhatHangs: within a second, and what was under way goes to the
// new destination, as a possible duplicate.
func TestExchangeCutsOffWhatHangs(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{Limit: 1 << 20}, &script{answer: untilCut}, deliver.Config{})
		r.hand(0, 10)
		synctest.Wait()
		at := r.since()
		r.exchange(&script{answer: always(delivered, 0)})
		if took := r.since() - at; took != time.Second {
			t.Errorf("the sink was free after %v, want a second", took)
		}
		r.hand(0, 10)
		if b := r.drain(); b.Delivered != 20 || b.PossibleDuplicates != 10 {
			t.Errorf("%+v", b.Sheet)
		}
		if h := r.deliver.Health(); !h.Up {
			t.Errorf("the health is that of the destination before: %+v", h)
		}
	})
}

// TestExchangeEndsTheWaitForOneThatIsAway: nobody waits for the next attempt there.
func TestExchangeEndsTheWaitForOneThatIsAway(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{Limit: 1 << 20}, &script{answer: always(away, 0)}, deliver.Config{})
		r.hand(0, 10)
		time.Sleep(time.Minute)
		at := r.since()
		r.exchange(&script{answer: always(delivered, 0)})
		synctest.Wait()
		if took := r.since() - at; took != 0 || len(r.has) != 10 {
			t.Errorf("after %v the new destination has %d records", took, len(r.has))
		}
		r.drain()
	})
}

// TestExchangeAfterTheEnd: what is to be dropped is not sent to the new one instead.
func TestExchangeAfterTheEnd(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{Limit: 1 << 20}, &script{answer: always(away, 0)}, deliver.Config{})
		r.hand(0, 10)
		synctest.Wait()
		r.buf.Abandon()
		r.deliver.Abandon()
		r.exchange(&script{answer: always(delivered, 0)})
		if b := r.drain(); b.Delivered != 0 || b.Dropped != 10 {
			t.Errorf("%+v", b.Sheet)
		}
	})
}

// life is one destination of TestExchangeForOtherLimits, and what is handed over
// while it is the one.
type life struct {
	limits  sink.Limits
	latency time.Duration
	fails   int
	hands   []hand
}

type hand struct {
	stream, lines int
	pause         time.Duration
}

var lives = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) life {
	return life{
		limits: sink.Limits{
			InFlight:     rapid.IntRange(1, 4).Draw(t, "in flight"),
			RequestBytes: rapid.SampledFrom([]int{0, 100, 1000}).Draw(t, "request bytes"),
			PerEvent:     rapid.SampledFrom([]int{0, 26}).Draw(t, "per event"),
			Events:       rapid.SampledFrom([]int{0, 1, 7}).Draw(t, "events"),
			OrderedBy:    rapid.SampledFrom([]time.Duration{0, time.Millisecond}).Draw(t, "ordered by"),
		},
		latency: rapid.SampledFrom([]time.Duration{0, 10 * time.Millisecond, 700 * time.Millisecond}).Draw(t, "latency"),
		fails:   rapid.IntRange(0, 3).Draw(t, "fails"),
		hands: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) hand {
			return hand{
				rapid.IntRange(0, 1).Draw(t, "stream"), rapid.IntRange(1, 40).Draw(t, "lines"),
				rapid.SampledFrom([]time.Duration{0, time.Millisecond, 300 * time.Millisecond}).Draw(t, "pause"),
			}
		}), 1, 5).Draw(t, "hands"),
	}
}), 2, 4)

// TestExchangeForOtherLimits in any way, at any time: no attempt is more than its
// destination takes, each record arrives once, and those of one moment in order
// where the destination keeps the order of time.
func TestExchangeForOtherLimits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		all := lives.Draw(rt, "lives")
		in(t, func(t *testing.T) {
			var r *rig
			for i, l := range all {
				s := &script{limits: l.limits, answer: l.answer(rt)}
				if i == 0 {
					r = start(rt, buffer.Config{Limit: 64 << 10}, s, deliver.Config{})
				} else {
					r.exchange(s)
				}
				for _, h := range l.hands {
					r.hand(h.stream, h.lines)
					time.Sleep(h.pause)
				}
			}
			r.drain()
			if r.limits.OrderedBy > 0 {
				r.keepsMoments()
			}
		})
	})
}

func (l *life) answer(t tb) func(context.Context, int, attempt) sink.Outcome {
	return func(_ context.Context, n int, a attempt) sink.Outcome {
		events, cost := len(a.texts), len(a.texts)*(6+l.limits.PerEvent)
		if events > 1 && (l.limits.Events > 0 && events > l.limits.Events || l.limits.RequestBytes > 0 && cost > l.limits.RequestBytes) {
			t.Errorf("%d events of %d bytes for limits %+v", events, cost, l.limits)
		}
		time.Sleep(l.latency)
		if n < l.fails {
			return away
		}
		return delivered
	}
}

// keepsMoments holds what the present destination got to the order of each stream
// within each moment.
func (r *rig) keepsMoments() {
	r.Helper()
	last := map[moment]string{}
	for _, a := range r.seen() {
		if a.out.Verdict != sink.Delivered {
			continue
		}
		for i, text := range a.texts {
			if at := a.each[i]; text < last[at] {
				r.Errorf("%s came after %s", text, last[at])
			} else {
				last[at] = text
			}
		}
	}
}
