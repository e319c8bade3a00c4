package cloudwatch

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/spillway/spillway/internal/sandbox/host"
)

const (
	targetPrefix = "Logs_20140328."
	contentType  = "application/x-amz-json-1.1"
	unknownOp    = "(unknown)"
)

// exchange is one request of the API on its way through the server.
type exchange struct {
	server  *Server
	w       http.ResponseWriter
	request *http.Request
	op      string
	body    []byte
	wire    int     // Bytes of the body as sent.
	stream  *stream // Where the request counts as in flight, once that is known.
	settled bool
}

// settle counts what became of the request; an empty outcome is success. It comes before the answer, so that a client
// that has its answer finds it in the report, and never meets its own last request as still in flight.
func (x *exchange) settle(outcome string) {
	if x.settled {
		return
	}
	x.settled = true
	if x.stream != nil {
		x.stream.leave()
	}
	x.server.counts.end(x.op, outcome, x.request.Context().Err() != nil)
}

// counters counts the requests of each operation and what became of them. It is safe for concurrent use.
type counters struct {
	mu           sync.Mutex
	byOp         map[string]*opCounts
	inFlight     int64
	maxInFlight  int64
	disconnected uint64 // Clients that were gone before their answer.
}

type opCounts struct {
	requests, ok uint64
	errors       map[string]uint64 // By __type, or the name of what was done to the request.
}

// begin counts a request and returns how many there have been for its operation.
func (c *counters) begin(op string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byOp == nil {
		c.byOp = make(map[string]*opCounts)
	}
	counts := c.byOp[op]
	if counts == nil {
		counts = &opCounts{errors: make(map[string]uint64)}
		c.byOp[op] = counts
	}
	counts.requests++
	c.inFlight++
	c.maxInFlight = max(c.maxInFlight, c.inFlight)
	return int(counts.requests)
}

// end counts what became of a request.
func (c *counters) end(op, outcome string, gone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight--
	if gone {
		c.disconnected++
	}
	if outcome == "" {
		c.byOp[op].ok++
		return
	}
	c.byOp[op].errors[outcome]++
}

// operation returns the operation that a request names.
func operation(r *http.Request) (string, *apiError) {
	target := r.Header.Get("X-Amz-Target")
	op, ok := strings.CutPrefix(target, targetPrefix)
	if ok {
		for _, known := range operations() {
			if op == known {
				return known, nil
			}
		}
	}
	return unknownOp, refuse("UnknownOperationException",
		fmt.Sprintf("X-Amz-Target %q: expected %s and one of %s", target, targetPrefix, strings.Join(operations(), ", ")))
}

// serveAPI serves one request of the CloudWatch Logs API. The order matters: a fault comes first and costs nearly
// nothing, then the script is asked, then the request is handled, and then the latency is waited out with the body's
// buffer given back.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	if !s.host.Enter() {
		host.Drop(w, false)
		return
	}
	defer s.host.Leave()
	op, unknown := operation(r)
	x := &exchange{server: s, w: w, request: r, op: op}
	n := s.counts.begin(op)
	defer x.settle("aborted") // If a panic comes before the settling.

	f := s.faults.active(op, s.now())
	if f != nil && f.kind == FaultReset && s.resetEarly(x) {
		return
	}
	failed := unknown
	wire, err := s.buffers.Read(r.Body, r.ContentLength, maxBody)
	if err != nil {
		failed = badBody(err)
	}
	if f != nil {
		s.buffers.Put(wire)
		s.fail(x, f)
		return
	}
	ask := s.ask(op, n)
	s.host.Await(r, ask.Before)
	var body []byte
	if failed == nil && (ask.Handle || !ask.replaces()) {
		body, failed = s.handle(x, wire)
	}
	s.buffers.Put(wire)
	s.host.Await(r, ask.Hold)
	s.host.Pause(r, s.Latency()+ask.Delay)
	s.reply(x, ask, body, failed)
}

// resetEarly resets the connection before or amid the body in two of three cases.
func (s *Server) resetEarly(x *exchange) bool {
	switch s.faults.nextReset() % 3 {
	case 1:
		if err := skipHalf(x.request); err != nil {
			panic(http.ErrAbortHandler) // The client went away first; there is nothing left to reset.
		}
	case 2:
		return false
	}
	x.settle(FaultReset)
	host.Drop(x.w, true)
	return true
}

// fail does to a request, whose body has been read, what a fault demands.
func (s *Server) fail(x *exchange, f *fault) {
	switch f.kind {
	case FaultReset:
		x.settle(FaultReset)
		host.Drop(x.w, true)
	case FaultHang:
		f.waitOut(x.request, s.host.Closing(), s.now())
		x.settle(FaultHang)
		host.Drop(x.w, false)
	default:
		s.host.Pause(x.request, s.Latency())
		s.reply(x, &Answer{}, nil, f.answer())
	}
}

// handle authenticates a request and runs its operation.
func (s *Server) handle(x *exchange, wire *[]byte) (body []byte, err *apiError) {
	if !strings.HasPrefix(x.request.Header.Get("Content-Type"), contentType) {
		return nil, serialization("content-type: expected %s", contentType)
	}
	if err := s.authenticate(x.request, *wire); err != nil {
		return nil, err
	}
	plain, err := s.unpack(x.request.Header.Get("Content-Encoding"), wire)
	if err != nil {
		return nil, err
	}
	if plain != wire {
		defer s.buffers.Put(plain)
	}
	x.body, x.wire = *plain, len(*wire)
	switch x.op {
	case "PutLogEvents":
		return s.putLogEvents(x)
	case "CreateLogGroup":
		return s.createLogGroup(x)
	case "CreateLogStream":
		return s.createLogStream(x)
	case "DeleteLogGroup":
		return s.deleteLogGroup(x)
	case "DeleteLogStream":
		return s.deleteLogStream(x)
	case "DescribeLogGroups":
		return s.describeLogGroups(x)
	case "DescribeLogStreams":
		return s.describeLogStreams(x)
	case "FilterLogEvents":
		return s.filterLogEvents(x)
	case "GetLogEvents":
		return s.getLogEvents(x)
	}
	panic("BUG: operation " + x.op + " is known but not served")
}

// reply answers a request. A write that fails has met a client that is gone.
func (s *Server) reply(x *exchange, ask *Answer, body []byte, failed *apiError) {
	status, outcome := http.StatusOK, ""
	switch {
	case ask.Drop || ask.Reset:
		x.settle("dropped by script")
		host.Drop(x.w, ask.Reset)
		return
	case ask.Status != 0:
		status, outcome = ask.Status, ask.Type
		if body = ask.Body; body == nil {
			body = (&apiError{ask.Status, ask.Type, ask.Message}).body()
		}
		if outcome == "" && status/100 != 2 {
			outcome = strconv.Itoa(status)
		}
	case failed != nil:
		status, body, outcome = failed.status, failed.body(), failed.kind
	}
	h := x.w.Header()
	for name, values := range ask.Header {
		h[name] = values
	}
	h.Set("Content-Type", contentType)
	h.Set("X-Amzn-Requestid", fmt.Sprintf("00000000-0000-4000-8000-%012x", s.answers.Add(1)))
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.settle(outcome)
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body)
}
