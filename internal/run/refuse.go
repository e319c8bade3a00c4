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

// refused says in words why a source, or a route, refuses a record, and what to do.
var refused = map[ledger.Reason]string{
	ledger.Tombstone: "found a message without a value, a tombstone; its source keeps those as dead letters: see the option tombstone",
	ledger.TooLarge: "found a record that is longer than its source, or the buffer of its route, takes; raise max-record-size or max-message-size there, " +
		"or max-buffer-size, and have what is not here sent again",
	ledger.Unreadable: "found a record that is damaged, which its source could not read; look at where it came from",
	ledger.NotJSON:    "found no JSON object, expected exactly one, as the format of its source says; correct what writes it, or take format: text",
	ledger.NotMsgpack: "found no msgpack map, expected exactly one, as the format of its source says; correct what writes it, or the format",
	ledger.NoMatch:    "the pattern of its source does not match it; correct the pattern, or what writes it",
	ledger.NoEntry:    "found no entry of the forward protocol, expected an array of a time and a map; correct what sends it",
	ledger.TooDeep:    "found values that are nested more deeply than its source takes; correct what sends it",
}

// Send implements sink.Sink. What was refused with a reason has that. What a route would
// take by its tag was else handed over as text, or as a message, because it is no record;
// and the rest is what no route takes.
func (s refusal) Send(_ context.Context, req sink.Request) sink.Outcome {
	out := sink.Outcome{Verdict: sink.Delivered}
	for index, batch := range req.Batches() {
		r := sink.Rejection{
			First: index, End: index + batch.Count,
			Reason: string(ledger.RejectedUnmatched), Detail: "no route takes its tag; give one a pattern that does, and replay it",
		}
		from := record.ParseRefusal(batch.Refusal)
		if why := ledger.Reason(from.Reason); refused[why] != "" {
			r.Reason, r.Detail = from.Reason, refused[why]
		} else if batch.Kind == record.KindRecords && batch.Encoding != record.EncodingEntry && s.takes(req.Stream(batch.Stream).Name) {
			r.Reason, r.Detail = string(ledger.RejectedInvalid), "found neither an entry of the forward protocol nor a JSON object, expected one of them; correct what sends it"
		}
		out.Rejected = append(out.Rejected, r)
	}
	return out
}

// Close implements sink.Sink.
func (refusal) Close() error { return nil }
