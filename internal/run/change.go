package run

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/pipeline"
)

// Reload changes the run to another file: whole, or not at all, and then the
// error says why. Legs of which both files say the same go on untouched. What is
// in the others is delivered where it was going, or stays on the disk.
func (r *Run) Reload(file *runfile.File) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	if r.file == nil {
		return errors.New("the run has ended")
	}
	n, err := r.build(file)
	if err != nil {
		return fmt.Errorf("the new file is not used: %w", err)
	}
	r.commit(n)
	r.adopt()
	return nil
}

// commit puts what was made in use. Nothing in it can fail.
func (r *Run) commit(n *next) {
	r.heap.limit.Store(heapLimit(n.file))
	for i, l := range n.legs {
		l.place.Store(&n.places[i])
	}
	r.settled.sources.Store(&n.sources)
	left := r.router.Swap(n.table)
	r.mu.Lock()
	var gone []*leg
	for _, l := range slices.Concat(r.legs, r.rejects) {
		if !slices.Contains(n.rejects, l) && !slices.Contains(n.legs, l) {
			gone = append(gone, l)
		}
	}
	var over []*source
	for _, s := range r.sources {
		if !slices.Contains(n.sources, s) {
			over = append(over, s)
		}
	}
	r.file, r.legs, r.rejects, r.sources = n.file, n.legs, n.rejects, n.sources
	r.leaving = append(r.leaving, gone...)
	r.retiring = append(r.retiring, over...)
	r.mu.Unlock()
	for _, s := range over {
		s.Stop()
		r.retire(s)
	}
	for _, s := range n.opened {
		s.Start()
	}
	for _, l := range gone {
		r.leave(l, left)
	}
}

// retire ends a source that takes nothing more, once what it took is answered.
func (r *Run) retire(s *source) {
	r.handing.Add(1)
	r.leavers.Go(func() {
		s.Wait()
		r.handing.Done()
		if err := s.Close(); err != nil {
			r.cfg.Log.Warn("a source did not end well", "source", s.plan.Name, "error", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.retiring = slices.DeleteFunc(r.retiring, func(other *source) bool { return other == s })
		r.goneIn += s.Status().RecordsIn
	})
}

// leave delivers what a leg holds that is not in use any more, and ends it; left
// is closed when nothing more is admitted to it.
func (r *Run) leave(l *leg, left <-chan struct{}) {
	r.leavers.Go(func() { r.leaveNow(l, left) })
}

func (r *Run) leaveNow(l *leg, left <-chan struct{}) {
	l.Hurry()
	if left != nil {
		<-left
	}
	l.Drain()
	err := r.end(l)
	// Only now it is known what is left on the disk.
	r.mu.Lock()
	r.leaving = slices.DeleteFunc(r.leaving, func(other *leg) bool { return other == l })
	r.gone = addUp(r.gone, l.Report(pipeline.Identity{}).Balance)
	r.mu.Unlock()
	if err != nil {
		r.cfg.Log.Warn("a leg did not end well", "route", l.route, "sink", l.sink.Name, "error", err)
	}
}

// end closes a leg that is drained, and its sink where no other leg has it.
func (r *Run) end(l *leg) error {
	return errors.Join(l.Close(), r.sinks.put(l.to))
}

// Stop ends the run in order: no source takes anything more, what is held is
// delivered until the deadline, or goes to the disk, the legs are closed, and the
// sources, once they have given their last answers. A zero deadline is none. It returns the last
// balance.
func (r *Run) Stop(deadline time.Time) (Report, error) {
	r.changing.Lock()
	defer r.changing.Unlock()
	r.mu.Lock()
	r.stopping = true
	legs := r.all()
	sources := r.sources
	r.mu.Unlock()
	for _, l := range legs {
		l.Hurry()
		if !deadline.IsZero() {
			l.StopBy(deadline)
		}
	}
	for _, s := range sources {
		s.Stop()
	}
	for _, s := range sources {
		s.Wait()
	}
	r.handing.Wait()
	r.replay.stop()
	for _, l := range legs {
		l.Drain()
	}
	// A source gives its last answers, and a leg that leaves chunks to the disk tells
	// of them when it ends.
	var errs []error
	for _, l := range slices.Concat(r.legs, r.rejects) {
		errs = append(errs, r.end(l))
	}
	for _, s := range sources {
		errs = append(errs, s.Close())
	}
	r.leavers.Wait()
	r.replay.wait()
	r.heap.stop()
	report := r.Report()
	r.file = nil
	return report, errors.Join(errs...)
}

// Ended is closed when all sources of the present file have ended by themselves,
// as standard input does; most never do.
func (r *Run) Ended() <-chan struct{} {
	r.mu.Lock()
	sources := r.sources
	r.mu.Unlock()
	for _, s := range sources {
		if s.Done() == nil {
			return nil
		}
	}
	ended := make(chan struct{})
	go func() {
		for _, s := range sources {
			<-s.Done()
		}
		close(ended)
	}()
	return ended
}

// Hasten brings the end of a Stop that is under way forward.
func (r *Run) Hasten(deadline time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.all() {
		l.StopBy(deadline)
	}
}

// all are all legs.
func (r *Run) all() []*leg {
	return slices.Concat(r.legs, r.rejects, r.leaving)
}
