package elasticsearch

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

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

// routes is the table of what the server answers beside the node's own paths: GET /_sandbox/report, and
// /_sandbox/fault: POST {"faults":["item-429,ok=5"]} replaces the faults, DELETE ends them, GET shows them.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.serve)
	mux.HandleFunc("GET /_sandbox/report", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, encode(s.Report())) })
	mux.HandleFunc("GET /_sandbox/fault", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, encode(faultList{s.faults.texts()})) })
	mux.HandleFunc("POST /_sandbox/fault", s.serveFault)
	mux.HandleFunc("DELETE /_sandbox/fault", s.serveFault)
	return mux
}

// writeJSON answers with a body. A write that fails has met a client that is gone.
func writeJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
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
	wire, failed := s.buffers.read(r, s.options.MaxContentLength, x.pace())
	defer func() { s.buffers.put(wire) }()
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
	plain, failed := s.buffers.unpack(r.Header.Get("Content-Encoding"), wire, s.options.MaxContentLength)
	if failed == nil && plain != wire {
		defer s.buffers.put(plain)
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

// admit refuses requests without credentials, or with a body of a kind that the node does not take.
func (s *Server) admit(r *http.Request, size int) *apiError {
	if !s.knows(r.Header.Get("Authorization")) {
		return refuse(http.StatusUnauthorized, "security_exception", "missing or wrong authentication credentials for REST request [%s]", r.URL.Path)
	}
	if size == 0 {
		return nil
	}
	kind, parameters, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/json", "application/x-ndjson":
		return nil
	case "application/vnd.elasticsearch+json", "application/vnd.elasticsearch+x-ndjson":
		if version, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(parameters), "compatible-with=")); !s.openSearch && err == nil &&
			(version == s.major || version == s.major-1) {
			return nil
		}
	}
	return refuse(http.StatusNotAcceptable, "content_type_header_exception", "Content-Type header [%s] is not supported", r.Header.Get("Content-Type"))
}

// knows reports whether an Authorization header is one that the options name.
func (s *Server) knows(header string) bool {
	o := &s.options
	var good []string
	if o.User != "" {
		good = append(good, "Basic "+base64.StdEncoding.EncodeToString([]byte(o.User+":"+o.Password)))
	}
	if o.APIKey != "" {
		good = append(good, "ApiKey "+o.APIKey)
	}
	if o.Bearer != "" {
		good = append(good, "Bearer "+o.Bearer)
	}
	return len(good) == 0 || slices.ContainsFunc(good, func(one string) bool { return subtle.ConstantTimeCompare([]byte(one), []byte(header)) == 1 })
}

// refuse answers with an error.
func (x *exchange) refuse(e *apiError) {
	if e.status == http.StatusUnauthorized {
		x.w.Header().Add("WWW-Authenticate", `Basic realm="security", charset="UTF-8"`)
		x.w.Header().Add("WWW-Authenticate", "ApiKey")
	}
	x.reply(e.status, e.body())
}

// reply answers.
func (x *exchange) reply(status int, body []byte) {
	x.head(status, body)
	x.settle(strconv.Itoa(status))
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // A write that fails has met a client that is gone.
}

// head sets the headers of an answer.
func (x *exchange) head(status int, body []byte) {
	h := x.w.Header()
	kind := "application/json"
	if !x.server.openSearch && strings.HasPrefix(x.request.Header.Get("Accept"), "application/vnd.elasticsearch+json") {
		kind = x.request.Header.Get("Accept")
	}
	if len(body) > 0 && body[0] == '<' {
		kind = "text/html"
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if x.server.productHeader() && status != http.StatusBadGateway && status != http.StatusGatewayTimeout {
		h.Set("X-Elastic-Product", "Elasticsearch")
	}
}

// serveAdmin answers what is no bulk request.
func (s *Server) serveAdmin(x *exchange, body []byte) {
	s.host.Pause(x.request, s.Latency())
	if f := x.fault; f != nil && f.Kind == "status" {
		maps.Copy(x.w.Header(), s.answer(f).Header)
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

// serveBulk answers a bulk request.
func (s *Server) serveBulk(x *exchange, body []byte) {
	b, _ := s.scans.Get().(*bulk)
	defer s.scans.Put(b)
	failed := b.begin(s, x.request)
	if failed == nil {
		failed = b.actions(s, body)
	}
	b.request = Request{N: int(s.bulks.Add(1)), HTTP: x.request, Size: len(body), Items: b.items}
	if failed != nil {
		b.request.Invalid = failed.reason
	}
	var ask *Answer
	if x.fault != nil {
		ask = s.answer(x.fault)
	} else {
		ask = s.ask(&b.request)
	}
	s.host.Await(x.request, ask.Before)
	if failed == nil && (ask.Handle || !ask.replaces()) {
		s.judge(b, ask.Item)
		s.counts.items(b.items, len(body), x.wire)
	}
	s.host.Await(x.request, ask.Hold)
	s.host.Pause(x.request, s.Latency()+ask.Delay)
	switch {
	case ask.Drop || ask.Reset:
		x.drop("dropped after the body", ask.Reset)
	case ask.Status != 0:
		maps.Copy(x.w.Header(), ask.Header)
		x.refuse(&apiError{ask.Status, ask.Type, ask.Reason, ask.Body})
	case failed != nil:
		x.refuse(failed)
	default:
		maps.Copy(x.w.Header(), ask.Header)
		b.out = s.appendReply(b.out[:0], b.items, newFilter(x.request.URL.Query().Get("filter_path")), ask.Spoil)
		x.spoil(ask.Spoil, b.out)
	}
}

// bulkParameters are those that a bulk request may have.
var bulkParameters = []string{"pipeline", "refresh", "routing", "timeout", "wait_for_active_shards", "_source", "_source_includes", "_source_excludes",
	"require_alias", "require_data_stream", "type", "filter_path", "pretty", "human", "error_trace", "list_executed_pipelines",
	"include_source_on_error", "batch_size"}

// begin takes what the path and the query say for every action.
func (b *bulk) begin(s *Server, r *http.Request) *apiError {
	query := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(bulkParameters, name) {
			return illegal("request [%s] contains unrecognized parameter: [%s]", r.URL.Path, name)
		}
	}
	b.defs = Item{Routing: query.Get("routing"), Pipeline: query.Get("pipeline"), requireAlias: query.Get("require_alias") == "true"}
	switch parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/"); {
	case len(parts) == 1:
	case len(parts) == 2:
		b.defs.Index = parts[0]
	case len(parts) == 3 && (s.major == 7 || s.openSearch && s.major == 1): // INDEX/TYPE/_bulk
		b.defs.Index = parts[0]
	default:
		return noHandler(r)
	}
	return nil
}

// spoil sends a proper answer in the way that a fault wants.
func (x *exchange) spoil(kind string, body []byte) {
	switch kind {
	case "silent":
		if x.fault != nil {
			x.server.waitOut(x.fault, x.request)
		}
		x.drop("silent", false)
	case "not-json":
		x.reply(http.StatusOK, []byte("<html><body>a fault of the sandbox: no JSON</body></html>"))
	case "empty":
		x.reply(http.StatusOK, nil)
	case "truncated":
		x.head(http.StatusOK, body)
		x.settle("truncated")
		x.w.WriteHeader(http.StatusOK)
		_, _ = x.w.Write(body[:len(body)/2])
		x.flush()
		panic(http.ErrAbortHandler) // This ends the connection.
	case "slow":
		x.slow(body)
	default:
		x.reply(http.StatusOK, body)
	}
}

// flush sends what has been written. That it cannot is known of recorders alone, which hold it anyway.
func (x *exchange) flush() { _ = http.NewResponseController(x.w).Flush() }

// slow answers in twenty pieces with a pause before each.
func (x *exchange) slow(body []byte) {
	delay := 10 * time.Millisecond
	if x.fault != nil {
		delay = x.fault.Delay
	}
	x.head(http.StatusOK, body)
	x.settle("200")
	x.w.WriteHeader(http.StatusOK)
	for piece := range slices.Chunk(body, max(1, len(body)/20)) {
		x.flush()
		x.server.host.Pause(x.request, delay)
		if _, err := x.w.Write(piece); err != nil {
			return
		}
	}
}

// serveFault changes the faults.
func (s *Server) serveFault(w http.ResponseWriter, r *http.Request) {
	var in faultList
	if r.Method == http.MethodPost {
		if err := decodeStrict(r, &in); err != nil {
			http.Error(w, fmt.Sprintf(`switching faults: expected {"faults":["item-429,ok=5"]}: %v`, err), http.StatusBadRequest)
			return
		}
	}
	if err := s.SetFaults(in.Faults...); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, encode(faultList{s.faults.texts()}))
}
