package cloudwatch

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// sortedOrder copies the batches and puts them in order of time. Those of one
// millisecond stay in the order of admission.
func sortedOrder(req sink.Request) order {
	var all []indexed
	for index, b := range req.Batches() {
		c := *b
		c.Frames = bytes.Clone(b.Frames)
		all = append(all, indexed{batch: c, index: index})
	}
	slices.SortStableFunc(all, func(a, b indexed) int {
		return cmp.Compare(a.batch.Millisecond(), b.batch.Millisecond())
	})
	return order{sorted: all, batches: func(yield func(*record.Batch) bool) {
		for i := range all {
			if !yield(&all[i].batch) {
				return
			}
		}
	}}
}

// original turns ranges of events as they were sent into ranges of the request.
func (o order) original(sent []sink.Rejection) []sink.Rejection {
	if o.sorted == nil || len(sent) == 0 {
		return sent
	}
	var list []sink.Rejection
	at := 0
	for i := range o.sorted {
		b := &o.sorted[i]
		for _, r := range sent {
			first, end := max(r.First, at), min(r.End, at+b.batch.Count)
			if first < end {
				list = append(list, sink.Rejection{
					First: b.index + first - at, End: b.index + end - at, Reason: r.Reason,
				})
			}
		}
		at += b.batch.Count
	}
	return list
}
