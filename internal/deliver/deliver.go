// Package deliver takes requests out of the buffer and sees them through: it
// keeps a window of requests in flight, retries for as long as the destination
// is away, halves what is refused as a whole, and settles what became of each
// record. It is the only place that retries, and no number of attempts ever
// ends in a drop.
package deliver

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// Config says how a destination is served.
type Config struct {
	// Name is what the log calls the destination.
	Name string
	// FlushInterval is the longest that a record waits for a request to fill while
	// the destination answers; 5 s by default.
	FlushInterval time.Duration
	// AttemptTimeout ends an attempt that gets no answer; 15 s by default. It grows
	// to four times that while attempts time out.
	AttemptTimeout time.Duration
	// DeadLetters takes what the destination rejects; without it that is dropped
	// and counted. Source is what dead letters call the place where records came from
	// whose batch does not say it.
	DeadLetters DeadLetters
	Source      string
	// LettersOf is what dead letters call the destination, by which they find it again
	// when it is elsewhere by then; Name unless it is set.
	LettersOf string
	Log       *slog.Logger
}

const (
	defaultFlushInterval  = 5 * time.Second
	defaultAttemptTimeout = 15 * time.Second
	// smallSpacing, unless the destination is eager, keeps requests that are not full at least so far apart: five a
	// second, once the service's own limit for one log stream. It widens towards
	// the flush interval while the destination throttles. It does not hold up a
	// sender that waits for an acknowledgement while nothing is in flight.
	smallSpacing = 200 * time.Millisecond
	// trimAfter is how long the buffer must be idle to give its memory back.
	trimAfter = time.Second
)

// Deliverer serves one destination at a time from one buffer.
type Deliverer struct {
	cfg    Config
	buffer *buffer.Buffer

	hurry   event // everything is to be sent at once
	drain   event // and then to end
	senders sync.WaitGroup

	mu        sync.Mutex
	to        *destination
	abandoned bool
	due       map[*try]time.Time // when attempts that are under way are to be over
	exchanged token              // to is another one

	// What follows belongs to Run: for which destination the buffer gathers, when a
	// request that was not full left, and when those that were taken are settled.
	bound     *destination
	lastSmall time.Time
	taken     []<-chan struct{}
	keys      keys
}

// New returns a deliverer; Run starts it. The buffer gathers to the limits of s.
func New(cfg Config, b *buffer.Buffer, s sink.Sink) *Deliverer {
	to := newDestination(&cfg, s)
	return &Deliverer{
		cfg: cfg, buffer: b, to: to, bound: to, due: make(map[*try]time.Time), hurry: newEvent(), drain: newEvent(), exchanged: make(token, 1),
	}
}

// Health returns how the destination does.
func (d *Deliverer) Health() Health { return d.current().gate.health() }

// Hurry makes everything leave at once, small requests too.
func (d *Deliverer) Hurry() { d.hurry.happens() }

// Drain makes Run return once the buffer is empty. It is called when the sources
// have ended.
func (d *Deliverer) Drain() {
	d.hurry.happens()
	d.drain.happens()
}

// Abandon lets no further attempt begin. Those that are under way may still end
// well; what waits for an attempt is dropped under the reason shutdown. The
// buffer must be abandoned before.
func (d *Deliverer) Abandon() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.abandoned = true
	d.to.gate.close()
}

// SlowAnswer is how long the destination takes to answer, by recent experience.
func (d *Deliverer) SlowAnswer() time.Duration { return d.current().gate.slow() }

// LastAnswer is when the destination last answered; zero before the first time.
func (d *Deliverer) LastAnswer() time.Time { return d.current().gate.lastAnswer() }

// Run delivers until Drain was called and the buffer is empty, or until ctx
// ends: then what is in flight is given up, and what waits is left to the
// buffer. It may be called once.
func (d *Deliverer) Run(ctx context.Context) {
	defer func() { d.current().gate.tellTheRest() }()
	defer d.senders.Wait()
	timer := time.NewTimer(trimAfter)
	defer timer.Stop()
	trimmed := true
	for ctx.Err() == nil {
		// Before anything is asked: what happens while it is must not be missed.
		hurry, drain := d.hurry.first(), d.drain.first()
		req, pause := d.next()
		if req != nil {
			d.dispatch(ctx, req)
			trimmed = false
			continue
		}
		idle := d.buffer.Idle()
		if idle && d.drain.happened() {
			return
		}
		switch {
		case idle && trimmed:
			pause = time.Hour
		case idle:
			pause = trimAfter
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
		case <-d.buffer.Ready():
		case <-d.exchanged:
		case <-hurry:
		case <-drain:
		case <-timer.C:
			if idle {
				d.trim()
				trimmed = true
			}
		}
	}
}

// next takes the next request that may leave now, or says for how long there
// will be none if nothing happens in the buffer.
func (d *Deliverer) next() (*buffer.Request, time.Duration) {
	if !d.rebind() {
		return nil, time.Hour
	}
	if req := d.buffer.Take(false); req != nil {
		return req, 0
	}
	now := time.Now()
	if pause := d.lastSmall.Add(d.spacing()).Sub(now); pause > 0 && !d.hurry.happened() && !d.stalled() {
		return nil, pause
	}
	req := d.buffer.Take(true)
	if req != nil {
		d.lastSmall = now
	}
	return req, time.Hour
}

// stalled reports that a request may leave although the last small one has just left: a sender
// waits to hear of what is held, the last request is answered, and the destination did not ask
// for less. One is then under way at a time, and gathers what comes while its predecessor is.
func (d *Deliverer) stalled() bool { return d.bound.gate.caution() == 1 && d.buffer.Stalled() }

// spacing is the least time between two requests that are not full.
func (d *Deliverer) spacing() time.Duration {
	caution := d.bound.gate.caution()
	if d.bound.limits.Eager && caution == 1 {
		return 0
	}
	return min(smallSpacing*time.Duration(caution), d.bound.flush)
}

func (d *Deliverer) trim() {
	if err := d.buffer.Trim(); err != nil {
		d.bound.warn(d.cfg.Log, "giving the buffer's memory back failed", "error", err)
	}
}

// dispatch begins to see a request through to its end.
func (d *Deliverer) dispatch(ctx context.Context, req *buffer.Request) {
	d.taken = slices.DeleteFunc(d.taken, isClosed)
	t := &try{req: req, to: d.bound, timeout: d.bound.timeout, before: slices.Clone(d.taken), pauses: newPauses()}
	d.taken = append(d.taken, req.Settled())
	var place *flight
	if t.to.limits.Keyed {
		place = d.keys.next(req.Settled())
	}
	d.senders.Go(func() {
		if place != nil {
			d.keys.wait(ctx, place, t.to.sink, req)
			defer d.keys.done(place)
		}
		for _, settled := range req.After() {
			select {
			case <-settled:
			case <-ctx.Done():
			}
		}
		d.deliver(ctx, t)
	})
}

// deliver attempts until the request is settled.
func (d *Deliverer) deliver(ctx context.Context, t *try) {
	for {
		if t.to != d.current() && !d.moveOn(ctx, t) {
			d.halve(ctx, t)
			return
		}
		a := d.attempt(ctx, t)
		switch {
		case a.exchanged:
			t.unsure(&a.out)
			continue
		case !a.made:
			t.mark(nil)
			d.settle(t.req, buffer.Fate{Dropped: ledger.Shutdown})
			return
		}
		gate, out := t.to.gate, a.out
		switch out.Verdict {
		case sink.Delivered:
			gate.noted(out)
			if len(out.Again) == 0 {
				t.mark(nil)
				gate.succeeded(a.pass)
				d.delivered(ctx, t, out.Rejected)
				return
			}
			gate.partly(a.pass, out)
			t.mark(&out)
			d.again(ctx, t, out)
			continue
		case sink.Refuse:
			t.mark(nil)
			gate.succeeded(a.pass)
			t.unsure(&out)
			d.refused(ctx, t, out)
			return
		}
		t.unsure(&out)
		if out.Broken {
			if d.broke(ctx, t, &a) {
				return
			}
			continue
		}
		gate.failed(a.pass, out)
		if a.timedOut {
			t.timeout = min(2*t.timeout, 4*t.to.timeout)
		}
	}
}

// refusedMarker is how the log calls a loss marker, in the place of rejected
// records, that was rejected as well.
const refusedMarker = "loss-marker"

func (d *Deliverer) settle(req *buffer.Request, fate buffer.Fate) {
	d.tell(d.buffer.Settle(req, fate))
	if len(fate.Rejected) > 0 {
		d.current().gate.rejected(fate.Rejected, nil)
	}
}

// tell tells the log of loss markers that were not delivered.
func (d *Deliverer) tell(untold []record.Loss) {
	if len(untold) == 0 {
		return
	}
	to := d.current()
	for _, loss := range untold {
		if ledger.Reason(loss.Reason).Rejected() {
			// The log hears of those records anyway, and a destination that takes none of
			// them takes no marker in their place either.
			to.gate.rejected([]sink.Rejection{{End: 1, Reason: refusedMarker}}, nil)
			continue
		}
		to.warn(d.cfg.Log, "a loss marker was not delivered", "marker", string(loss.AppendText(nil)))
	}
}
