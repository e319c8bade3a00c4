// Package cloudwatch delivers to one log stream of Amazon CloudWatch Logs, or of
// anything that speaks its protocol: JSON over POST, signed with SigV4.
//
// It makes its own PutLogEvents calls, several at once for one log stream,
// which the service allows since sequence tokens are ignored. Readers see events
// by timestamp and, within a millisecond, by arrival, so requests never share a
// millisecond while they are in flight; internal/deliver sees to that by the
// limits stated here. Facts about the service: the API reference of
// PutLogEvents, CreateLogStream and CreateLogGroup.
package cloudwatch

import (
	"context"
	"net/http"
	"time"

	"github.com/spillway/spillway/internal/sink"
)

// Limits of PutLogEvents.
const (
	maxRequestBytes = 1_048_576 // counting perEvent for each event
	perEvent        = 26
	maxEvents       = 10_000
	maxSpan         = 24 * time.Hour
	maxBody         = maxRequestBytes - perEvent
	// InFlight is how many requests may be under way; at 60 ms a request, thirty-two
	// of a megabyte each are 500 MB/s.
	InFlight = 32
)

// Signer signs a request whose body has the given SHA-256, in hexadecimal.
type Signer interface {
	Sign(ctx context.Context, req *http.Request, payloadSHA256 string, at time.Time) error
	// Invalidate makes the next Sign ask for new credentials.
	Invalidate()
}

// Destination is where to send: the service's address and how to sign for it.
type Destination struct {
	URL    string
	Signer Signer
}

// Config names one log stream and how to reach it.
type Config struct {
	Group, Stream string
	// CreateGroup and CreateStream allow the sink to make what is missing, at
	// first and whenever it is deleted meanwhile.
	CreateGroup, CreateStream bool
	// Format is the value of the header x-amzn-logs-format, or empty.
	Format string
	// Resolve finds the destination. It is asked by the first call that needs it,
	// and again until it succeeds, so that no start waits for it.
	Resolve   func(context.Context) (Destination, error)
	Client    *http.Client
	UserAgent string
}

// Sink delivers to one log stream.
type Sink struct {
	cfg  Config
	head []byte

	// turn has room for the one that resolves the destination or makes the stream;
	// the others wait for it no longer than their contexts let them.
	turn        chan struct{}
	destination *Destination
	exists      bool // the stream is there, or is not ours to make
}

// New returns a sink; it contacts nobody.
func New(cfg Config) *Sink {
	head := append([]byte(`{"logGroupName":`), quote(cfg.Group)...)
	head = append(append(head, `,"logStreamName":`...), quote(cfg.Stream)...)
	head = append(head, `,"logEvents":[`...)
	return &Sink{cfg: cfg, head: head, turn: make(chan struct{}, 1)}
}

// Limits implements sink.Sink.
func (s *Sink) Limits() sink.Limits {
	return sink.Limits{
		RequestBytes: maxRequestBytes, PerEvent: perEvent, Events: maxEvents, Span: maxSpan, BodyBytes: maxBody,
		OrderedBy: time.Millisecond, InFlight: InFlight,
	}
}

// Close implements sink.Sink.
func (s *Sink) Close() error {
	s.cfg.Client.CloseIdleConnections()
	return nil
}

// Check implements sink.Sink: the stream is there or is made now.
func (s *Sink) Check(ctx context.Context) error {
	d, err := s.ready(ctx)
	if err != nil || s.cfg.CreateStream {
		return err
	}
	return s.find(ctx, d)
}

// Send implements sink.Sink.
func (s *Sink) Send(ctx context.Context, req sink.Request) sink.Outcome {
	d, err := s.ready(ctx)
	if err != nil {
		out := failed(err)
		out.Unsure = false // Nothing of the request was sent.
		return out
	}
	out, gone := s.put(ctx, d, req)
	if gone && s.cfg.CreateStream {
		s.forget(ctx)
		out.Config = false
	}
	return out
}

// ready returns the destination, with a log stream to write to.
func (s *Sink) ready(ctx context.Context) (*Destination, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, &callError{operation: "wait for the destination", err: ctx.Err()}
	}
	if s.destination == nil {
		d, err := s.cfg.Resolve(ctx)
		if err != nil {
			return nil, &callError{operation: "find the destination", err: err, config: true}
		}
		s.destination = &d
	}
	if s.exists || !s.cfg.CreateStream {
		return s.destination, nil
	}
	if err := s.create(ctx, s.destination); err != nil {
		return nil, err
	}
	s.exists = true
	return s.destination, nil
}

// forget makes the next Send look for the stream, unless ctx ends before it is
// its turn: then the next one that finds the stream gone will.
func (s *Sink) forget(ctx context.Context) {
	select {
	case s.turn <- struct{}{}:
		s.exists = false
		<-s.turn
	case <-ctx.Done():
	}
}
