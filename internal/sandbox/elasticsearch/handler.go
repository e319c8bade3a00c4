package elasticsearch

import (
	"maps"
	"net/http"
	"strings"

	"github.com/spillway/spillway/internal/sandbox/host"
)

// exchange is one request on its way through the server.
type exchange struct {
	server  *Server
	w       http.ResponseWriter
	request *http.Request
	route   string
	fault   *Fault
	wire    int // Bytes of the body as sent.
	settled bool
}

// settle counts what became of the request: its status, or what was done to its connection. It comes before the
// answer, so that a client that has its answer finds it in the report.
func (x *exchange) settle(outcome string) {
	if !x.settled {
		x.settled = true
		x.server.counts.end(x.route, outcome)
	}
}

// drop ends the connection without an answer.
func (x *exchange) drop(outcome string, reset bool) {
	x.settle(outcome)
	host.Drop(x.w, reset)
}

// serve answers one request of the node's. The order matters: what ends a connection comes first and costs nearly
// nothing, then the body is read, then credentials are asked for, and only then is anything done.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.host.Enter() {
		host.Drop(w, false)
		return
	}
	defer s.host.Leave()
	x := &exchange{server: s, w: w, request: r, route: route(r)}
	s.counts.begin()
	defer x.settle("aborted") // If a panic comes before the settling.
	if r.ContentLength >= 0 {
		x.fault = s.faults.hit(x.isBulk(), int(r.ContentLength), s.now())
	}
	if x.fault != nil && x.cut() {
		return
	}
	if s.options.CountOnly && x.isBulk() {
		s.serveCount(x)
		return
	}
	wire, failed := s.read(r, x.pace())
	defer func() { s.buffers.Put(wire) }()
	if failed != nil {
		x.refuse(failed)
		return
	}
	x.wire = len(*wire)
	if r.ContentLength < 0 {
		if x.fault = s.faults.hit(x.isBulk(), x.wire, s.now()); x.fault != nil && x.cut() {
			return
		}
	}
	plain, failed := s.unpack(r.Header.Get("Content-Encoding"), wire)
	if failed == nil && plain != wire {
		defer s.buffers.Put(plain)
	}
	if failed == nil {
		failed = s.admit(r, len(*wire))
	}
	switch {
	case failed != nil:
		x.refuse(failed)
	case x.fault != nil && x.fault.Kind == "hang":
		s.waitOut(x.fault, r)
		x.drop("hang", false)
	case x.isBulk():
		s.serveBulk(x, *plain)
	default:
		s.serveAdmin(x, *plain)
	}
}

func (x *exchange) isBulk() bool { return x.route == "_bulk" }

// route is the name under which a request is counted.
func route(r *http.Request) string {
	for part := range strings.SplitSeq(strings.Trim(r.URL.Path, "/"), "/") {
		if strings.HasPrefix(part, "_") && len(part) < 30 {
			if part == "_bulk" && r.Method != http.MethodPost && r.Method != http.MethodPut {
				continue
			}
			return part
		}
	}
	return "(other)"
}

// cut does what a fault does to a connection before the body has been read, or in its middle.
func (x *exchange) cut() bool {
	switch x.fault.Kind {
	case "away":
		x.drop("away", true)
	case "reset":
		if err := skipHalf(x.request); err != nil {
			panic(http.ErrAbortHandler) // The client went away first; there is nothing left to reset.
		}
		x.drop("reset", true)
	default:
		return false
	}
	return true
}

// pace is how long each piece of a body is waited for.
func (x *exchange) pace() func() {
	if x.fault == nil || x.fault.Kind != "slow-read" {
		return nil
	}
	return func() { x.server.host.Pause(x.request, x.fault.Delay) }
}

// serveAdmin answers what is no bulk request.
func (s *Server) serveAdmin(x *exchange, body []byte) {
	s.host.Pause(x.request, s.Latency())
	if f := x.fault; f != nil && f.Kind == "status" {
		maps.Copy(x.w.Header(), s.answer(f, nil).Header)
		x.refuse(s.wholeFault(f.Status))
		return
	}
	status, out, err := s.admin(x.request, body)
	if err != nil {
		x.refuse(err)
		return
	}
	x.reply(status, out)
}
