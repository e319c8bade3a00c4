package run

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/sink"
)

// sharedSink is one sink of the file, which all of its legs use: two writers to
// one file, or twice the connections, would help nobody.
type sharedSink struct {
	plan runfile.Sink
	*catalog.Destination
	users  int
	closed chan struct{}
	// after are closed when those of the same name are that were not when it was made.
	after []<-chan struct{}
}

// lent is the destination as a pipeline gets it.
func (s *sharedSink) lent() *catalog.Destination {
	d := *s.Destination
	d.Sink = lent{d.Sink, s.plan.Name, s.after}
	return &d
}

// sinks are those that are in use, or not closed yet.
type sinks struct {
	open func(*runfile.Sink) (*catalog.Destination, error)

	mu  sync.Mutex
	all []*sharedSink
}

// get returns the sink of that plan, for one more user.
func (s *sinks) get(plan *runfile.Sink) (*sharedSink, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	made := &sharedSink{plan: *plan, users: 1, closed: make(chan struct{})}
	for _, known := range s.all {
		switch {
		case known.plan.Name != plan.Name:
		case known.users > 0 && known.plan.Same(plan):
			known.users++
			return known, nil
		default:
			made.after = append(made.after, known.closed)
		}
	}
	d, err := s.open(plan)
	if err != nil {
		return nil, err
	}
	made.Destination = d
	s.all = append(s.all, made)
	return made, nil
}

// put takes a user off, and closes a sink that has none, which may take any time.
func (s *sinks) put(gone *sharedSink) error {
	s.mu.Lock()
	gone.users--
	used := gone.users > 0
	s.mu.Unlock()
	if used {
		return nil
	}
	err := gone.Sink.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(known *sharedSink) bool { return known == gone })
	close(gone.closed)
	return err
}

// lent is a sink that its pipeline does not close: its owner does, after the last. It
// sends nothing before those whose place it takes are closed: they may write to the
// same files.
type lent struct {
	sink.Sink
	name  string
	after []<-chan struct{}
}

// Send implements sink.Sink.
func (l lent) Send(ctx context.Context, req sink.Request) sink.Outcome {
	for _, closed := range l.after {
		select {
		case <-closed:
		case <-ctx.Done():
			return sink.Outcome{Err: fmt.Errorf("the sink %q as it was before the reload has not ended: %w", l.name, ctx.Err())}
		}
	}
	return l.Sink.Send(ctx, req)
}

// Keys implements sink.Keyed.
func (l lent) Keys(dst []uint64, req sink.Request) []uint64 {
	return l.Sink.(sink.Keyed).Keys(dst, req)
}

// Close implements sink.Sink.
func (lent) Close() error { return nil }
