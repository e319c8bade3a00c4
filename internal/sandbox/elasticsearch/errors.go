package elasticsearch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

func seconds(n int) string { return strconv.Itoa(n) }

// apiError is a refusal: an HTTP status and {"error":{"type":…,"reason":…},"status":…}.
type apiError struct {
	status       int
	kind, reason string
	raw          []byte // The body in the place of an error object, if not nil.
}

// Error makes an apiError usable where Go wants an error.
func (e *apiError) Error() string { return fmt.Sprintf("%s (HTTP %d): %s", e.kind, e.status, e.reason) }

func refuse(status int, kind, format string, args ...any) *apiError {
	return &apiError{status: status, kind: kind, reason: fmt.Sprintf(format, args...)}
}

func illegal(format string, args ...any) *apiError {
	return refuse(http.StatusBadRequest, "illegal_argument_exception", format, args...)
}

// body is the answer's body: the error and, as root_cause, itself again.
func (e *apiError) body() []byte {
	if e.raw != nil {
		return e.raw
	}
	type cause struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
	}
	var out struct {
		Error struct {
			RootCause []cause `json:"root_cause"`
			cause
		} `json:"error"`
		Status int `json:"status"`
	}
	out.Error.cause = cause{e.kind, e.reason}
	out.Error.RootCause = []cause{out.Error.cause}
	out.Status = e.status
	return encode(out)
}

// encode is for values that can always be marshalled, so a failure is a bug.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: marshalling an answer: " + err.Error())
	}
	return b
}

func (s *Server) rejected() string {
	if s.openSearch {
		return "rejected_execution_exception"
	}
	return "es_rejected_execution_exception"
}

// parsing is the type of the error of a document that does not fit.
func (s *Server) parsing() string {
	if s.openSearch || s.major < 8 {
		return "mapper_parsing_exception"
	}
	return "document_parsing_exception"
}

const busy = "rejected execution of coordinating operation [coordinating_and_primary_bytes=0, replica_bytes=0, all_bytes=0, " +
	"coordinating_operation_bytes=1, max_coordinating_and_primary_bytes=0]"

// wholeFault is what a node, or the proxy before it, says with a status of a whole request.
func (s *Server) wholeFault(status int) *apiError {
	e := &apiError{status: status, kind: "exception", reason: "a fault of the sandbox"}
	switch status {
	case http.StatusBadRequest:
		e.kind, e.reason = "illegal_argument_exception", "a fault of the sandbox: the request is refused for its content"
	case http.StatusUnauthorized:
		e.kind, e.reason = "security_exception", "unable to authenticate user [sandbox] for REST request [/_bulk]"
	case http.StatusForbidden:
		e.kind, e.reason = "security_exception", "action [indices:data/write/bulk] is unauthorized for user [sandbox]"
	case http.StatusNotFound:
		e.kind, e.reason = "index_not_found_exception", "no such index [sandbox]"
	case http.StatusRequestEntityTooLarge:
		e.raw = []byte{} // The real node has no body here.
	case http.StatusTooManyRequests:
		e.kind, e.reason = s.rejected(), busy
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		text := fmt.Sprintf("%d %s", status, http.StatusText(status))
		e.raw = []byte("<html>\r\n<head><title>" + text + "</title></head>\r\n<body>\r\n<center><h1>" + text +
			"</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n")
	case http.StatusServiceUnavailable:
		e.kind, e.reason = "cluster_block_exception", "blocked by: [SERVICE_UNAVAILABLE/2/no master];"
	}
	return e
}

// itemFault is what a node says of one item.
func (s *Server) itemFault(f *Fault, it *Item) *ItemAnswer {
	a := &ItemAnswer{Status: f.Status, Type: "exception", Reason: "a fault of the sandbox"}
	switch f.Kind {
	case "mapping":
		a.Status, a.Type, a.Reason = http.StatusBadRequest, s.parsing(), "failed to parse field [value] of type [long] in document with id '"+it.ID+"'."
	case "closed":
		a.Status, a.Type, a.Reason = http.StatusBadRequest, "index_closed_exception", "closed"
	case "write-block":
		a.Status, a.Type, a.Reason = http.StatusForbidden, "cluster_block_exception", "index ["+it.Index+"] blocked by: [FORBIDDEN/8/index write (api)];"
	case "flood-stage":
		a.Status, a.Type = http.StatusTooManyRequests, "cluster_block_exception"
		a.Reason = "index [" + it.Index + "] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];"
	case "field-limit":
		a.Status, a.Type, a.Reason = http.StatusBadRequest, "illegal_argument_exception", "Limit of total fields [1000] has been exceeded"
	case "no-type":
		a.Status, a.Error = http.StatusBadRequest, []byte(`{"reason":"a fault of the sandbox: an error without a type"}`)
	case "text-error":
		a.Status, a.Error = http.StatusBadRequest, []byte(`"MapperParsingException[a fault of the sandbox: an error as text]"`)
	default:
		s.itemStatus(a, it)
	}
	if f.Type != "" {
		a.Type, a.Error = f.Type, nil
	}
	return a
}

// itemStatus fills in what goes with an item's status.
func (s *Server) itemStatus(a *ItemAnswer, it *Item) {
	switch a.Status {
	case http.StatusBadRequest:
		a.Type, a.Reason = s.parsing(), "failed to parse"
	case http.StatusForbidden:
		a.Type = "security_exception"
		a.Reason = "action [indices:data/write/bulk[s]] is unauthorized for user [sandbox] on indices [" + it.Index + "]"
	case http.StatusNotFound:
		a.Type, a.Reason = "index_not_found_exception", "no such index ["+it.Index+"]"
	case http.StatusConflict:
		a.Type = "version_conflict_engine_exception"
		a.Reason = "[" + it.ID + "]: version conflict, document already exists (current version [1])"
	case http.StatusTooManyRequests:
		a.Type, a.Reason = s.rejected(), busy
	case http.StatusServiceUnavailable:
		a.Type, a.Reason = "unavailable_shards_exception", "["+it.Index+"][0] primary shard is not active Timeout: [1m]"
	}
}
