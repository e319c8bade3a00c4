package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/tlserror"
)

// Send implements sink.Sink.
func (s *Sink) Send(ctx context.Context, req sink.Request) sink.Outcome {
	if out, ok := s.ready(ctx); !ok {
		return out
	}
	a := s.begin(req)
	defer a.end()
	if a.empty() {
		return sink.Outcome{Verdict: sink.Delivered, Rejected: a.rejected, Replaced: a.replaced}
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

// unanswered is the outcome of an attempt that got no answer.
func (a *attempt) unanswered(ctx context.Context, err error) sink.Outcome {
	a.stopReading()
	out := sink.Outcome{Err: err}
	var credentials *credentialsError
	switch {
	case errors.As(err, &credentials):
		out.Config = true
	case tlserror.OfCertificate(err):
		// Of a body that was on its way when the handshake failed nothing was read, and
		// where the alert did not arrive others seemed to be cut off.
		out.Config = true
		a.sink.size.forget()
	case !a.taken:
		// The last node that was tried got nothing, nor did those before it.
	default:
		out.Doubtful = a.begun()
		out.Broken = ctx.Err() == nil
		if !errors.Is(ctx.Err(), context.Canceled) && a.sent > 1 {
			a.sink.size.cutOff(a.size)
		}
	}
	return out
}

// begun are the events that may be there, since the transport has begun to send them.
// It reads no more. Of those that are created with one id the first is there, if any.
func (a *attempt) begun() (spans []sink.Span) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.taken || a.index == 0 {
		return nil
	}
	if !a.sink.ordered || a.sink.o.Operation != Create || len(a.deletes) > 0 {
		return []sink.Span{{End: a.index}}
	}
	v := a.verdicts()
	seen := make(map[uint64]struct{}, a.sent)
	for n, mark := range a.marks[:a.sent] {
		if _, ok := seen[mark]; !ok {
			seen[mark] = struct{}{}
			spans = extended(spans, v.event(n))
		}
	}
	return spans
}

// judge tells the pool of nodes what an answer says of its node.
func (s *Sink) judge(node *url.URL, status int) {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		s.nodes.failed(node)
	default:
		s.nodes.worked(node)
	}
}

// refused is the outcome of a request that was refused as a whole.
func (a *attempt) refused(resp *http.Response, node *url.URL) sink.Outcome {
	s := a.sink
	// What can be read of the answer says enough; the status is there already.
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxSmall))
	a.stopReading()
	s.judge(node, resp.StatusCode)
	e := refusedWhole(resp, text)
	out := sink.Outcome{Err: e, RetryAfter: e.retryAfter, Status: e.status}
	switch e.wholeMeans() {
	case tooLarge:
		s.size.tooLarge(a.size)
		return a.culprit(out, ledger.RejectedTooLong)
	case rejects:
		return a.culprit(out, ledger.RejectedInvalid)
	case destination:
		if e.status == http.StatusUnauthorized || e.status == http.StatusForbidden {
			s.forgetCredentials()
		}
		if s.o.RejectRefused {
			return a.rejectAll(e)
		}
		out.Config = true
	case busy:
		out.Throttled = true
	}
	if kind := e.status / 100; kind == 5 || kind == 2 {
		// Somebody on the way may have given up on a node that goes on, or does not tell
		// what the node said. A request that is refused was not carried out.
		out.Doubtful = a.begun()
	}
	return out
}

// wholeMeans is means for the answer to a whole request.
func (e *answerError) wholeMeans() meaning {
	switch m := e.means(); {
	case m == missing, m == conflict:
		return destination
	case m == later && e.status/100 != 5:
		// An answer that no bulk API gives: it is none, or it wants something else.
		return destination
	default:
		return m
	}
}

// culprit is the outcome of a body that was refused for what it is. Where it was one
// record, that is the culprit; else it is cut in half.
func (a *attempt) culprit(out sink.Outcome, why ledger.Reason) sink.Outcome {
	if a.sent > 1 {
		out.Verdict, out.Reason = sink.Refuse, string(why)
		return out
	}
	v := a.verdicts()
	v.reject(0, string(why), out.Status, out.Err.Error(), false)
	return v.outcome()
}

// rejectAll is the outcome where what the destination refuses is given up.
func (a *attempt) rejectAll(e *answerError) sink.Outcome {
	v := a.verdicts()
	for i := range a.sent {
		v.reject(i, string(ledger.RejectedRefused), e.status, e.Error(), false)
	}
	return v.outcome()
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

// verdicts collects what became of the events that were sent.
type verdicts struct {
	a       *attempt
	withIDs bool
	at      int // items so far
	// shift is how many events before the present one were not sent, and skip how many
	// of the attempt's rejections that is.
	shift, skip int

	again    []sink.Span
	rejected []sink.Rejection
	already  int
	of       int          // events that are to be tried again because of an error
	first    *answerError // the first of these
	config   bool
	busy     bool
	// failed are the ids of which a record is to be tried again, and whether one of these
	// deletes.
	failed    map[uint64]bool
	deletions int // of the attempt's, how many are behind us

	absent []int   // items that are not there, by their answers
	doubts []doubt // those of them that may be there all the same
	// tried are the events that an earlier attempt may have brought there, from the
	// present one on, and there the ids of items that are there; both once they are asked
	// for.
	asked    bool
	tried    []sink.Span
	there    map[uint64]bool
	possible int
}

// doubt is an event that may be there although its item says otherwise.
type doubt struct{ item, event int }

// verdicts begins; nothing is encoded any more.
func (a *attempt) verdicts() *verdicts { return &verdicts{a: a} }

// event is the index in the request of the n-th event that was sent. n never goes
// back.
func (v *verdicts) event(n int) int {
	for v.skip < len(v.a.rejected) && v.a.rejected[v.skip].First <= n+v.shift {
		v.shift++
		v.skip++
	}
	return n + v.shift
}

// item takes what the answer says of the next event.
func (v *verdicts) item(it *item) error {
	n := v.at
	if n >= v.a.sent {
		return fmt.Errorf("the answer has more items than the %d records that were sent", v.a.sent)
	}
	if v.withIDs && it.mark != v.a.marks[n] {
		return fmt.Errorf("item %d of the answer has another id than the record", n)
	}
	v.at++
	if it.status/100 == 2 && it.err == nil {
		if v.failed != nil {
			v.overtaken(n)
		}
		if v.there != nil {
			v.stands(n)
		}
		return nil
	}
	v.bad(n, newAnswerError(it.status, it.err))
	return nil
}

// overtaken sends a record again that was taken although an earlier one with its id
// was not: otherwise that one would be the last to be there. What is created is not
// replaced, so there the one that was taken stays, unless it would be deleted.
func (v *verdicts) overtaken(n int) {
	id := v.a.marks[n]
	deleted, ok := v.failed[id]
	switch {
	case !ok:
	case v.deletes(n):
		v.failed[id] = true
		v.retry(n)
	case deleted || v.a.sink.o.Operation != Create:
		v.retry(n)
	}
}

// deletes reports whether the n-th event that was sent deletes. n never goes back.
func (v *verdicts) deletes(n int) bool {
	all := v.a.deletes
	for v.deletions < len(all) && all[v.deletions] < n {
		v.deletions++
	}
	return v.deletions < len(all) && all[v.deletions] == n
}

// bad takes an item that did not go well.
func (v *verdicts) bad(n int, e *answerError) {
	s := v.a.sink
	switch m := e.means(); m {
	case conflict:
		v.conflict(n, e)
	case rejects:
		v.reject(n, string(ledger.RejectedInvalid), e.status, e.Error(), false)
	case tooLarge:
		v.reject(n, string(ledger.RejectedTooLong), e.status, e.Error(), false)
	case missing:
		switch {
		case e.kind != "":
			v.reject(n, string(ledger.RejectedInvalid), e.status, e.Error(), false)
		case !v.deletes(n):
			v.error(n, e)
		case v.failed != nil:
			v.overtaken(n) // There is nothing to delete, yet.
		}
	case destination:
		if s.o.RejectRefused {
			v.reject(n, string(ledger.RejectedRefused), e.status, e.Error(), false)
			return
		}
		v.config = true
		v.error(n, e)
	case busy:
		v.busy = true
		v.error(n, e)
	default:
		if e.status/100 == 5 {
			v.doubts = append(v.doubts, doubt{n, v.event(n)})
		}
		v.error(n, e)
	}
}

// conflict takes an item whose id is there already. With an id of ours that is the
// same record; with another one it is so only where an earlier attempt may have
// brought it there, and none before it has that id: that is what keeps the others out.
func (v *verdicts) conflict(n int, e *answerError) {
	o := &v.a.sink.o
	switch {
	case o.Operation != Create:
		v.error(n, e)
	case v.failed != nil && v.failed[v.a.marks[n]]: // What is there is still to be deleted.
		v.error(n, e)
	case o.ID == IDOrigin:
		v.already++
	case o.ID != IDNone && v.triedBefore(n) && !v.thereBefore(n):
		v.already++
		v.stands(n)
		if v.a.sink.ordered {
			v.possible++
		}
	case o.ID == IDHash:
		v.reject(n, string(ledger.Duplicate), e.status, e.Error(), true)
	default:
		v.reject(n, string(ledger.RejectedConflict), e.status, e.Error(), o.DropConflicts)
	}
}

// triedBefore reports whether an earlier attempt may have brought an event there.
func (v *verdicts) triedBefore(n int) bool {
	if !v.asked {
		v.asked, v.tried = true, v.a.req.Repeated()
	}
	i := v.event(n)
	for len(v.tried) > 0 && v.tried[0].End <= i {
		v.tried = v.tried[1:]
	}
	return len(v.tried) > 0 && v.tried[0].First <= i
}

// thereBefore reports whether an item before this one has its id, and is there.
func (v *verdicts) thereBefore(n int) bool {
	if v.there == nil {
		v.there = make(map[uint64]bool)
		v.eachDone(n, func(mark uint64, deleted bool) { v.there[mark] = !deleted })
	}
	return v.there[v.a.marks[n]]
}

// stands notes that an item is there, or that its deletion is carried out.
func (v *verdicts) stands(n int) { v.there[v.a.marks[n]] = !v.deletes(n) }

// eachDone calls f for the ids of the items before the n-th that are there, or are
// deleted.
func (v *verdicts) eachDone(n int, f func(mark uint64, deleted bool)) {
	absent, deletes := v.absent, v.a.deletes
	for i, mark := range v.a.marks[:n] {
		deleted := len(deletes) > 0 && deletes[0] == i
		if deleted {
			deletes = deletes[1:]
		}
		if len(absent) > 0 && absent[0] == i {
			absent = absent[1:]
			continue
		}
		f(mark, deleted)
	}
}

// doubtful are the events that may be there although their items say otherwise. Where
// an id is created once, none is of which the answer has another record that is there.
func (v *verdicts) doubtful() (spans []sink.Span) {
	if len(v.doubts) == 0 {
		return nil
	}
	others := make(map[uint64]bool)
	if o := &v.a.sink.o; o.ID != IDNone && o.Operation == Create {
		for _, d := range v.doubts {
			others[v.a.marks[d.item]] = false
		}
		v.eachDone(v.at, func(mark uint64, deleted bool) {
			if _, ok := others[mark]; deleted {
				delete(others, mark) // What was there before that is gone.
			} else if ok {
				others[mark] = true
			}
		})
	}
	for _, d := range v.doubts {
		if v.a.sink.o.ID == IDNone || !others[v.a.marks[d.item]] {
			spans = extended(spans, d.event)
		}
	}
	return spans
}

// error notes that an event is to be tried again because of an error.
func (v *verdicts) error(n int, e *answerError) {
	v.of++
	if v.first == nil {
		v.first = e
	}
	if v.a.sink.ordered {
		if v.failed == nil {
			v.failed = make(map[uint64]bool)
		}
		id := v.a.marks[n]
		v.failed[id] = v.failed[id] || v.deletes(n)
	}
	v.absent = append(v.absent, n)
	v.retry(n)
}

func (v *verdicts) retry(n int) { v.again = extended(v.again, v.event(n)) }

// extended adds an event behind spans.
func extended(spans []sink.Span, i int) []sink.Span {
	if last := len(spans) - 1; last >= 0 && spans[last].End == i {
		spans[last].End++
		return spans
	}
	return append(spans, sink.Span{First: i, End: i + 1})
}

func (v *verdicts) reject(n int, reason string, status int, detail string, drop bool) {
	i := v.event(n)
	v.absent = append(v.absent, n)
	v.rejected = append(v.rejected, sink.Rejection{First: i, End: i + 1, Reason: reason, Status: status, Detail: detail, Drop: drop})
}

// outcome is that of the whole request.
func (v *verdicts) outcome() sink.Outcome {
	a := v.a
	out := sink.Outcome{
		Verdict: sink.Delivered, Again: v.again, Throttled: v.busy, Config: v.config, Doubtful: v.doubtful(),
		AlreadyThere: v.already, PossibleConflicts: v.possible, Replaced: a.replaced,
	}
	if v.first != nil {
		out.Err = &told{of: v.of, items: a.sent, first: v.first}
	}
	if end := a.index; end < a.req.Events() {
		// They did not fit; they are sent at once, unless there is reason to wait.
		if last := len(out.Again) - 1; last >= 0 && out.Again[last].End == end {
			out.Again[last].End = a.req.Events()
		} else {
			out.Again = append(out.Again, sink.Span{First: end, End: a.req.Events()})
		}
	}
	out.Rejected = a.rejected
	if len(v.rejected) > 0 {
		out.Rejected = append(slices.Clone(a.rejected), v.rejected...)
		slices.SortFunc(out.Rejected, func(x, y sink.Rejection) int { return x.First - y.First })
	}
	return out
}
