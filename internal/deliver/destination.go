package deliver

import (
	"context"
	"log/slog"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/sink"
)

// destination is where requests go. It may be exchanged for another while they are
// under way; users, free and left belong to the deliverer's lock.
type destination struct {
	name    string
	sink    sink.Sink
	limits  sink.Limits
	gate    *gate
	flush   time.Duration
	timeout time.Duration

	// over ends when attempts that are under way are to be cut off.
	over   context.Context
	cutOff context.CancelFunc
	cut    *time.Timer // calls cutOff; nil until it is exchanged
	users  int
	free   chan struct{} // closed when it is exchanged, with no attempt under way
	left   bool
}

func newDestination(cfg *Config, s sink.Sink) *destination {
	to := &destination{
		name: cfg.Name, sink: s, limits: s.Limits(), flush: cfg.FlushInterval, timeout: cfg.AttemptTimeout,
		free: make(chan struct{}),
	}
	if to.flush <= 0 {
		to.flush = defaultFlushInterval
	}
	if to.timeout <= 0 {
		to.timeout = defaultAttemptTimeout
	}
	to.gate = newGate(to.limits.InFlight, cfg.Log, cfg.Name)
	if cfg.DeadLetters != nil {
		to.gate.fate = "they are kept as dead letters"
	}
	to.over, to.cutOff = context.WithCancel(context.Background())
	return to
}

// lastWord is how long attempts that are under way may still go on when their
// destination is exchanged for another.
const lastWord = time.Second

// Exchange makes another sink the destination. No attempt at the one before begins
// any more; those under way may end within a second, and are then cut off, which is a
// possible duplicate where the sink says so, and sent to the new one. Where that has
// other limits, nothing else is sent before what was under way: it goes one request
// after the other, in the order in which they were taken, halved where it is more than
// is taken at once.
//
// Of cfg the name and the times count; the rest stays as it is. The returned channel
// is closed when the sink before has no attempt under way: its owner may close it
// then, and not before.
func (d *Deliverer) Exchange(cfg Config, s sink.Sink) (free <-chan struct{}) {
	cfg.Log, cfg.DeadLetters = d.cfg.Log, d.cfg.DeadLetters
	next := newDestination(&cfg, s)
	d.mu.Lock()
	before := d.to
	d.to = next
	if d.abandoned {
		next.gate.close()
	}
	before.left, before.cut = true, time.AfterFunc(lastWord, before.cutOff)
	d.freed(before)
	d.mu.Unlock()
	before.gate.close()
	before.gate.tellTheRest()
	d.exchanged.set()
	return before.free
}

// current is the destination to which requests go now.
func (d *Deliverer) current() *destination {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.to
}

// use keeps the destination from being given up until the function that it returns
// is called, or says that it is exchanged.
func (d *Deliverer) use(to *destination) (done func(), ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if to != d.to {
		return nil, false
	}
	to.users++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		to.users--
		d.freed(to)
	}, true
}

// freed notes that nobody uses a destination that is exchanged; the lock is held.
func (d *Deliverer) freed(to *destination) {
	if to.left && to.users == 0 {
		to.cut.Stop()
		to.cutOff()
		close(to.free)
	}
}

// rebind makes the buffer gather to the limits of the present destination, once
// nothing is under way that was gathered to others, and reports whether it does.
func (d *Deliverer) rebind() bool {
	to := d.current()
	if to == d.bound {
		return true
	}
	if !sameLimits(to, d.bound) && !d.buffer.Rebind(to.limits) {
		return false
	}
	d.bound = to
	return true
}

// sameLimits reports whether requests that were gathered for one destination are as good
// for the other. Of what has keys nobody knows whether they are the same.
func sameLimits(a, b *destination) bool { return a.limits == b.limits && !a.limits.Keyed }

// moveOn makes a request that was taken for another destination one of the present:
// where that has other limits, when those before it are settled. It returns false
// where the request is more than the destination takes at once.
func (d *Deliverer) moveOn(ctx context.Context, t *try) bool {
	to := d.current()
	if !sameLimits(to, t.to) {
		for _, settled := range t.before {
			select {
			case <-settled:
			case <-ctx.Done():
			}
		}
		if t.req.Events() > 1 && !fits(t.req, &to.limits) {
			return false
		}
	}
	t.to, t.timeout, t.breaks = to, to.timeout, breaks{}
	return true
}

// fits reports whether a request keeps the limits.
func fits(req *buffer.Request, l *sink.Limits) bool {
	if l.Events > 0 && req.Events() > l.Events {
		return false
	}
	cost, first, last := 0, int64(0), int64(0)
	for index, batch := range req.Batches() {
		cost += batch.Bytes + batch.Repair + batch.Count*l.PerEvent
		if index == 0 {
			first, last = batch.Time, batch.Time
		}
		first, last = min(first, batch.Time), max(last, batch.Time)
	}
	return (l.RequestBytes <= 0 || cost <= l.RequestBytes) && (l.Span <= 0 || time.Duration(last-first) < l.Span)
}

// token is something that has happened, once or more, since it was last looked at.
type token chan struct{}

func (t token) set() {
	select {
	case t <- struct{}{}:
	default:
	}
}

// warn tells the log of something that went wrong with the destination.
func (to *destination) warn(log *slog.Logger, text string, about ...any) {
	log.Warn(text, append([]any{"destination", to.name}, about...)...)
}
