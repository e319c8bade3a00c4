package run

import (
	"reflect"
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
	users int
}

// sinks are those in use.
type sinks struct {
	open func(*runfile.Sink) (*catalog.Destination, error)

	mu  sync.Mutex
	all []*sharedSink
}

// get returns the sink of that plan, for one more user.
func (s *sinks) get(plan *runfile.Sink) (*sharedSink, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, known := range s.all {
		if sameSink(&known.plan, plan) {
			known.users++
			return known, nil
		}
	}
	d, err := s.open(plan)
	if err != nil {
		return nil, err
	}
	made := &sharedSink{plan: *plan, Destination: d, users: 1}
	s.all = append(s.all, made)
	return made, nil
}

// put takes a user off, and closes a sink that has none.
func (s *sinks) put(gone *sharedSink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if gone.users--; gone.users > 0 {
		return nil
	}
	s.all = slices.DeleteFunc(s.all, func(known *sharedSink) bool { return known == gone })
	return gone.Sink.Close()
}

// sameSink reports whether two plans make the same sink, wherever they stand.
func sameSink(a, b *runfile.Sink) bool {
	x, y := *a, *b
	x.Where, y.Where = "", ""
	return reflect.DeepEqual(x, y)
}

// lent is a sink that its pipeline does not close: its owner does, after the last.
type lent struct{ sink.Sink }

// Close implements sink.Sink.
func (lent) Close() error { return nil }
