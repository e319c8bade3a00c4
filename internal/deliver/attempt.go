package deliver

import (
	"context"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/sink"
)

// attempted is what came of an attempt.
type attempted struct {
	out sink.Outcome
	// made: there was one, which was let through by pass.
	made bool
	pass pass
	// timedOut: it got no answer in time. exchanged: there was none, or it was cut
	// off, because there is another destination now.
	timedOut, exchanged bool
}

// attempt waits until the destination may be tried, and makes one attempt.
func (d *Deliverer) attempt(ctx context.Context, t *try) (a attempted) {
	to := t.to
	done, ok := d.use(to)
	if !ok {
		return attempted{exchanged: true}
	}
	defer done()
	if a.pass, a.made = to.gate.enter(ctx); !a.made {
		a.exchanged = to != d.current()
		return a
	}
	attempt, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	defer context.AfterFunc(to.over, cancel)()
	start := time.Now()
	if t.attempts == 0 {
		t.first = start
	}
	t.attempts++
	t.last = start
	d.begins(t, start)
	a.out = to.sink.Send(attempt, t.req)
	d.ends(t)
	if a.out.Verdict == sink.Delivered && took(t.req, a.out.Again) == 0 {
		// Nothing was taken, so it is no answer but a failure.
		a.out.Verdict, a.out.Rejected, a.out.Again = sink.Retry, nil, nil
	}
	if a.out.Verdict != sink.Retry {
		to.gate.took(time.Since(start))
		return a
	}
	a.exchanged = to.over.Err() != nil
	a.timedOut = attempt.Err() != nil && ctx.Err() == nil
	return a
}

// took is how many events of a request need not be tried again.
func took(req *buffer.Request, again []sink.Span) int {
	n := req.Events()
	for _, s := range again {
		n -= s.End - s.First
	}
	return n
}
