// Package cloudwatch is a CloudWatch Logs endpoint on loopback, for demonstrations, tests, sizing, and for trying any
// other shipper: it speaks the service's protocol, enforces the limits that the service enforces, misbehaves when told
// to, and accounts for what arrives: how many events, which numbers are missing, come twice or stand in the wrong
// order.
//
// It refuses what the service refuses, in the service's words. It is no store: it keeps the newest messages only, as
// many as it is allowed to. It does not verify signatures unless asked, has no retention, no quotas of requests a
// second, and of filter patterns only terms. It listens on loopback only, since whoever reaches it may do everything.
//
// It shares the machine with the program under test, so the way of a PutLogEvents request costs as little as it can:
// the body is read into a used buffer, scanned once and in place (scan.go), judged (put.go) and counted (series.go,
// order.go).
//
// The command "spillway sandbox cloudwatch" calls it, and so do the tests and benchmarks of the CloudWatch sink.
package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spillway/spillway/internal/sandbox/host"
)

// Options says how a Server listens and misbehaves. The zero value is an endpoint that works.
type Options struct {
	// Listen is the address of Listen: a loopback host and a port, 0 for any. Empty is for who uses the Handler.
	Listen string
	// Latency delays each answer of the API. The body is read and the events are stored before it.
	Latency time.Duration
	// Fault, one of the Fault constants or empty, is on from FaultAt after the start for FaultFor, or for ever if
	// FaultFor is 0. The start is the call of Serve, or the first request if only the Handler is used.
	Fault    string
	FaultAt  time.Duration
	FaultFor time.Duration
	// Reject, one of the Reject constants or empty, makes every accepted PutLogEvents answer carry
	// rejectedLogEventsInfo. The API can name only a head or a tail of a request's events, so: too-old and expired
	// reject the first RejectEvents events of each request, too-new the last ones; all, if there are fewer. The
	// rest is stored.
	Reject       string
	RejectEvents int // 0 means 1.
	// RefuseText, if not empty, makes every PutLogEvents request fail as a whole with InvalidParameterException if a
	// message of it contains this text. It is looked for in the JSON form, so it should need no escapes.
	RefuseText string
	// KeepBytes bounds the memory of the messages kept for GetLogEvents and FilterLogEvents, in bytes with some
	// overhead; the oldest go first. 0 means 64 MiB, a negative value keeps none.
	KeepBytes int
	// VerifyPayload makes the server compute each request's signature, payload hash included, and refuse a wrong
	// one. It knows the credentials of GET /credentials and those in Keys (secret by access key id). It costs a
	// SHA-256 of every body.
	VerifyPayload bool
	Keys          map[string]string
	// ErrorLog is net/http's; nil means the standard logger.
	ErrorLog *log.Logger
}

// Server is the endpoint. All its methods are safe for concurrent use.
type Server struct {
	options    Options
	handler    http.Handler
	verify     bool
	keys       map[string]string
	refuseText []byte
	now        func() time.Time

	latency atomic.Int64
	reject  atomic.Pointer[reject]
	script  atomic.Pointer[func(op string, n int) *Answer]
	faults  faults
	counts  counters
	answers atomic.Uint64 // For request ids.

	registry registry
	keep     keeper
	room     allowance
	arrivals atomic.Uint64

	buffers  host.Buffers
	requests sync.Pool // Of *putRequest.
	scratch  sync.Pool // Of *[]byte.

	host host.Host
}

// New returns a Server that is ready to serve. It fails on options that make no sense.
func New(o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("sandbox cloudwatch: %w", err)
	}
	s := &Server{
		options: o, verify: o.VerifyPayload, keys: map[string]string{AccessKeyID: SecretAccessKey}, now: time.Now,
	}
	s.buffers.Kept = maxPooled
	s.host.Now, s.host.Begun = func() time.Time { return s.now() }, s.begun
	for id, secret := range o.Keys {
		s.keys[id] = secret
	}
	if o.RefuseText != "" {
		s.refuseText = []byte(o.RefuseText)
	}
	s.room.left.Store(maxAccounting)
	s.registry = registry{groups: make(map[string]*group), room: &s.room}
	if s.keep.limit = o.KeepBytes; o.KeepBytes == 0 {
		s.keep.limit = defaultKeepBytes
	}
	s.requests.New = func() any { return new(putRequest) }
	s.scratch.New = func() any { return new([]byte) }
	s.SetLatency(o.Latency)
	if err := s.SetReject(o.Reject, o.RejectEvents); err != nil {
		return nil, fmt.Errorf("sandbox cloudwatch: %w", err)
	}
	s.handler = s.routes()
	return s, nil
}

func (o *Options) check() error {
	if o.Latency < 0 || o.FaultAt < 0 || o.FaultFor < 0 {
		return errors.New("latency, fault-at and fault-for must not be negative")
	}
	if o.Listen != "" {
		if err := host.CheckListen(o.Listen); err != nil {
			return err
		}
	}
	if o.Fault == "" {
		if o.FaultAt != 0 || o.FaultFor != 0 {
			return errors.New("fault-at and fault-for need a fault: set fault, too")
		}
		return nil
	}
	return checkFault(o.Fault, nil)
}

// Latency returns the present delay of answers.
func (s *Server) Latency() time.Duration { return time.Duration(s.latency.Load()) }

// SetLatency changes the delay of answers, for those that are not yet waiting.
func (s *Server) SetLatency(d time.Duration) { s.latency.Store(int64(d)) }

// SetReject changes Options.Reject and Options.RejectEvents; an empty kind ends the rejections.
func (s *Server) SetReject(kind string, events int) error {
	switch kind {
	case "":
		s.reject.Store(nil)
		return nil
	case RejectTooOld, RejectTooNew, RejectExpired:
		if events < 0 {
			return fmt.Errorf("reject %s: expected a number of events above 0, found %d", kind, events)
		}
		s.reject.Store(&reject{kind: kind, events: max(events, 1)})
		return nil
	}
	return fmt.Errorf("reject %q: expected %s, %s or %s", kind, RejectTooOld, RejectTooNew, RejectExpired)
}

// SetFault switches a fault on for the named operations, or for all if none is named, until ClearFault or another
// SetFault. It replaces whatever fault was on or planned; requests that hang in that one are closed.
func (s *Server) SetFault(kind string, operationNames ...string) error {
	if err := checkFault(kind, operationNames); err != nil {
		return err
	}
	s.faults.set(kind, operationNames, 0, s.now())
	return nil
}

// ClearFault switches off the fault that is on, and the planned one.
func (s *Server) ClearFault() { s.faults.set("", nil, 0, s.now()) }

// begun plans the fault of the options, whose time is relative to the start.
func (s *Server) begun(start time.Time) {
	if s.options.Fault != "" {
		s.faults.plan(s.options.Fault, start.Add(s.options.FaultAt), s.options.FaultFor)
	}
}

// Handler returns the server's HTTP handler, for servers that others run. Call Close before ending such a server, or
// requests that hang or wait will hold it up.
func (s *Server) Handler() http.Handler { return s.handler }

// Listen opens Options.Listen, which must be a loopback address: the endpoint trusts everyone.
func (s *Server) Listen() (net.Listener, error) {
	ln, err := host.Listen(s.options.Listen)
	if err != nil {
		return nil, fmt.Errorf("sandbox cloudwatch: %w", err)
	}
	return ln, nil
}

// ListenAndServe listens on Options.Listen and serves until ctx ends.
func (s *Server) ListenAndServe(ctx context.Context) error {
	ln, err := s.Listen()
	if err != nil {
		return err
	}
	return s.Serve(ctx, ln)
}

// Serve answers requests that arrive through ln until ctx ends, closes ln, and returns when no request is being served
// any more: nil if it was ctx that ended it. A Server serves once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if err := s.host.Serve(ctx, ln, s.handler, s.options.ErrorLog); err != nil {
		return fmt.Errorf("sandbox cloudwatch: %w", err)
	}
	return nil
}

// Close ends all waiting, makes the server drop further requests, and returns when those being served are done.
func (s *Server) Close() { s.host.Close() }
