// Package deliver takes requests out of the buffer and sees them through: it
// keeps a window of requests in flight, retries for as long as the destination
// is away, halves what is refused as a whole, and settles what became of each
// record. It is the only place that retries, and no number of attempts ever
// ends in a drop.
package deliver

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
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
	// and counted. Source is what dead letters call the place where the records
	// came from.
	DeadLetters DeadLetters
	Source      string
	Log         *slog.Logger
}

const (
	defaultFlushInterval  = 5 * time.Second
	defaultAttemptTimeout = 15 * time.Second
	// smallSpacing, unless the destination is eager, keeps requests that are not full at least so far apart: five a
	// second, once the service's own limit for one log stream. It widens towards
	// the flush interval while the destination throttles.
	smallSpacing = 200 * time.Millisecond
	// trimAfter is how long the buffer must be idle to give its memory back.
	trimAfter = time.Second
)

// Deliverer serves one destination from one buffer.
type Deliverer struct {
	cfg    Config
	buffer *buffer.Buffer
	sink   sink.Sink
	gate   *gate
	eager  bool // see sink.Limits

	hurry     event // everything is to be sent at once
	drain     event // and then to end
	senders   sync.WaitGroup
	lastSmall time.Time
}

// New returns a deliverer; Run starts it.
func New(cfg Config, b *buffer.Buffer, s sink.Sink) *Deliverer {
	if cfg.FlushInterval <= 0 {
		cfg.FlushInterval = defaultFlushInterval
	}
	if cfg.AttemptTimeout <= 0 {
		cfg.AttemptTimeout = defaultAttemptTimeout
	}
	d := &Deliverer{
		cfg: cfg, buffer: b, sink: s, gate: newGate(s.Limits().InFlight, cfg.Log, cfg.Name),
		eager: s.Limits().Eager, hurry: newEvent(), drain: newEvent(),
	}
	if cfg.DeadLetters != nil {
		d.gate.fate = "they are kept as dead letters"
	}
	return d
}

// event is something that happens once.
type event struct {
	once *sync.Once
	ch   chan struct{}
}

func newEvent() event { return event{new(sync.Once), make(chan struct{})} }

func (e event) happens() { e.once.Do(func() { close(e.ch) }) }

func (e event) happened() bool {
	select {
	case <-e.ch:
		return true
	default:
		return false
	}
}

// first is ready once the event happens, and nil after that, so that a loop
// which waits for it does not spin.
func (e event) first() <-chan struct{} {
	if e.happened() {
		return nil
	}
	return e.ch
}

// Health returns how the destination does.
func (d *Deliverer) Health() Health { return d.gate.health() }

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
func (d *Deliverer) Abandon() { d.gate.close() }

// SlowAnswer is how long the destination takes to answer, by recent experience.
func (d *Deliverer) SlowAnswer() time.Duration { return d.gate.slow() }

// LastAnswer is when the destination last answered; zero before the first time.
func (d *Deliverer) LastAnswer() time.Time { return d.gate.lastAnswer() }

// Run delivers until Drain was called and the buffer is empty, or until ctx
// ends: then what is in flight is given up, and what waits is left to the
// buffer. It may be called once.
func (d *Deliverer) Run(ctx context.Context) {
	defer d.gate.tellTheRest()
	defer d.senders.Wait()
	timer := time.NewTimer(trimAfter)
	defer timer.Stop()
	trimmed := true
	for ctx.Err() == nil {
		req, pause := d.next()
		if req != nil {
			d.senders.Go(func() { d.send(ctx, req) })
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
		case <-d.hurry.first():
		case <-d.drain.first():
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
	if req := d.buffer.Take(false); req != nil {
		return req, 0
	}
	now := time.Now()
	if pause := d.lastSmall.Add(d.spacing()).Sub(now); pause > 0 && !d.hurry.happened() {
		return nil, pause
	}
	req := d.buffer.Take(true)
	if req != nil {
		d.lastSmall = now
	}
	return req, time.Hour
}

// spacing is the least time between two requests that are not full.
func (d *Deliverer) spacing() time.Duration {
	caution := d.gate.caution()
	if d.eager && caution == 1 {
		return 0
	}
	return min(smallSpacing*time.Duration(caution), d.cfg.FlushInterval)
}

func (d *Deliverer) trim() {
	if err := d.buffer.Trim(); err != nil {
		d.cfg.Log.Warn("giving the buffer's memory back failed", "destination", d.cfg.Name, "error", err)
	}
}

// send sees one request through to its end.
func (d *Deliverer) send(ctx context.Context, req *buffer.Request) {
	for _, settled := range req.After() {
		select {
		case <-settled:
		case <-ctx.Done():
		}
	}
	d.deliver(ctx, &try{req: req, pauses: newPauses()})
}

// deliver attempts until the request is settled.
func (d *Deliverer) deliver(ctx context.Context, t *try) {
	timeout := d.cfg.AttemptTimeout
	for {
		pass, ok := d.gate.enter(ctx)
		if !ok {
			d.settle(t.req, buffer.Fate{Dropped: ledger.Shutdown, Repeated: t.repeated})
			return
		}
		out, timedOut := d.attempt(ctx, t, timeout)
		switch out.Verdict {
		case sink.Delivered:
			if len(out.Again) == 0 {
				d.gate.succeeded(pass)
				d.delivered(ctx, t, out.Rejected)
				return
			}
			d.gate.partly(pass, out)
			d.again(ctx, t, out)
			continue
		case sink.Refuse:
			d.gate.succeeded(pass)
			d.refused(ctx, t, out)
			return
		}
		d.gate.failed(pass, out)
		t.repeated = t.repeated || out.Unsure
		if timedOut {
			timeout = min(2*timeout, 4*d.cfg.AttemptTimeout)
		}
	}
}

func (d *Deliverer) attempt(ctx context.Context, t *try, timeout time.Duration) (sink.Outcome, bool) {
	attempt, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	if t.attempts == 0 {
		t.first = start
	}
	t.attempts++
	t.last = start
	out := d.sink.Send(attempt, t.req)
	if out.Verdict == sink.Delivered && took(t.req, out.Again) == 0 {
		// Nothing was taken, so it is no answer but a failure.
		out.Verdict, out.Rejected, out.Again = sink.Retry, nil, nil
	}
	if out.Verdict != sink.Retry {
		d.gate.took(time.Since(start))
	}
	return out, attempt.Err() != nil && ctx.Err() == nil
}

// took is how many events of a request need not be tried again.
func took(req *buffer.Request, again []sink.Span) int {
	n := req.Events()
	for _, s := range again {
		n -= s.End - s.First
	}
	return n
}

// refused halves a request that the destination will not take as it stands,
// until the culprit stands alone.
func (d *Deliverer) refused(ctx context.Context, t *try, out sink.Outcome) {
	if t.req.Events() > 1 {
		first, second := *t, *t
		first.req, second.req = t.req.Split(t.req.Events() / 2)
		d.deliver(ctx, &first)
		d.deliver(ctx, &second)
		return
	}
	why := reasonOf(out.Reason)
	rejected := []sink.Rejection{{End: 1, Reason: string(why), Status: out.Status}}
	if out.Err != nil {
		rejected[0].Detail = out.Err.Error()
	}
	if d.cfg.DeadLetters != nil {
		d.bury(ctx, t, rejected)
		return
	}
	d.settle(t.req, buffer.Fate{Dropped: why})
	d.gate.rejected(rejected, out.Err)
}

// reasonOf is the ledger's reason of a refusal. What is refused without a reason
// must not pass for delivered.
func reasonOf(reason string) ledger.Reason {
	return cmp.Or(ledger.Reason(reason), ledger.RejectedInvalid)
}

// refusedMarker is how the log calls a loss marker, in the place of rejected
// records, that was rejected as well.
const refusedMarker = "loss-marker"

func (d *Deliverer) settle(req *buffer.Request, fate buffer.Fate) {
	for _, loss := range d.buffer.Settle(req, fate) {
		if ledger.Reason(loss.Reason).Rejected() {
			// The log hears of those records anyway, and a destination that takes none of
			// them takes no marker in their place either.
			d.gate.rejected([]sink.Rejection{{End: 1, Reason: refusedMarker}}, nil)
			continue
		}
		d.cfg.Log.Warn("a loss marker was not delivered", "destination", d.cfg.Name, "marker", string(loss.AppendText(nil)))
	}
	if n := len(fate.Rejected); n > 0 {
		d.gate.rejected(fate.Rejected, nil)
	}
}
