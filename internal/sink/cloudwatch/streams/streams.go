// Package streams delivers to any number of log streams of Amazon CloudWatch
// Logs, whose names, and those of their groups, are made of a record's tag and
// time. It takes entries of the forward protocol and messages of a log such as Kafka
// as well as lines of text.
//
// A call of PutLogEvents is for one log stream, and its events must be in the
// order of time, within limits. So the events of a request are read once, brought
// into the form in which they are sent, and sorted by log stream and time; each
// call is then made by internal/sink/cloudwatch, which knows the service. A
// request may end with some calls done and others to be tried again. What the requests
// under way take in this form is bounded: one waits until there is room for it, and one
// that becomes longer than it was, as JSON does, is sent in parts.
//
// An entry has its own time, which the buffer does not know. Two requests may
// hold events of one millisecond, whose order readers see is then that of arrival.
package streams

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/spillway/spillway/internal/jsonscan"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/cloudwatch"
	"github.com/spillway/spillway/internal/template"
)

const (
	// inFlight is how many requests may be under way, as far as there is room for them.
	inFlight = 8
	// callsAtOnce is how many calls of one request may be.
	callsAtOnce = 4
	// maxTargets is how many log streams are remembered as being there.
	maxTargets = 4096
	// perEntry is what JSON takes beyond MessagePack, in bytes, for most records.
	perEntry = 24
)

// Options say where records go, and what of them.
type Options struct {
	// Service is how the service is reached, and what may be made. Its Group and
	// Stream are not looked at.
	Service cloudwatch.Config
	// Group and Stream name where a record goes. What a tag has that may not stand
	// there is percent-encoded, in a group replaced by an underscore.
	Group, Stream *template.Template
	// LogKey is the key of an entry, or of a message that is a map or a JSON object,
	// whose value alone is sent; the record as JSON where it is empty, or the record
	// has no such key.
	LogKey string
}

// Sink delivers to log streams. It is safe for concurrent use.
type Sink struct {
	opts   Options
	limits sink.Limits    // of one call
	hours  bool           // names are made of the time, too
	keys   *jsonscan.Keys // the log key alone

	resolve resolver
	plans   sync.Pool
	room    *room

	mu      sync.Mutex
	targets map[name]*cloudwatch.Sink
}

// name is that of a log stream.
type name struct{ group, stream string }

// New returns a sink; it contacts nobody.
func New(o Options) (*Sink, error) {
	if o.Group == nil || o.Stream == nil {
		return nil, errors.New("the log group or the log stream has no name")
	}
	s := &Sink{
		opts: o, resolve: resolver{ask: o.Service.Resolve, turn: make(chan struct{}, 1)}, targets: make(map[name]*cloudwatch.Sink),
		plans: sync.Pool{New: func() any { return new(plan) }}, room: newRoom(maxPlans),
	}
	for _, t := range []*template.Template{o.Group, o.Stream} {
		s.hours = s.hours || t.Uses(template.Date) || t.Uses(template.Hour)
	}
	var err error
	if s.keys, err = jsonscan.NewKeys(o.LogKey); err != nil {
		return nil, err
	}
	s.opts.Service.Resolve = s.resolve.destination
	s.limits = cloudwatch.New(s.opts.Service).Limits()
	return s, nil
}

// Limits implements sink.Sink.
func (s *Sink) Limits() sink.Limits {
	l := s.limits
	l.PerEvent += perEntry
	l.BodyBytes -= perEntry
	l.Span = 0 // Requests are cut here, by the times of the entries.
	l.InFlight = inFlight
	return l
}

// Check implements sink.Sink. Where the name of the log stream does not depend on
// the records, the stream is there or is made now; else the service is found.
func (s *Sink) Check(ctx context.Context) error {
	group, one := s.opts.Group.Fixed()
	stream, same := s.opts.Stream.Fixed()
	if one && same {
		return s.target(name{group, stream}).Check(ctx)
	}
	_, err := s.resolve.destination(ctx)
	return err
}

// Close implements sink.Sink.
func (s *Sink) Close() error {
	s.opts.Service.Client.CloseIdleConnections()
	return nil
}

// target is the sink of one log stream.
func (s *Sink) target(n name) *cloudwatch.Sink {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.targets[n]; t != nil {
		return t
	}
	if len(s.targets) >= maxTargets {
		// Whichever goes is found again, at the price of a call.
		for other := range s.targets {
			delete(s.targets, other)
			break
		}
	}
	cfg := s.opts.Service
	cfg.Group, cfg.Stream = n.group, n.stream
	t := cloudwatch.New(cfg)
	s.targets[n] = t
	return t
}

// hour is the part of a time that names may be made of.
func (s *Sink) hour(at int64) int64 {
	if !s.hours {
		return 0
	}
	return at / int64(time.Hour)
}

// names are those of the log stream for a record.
func (s *Sink) names(stream *record.Stream, at int64) name {
	when := time.Unix(0, at)
	return name{
		group:  string(s.opts.Group.Append(nil, stream.Name, when, appendGroup)),
		stream: string(s.opts.Stream.Append(nil, stream.Name, when, appendStream)),
	}
}

// resolver finds the destination once for all log streams.
type resolver struct {
	ask  func(context.Context) (cloudwatch.Destination, error)
	turn chan struct{} // holds one: whoever asks

	found *cloudwatch.Destination
}

func (r *resolver) destination(ctx context.Context) (cloudwatch.Destination, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return cloudwatch.Destination{}, context.Cause(ctx)
	}
	if r.found == nil {
		d, err := r.ask(ctx)
		if err != nil {
			return d, err
		}
		r.found = &d
	}
	return *r.found, nil
}
