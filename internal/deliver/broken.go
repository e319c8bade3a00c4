package deliver

import (
	"context"
	"fmt"
	"sync"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// A connection that ends while a request is sent says nothing of the cause: the
// destination may be ending, or something on the way does not bear this request. So it
// is tried again, and cut in half where that happens again. A record that stands alone
// is given up where it is proved that it is the cause: others were taken between the
// times. Without that it waits, however long that takes.
const (
	// breaksOfMany is after how many such ends a request is cut in half.
	breaksOfMany = 2
	// breaksOfOne is after how many health tells of the record.
	breaksOfOne = 3
	// proofs is how many ends must have others taken before them.
	proofs = 8
)

// breaks is what is known of the connections that ended while a request was sent.
type breaks struct {
	all, proofs int
	// answers is how many requests the destination had answered at the last.
	answers int64
}

// broke sees to an attempt in which the connection ended, and reports whether the
// request is at its end.
func (d *Deliverer) broke(ctx context.Context, t *try, a *attempted) (done bool) {
	gate := t.to.gate
	answers := gate.answered()
	if t.breaks.all > 0 && answers > t.breaks.answers {
		t.breaks.proofs++
	}
	t.breaks.all++
	t.breaks.answers = answers
	if t.req.Events() > 1 || t.breaks.all < breaksOfOne {
		gate.failed(a.pass, a.out)
		if t.req.Events() > 1 && t.breaks.all >= breaksOfMany {
			d.halveBoth(ctx, t)
			return true
		}
		return false
	}
	a.out.Err = fmt.Errorf("the connection ended each of the %d times that %s was sent alone, while other records were taken %d times: %w",
		t.breaks.all, t.name(), t.breaks.proofs, a.out.Err)
	gate.spared(a.pass, a.out)
	if t.breaks.proofs < proofs {
		t.mark(&sink.Outcome{Config: true, Err: a.out.Err})
		if t.stuck != nil {
			t.stuck(t.breaks.proofs > 0)
		}
		gate.rest(ctx, min(t.pauses.NextBackOff(), longPause))
		return false
	}
	t.mark(nil)
	a.out.Reason = string(ledger.RejectedTooLong)
	d.refused(ctx, t, a.out)
	return true
}

// name is what health and the log call a request of one event.
func (t *try) name() string {
	for _, batch := range t.req.Batches() {
		if batch.Kind == record.KindLoss {
			return "a loss marker"
		}
		stream := t.req.Stream(batch.Stream)
		body, _, _ := batch.Next(batch.Frames)
		return fmt.Sprintf("the record %s of %s, with %d bytes,", batch.Identify(stream, 0, body), stream.Name, len(body))
	}
	return "nothing"
}

// halveBoth delivers the halves of a request, where no key says in which order. The
// second begins when the first is settled, or stuck: then what is left of it waits for a
// proof, which the second may bring. Nothing else of the request begins before that,
// so that a destination that is away leaves it in large pieces.
func (d *Deliverer) halveBoth(ctx context.Context, t *try) {
	if t.to.limits.Keyed {
		d.halve(ctx, t)
		return
	}
	first, second := t.halves()
	second.pauses = newPauses()
	whole := t.stuck
	if whole == nil {
		whole = func(bool) {}
	}
	begin := newEvent()
	first.stuck = func(bool) { begin.happens() }
	second.stuck = func(answers bool) {
		if answers {
			whole(true)
		}
	}
	var other sync.WaitGroup
	other.Go(func() {
		<-begin.ch
		d.deliver(ctx, second)
		whole(true) // The destination is there.
	})
	d.deliver(ctx, first)
	begin.happens()
	other.Wait()
}

// spared takes back the pass of an attempt that failed for its request, it seems: what
// is known of the destination stays, unless it was away.
func (g *gate) spared(p pass, out sink.Outcome) {
	if !g.giveBack(p) {
		g.failed(p, out)
	}
}

func (g *gate) giveBack(p pass) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.away || p.probe {
		return false
	}
	g.active--
	g.signal()
	return true
}

// answered is how many requests the destination has answered.
func (g *gate) answered() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.answers
}
