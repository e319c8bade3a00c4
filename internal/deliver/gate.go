package deliver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/spillway/spillway/internal/sink"
)

// Back-off between attempts at a destination that is away.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 5 * time.Second
	// sayAgain is how often the log repeats that a destination is away.
	sayAgain = time.Minute
)

// gate lets attempts through: as many at once as the destination bears, and one
// at a time while it is away.
type gate struct {
	name string
	log  *slog.Logger
	most int // attempts at once
	// fate is what becomes of rejected records, for the log.
	fate string

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	limit   float64       // attempts at once that the destination bears now
	active  int
	away    bool
	probing bool
	closed  bool
	probeAt time.Time
	pauses  *backoff.ExponentialBackOff
	careful int           // factor for the spacing of small requests
	latency time.Duration // of recent answers, the slow ones
	last    time.Time     // of the last answer
	state   Health
	said    time.Time // when the log last said that it is away
	// saidBuried is when the log last said that the dead letters do not take records.
	saidBuried time.Time
	told       time.Time      // when the log last told of rejected events
	refused    map[string]int // rejected events by reason since then
	why        error          // why the last of those were, where it is known
	// red is how many requests hold records of which the last attempt said that
	// somebody must act, while others of the same destination go through; redWhy is
	// why the last of them does.
	red    int
	redWhy string

	already, replaced, conflicts int64
	answers                      int64 // in all
}

func newGate(most int, log *slog.Logger, name string) *gate {
	most = max(most, 1)
	return &gate{
		name: name, log: log, most: most, limit: float64(most), changed: make(chan struct{}), pauses: newPauses(),
		careful: 1, fate: "they are dropped and counted", state: Health{Up: true}, refused: make(map[string]int),
	}
}

// pass lets one attempt through.
type pass struct {
	// probe marks the single attempt at a destination that is away.
	probe bool
}

// enter waits until an attempt may be made; it returns false when ctx ends or
// the gate is closed.
// Each pass is given back by one call of succeeded or failed.
func (g *gate) enter(ctx context.Context) (pass, bool) {
	var p pass
	for ctx.Err() == nil {
		pause, ready, changed := g.ask(&p)
		if ready {
			return p, true
		}
		if changed == nil {
			break
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	if p.probe {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.probing = false
		g.signal()
	}
	return pass{}, false
}

// ask reports whether the attempt may be made now, and else for how long to
// wait at most; changed is nil when the gate is closed.
func (g *gate) ask(p *pass) (pause time.Duration, ready bool, changed chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, false, nil
	}
	if !g.away && p.probe {
		p.probe, g.probing = false, false
	}
	if g.away && !g.probing {
		p.probe, g.probing = true, true
	}
	switch {
	case !g.away && g.active < int(max(g.limit, 1)):
		ready = true
	case p.probe:
		pause = time.Until(g.probeAt)
		ready = pause <= 0
	default:
		pause = time.Hour
	}
	if ready {
		g.active++
	}
	return pause, ready, g.changed
}

// close lets nobody through any more.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.signal()
}

// signal wakes all who wait; the lock is held.
func (g *gate) signal() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// succeeded says that the destination answered.
func (g *gate) succeeded(p pass) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.active--
	g.answers++
	g.limit = min(g.limit+1/max(g.limit, 1), float64(g.most))
	if g.limit >= float64(g.most)/2 {
		g.careful = 1
	}
	if p.probe {
		g.probing = false
	}
	if g.away {
		g.away = false
		g.pauses.Reset()
		g.log.Info("the destination answers again", "destination", g.name, "failures", g.state.Failures,
			"away_seconds", int(time.Since(g.state.Since).Seconds()))
	}
	if !g.state.Up || g.state.Since.IsZero() {
		g.state = Health{Up: true, Since: time.Now(), DeadLetters: g.state.DeadLetters}
	}
	g.signal()
}

// partly says that the destination answered, but wants a part of the request
// again.
func (g *gate) partly(p pass, out sink.Outcome) {
	g.succeeded(p)
	if !out.Throttled {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.narrow()
}

// narrow lets fewer attempts through; the lock is held.
func (g *gate) narrow() {
	g.limit = max(g.limit/2, 1)
	g.careful = min(2*g.careful, 1024)
}

// rest waits, and reports whether attempts may still be made then.
func (g *gate) rest(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		g.mu.Lock()
		closed, changed := g.closed, g.changed
		g.mu.Unlock()
		if closed {
			return false
		}
		select {
		case <-timer.C:
			return ctx.Err() == nil
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// buried keeps the health informed of how the dead letters do.
func (g *gate) buried(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		g.state.DeadLetters = ""
		return
	}
	g.state.DeadLetters = err.Error()
	if now := time.Now(); now.Sub(g.saidBuried) >= sayAgain {
		g.saidBuried = now
		g.log.Warn("the dead letters do not take what the destination rejects; it waits and is tried again", "destination", g.name,
			"error", err)
	}
}

// failed says that an attempt failed: the destination is away until one
// succeeds.
func (g *gate) failed(p pass, out sink.Outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.active--
	now := time.Now()
	if !g.away || p.probe || out.RetryAfter > 0 {
		pause := max(min(g.pauses.NextBackOff(), longPause), out.RetryAfter)
		if next := now.Add(pause); next.After(g.probeAt) {
			g.probeAt = next
		}
		if out.Throttled {
			g.narrow()
		}
	}
	if g.state.Up {
		g.state = Health{Since: now, DeadLetters: g.state.DeadLetters}
	}
	g.state.Failures++
	g.state.Config = out.Config
	g.state.Error = "no answer"
	if out.Err != nil {
		g.state.Error = out.Err.Error()
	}
	if now.Sub(g.said) >= sayAgain {
		g.said = now
		g.log.Warn("the destination does not take records; they wait and are tried again", "destination", g.name,
			"failures", g.state.Failures, "error", g.state.Error, "needs_action", g.state.Config)
	}
	g.away = true
	if p.probe {
		g.probing = false
	}
	g.signal()
}

// rejected keeps the log informed, at most once a minute, of events that the
// destination rejected, and why where it said so; the ledger has every one. What
// is held back for that is told with the next, or by tellTheRest.
func (g *gate) rejected(events []sink.Rejection, why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range events {
		g.refused[r.Reason] += r.End - r.First
		if why == nil && r.Detail != "" {
			why = errors.New(r.Detail)
		}
	}
	if why != nil {
		g.why = why
	}
	if time.Since(g.told) >= sayAgain {
		g.tellRejected()
	}
}

// tellTheRest tells of the rejected events that the log was spared so far. It is
// called when the last request is settled.
func (g *gate) tellTheRest() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.refused) > 0 {
		g.tellRejected()
	}
}

// tellRejected logs the rejected events of which the log does not know; the lock
// is held.
func (g *gate) tellRejected() {
	g.log.Warn("the destination rejects records; "+g.fate, "destination", g.name,
		"by_reason", g.refused, "error", g.why)
	g.told, g.refused, g.why = time.Now(), make(map[string]int), nil
}

// took remembers how long answers take.
func (g *gate) took(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.latency = max(d, g.latency*7/8)
	g.last = time.Now()
}

func (g *gate) lastAnswer() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last
}

// slow is how long an answer may take, by recent experience.
func (g *gate) slow() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.latency
}

// caution is the factor by which small requests are to be rarer.
func (g *gate) caution() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.careful
}
