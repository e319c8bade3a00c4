package deliver

import (
	"cmp"
	"context"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
)

// refused halves a request that the destination will not take as it stands,
// until the culprit stands alone.
func (d *Deliverer) refused(ctx context.Context, t *try, out sink.Outcome) {
	if t.req.Events() > 1 {
		d.halve(ctx, t)
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
	t.to.gate.rejected(rejected, out.Err)
}

// halve delivers the halves of a request one after the other.
func (d *Deliverer) halve(ctx context.Context, t *try) {
	first, second := t.halves()
	d.deliver(ctx, first)
	d.deliver(ctx, second)
}

// halves cuts a request in two, of each of which nothing is known.
func (t *try) halves() (first, second *try) {
	t.mark(nil)
	t.breaks = breaks{}
	one, two := *t, *t
	one.req, two.req = t.req.Split(t.req.Events() / 2)
	return &one, &two
}

// reasonOf is the ledger's reason of a refusal. What is refused without a reason
// must not pass for delivered.
func reasonOf(reason string) ledger.Reason {
	return cmp.Or(ledger.Reason(reason), ledger.RejectedInvalid)
}
