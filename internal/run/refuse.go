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

// refused says in words why a source, or a route, refuses a record.
var refused = map[ledger.Reason]string{
	ledger.Tombstone:  "it has no value: it is a tombstone, and its source does not hand those on",
	ledger.TooLarge:   "it is longer than its source, or its route's buffer, takes",
	ledger.Unreadable: "its source could not read it: it is damaged",
	ledger.NotJSON:    "it is no JSON object",
	ledger.NotMsgpack: "it is no msgpack map",
	ledger.NoMatch:    "the pattern of its source does not match it",
	ledger.NoEntry:    "it is no entry of the forward protocol: an array of a time and a map",
	ledger.TooDeep:    "its values are nested more deeply than its source takes",
}

// Send implements sink.Sink. What was refused with a reason has that. What a route would
// take by its tag was else handed over as text, or as a message, because it is no record;
// and the rest is what no route takes.
func (s refusal) Send(_ context.Context, req sink.Request) sink.Outcome {
	out := sink.Outcome{Verdict: sink.Delivered}
	for index, batch := range req.Batches() {
		r := sink.Rejection{
			First: index, End: index + batch.Count,
			Reason: string(ledger.RejectedUnmatched), Detail: "no route takes its tag",
		}
		from := record.ParseRefusal(batch.Refusal)
		if why := ledger.Reason(from.Reason); refused[why] != "" {
			r.Reason, r.Detail = from.Reason, refused[why]
		} else if batch.Kind == record.KindRecords && batch.Encoding != record.EncodingEntry && s.takes(req.Stream(batch.Stream).Name) {
			r.Reason, r.Detail = string(ledger.RejectedInvalid), "it is no record, neither of the forward protocol nor a JSON object"
		}
		out.Rejected = append(out.Rejected, r)
	}
	return out
}

// Close implements sink.Sink.
func (refusal) Close() error { return nil }
