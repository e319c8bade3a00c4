package cloudwatch

import (
	"net/http"
	"time"
)

// Answer is what a script wants done with one request. The zero Answer handles the request as usual; so does nil.
type Answer struct {
	// Status, if not 0, replaces the request's own answer, with {"__type":Type,"message":Message}, or with Body if
	// that is not nil. Header is added to it (Retry-After, for one).
	Status  int
	Type    string
	Message string
	Body    []byte
	Header  http.Header
	// Drop closes the connection instead of answering; Reset does so with a TCP reset.
	Drop, Reset bool
	// Handle makes the server handle the request (so, store its events) before Status, Drop or Reset takes effect:
	// the answer is lost, but the events are not.
	Handle bool
	// Before, if not nil, is waited for before the request is handled; Hold, after that and before the answer. Both
	// waits end when the channel is closed, the client goes away or the server closes.
	Before, Hold <-chan struct{}
	// Delay is waited for before the answer, on top of the latency.
	Delay time.Duration
}

// replaces reports whether a stands for the request's own answer.
func (a *Answer) replaces() bool { return a.Status != 0 || a.Drop || a.Reset }

// Script sets the function that is asked about each request of the CloudWatch Logs API, or removes it if ask is nil.
// It is given the operation's name and how many requests for it have come so far, this one included. It is called
// after the body was read and no fault has taken the request, from the request's goroutine, without a lock: it may
// block, and is called for several requests at once.
func (s *Server) Script(ask func(op string, n int) *Answer) {
	if ask == nil {
		s.script.Store(nil)
		return
	}
	s.script.Store(&ask)
}

// ask returns the script's wish, never nil.
func (s *Server) ask(op string, n int) *Answer {
	if ask := s.script.Load(); ask != nil {
		if a := (*ask)(op, n); a != nil {
			return a
		}
	}
	return &Answer{}
}
