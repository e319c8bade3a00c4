package streams

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/spillway/spillway/internal/sink"
)

// Send implements sink.Sink.
func (s *Sink) Send(ctx context.Context, req sink.Request) sink.Outcome {
	p := s.plans.Get().(*plan)
	p.sink = s
	defer p.end()
	if err := p.begin(ctx, req); err != nil {
		return sink.Outcome{Err: err}
	}
	p.read(req)
	p.cut()
	outcomes := s.callAll(ctx, p)
	return p.outcome(outcomes)
}

// callAll makes the calls of a plan, some at once.
func (s *Sink) callAll(ctx context.Context, p *plan) []sink.Outcome {
	outcomes := make([]sink.Outcome, len(p.calls))
	var mu sync.Mutex
	next := 0
	work := func() {
		for {
			mu.Lock()
			i := next
			next++
			mu.Unlock()
			if i >= len(p.calls) {
				return
			}
			c := &p.calls[i]
			outcomes[i] = s.target(p.names[p.events[c.first].target]).Send(ctx, c)
		}
	}
	if len(p.calls) <= 1 {
		work()
		return outcomes
	}
	var workers sync.WaitGroup
	for range min(callsAtOnce, len(p.calls)) {
		workers.Go(work)
	}
	workers.Wait()
	return outcomes
}

// outcome is that of the whole request. What one call could not deliver is to be
// tried again, alone. A call that was refused is cut in half once it is the only
// one: until then what the others did is what counts.
func (p *plan) outcome(outcomes []sink.Outcome) sink.Outcome {
	var all, refused sink.Outcome
	taken := len(p.rejected)
	for i, out := range outcomes {
		c := &p.calls[i]
		again := func(span sink.Span) { all.Again = append(all.Again, span) }
		switch out.Verdict {
		case sink.Delivered:
			taken += c.Events()
			for _, r := range out.Rejected {
				c.indexes(r.First, r.End, func(span sink.Span) {
					r.First, r.End = span.First, span.End
					p.rejected = append(p.rejected, r)
				})
			}
			continue
		case sink.Refuse:
			refused = out
			c.indexes(0, c.Events(), again)
			continue
		}
		c.indexes(0, c.Events(), again)
		if all.Err == nil {
			all.Err = out.Err
		}
		all.Unsure = all.Unsure || out.Unsure
		all.Throttled = all.Throttled || out.Throttled
		all.Config = all.Config || out.Config
		all.RetryAfter = max(all.RetryAfter, out.RetryAfter)
	}
	if p.rest.First < p.rest.End {
		all.Again = append(all.Again, p.rest)
	}
	if taken == 0 && refused.Verdict == sink.Refuse && all.Err == nil {
		return refused
	}
	if taken == 0 && len(all.Again) > 0 {
		all.Again = nil
		return all
	}
	slices.SortFunc(all.Again, func(a, b sink.Span) int { return cmp.Compare(a.First, b.First) })
	slices.SortFunc(p.rejected, func(a, b sink.Rejection) int { return cmp.Compare(a.First, b.First) })
	all.Verdict, all.Rejected = sink.Delivered, p.rejected
	return all
}
