package run

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/pipeline"
)

// How long the end waits for what may hang, such as a disk, or a sink that does not end
// an attempt when that is cut off.
const (
	// stopPatience is for what has to be closed behind the deadline: files, connections,
	// the last answers of sources. What has not ended then is an error.
	stopPatience = 4 * time.Second
	// closePatience is for the same where there is no deadline.
	closePatience = 30 * time.Second
	// cutOffPatience is for an attempt that was cut off, where there is no deadline.
	cutOffPatience = time.Minute
	// lookForEnd is how often it looks.
	lookForEnd = 20 * time.Millisecond
	// countPatience is for the buffer of a leg that has not ended to say what it holds.
	countPatience = time.Second
)

// Stop ends the run in order: no source takes anything more, what is held is
// delivered until the deadline, or goes to the disk, the legs are closed, and the
// sources, once they have given their last answers. A zero deadline is none: then it
// takes as long as destinations are away, and ends all the same where an attempt does
// not come back that was cut off long ago. It returns the last balance: what a leg that
// has not ended holds, and no disk has, is dropped in it.
func (r *Run) Stop(deadline time.Time) (Report, error) {
	r.changing.Lock()
	defer r.changing.Unlock()
	r.mu.Lock()
	r.stopping = true
	r.endBy(deadline)
	legs := r.all()
	sources := r.sources
	r.mu.Unlock()
	over, looked := make(chan struct{}), make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(looked)
		r.lookForEnd(ended, over)
	}()
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
	r.copying.stop()
	for _, l := range slices.Concat(r.legs, r.rejects) {
		r.endings.begin(l.String(), func() error {
			l.drain()
			return r.end(l)
		})
	}
	// A source gives its last answers, and a leg that leaves chunks to the disk tells
	// of them when it ends.
	for _, s := range sources {
		r.endings.begin("the source "+s.plan.Name, s.Close)
	}
	r.endings.begin("the replay of dead letters", func() error {
		r.replay.wait()
		r.copying.wait()
		return nil
	})
	err := r.endings.wait(r.endings.all(), over)
	close(ended)
	<-looked
	err = errors.Join(err, r.forsake(), r.settled.close())
	r.heap.stop()
	report := r.Report()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file = nil
	return report, err
}

// endBy notes by when the run is to end; zero says nothing, and the earliest holds. The
// lock of the run's lists is held.
func (r *Run) endBy(deadline time.Time) {
	if !deadline.IsZero() && (r.deadline.IsZero() || deadline.Before(r.deadline)) {
		r.deadline = deadline
	}
}

// lookForEnd closes over when nothing is to be waited for any more.
func (r *Run) lookForEnd(ended <-chan struct{}, over chan<- struct{}) {
	look := time.NewTicker(lookForEnd)
	defer look.Stop()
	var since time.Time // nothing is being delivered
	for {
		select {
		case <-ended:
			return
		case <-look.C:
		}
		now := time.Now()
		r.mu.Lock()
		deadline := r.deadline
		delivering := false
		for _, l := range r.all() {
			delivering = r.delivers(l) || delivering
		}
		r.mu.Unlock()
		switch {
		case delivering:
			since = time.Time{}
		case since.IsZero():
			since = now
		}
		if !deadline.IsZero() && now.After(deadline.Add(stopPatience)) || !delivering && now.Sub(since) > closePatience {
			close(over)
			return
		}
	}
}

// delivers reports whether a leg still delivers what it holds, however long that
// takes. One of which an attempt does not come back delivers nothing more: what it
// holds goes where it goes at the end. The lock of the run's lists is held.
func (r *Run) delivers(l *leg) bool {
	switch {
	case l.drained.Load() || l.stuck:
		return false
	case l.Overdue() < cutOffPatience:
		return true
	}
	l.stuck = true
	r.cfg.Log.Error("a sink hangs: an attempt has not come back that was cut off, and is not waited for any more",
		"route", l.route, "sink", l.name, "cut_off", time.Now().Add(-l.Overdue()).UTC())
	l.StopBy(time.Now())
	return false
}

// forsake settles what legs hold that have not ended, and says what became of it.
func (r *Run) forsake() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, l := range r.all() {
		if !l.drained.Load() {
			errs = append(errs, l.forsake())
		}
	}
	return errors.Join(errs...)
}

// forsake settles what the leg holds.
func (l *leg) forsake() error {
	told := make(chan error, 1)
	go func() {
		before := l.Report(pipeline.Identity{})
		l.Forsake()
		after := l.Report(pipeline.Identity{})
		told <- fmt.Errorf("%s still held %d records, which its sink, or the dead letters, had not let go of: %d are on the disk for the next run, "+
			"%d are given back to their source, and %d are dropped (shutdown); any of them may have been delivered",
			l, before.Pending, after.Pending, returned(after)-returned(before), shutdown(after)-shutdown(before))
	}()
	timer := time.NewTimer(countPatience)
	defer timer.Stop()
	select {
	case err := <-told:
		return err
	case <-timer.C:
		return fmt.Errorf("%s does not say what it holds; its disk may hang", l)
	}
}

func returned(r pipeline.Report) int64 { return r.ByReason[ledger.Returned] }
func shutdown(r pipeline.Report) int64 { return r.ByReason[ledger.Shutdown] }

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
	r.endBy(deadline)
	for _, l := range r.all() {
		l.StopBy(deadline)
	}
}

// all are all legs.
func (r *Run) all() []*leg {
	return slices.Concat(r.legs, r.rejects, r.leaving)
}
