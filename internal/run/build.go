package run

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/pipeline"
	"github.com/spillway/spillway/internal/route"
)

// next is what a file asks for, made and not yet in use.
type next struct {
	file    *runfile.File
	routes  []*route.Route
	legs    []*leg
	places  []place // of legs
	made    []*leg  // of legs and rejects, those that were not there before
	rejects []*leg
	// changes are of legs that were there before, those that leave included.
	changes []change
	// share is the memory of each source.
	share int64
	// sources are those of the file, and opened of these those that are new.
	sources, opened []*source
}

// change is what becomes another with a leg that goes on.
type change struct {
	leg  *leg
	plan legPlan
	// use puts other options of the buffer in use, and to is the sink instead of the
	// one before; each is nil where nothing changes.
	use func()
	to  *sharedSink
}

// build makes what the file asks for, and leaves alone what there is: legs and
// sources of which it says the same go on, and legs that can become what it says
// instead are prepared for that. Where it fails, nothing is left of it.
// The sources come first, because a leg may settle at once what they remember.
func (r *Run) build(file *runfile.File) (*next, error) {
	n := &next{file: file}
	err := r.settled.open(file, &r.cfg)
	if err == nil {
		err = r.openSources(n)
	}
	for i := 0; err == nil && i < len(file.Routes); i++ {
		if err = r.buildRoute(n, &file.Routes[i]); err != nil {
			err = fmt.Errorf("%s: %w", file.Routes[i].Where, err)
		}
	}
	for _, plan := range rejectsPlans(file) {
		if err == nil {
			err = r.buildRejects(n, plan)
		}
	}
	if err == nil {
		err = r.redirect(n)
	}
	if err != nil {
		return nil, errors.Join(err, r.undo(n))
	}
	return n, nil
}

func (r *Run) buildRoute(n *next, from *runfile.Route) error {
	to := &route.Route{Name: from.Name, Match: from.Match.Match}
	for _, name := range from.To {
		plan := legPlan{route: from.Name, sink: *n.file.Sink(name), buffer: from.Buffer}
		l := running(r.legs, &plan)
		var err error
		if l != nil {
			err = r.prepare(n, l, plan)
		} else if l, err = r.startLeg(plan, place{name, from.To}); err == nil {
			n.made = append(n.made, l)
		}
		if err != nil {
			return fmt.Errorf("start delivery to the sink %q: %w", name, err)
		}
		n.places = append(n.places, place{name, from.To})
		n.legs = append(n.legs, l)
		to.Legs = append(to.Legs, l)
	}
	n.routes = append(n.routes, to)
	return nil
}

func (r *Run) buildRejects(n *next, plan legPlan) error {
	l := running(r.rejects, &plan)
	if l == nil {
		l = r.startRejects(plan)
		n.made = append(n.made, l)
	} else if err := r.prepare(n, l, plan); err != nil {
		return err
	}
	n.rejects = append(n.rejects, l)
	return nil
}

// running is the leg among those that there are which a leg of the plan can be, or
// nil: what it holds belongs to the names of its route and of its sink.
func running(legs []*leg, plan *legPlan) *leg {
	for _, l := range legs {
		if l.route == plan.route && l.name == plan.sink.Name && pipeline.Changes(l.plan.Load().buffer, plan.buffer) {
			return l
		}
	}
	return nil
}

// prepare makes what a leg needs to go on by another plan.
func (r *Run) prepare(n *next, l *leg, plan legPlan) error {
	now := l.plan.Load()
	c := change{leg: l, plan: plan}
	var err error
	if now.buffer != plan.buffer {
		if c.use, err = l.Change(plan.bufferOptions()); err != nil {
			return err
		}
	}
	if !now.sink.Same(&plan.sink) {
		if c.to, err = r.sinks.get(&plan.sink); err != nil {
			return err
		}
	}
	n.changes = append(n.changes, c)
	return nil
}

// redirect prepares that what legs hold which are not in use any more, of this change
// or of earlier ones, goes to the sink of that name as the file has it. Where there
// is none it goes on to where it was going.
func (r *Run) redirect(n *next) error {
	r.mu.Lock()
	leaving := slices.Clone(r.leaving)
	r.mu.Unlock()
	for _, l := range slices.Concat(r.legs, leaving) {
		to := n.file.Sink(l.name)
		if to == nil || slices.Contains(n.legs, l) {
			continue
		}
		plan := *l.plan.Load()
		plan.sink = *to
		if err := r.prepare(n, l, plan); err != nil {
			return fmt.Errorf("deliver what the route %q holds to the sink %q: %w", l.route, l.name, err)
		}
	}
	return nil
}

// undo ends what was made for a file that is not used after all. Nothing has been
// admitted to it, but a disk buffer may have something of an earlier run, which
// stays there.
func (r *Run) undo(n *next) error {
	told := r.sources
	r.settled.sources.Store(&told)
	var all []*ending
	for _, s := range n.opened {
		all = append(all, r.endings.begin("the source "+s.plan.Name+" of the file that is not used", s.Close))
	}
	for _, c := range n.changes {
		if c.to != nil {
			all = append(all, r.endings.begin("the sink "+c.to.plan.Name+" of the file that is not used", func() error { return r.sinks.put(c.to) }))
		}
	}
	for _, l := range n.made {
		l.StopBy(time.Now())
		all = append(all, r.endings.begin(l.String()+" of the file that is not used", func() error {
			l.drain()
			return r.end(l)
		}))
	}
	return r.endings.waitFor(all, reloadPatience)
}
