package buffer

import (
	"iter"
	"slices"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// Request is a stretch of the queue on its way to the destination: whole
// batches and pieces of them, left where they are in the buffer's blocks. It
// must be settled once, or be split and its halves settled.
type Request struct {
	buffer *Buffer
	runs   []run
	events int
	whole  *whole
}

// whole is what a request and the halves it is split into have in common.
type whole struct {
	open  int   // events that are not settled
	held  int64 // bytes of blocks
	waits []*whole
	// streams are those of which it was the newest request.
	streams []*stream
	done    chan struct{}

	// parts are what is not settled: the request itself, or what it was cut into.
	parts []*Request
	// forsaken: it was settled in the place of its sender, who may come back.
	forsaken bool

	// What it holds of the disk: from so far into the block first to so far into
	// last, or what was moved from there to the end. What ended undelivered is kept:
	// it is left to the disk.
	first, last   *block
	before, after diskbuffer.Position
	moved         *diskbuffer.Position
	events        int
	kept          bool
	keptRuns      []run
	keptEvents    int
}

// run is a range of one block's batches, or a marker that is in no block.
type run struct {
	block  *block
	marker []byte
	from   int    // offset of the first batch
	to     int    // offset after the last
	skip   int    // records of the first batch that are not in the range
	events int    // records and markers that are
	at     uint64 // events of the block before the range
	// repeated: an earlier attempt of this process may have delivered them.
	repeated bool
}

// Events is the number of records and loss markers.
func (r *Request) Events() int { return r.events }

// Stream returns the stream of a batch; see sink.Request.
func (r *Request) Stream(index uint32) *record.Stream {
	r.buffer.mu.Lock()
	defer r.buffer.unlock()
	return r.buffer.streams.at(index).Stream
}

// Settled is closed when all of the request is settled.
func (r *Request) Settled() <-chan struct{} { return r.whole.done }

// Repeated are the events that an earlier attempt may have delivered; see
// sink.Request.
func (r *Request) Repeated() []sink.Span {
	r.buffer.mu.Lock()
	defer r.buffer.unlock()
	var spans []sink.Span
	add := func(first, events int) {
		if last := len(spans) - 1; last >= 0 && spans[last].End == first {
			spans[last].End += events
			return
		}
		spans = append(spans, sink.Span{First: first, End: first + events})
	}
	index := 0
	for i := range r.runs {
		n := &r.runs[i]
		if n.repeated {
			add(index, n.events)
			index += n.events
			continue
		}
		at := n.at
		n.batches(&index, func(first int, batch *record.Batch) bool {
			if tried := r.buffer.triedBefore(n.block, at, batch); tried > 0 {
				add(first, tried)
			}
			at += uint64(batch.Count)
			return true
		})
	}
	return spans
}

// Repeat notes that an attempt may have delivered the events in spans, which are in
// order and apart, although nobody says so.
func (r *Request) Repeat(spans []sink.Span) {
	runs := make([]run, 0, len(r.runs)+2*len(spans))
	r.pieces(spans, func(piece run, inside bool) {
		piece.repeated = piece.repeated || inside
		runs = append(runs, piece)
	})
	r.buffer.mu.Lock()
	defer r.buffer.unlock()
	r.runs = runs
}

// After lists what must be settled before this request is sent, because it
// holds records of the same stream and the same moment of the destination's
// order.
func (r *Request) After() []<-chan struct{} {
	wait := make([]<-chan struct{}, len(r.whole.waits))
	for i, w := range r.whole.waits {
		wait[i] = w.done
	}
	return wait
}

// Batches yields the request's batches; see sink.Request.
func (r *Request) Batches() iter.Seq2[int, *record.Batch] {
	return func(yield func(int, *record.Batch) bool) {
		index := 0
		for i := range r.runs {
			if !r.runs[i].batches(&index, yield) {
				return
			}
		}
	}
}

func (n *run) batches(index *int, yield func(int, *record.Batch) bool) bool {
	mem, to := n.marker, len(n.marker)
	if n.block != nil {
		var done func()
		mem, done = n.block.memory()
		defer done()
		to = n.to
	}
	var batch record.Batch
	left, skip := n.events, n.skip
	for off := n.from; off < to && left > 0; skip = 0 {
		off += record.Parse(mem[off:], &batch)
		batch.Slice(skip, min(batch.Count-skip, left))
		left -= batch.Count
		if !yield(*index, &batch) {
			return false
		}
		*index += batch.Count
	}
	return true
}

// Split cuts the request in two, the first of n events; 0 < n < Events. The
// request itself must not be used any more.
func (r *Request) Split(n int) (*Request, *Request) {
	first := &Request{buffer: r.buffer, whole: r.whole, events: n}
	second := &Request{buffer: r.buffer, whole: r.whole, events: r.events - n}
	for i, part := range r.runs {
		if part.events > n {
			if n > 0 {
				head := part
				head.events = n
				first.runs = append(first.runs, head)
				part.skipEvents(n)
			}
			second.runs = append([]run{part}, r.runs[i+1:]...)
			break
		}
		first.runs = append(first.runs, part)
		n -= part.events
	}
	r.becomes(first, second)
	return first, second
}

// Divide cuts the request in two, the second of the events in spans, which are in
// order and apart, and the first of all others; one that would be empty is nil.
// The request itself must not be used any more.
func (r *Request) Divide(spans []sink.Span) (others, these *Request) {
	others = &Request{buffer: r.buffer, whole: r.whole}
	these = &Request{buffer: r.buffer, whole: r.whole}
	r.pieces(spans, func(piece run, inside bool) {
		to := others
		if inside {
			to = these
		}
		to.runs = append(to.runs, piece)
		to.events += piece.events
	})
	if others.events == 0 {
		others = nil
	}
	if these.events == 0 {
		these = nil
	}
	r.becomes(others, these)
	return others, these
}

// pieces calls each for the ranges of the request in order, cut where a span begins
// or ends, and says whether they are inside of one.
func (r *Request) pieces(spans []sink.Span, each func(piece run, inside bool)) {
	index := 0
	for _, part := range r.runs {
		for part.events > 0 {
			n, inside := part.events, false
			for len(spans) > 0 && spans[0].End <= index {
				spans = spans[1:]
			}
			if len(spans) > 0 && spans[0].First <= index {
				n, inside = min(n, spans[0].End-index), true
			} else if len(spans) > 0 {
				n = min(n, spans[0].First-index)
			}
			piece := part
			piece.events = n
			each(piece, inside)
			index += n
			if n == part.events {
				break
			}
			part.skipEvents(n)
		}
	}
}

// becomes notes what the request was cut into, each of which may be nil.
func (r *Request) becomes(cut ...*Request) {
	r.buffer.mu.Lock()
	defer r.buffer.unlock()
	r.whole.replace(r, slices.DeleteFunc(cut, func(part *Request) bool { return part == nil })...)
}

// replace puts what a part was cut into in its place, or nothing if it is settled.
func (w *whole) replace(part *Request, by ...*Request) {
	if i := slices.Index(w.parts, part); i >= 0 { // Else it is forsaken.
		w.parts = slices.Replace(w.parts, i, i+1, by...)
	}
}

// undelivered returns the ranges that are not settled, or left to the disk.
func (w *whole) undelivered() []run {
	runs := slices.Clone(w.keptRuns)
	for _, part := range w.parts {
		runs = append(runs, part.runs...)
	}
	return runs
}

// skipEvents takes the first n events off the range.
func (n *run) skipEvents(count int) {
	n.events -= count
	n.at += uint64(count)
	if n.block == nil {
		return
	}
	mem, done := n.block.memory()
	defer done()
	var batch record.Batch
	for {
		size := record.Parse(mem[n.from:], &batch)
		if left := batch.Count - n.skip; count < left {
			n.skip += count
			return
		} else {
			count -= left
		}
		n.from += size
		n.skip = 0
	}
}

// waitFor makes w wait for what holds an earlier record of the same moment.
func (w *whole) waitFor(earlier *whole) {
	if earlier != w && !slices.Contains(w.waits, earlier) {
		w.waits = append(w.waits, earlier)
	}
}
