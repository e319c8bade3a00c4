package run

import (
	"context"
	"errors"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// refusal is the sink of the legs for what no route takes, and for what a source
// received and cannot decode: it refuses everything, so that it becomes dead
// letters, or is dropped and counted, by the same way as what a destination
// refuses.
type refusal struct {
	// takes reports whether a route takes a tag.
	takes func(tag string) bool
}

// refuseBytes is what one request to the dead letters holds.
const refuseBytes = 1 << 20

// Limits implements sink.Sink.
func (refusal) Limits() sink.Limits { return sink.Limits{RequestBytes: refuseBytes, InFlight: 1} }

// Check implements sink.Sink.
func (refusal) Check(context.Context) error {
	return errors.New("there is no destination for what no route takes")
}

// Send implements sink.Sink. What a route would take by its tag was handed over as
// text, or as a message, because it is no record, or too long a one; all else is what
// no route takes.
func (s refusal) Send(_ context.Context, req sink.Request) sink.Outcome {
	out := sink.Outcome{Verdict: sink.Delivered}
	for index, batch := range req.Batches() {
		r := sink.Rejection{
			First: index, End: index + batch.Count,
			Reason: string(ledger.RejectedUnmatched), Detail: "no route takes its tag",
		}
		if batch.Kind == record.KindRecords && batch.Encoding != record.EncodingEntry && s.takes(req.Stream(batch.Stream).Name) {
			r.Reason, r.Detail = string(ledger.RejectedInvalid), "it is no record, neither of the forward protocol nor a JSON object, or longer than its route's buffer takes"
			if batch.Encoding == record.EncodingMessage {
				r.Detail = "its source does not hand on such a value, or it is longer than its route's buffer takes"
			}
		}
		out.Rejected = append(out.Rejected, r)
	}
	return out
}

// Close implements sink.Sink.
func (refusal) Close() error { return nil }
