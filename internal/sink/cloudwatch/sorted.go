package cloudwatch

import (
	"iter"
	"slices"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// order is the sequence in which a request's batches are sent: by time, as the
// service demands. Batches come in the order of admission, which is that of time
// but where several streams or joined events overlap. The times of one stream
// never go back, so then the streams are read side by side and merged, and
// nothing is copied.
type order struct {
	req     sink.Request
	streams []uint32 // those of the request, where they must be merged
}

func chronological(req sink.Request) order {
	last, ordered := int64(0), true
	var streams []uint32
	for _, b := range req.Batches() {
		ms := b.Millisecond()
		ordered = ordered && ms >= last
		last = ms
		if len(streams) == 0 || streams[len(streams)-1] != b.Stream {
			if !slices.Contains(streams, b.Stream) {
				streams = append(streams, b.Stream)
			}
		}
	}
	if ordered {
		streams = nil
	}
	return order{req, streams}
}

// all yields the batches in the order in which they are sent, each with the
// index of its first event in the request.
func (o order) all() iter.Seq2[int, *record.Batch] {
	if o.streams == nil {
		return o.req.Batches()
	}
	return o.merged
}

// batches is all without the indexes.
func (o order) batches(yield func(*record.Batch) bool) {
	for _, b := range o.all() {
		if !yield(b) {
			return
		}
	}
}

// lane is one stream's way through the request.
type lane struct {
	next  func() (int, *record.Batch, bool)
	index int
	batch *record.Batch
}

func (o order) merged(yield func(int, *record.Batch) bool) {
	lanes := make([]lane, 0, len(o.streams))
	for _, stream := range o.streams {
		next, stop := iter.Pull2(only(o.req, stream))
		defer stop()
		l := lane{next: next}
		var ok bool
		if l.index, l.batch, ok = next(); ok {
			lanes = append(lanes, l)
		}
	}
	for len(lanes) > 0 {
		i := earliest(lanes)
		l := &lanes[i]
		if !yield(l.index, l.batch) {
			return
		}
		var ok bool
		if l.index, l.batch, ok = l.next(); !ok {
			lanes = slices.Delete(lanes, i, i+1)
		}
	}
}

// only yields the batches of one stream.
func only(req sink.Request, stream uint32) iter.Seq2[int, *record.Batch] {
	return func(yield func(int, *record.Batch) bool) {
		for index, b := range req.Batches() {
			if b.Stream == stream && !yield(index, b) {
				return
			}
		}
	}
}

// earliest is the lane whose batch is sent next: of the earliest millisecond,
// and within it of the earliest admission.
func earliest(lanes []lane) int {
	best := 0
	for i := range lanes {
		a, b := lanes[i].batch.Millisecond(), lanes[best].batch.Millisecond()
		if a < b || a == b && lanes[i].index < lanes[best].index {
			best = i
		}
	}
	return best
}

// original turns ranges of events as they were sent into ranges of the request.
func (o order) original(sent []sink.Rejection) []sink.Rejection {
	if o.streams == nil || len(sent) == 0 {
		return sent
	}
	var list []sink.Rejection
	at := 0
	for index, b := range o.all() {
		for _, r := range sent {
			first, end := max(r.First, at), min(r.End, at+b.Count)
			if first < end {
				list = append(list, sink.Rejection{First: index + first - at, End: index + end - at, Reason: r.Reason})
			}
		}
		at += b.Count
	}
	return list
}
