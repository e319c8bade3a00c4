package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/spillway/spillway/internal/sink"
)

// Send implements sink.Sink.
func (s *Sink) Send(ctx context.Context, req sink.Request) sink.Outcome {
	if out, ok := s.ready(ctx); !ok {
		return out
	}
	a := s.begin(req)
	defer a.end()
	if a.empty() {
		return sink.Outcome{Verdict: sink.Delivered, Rejected: a.rejected}
	}
	resp, node, err := s.perform(ctx, a.request)
	if err != nil {
		return a.unanswered(ctx, err)
	}
	defer resp.Body.Close() // It was read to its end, or the connection goes.
	if resp.StatusCode != http.StatusOK {
		return a.refused(resp, node)
	}
	return a.answered(resp, node)
}

// empty reports that the request has nothing that can be sent.
func (a *attempt) empty() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done && a.sent == 0
}

// stopReading makes the transport read no more, and reports whether it has read all.
func (a *attempt) stopReading() (whole bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	return a.done && a.taken
}

var replies = sync.Pool{New: func() any { return newReply() }}

// answered reads the answer to a bulk request. One that is not whole, or does not
// speak of what was sent, says nothing.
func (a *attempt) answered(resp *http.Response, node *url.URL) sink.Outcome {
	s := a.sink
	r := replies.Get().(*reply)
	defer func() {
		if len(r.buf) <= maxKept {
			replies.Put(r)
		}
	}()
	v := a.verdicts()
	v.withIDs = s.o.ID != IDNone
	// The number of items and what they should be is known once all is sent, which it
	// is before a server that takes the whole of a request answers.
	whole := true
	err := r.read(resp.Body, func(it *item) error {
		if v.at == 0 {
			whole = a.stopReading()
		}
		return v.item(it)
	})
	if v.at == 0 {
		whole = a.stopReading()
	}
	switch {
	case !whole:
		s.size.cutOff(a.size)
		err = errors.New("the answer came before all of the request was sent")
	case err == nil && v.at != a.sent:
		err = fmt.Errorf("the answer has %d items; %d records were sent", v.at, a.sent)
	}
	if err != nil {
		s.nodes.failed(node)
		return sink.Outcome{Err: fmt.Errorf("the answer of %s says nothing of what was sent: %w", node.Host, err), Doubtful: a.begun()}
	}
	s.judge(node, resp.StatusCode)
	s.size.taken(a.size)
	return v.outcome()
}
