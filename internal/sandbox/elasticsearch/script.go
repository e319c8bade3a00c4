package elasticsearch

import (
	"net/http"
	"time"
)

// Request is what a script is shown of one bulk request. It may be read until the script returns.
type Request struct {
	N       int // How many bulk requests have come, this one included.
	HTTP    *http.Request
	Size    int    // Bytes of the body as unpacked.
	Items   []Item // Nil for a server that only counts.
	Invalid string // Why the request as a whole is refused; empty if it is not.
}

// Item is one action of a bulk request.
type Item struct {
	Op       string // "index", "create", "update" or "delete".
	Index    string // As the action or the path names it.
	ID       string // Empty if the node is to make one.
	Routing  string
	Pipeline string
	Document []byte // Part of the body; nil for delete.

	autoID       bool
	hasID        bool
	requireAlias bool
	result       ItemAnswer
	version      uint32
	seqNo        uint64
	stored       string // The name of the index that has it: a backing index for a data stream.
	outcome      string // "created", "updated", "deleted", "not_found".
}

// Answer is what a script wants done with one bulk request. The zero Answer handles it as usual; so does nil.
type Answer struct {
	// Status, if not 0, replaces the request's own answer: by an error of this Type and Reason, or by Body if that is
	// not nil. Header is added to it (Retry-After, for one).
	Status       int
	Type, Reason string
	Body         []byte
	Header       http.Header
	// Drop closes the connection instead of answering; Reset does so with a TCP reset.
	Drop, Reset bool
	// Handle makes the server store the request's documents before Status, Drop or Reset takes effect: the answer is
	// lost, but the documents are not.
	Handle bool
	// First is the same for so many of the first documents.
	First int
	// Before, if not nil, is waited for before the request is handled; Hold, after that and before the answer. Both
	// waits end when the channel is closed, the client goes away or the server closes.
	Before, Hold <-chan struct{}
	// Delay is waited for before the answer, on top of the latency.
	Delay time.Duration
	// Item, if not nil, is asked about each item, in their order; nil handles the item as usual.
	Item func(i int, it *Item) *ItemAnswer
	// Spoil is how the proper answer is spoilt: one of the spoilt answers of FaultKinds.
	Spoil string
}

// ItemAnswer is a refusal of one item.
type ItemAnswer struct {
	Status       int
	Type, Reason string
	// Error, if not nil, is the JSON value of the item's member error, in the place of Type and Reason.
	Error []byte
	// Handle makes the server store the document before it refuses it.
	Handle bool
}

// handles is how many of a request's items are carried out.
func (a *Answer) handles(items int) int {
	if a.Handle || !a.replaces() {
		return items
	}
	return min(a.First, items)
}

func (a *Answer) replaces() bool { return a.Status != 0 || a.Drop || a.Reset }

// Script sets the function that is asked about each bulk request, or removes it if ask is nil. It is called after the
// body was read and no fault has taken the request, from the request's goroutine, without a lock: it may block, and is
// called for several requests at once.
func (s *Server) Script(ask func(*Request) *Answer) {
	if ask == nil {
		s.script.Store(nil)
		return
	}
	s.script.Store(&ask)
}

// ask returns the script's wish, never nil.
func (s *Server) ask(r *Request) *Answer {
	if ask := s.script.Load(); ask != nil {
		if a := (*ask)(r); a != nil {
			return a
		}
	}
	return &Answer{}
}

// answer is the fault as a script would have put it.
func (s *Server) answer(f *Fault, items []Item) *Answer {
	a := &Answer{Handle: f.Stored}
	if f.Retry > 0 {
		a.Header = http.Header{"Retry-After": {seconds(f.Retry)}}
	}
	switch {
	case f.perItem():
		a.Item = func(i int, it *Item) *ItemAnswer {
			if !f.hitsItem(i, it) {
				return nil
			}
			refusal := s.itemFault(f, it)
			refusal.Handle = f.Stored
			return refusal
		}
	case f.Kind == "status":
		e := s.wholeFault(f.Status)
		a.Status, a.Type, a.Reason, a.Body = f.Status, e.kind, e.reason, e.raw
		if f.Type != "" {
			a.Type, a.Body = f.Type, nil
		}
	case f.Kind == "part":
		s.inParts(a, f, items)
	case f.Kind == "read-only":
		a.Status, a.Type = http.StatusForbidden, "cluster_block_exception"
		a.Reason = "blocked by: [FORBIDDEN/6/cluster read-only (api)];"
	case f.Kind == "reset-after":
		a.Handle, a.Reset = true, true
	default:
		a.Spoil = f.Kind
	}
	return a
}
