package elasticsearch

import (
	"fmt"
	"slices"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
)

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
	// blamed are how many items bear an error of which another record may be the cause,
	// and blame is the last such.
	blamed int
	blame  *answerError

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
	case together:
		v.blamed++
		v.blame = e
		v.keep(n)
	case busy:
		v.busy = true
		v.error(n, e)
	default:
		if e.mayBeDone() {
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
	case v.failed != nil && v.failed[v.a.documents()[n]]: // What is there is still to be deleted.
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

// error notes that an event is to be tried again because of an error.
func (v *verdicts) error(n int, e *answerError) {
	v.of++
	if v.first == nil {
		v.first = e
	}
	v.keep(n)
}

// keep notes that an event is not there and is to be tried again.
func (v *verdicts) keep(n int) {
	if v.a.sink.ordered {
		if v.failed == nil {
			v.failed = make(map[uint64]bool)
		}
		id := v.a.documents()[n]
		v.failed[id] = v.failed[id] || v.deletes(n)
	}
	v.absent = append(v.absent, n)
	v.retry(n)
}

func (v *verdicts) retry(n int) { v.again = extended(v.again, v.event(n)) }

func (v *verdicts) reject(n int, reason string, status int, detail string, drop bool) {
	i := v.event(n)
	v.absent = append(v.absent, n)
	v.rejected = append(v.rejected, sink.Rejection{First: i, End: i + 1, Reason: reason, Status: status, Detail: detail, Drop: drop})
}

// extended adds an event behind spans.
func extended(spans []sink.Span, i int) []sink.Span {
	if last := len(spans) - 1; last >= 0 && spans[last].End == i {
		spans[last].End++
		return spans
	}
	return append(spans, sink.Span{First: i, End: i + 1})
}

// replaced is how many bytes were replaced of those events that are done with, and there:
// what is sent again is counted then.
func (v *verdicts) replaced() (sum int) {
	again, rejected := v.again, v.rejected
	for _, r := range v.a.replaced {
		for len(again) > 0 && again[0].End <= r.event {
			again = again[1:]
		}
		for len(rejected) > 0 && rejected[0].End <= r.event {
			rejected = rejected[1:]
		}
		if (len(again) == 0 || r.event < again[0].First) && (len(rejected) == 0 || r.event < rejected[0].First) {
			sum += r.bytes
		}
	}
	return sum
}

// outcome is that of the whole request.
//
// Where other records were taken, those with an error of which one of them is the cause
// are sent again at once, among themselves; where none was they are cut in half.
func (v *verdicts) outcome() sink.Outcome {
	a := v.a
	if v.blamed > 0 && v.blamed == a.sent {
		return a.culprit(sink.Outcome{Err: v.blame, Status: v.blame.status}, v.blame.reasonAlone())
	}
	out := sink.Outcome{
		Verdict: sink.Delivered, Again: v.again, Throttled: v.busy, Config: v.config, Doubtful: v.doubtful(),
		AlreadyThere: v.already, PossibleConflicts: v.possible, Replaced: v.replaced(),
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
