package deliver

import (
	"context"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/sink"
)

// newPauses returns the pauses between attempts at a destination that is away.
func newPauses() *backoff.ExponentialBackOff {
	pauses := &backoff.ExponentialBackOff{
		InitialInterval: firstPause, RandomizationFactor: 0.3, Multiplier: 2, MaxInterval: longPause,
	}
	pauses.Reset()
	return pauses
}

// again settles what a destination has taken of a request, and returns what it
// is to be offered once more.
func (d *Deliverer) again(ctx context.Context, t *try, out sink.Outcome) {
	t.unsure(&out)
	t.breaks = breaks{}
	rest, again := t.req.Divide(out.Again)
	t.req = again
	if rest != nil {
		done := *t
		done.req = rest
		d.delivered(ctx, &done, without(out.Rejected, out.Again))
	}
	if out.Err != nil {
		pause := max(min(t.pauses.NextBackOff(), longPause), out.RetryAfter)
		t.to.gate.rest(ctx, pause)
	}
}

// without tells what the indexes of rejected events are once those of again are
// gone.
func without(rejected []sink.Rejection, again []sink.Span) []sink.Rejection {
	if len(rejected) == 0 || len(again) == 0 {
		return rejected
	}
	all := slices.Clone(rejected)
	for i := range all {
		gone := 0
		for _, s := range again {
			if s.End <= rejected[i].First {
				gone += s.End - s.First
			}
		}
		all[i].First -= gone
		all[i].End -= gone
	}
	return all
}

// delivered settles a request of which the destination has all but what it
// rejected.
func (d *Deliverer) delivered(ctx context.Context, t *try, rejected []sink.Rejection) {
	if d.cfg.DeadLetters == nil || len(rejected) == 0 {
		d.settle(t.req, buffer.Fate{Rejected: rejected})
		return
	}
	var spans []sink.Span
	var kept, dropped []sink.Rejection
	for _, r := range rejected {
		if r.Drop {
			dropped = append(dropped, r)
			continue
		}
		kept = append(kept, r)
		spans = append(spans, sink.Span{First: r.First, End: r.End})
	}
	taken, dead := t.req.Divide(spans)
	if taken != nil {
		d.settle(taken, buffer.Fate{Rejected: without(dropped, spans)})
	}
	if dead != nil {
		left := *t
		left.req = dead
		d.bury(ctx, &left, packed(kept))
	}
}

// packed tells what the indexes of rejected events are once all others are gone.
func packed(rejected []sink.Rejection) []sink.Rejection {
	all := slices.Clone(rejected)
	at := 0
	for i := range all {
		n := all[i].End - all[i].First
		all[i].First, all[i].End = at, at+n
		at += n
	}
	return all
}

// try is one request on its way.
type try struct {
	req *buffer.Request
	// to is the destination that it was gathered for, or is delivered to since, and
	// timeout what an attempt gets there.
	to      *destination
	timeout time.Duration
	// before are closed when the requests that were taken before it are settled.
	before      []<-chan struct{}
	attempts    int
	first, last time.Time
	pauses      *backoff.ExponentialBackOff
	breaks      breaks
	// stuck, if it is set, is called when the request waits for a proof against its one
	// record, and says whether the destination answers others.
	stuck func(answers bool)
	// red is the gate that knows that somebody must act before the rest is taken.
	red *gate
}

// unsure notes which events an attempt may have delivered, although they are to be
// tried again. It comes before the request is cut, since the outcome speaks of it as it
// was sent.
func (t *try) unsure(out *sink.Outcome) {
	switch {
	case !out.Unsure:
		t.repeat(out.Doubtful)
	case out.Verdict == sink.Delivered:
		t.repeat(out.Again)
	default:
		t.repeat([]sink.Span{{End: t.req.Events()}})
	}
}

func (t *try) repeat(spans []sink.Span) {
	if len(spans) > 0 {
		t.req.Repeat(spans)
	}
}
