package buffer

import (
	"time"

	"github.com/spillway/spillway/internal/record"
)

// Take returns the next request, of the oldest waiting records, or nil. With
// small it takes whatever waits; without, only what fills a request. It returns
// nil, too, while the window is full.
func (b *Buffer) Take(small bool) *Request {
	if b.disk != nil {
		b.load()
	}
	b.mu.Lock()
	defer b.unlock()
	if !small && !b.fills(b.pending) || b.disk != nil && b.disk.handedOver {
		return nil
	}
	if b.flight >= b.sizes.window || b.flight > 0 && b.flightHeld >= b.sizes.flight {
		return nil
	}
	w := &whole{done: make(chan struct{})}
	r := &Request{buffer: b, whole: w}
	g := gathering{buffer: b, share: b.share(b.pending)}
	if b.tellRejected(r, &g) && b.tellAll(r, &g, func(st *stream) *record.Loss { return &st.evicted }) {
		b.takeUntil(r, b.gather(&g))
		if len(b.waiting) == 0 && !b.hasBacklog() {
			b.tellAll(r, &g, func(st *stream) *record.Loss { return &st.lost })
		}
	}
	if r.events == 0 {
		return nil
	}
	w.open, w.parts = r.events, []*Request{r}
	b.flight++
	b.flightHeld += w.held
	b.underWay = append(b.underWay, w)
	if b.disk != nil {
		b.offer(r)
	}
	return r
}

// position is a place in the queue: so many whole blocks, and in the next the
// offset of a batch and how many of its records.
type position struct {
	blocks, offset, skip int
}

// gathering is the search for the end of a request.
type gathering struct {
	buffer *Buffer
	share  int // as the sink counts; a first chunk may take more
	total  volume
	// first and last are the earliest and the latest time, where there is an event:
	// markers of several streams may stand against the order of time.
	first, last int64
	moment      int64 // of the last batch, in units of the sink's order
	any         bool  // there is a last batch
	// cut is the last place where the moment changes: a request that ends there
	// shares no moment with the next.
	cut position
}

// gather finds where the next request ends. It ends where the sink's limits are
// reached, or a little earlier where that spares the next request from waiting
// for this one.
func (b *Buffer) gather(g *gathering) position {
	for i, blk := range b.waiting {
		mem, done := blk.memory()
		end, full := g.block(i, blk, mem)
		done()
		if full {
			return end
		}
		if sure := b.sure(blk); sure < blk.used && sure > blk.taken {
			return position{blocks: i, offset: sure}
		} else if sure < blk.used {
			return position{blocks: i}
		}
	}
	return position{blocks: len(b.waiting)}
}

func (g *gathering) block(i int, blk *block, mem []byte) (position, bool) {
	var batch record.Batch
	off, skip := blk.taken, blk.skip
	for off < g.buffer.sure(blk) {
		here := position{i, off, skip}
		if off == blk.taken && skip == blk.skip {
			// The whole of the block is still waiting; nothing of it is taken yet.
			here = position{blocks: i}
		}
		size := record.Parse(mem[off:], &batch)
		batch.Slice(skip, batch.Count-skip)
		moment := g.buffer.moment(batch.Time)
		if g.any && moment != g.moment {
			g.cut = here
		}
		if n := g.fitting(&batch); n < batch.Count {
			return g.end(position{i, off, skip + n}, here, n, moment), true
		}
		g.spans(batch.Time)
		g.any, g.moment = true, moment
		g.total.events += batch.Count
		g.total.cost += g.buffer.cost(batch.Count, batch.Bytes+batch.Repair)
		off += size
		skip = 0
	}
	return position{}, false
}

// end decides where a request that is full ends: in the batch after n of its
// records, or at the last change of the moment.
func (g *gathering) end(inside, before position, n int, moment int64) position {
	shares := n > 0 || g.any && moment == g.moment
	if shares && g.cut != (position{}) && g.buffer.cfg.Sink.OrderedBy > 0 {
		return g.cut
	}
	if n == 0 {
		return before
	}
	return inside
}

// fitting is how many records of the batch fit into what is left of the
// request. The first record of a request always fits: intake lets none pass
// that could not be sent alone.
func (g *gathering) fitting(batch *record.Batch) int {
	sink := &g.buffer.cfg.Sink
	if g.outlives(batch.Time) {
		return 0
	}
	room := g.share - g.total.cost
	if g.total.events == 0 {
		room = g.buffer.sizes.request
	}
	events := batch.Count
	if sink.Events > 0 {
		events = min(events, sink.Events-g.total.events)
	}
	if events == batch.Count && g.buffer.cost(batch.Count, batch.Bytes+batch.Repair) <= room {
		return events
	}
	if batch.Encoding != record.EncodingText && g.total.events > 0 {
		// It is a chunk. A destination that speaks the protocol can have entries as they
		// are, and where nothing is cut nobody has to walk over records to the cut.
		return 0
	}
	frames := batch.Frames
	for n := range events {
		body, invalid, rest := batch.Next(frames)
		room -= g.buffer.cost(1, len(body)+record.Repair(body, invalid))
		if batch.Kind == record.KindLoss {
			room -= batch.Repair
		}
		if room < 0 && (n > 0 || g.total.events > 0) {
			return n
		}
		frames = rest
	}
	return events
}

// outlives reports whether an event of time t would make the request span more
// than the sink takes.
func (g *gathering) outlives(t int64) bool {
	span := g.buffer.cfg.Sink.Span
	return g.total.events > 0 && span > 0 && time.Duration(max(g.last, t)-min(g.first, t)) >= span
}

// spans remembers the time of an event that is about to be counted.
func (g *gathering) spans(t int64) {
	if g.total.events == 0 {
		g.first, g.last = t, t
	}
	g.first, g.last = min(g.first, t), max(g.last, t)
}

// moment is t in units of the destination's order.
func (b *Buffer) moment(t int64) int64 {
	if unit := int64(b.cfg.Sink.OrderedBy); unit > 0 {
		return t / unit
	}
	return t
}

// takeUntil makes what waits, up to end, part of the request.
func (b *Buffer) takeUntil(r *Request, end position) {
	for range end.blocks {
		b.takeBlock(r, b.waiting[0], b.waiting[0].used, 0)
		b.dequeue()
	}
	if end.offset > 0 || end.skip > 0 {
		b.takeBlock(r, b.waiting[0], end.offset, end.skip)
	}
}

// takeBlock makes what waits in blk, up to the batch at offset to and skip of
// its records, part of the request.
func (b *Buffer) takeBlock(r *Request, blk *block, to, skip int) {
	n := run{block: blk, from: blk.taken, to: to, skip: blk.skip, at: blk.gone.Events}
	if r.whole.first == nil {
		r.whole.first, r.whole.before = blk, blk.gone
	}
	r.whole.last = blk
	mem, done := blk.memory()
	defer done()
	var batch record.Batch
	before := blk.skip
	off := blk.taken
	take := func(count int) {
		batch.Slice(before, count)
		n.events += batch.Count
		blk.gone = plus(blk.gone, extent(&batch))
		b.leaves(&batch)
		b.follow(r, &batch)
	}
	for off < to {
		size := record.Parse(mem[off:], &batch)
		take(batch.Count - before)
		off += size
		before = 0
	}
	if skip > 0 {
		size := record.Parse(mem[off:], &batch)
		take(skip - before)
		n.to = off + size
	}
	blk.taken, blk.skip = off, skip
	if blk == b.tail && n.to > b.openAt {
		b.openAt = -1
	}
	r.whole.after = blk.gone
	r.whole.held += int64(n.to - n.from)
	if blk.raw > 0 {
		r.whole.held -= int64(n.to-n.from) * int64(blk.raw-blk.size()) / int64(blk.raw)
	}
	r.runs = append(r.runs, n)
	r.events += n.events
}

// leaves takes a batch off what waits in memory.
func (b *Buffer) leaves(batch *record.Batch) {
	b.pending.events -= batch.Count
	b.pending.cost -= b.cost(batch.Count, batch.Bytes+batch.Repair)
}

// follow keeps the stream's order: the request waits for the one before it
// where both hold records of one moment.
func (b *Buffer) follow(r *Request, batch *record.Batch) {
	if b.cfg.Sink.OrderedBy <= 0 {
		return
	}
	st, moment := b.streams.at(batch.Stream), b.moment(batch.Time)
	if st.last != nil && st.last.whole != r.whole && st.lastMoment >= moment && st.last.whole.open > 0 {
		r.whole.waitFor(st.last.whole)
	}
	if st.last == nil || st.last.whole != r.whole {
		r.whole.streams = append(r.whole.streams, st)
	}
	st.last, st.lastMoment = r, moment
}

// exceeds reports whether v is more than a request holds.
func (b *Buffer) exceeds(v volume) bool {
	return v.cost > b.sizes.request || b.cfg.Sink.Events > 0 && v.events > b.cfg.Sink.Events
}
