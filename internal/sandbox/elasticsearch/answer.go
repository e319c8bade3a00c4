package elasticsearch

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// writeJSON answers with a body. A write that fails has met a client that is gone.
func writeJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
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
