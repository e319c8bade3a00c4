package elasticsearch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spillway/spillway/internal/sink"
)

// answerError is an answer that is an error, of a request or of an item.
type answerError struct {
	status     int
	kind       string // such as mapper_parsing_exception
	reason     string
	retryAfter time.Duration
}

// maxReason bounds what is kept of an answer's words, in bytes. Destinations quote
// what they refuse, and that has no place in a log.
const maxReason = 600

// Error returns the status, the kind and the reason; what to do stands before that
// where it is the same whatever the reason.
func (e *answerError) Error() string {
	text := strconv.Itoa(e.status)
	if e.status == http.StatusUnauthorized {
		text = "the destination does not know who we are; look at username and password, api-key or bearer-token: " + text
	}
	if e.kind != "" {
		text += " " + e.kind
	}
	if e.reason != "" {
		text += ": " + e.reason
	}
	return text
}

// errorObject is how destinations tell an error.
type errorObject struct {
	Type     string `json:"type"`
	Reason   string `json:"reason"`
	CausedBy *struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
	} `json:"caused_by"`
}

// newAnswerError reads an error as JSON: an object or a string.
func newAnswerError(status int, text []byte) *answerError {
	e := &answerError{status: status}
	var object errorObject
	var word string
	switch {
	case len(text) == 0:
	case json.Unmarshal(text, &object) == nil:
		e.kind, e.reason = object.Type, object.Reason
		if c := object.CausedBy; c != nil && c.Reason != "" {
			e.reason += " (" + c.Type + ": " + c.Reason + ")"
		}
	case json.Unmarshal(text, &word) == nil:
		e.reason = word
	default:
		e.reason = string(text)
	}
	e.reason = shortened(e.reason)
	return e
}

func shortened(text string) string {
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return text
}

// refusedWhole reads the answer to a whole request.
func refusedWhole(resp *http.Response, body []byte) *answerError {
	var whole struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"` // of services and proxies in front
	}
	e := &answerError{status: resp.StatusCode}
	if json.Unmarshal(body, &whole) == nil && (len(whole.Error) > 0 || whole.Message != "") {
		e = newAnswerError(resp.StatusCode, whole.Error)
		if e.reason == "" {
			e.reason = shortened(whole.Message)
		}
	} else {
		e.reason = shortened(strings.TrimSpace(string(body)))
	}
	e.retryAfter = sink.RetryAfter(resp.Header)
	return e
}

// meaning is what an error speaks of.
type meaning uint8

const (
	later       meaning = iota // nothing final: it is tried again
	busy                       // the same, and fewer requests are asked for
	destination                // the destination: somebody must act
	rejects                    // the record
	tooLarge                   // its size
	conflict                   // its id, which is there already
	missing                    // what was to be changed or deleted is not there
	together                   // one of the records that were carried out together
)

// means tells what an error of an item speaks of. What is not known is tried again.
func (e *answerError) means() meaning {
	switch e.status {
	case http.StatusTooManyRequests:
		if e.kind == "cluster_block_exception" {
			return destination // The disk is full: it lasts until somebody acts.
		}
		if e.neverFits() {
			return together
		}
		return busy
	case http.StatusServiceUnavailable:
		return busy
	case http.StatusConflict:
		if e.kind == "version_conflict_engine_exception" {
			return conflict
		}
		// Steps of pipelines answer so, too, where they cannot work now; the document is
		// not there.
		return later
	case http.StatusNotFound:
		if e.kind == "document_missing_exception" || e.kind == "" && e.reason == "" {
			return missing
		}
		return destination
	case http.StatusUnauthorized, http.StatusForbidden:
		return destination
	case http.StatusRequestEntityTooLarge:
		return tooLarge
	case http.StatusBadRequest:
		switch {
		case e.speaksOfDestination():
			return destination
		case e.kind == cancelled:
			return later
		case e.kind == notValid:
			return together
		}
		return rejects
	}
	return later
}

// Kinds of errors with status 400 that do not speak of the record that they stand at.
const (
	// cancelled: somebody ended the work, or its time was over: Elasticsearch 9 has
	// rest.incremental_bulk.request_timeout.
	cancelled = "task_cancelled_exception"
	// notValid is said of all that is carried out together where one of it is not valid.
	notValid = "action_request_validation_exception"
)

// mayBeDone reports whether what is answered so may have been carried out all the same:
// somebody on the way may have given up on a node that goes on, or does not tell what the
// node said.
func (e *answerError) mayBeDone() bool {
	kind := e.status / 100
	return kind == 5 || kind == 2 || e.kind == cancelled
}

// mayBeDoneInPart reports whether some of a request that was refused so may have been
// carried out. From Elasticsearch 8.16 on nodes can begin with the first records while
// the others are still to come (rest.incremental_bulk, usual in 9), and refuse all when
// they come to a line that they cannot read, or to too many bytes. They do not where the
// first records are refused already, as by a full queue.
func (e *answerError) mayBeDoneInPart() bool {
	return e.status == http.StatusRequestEntityTooLarge || e.status == http.StatusBadRequest && e.kind != notValid
}

// neverFits tells those refusals with status 429 that are none of the load: what is
// carried out together has more bytes than may ever be under way, or one record has.
func (e *answerError) neverFits() bool {
	if strings.HasPrefix(e.reason, "Request contains an operation of size [") {
		return true
	}
	size, ok := numberAfter(e.reason, "_operation_bytes=")
	most, known := numberAfter(e.reason, ", max_")
	return ok && known && size > most
}

// isBelow reports whether the limit that is told is below so many bytes.
func (e *answerError) isBelow(size int64) bool {
	most, known := numberAfter(e.reason, ", max_")
	return known && most < size
}

// numberAfter is the number at the next "=" behind the start of mark.
func numberAfter(text, mark string) (n int64, ok bool) {
	at := strings.Index(text, mark)
	if at < 0 {
		return 0, false
	}
	_, rest, ok := strings.Cut(text[at:], "=")
	if !ok {
		return 0, false
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	n, err := strconv.ParseInt(rest[:end], 10, 64)
	return n, err == nil
}

// speaksOfDestination tells those refusals with status 400 that no other record
// would escape.
func (e *answerError) speaksOfDestination() bool {
	switch e.kind {
	case "index_closed_exception", "cluster_block_exception", "no_write_index_exception":
		return true
	case "validation_exception":
		return strings.Contains(e.reason, "maximum") && strings.Contains(e.reason, "shards open")
	case "illegal_argument_exception":
		return strings.HasPrefix(e.reason, "pipeline with id [") || strings.Contains(e.reason, "no write index is defined for alias")
	}
	return false
}

// told puts the number of items before what was said of the first of them.
type told struct {
	of, items int
	first     *answerError
}

func (t *told) Error() string {
	return fmt.Sprintf("%d of %d records were not taken: %s", t.of, t.items, t.first)
}

func (t *told) Unwrap() error { return t.first }
