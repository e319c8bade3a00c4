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

// Changed is what a reload did.
type Changed struct {
	// Legs that go on as they were are counted; those that go on by the new file, those
	// that were begun, and those that only deliver what they hold are named.
	LegsKept                            int
	LegsChanged, LegsBegun, LegsLeaving []string
	SourcesKept                         int
	SourcesBegun, SourcesEnded          []string
	// Ending is what has not ended when the answer is given, and goes on ending.
	Ending []Ending
}

// reloadPatience is how long a reload waits for what it replaces to end. It is more
// than attempts at a destination may take that is exchanged.
const reloadPatience = 2 * time.Second

// Reload changes the run to another file: whole, or not at all, and then the error says
// why. Legs and sources of which both files say the same go on untouched. A leg of which
// the names stay goes on by the new file with what it holds, where that can be. What is
// in the others is delivered to the sink of that name, or stays on the disk.
//
// It answers within some seconds, whatever destinations do.
func (r *Run) Reload(file *runfile.File) (*Changed, error) {
	r.changing.Lock()
	defer r.changing.Unlock()
	if r.file == nil {
		return nil, errors.New("the run has ended")
	}
	did, begun, err := r.changeTo(file)
	if err != nil {
		err = fmt.Errorf("the new file is not used: %w", err)
		r.Refuse(err)
		return nil, err
	}
	r.adopt()
	// An error is the log's already; here it only matters what takes longer.
	_ = r.endings.waitFor(begun, reloadPatience)
	did.Ending = r.endings.list()
	return did, nil
}

func (r *Run) changeTo(file *runfile.File) (did *Changed, begun []*ending, err error) {
	r.opening.Lock()
	defer r.opening.Unlock()
	n, err := r.build(file)
	if err != nil {
		return nil, nil, err
	}
	did, begun = r.commit(n)
	return did, begun, nil
}

// commit puts what was made in use. Nothing in it can fail. It returns what has begun
// to end and should not take long.
func (r *Run) commit(n *next) (did *Changed, begun []*ending) {
	did = &Changed{}
	r.heap.limit.Store(heapLimit(n.file))
	r.heap.within.Store(inHeap(n.sources))
	for _, s := range n.sources {
		s.resize(n.share)
	}
	r.failed.tag.Store(&n.file.FailedTag)
	for _, c := range n.changes {
		begun = append(begun, r.change(&c, did)...)
	}
	for i, l := range n.legs {
		l.place.Store(&n.places[i])
	}
	r.settled.sources.Store(&n.sources)
	left := r.router.Swap(r.table(n))
	r.mu.Lock()
	var gone []*leg
	for _, l := range slices.Concat(r.legs, r.rejects) {
		if !slices.Contains(n.rejects, l) && !slices.Contains(n.legs, l) {
			gone = append(gone, l)
			did.LegsLeaving = append(did.LegsLeaving, l.String())
		}
	}
	var over []*source
	for _, s := range r.sources {
		if !slices.Contains(n.sources, s) {
			over = append(over, s)
			s.passedOn = slices.ContainsFunc(n.opened, func(next *source) bool { return next.takesPlaceOf(s) })
			did.SourcesEnded = append(did.SourcesEnded, s.plan.Name)
		}
	}
	r.file, r.legs, r.rejects, r.sources = n.file, n.legs, n.rejects, n.sources
	r.since, r.refused = time.Now().UTC(), nil
	r.leaving = append(r.leaving, gone...)
	r.retiring = append(r.retiring, over...)
	r.mu.Unlock()
	for _, s := range over {
		s.Stop()
		begun = append(begun, r.retire(s))
	}
	for _, s := range n.opened {
		s.Start()
		did.SourcesBegun = append(did.SourcesBegun, s.plan.Name)
	}
	for _, l := range gone {
		r.leave(l, left)
	}
	for _, l := range n.made {
		did.LegsBegun = append(did.LegsBegun, l.String())
	}
	did.LegsKept = len(n.legs) + len(n.rejects) - len(did.LegsChanged) - len(n.made)
	did.SourcesKept = len(n.sources) - len(n.opened)
	return did, begun
}

// table is what sources hand over to from now on.
func (r *Run) table(n *next) *route.Table {
	to := func(l *leg) *route.Route { return &route.Route{Name: l.route, Legs: []route.Leg{l}} }
	return route.NewTable(n.routes, to(n.rejects[len(n.rejects)-1]), to(n.rejects[0]), r.strays.tell)
}

// change makes a leg go on by another plan, and gives back the sink that it had. It
// may have ended meanwhile, if it was leaving.
func (r *Run) change(c *change, did *Changed) (begun []*ending) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, over, free := c.leg, c.to, (<-chan struct{})(nil)
	if !l.ended {
		l.plan.Store(&c.plan)
		if c.use != nil {
			c.use()
		}
		if c.to != nil {
			over, l.to = l.to, c.to
			free = l.Exchange(c.to.lent())
		}
	}
	if c.use == nil && c.to == nil {
		return nil
	}
	if !slices.Contains(r.leaving, l) {
		did.LegsChanged = append(did.LegsChanged, l.String())
	}
	if over == nil {
		return nil
	}
	return []*ending{r.endings.leave("the sink "+over.plan.Name+" as it was for "+l.String(), func() error {
		if free != nil {
			<-free
		}
		return r.sinks.put(over)
	})}
}

// retire ends a source that takes nothing more, once what it took is answered.
func (r *Run) retire(s *source) *ending {
	r.handing.Add(1)
	return r.endings.leave("the source "+s.plan.Name+" as it was", func() error {
		s.Wait()
		r.handing.Done()
		err := s.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.retiring = slices.DeleteFunc(r.retiring, func(other *source) bool { return other == s })
		if !s.passedOn {
			status := s.Status()
			r.goneIn += status.RecordsIn
			r.gone = addUp(r.gone, status.Own)
		}
		return err
	})
}

// leave delivers what a leg holds that is not in use any more, and ends it; left
// is closed when nothing more is admitted to it.
func (r *Run) leave(l *leg, left <-chan struct{}) {
	r.endings.leave(l.String(), func() error { return r.leaveNow(l, left) })
}

func (r *Run) leaveNow(l *leg, left <-chan struct{}) error {
	l.Hurry()
	l.Intake().Leave()
	if left != nil {
		<-left
	}
	l.drain()
	err := r.end(l)
	// Only now it is known what is left on the disk.
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaving = slices.DeleteFunc(r.leaving, func(other *leg) bool { return other == l })
	r.gone = addUp(r.gone, l.Report(pipeline.Identity{}).Balance)
	return err
}

// end closes a leg that is drained, and its sink where no other leg has it.
func (r *Run) end(l *leg) error {
	r.mu.Lock()
	l.ended = true
	to := l.to
	r.mu.Unlock()
	return errors.Join(l.Close(), r.sinks.put(to))
}
