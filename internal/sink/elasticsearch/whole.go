package elasticsearch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/tlserror"
)

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
	for n, mark := range a.documents()[:a.sent] {
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
	if e.mayBeDoneInPart() && a.sent > 1 {
		out.Doubtful = a.begun()
	}
	means := e.wholeMeans()
	if means == busy && a.sent > 1 && e.isBelow(a.size) {
		means = tooLarge // The other bytes that it counts are of the same body.
	}
	switch means {
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
		if e.status == http.StatusTooManyRequests && a.sent > 1 {
			s.size.noRoom(a.size)
		}
	}
	if e.kind == cancelled && a.sent > 1 {
		s.size.cutOff(a.size) // There was no time for all of it.
	}
	if e.mayBeDone() {
		out.Doubtful = a.begun()
	}
	return out
}

// wholeMeans is means for the answer to a whole request.
func (e *answerError) wholeMeans() meaning {
	switch m := e.means(); {
	case m == missing, m == conflict:
		return destination
	case m == together && e.status == http.StatusTooManyRequests:
		return tooLarge
	case m == together:
		return rejects
	case m == later && e.status/100 != 5 && e.kind != cancelled:
		// An answer that no bulk API gives: it is none, or it wants something else.
		return destination
	default:
		return m
	}
}

// reasonAlone is why a record is given up that an error is of which others share, once
// it stands alone.
func (e *answerError) reasonAlone() ledger.Reason {
	if e.status == http.StatusTooManyRequests {
		return ledger.RejectedTooLong
	}
	return ledger.RejectedInvalid
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
