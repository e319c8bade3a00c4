package buffer

import (
	"bytes"
	"math"
	"time"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// MaxBody is the largest body that is admitted, in bytes after repair.
func (b *Buffer) MaxBody() int { return int(b.body.Load()) }

// MaxRecord is the largest record of a chunk that is admitted, in bytes as it stands
// there, with what record.Chunk.Head says. A larger one is dropped and counted.
func (b *Buffer) MaxRecord() int { return int(b.piece.Load()) }

// Turn implements source.Intake.
func (b *Buffer) Turn() (end func()) {
	b.turn.Lock()
	return b.turn.Unlock
}

// Lines admits newline-ended lines; see source.Intake. It is for a buffer that nobody
// leaves.
func (b *Buffer) Lines(s *record.Stream, t int64, lines []byte, valid bool) {
	b.OfferLines(s, nil, t, lines, valid)
}

// OfferLines is Lines for a source of that name, and returns those that are to go
// elsewhere: see Leave.
func (b *Buffer) OfferLines(s *record.Stream, source []byte, t int64, lines []byte, valid bool) (rest []byte) {
	b.mu.Lock()
	defer b.unlock()
	st := b.streamOf(s, "")
	st.source = source
	st.users++
	defer func() { st.users-- }()
	for len(lines) > 0 {
		first := bytes.IndexByte(lines, '\n')
		at, room := b.stamp(st, t, first)
		if b.begin(st, at, record.Part{}, first) {
			frames, taken, added := record.AppendLines(b.tail.mem[:b.tail.used], lines, valid, room)
			if b.admitted(st, len(frames), added) {
				st.account.Lines(beside(added, added.Count))
				lines = lines[taken:]
				continue
			}
		}
		if why, ok := b.makeRoom(st, b.alone(st, first)); why == elsewhere && !ok {
			return lines
		} else if !ok {
			records, size := record.CountLines(lines)
			st.account.Lines(ledger.Lines{Read: int64(records)})
			b.lose(st, at, ledger.Count{Records: int64(records), Bytes: int64(size)}, why)
			break
		}
	}
	return nil
}

// Body admits one record; see source.Intake. It is for a buffer that nobody leaves.
func (b *Buffer) Body(s *record.Stream, t int64, body []byte, part record.Part) {
	b.OfferBody(s, nil, t, body, part)
}

// OfferBody is Body for a source of that name, and reports false where the record is to
// go elsewhere: see Leave.
func (b *Buffer) OfferBody(s *record.Stream, source []byte, t int64, body []byte, part record.Part) (taken bool) {
	b.mu.Lock()
	defer b.unlock()
	st := b.streamOf(s, "")
	st.source = source
	st.users++
	defer func() { st.users-- }()
	at, _ := b.stamp(st, t, len(body))
	for {
		if b.begin(st, at, part, len(body)) {
			frames, added := record.AppendBody(b.tail.mem[:b.tail.used], body)
			if b.admitted(st, len(frames), added) {
				st.account.Lines(beside(added, 0))
				return true
			}
		}
		if why, ok := b.makeRoom(st, b.alone(st, len(body))); why == elsewhere && !ok {
			return false
		} else if !ok {
			b.lose(st, at, ledger.Count{Records: 1, Bytes: int64(len(body))}, why)
			return true
		}
	}
}

// beside is what stands beside the balance of what was added.
func beside(added record.Added, lines int) ledger.Lines {
	return ledger.Lines{
		Read: int64(lines), Empty: int64(added.Empty), InvalidUTF8: int64(added.Repair-added.Empty) / 2,
	}
}

// Count adds to the numbers beside the balance.
func (b *Buffer) Count(s *record.Stream, l ledger.Lines) {
	b.mu.Lock()
	account := b.streamOf(s, "").account
	b.mu.Unlock()
	account.Lines(l)
}

// maxAhead bounds how far a burst may carry a stream's clock ahead of time, and
// maxLate how much later than it was read a record may be stamped because another
// stream's records went first.
const (
	maxAhead = 100 * time.Millisecond
	maxLate  = time.Second
)

// stamp is the time of a record of st that was read at t, and how much more has
// room in that moment. The times of a stream never go back.
//
// Where the destination orders by time, two requests that share a moment of a
// stream have to wait for each other, so moments are kept apart. A burst that
// brings more in one moment than a request holds moves the clock on to the next,
// as if the rest had been read then. And records that had to stand behind those
// of another stream get their time, as if they had been read after them; only
// what is older by more than maxLate, such as an event whose lines came over
// seconds, keeps its own.
func (b *Buffer) stamp(st *stream, t int64, size int) (int64, record.Room) {
	unit := int64(b.cfg.Sink.OrderedBy)
	room := record.Room{Count: math.MaxInt, Cost: math.MaxInt}
	if unit <= 0 {
		st.time = max(st.time, t)
		return st.time, room
	}
	next, furthest := (st.time/unit+1)*unit, t+int64(maxAhead)
	if late := b.time - t; late > 0 && late <= int64(maxLate) {
		t = b.time
	}
	switch full := b.exceeds(volume{st.moment.events + 1, st.moment.cost + b.cost(1, size)}); {
	case t/unit > st.time/unit:
		st.moment = volume{}
	case full && next > furthest:
		return st.time, room
	case full:
		st.time, st.moment = next, volume{}
	}
	st.time = max(st.time, t)
	b.time = max(b.time, st.time)
	room.Cost, room.PerRecord = b.sizes.request-st.moment.cost, b.cfg.Sink.PerEvent
	if b.cfg.Sink.Events > 0 {
		room.Count = b.cfg.Sink.Events - st.moment.events
	}
	return st.time, room
}

// begin makes the tail end in an open batch for records of st at time t with
// room for one of size bytes, or reports that the tail has no such room. A run
// of lost records is told first, at the place where they would have stood.
func (b *Buffer) begin(st *stream, t int64, part record.Part, size int) bool {
	grows := b.openAt >= 0 && st.lost.Lost == 0 && part.Ordinal == 0 && b.open.Part.Ordinal == 0 &&
		b.open.Stream == st.Index && sameMillisecond(b.open.Time, t) && bytes.Equal(b.open.Source, b.sourceOf(st, size))
	need := record.FrameSize + size
	if !grows {
		need = b.alone(st, size)
	}
	if !b.fitsTail(st, need) {
		return false
	}
	b.tellLost(st)
	if !grows {
		b.open = record.Batch{Stream: st.Index, Kind: record.KindRecords, Time: t, FirstSeq: st.seq + 1, Part: part, Source: b.sourceOf(st, size)}
		b.openAt = b.tail.used
		b.tail.used += b.open.Head()
	}
	return true
}

// sourceOf is what a batch says of the source of text, of which a record has size bytes:
// nothing where no block would hold both.
func (b *Buffer) sourceOf(st *stream, size int) []byte {
	if len(st.source) > 0 && size+record.FrameSize+record.HeaderSize+1+len(st.source) > b.sizes.piece {
		return nil
	}
	return st.source
}

// alone is what a record of text takes in a batch of its own, in bytes.
func (b *Buffer) alone(st *stream, size int) int {
	head := record.Batch{Source: b.sourceOf(st, size)}
	return head.Head() + record.FrameSize + size
}

// fitsTail reports whether the tail has room for need bytes, and for the marker
// before them where st has lost records.
func (b *Buffer) fitsTail(st *stream, need int) bool {
	if b.tail == nil || b.abandoned && b.disk == nil {
		return false
	}
	if b.tail.items == 0 && b.tail.used > 0 {
		// The block as it was may still be what a request remembers.
		b.tail, b.openAt = &block{mem: b.tail.mem}, -1
	}
	if st.lost.Lost > 0 {
		need += record.LossSize
	}
	return b.tail.used+need <= len(b.tail.mem)
}

// tellLost writes the marker of lost records, where there are any, to the end of
// the tail.
func (b *Buffer) tellLost(st *stream) {
	b.marker = markerSize{}
	if st.lost.Lost > 0 {
		b.mark(st)
	}
}

// admitted makes what was just written at the end of the tail part of the open
// batch, with the marker before it, or reports that the disk does not take it,
// and takes both back.
func (b *Buffer) admitted(st *stream, used int, added record.Added) bool {
	b.open.Count += added.Count
	b.open.Bytes += added.Bytes
	b.open.Repair += added.Repair
	record.PutHeader(b.tail.mem[b.openAt:], &b.open, used-b.openAt-b.open.Head())
	if !b.persist(b.openAt-b.marker.bytes, used) {
		return false
	}
	v := volume{added.Count, b.cost(added.Count, added.Bytes+added.Repair)}
	waits := b.enqueue(used, volume{v.events + b.marker.events, v.cost + b.marker.cost})
	if b.marker.events > 0 {
		st.lost, b.marker = record.Loss{}, markerSize{}
		if waits {
			st.marked(1)
		}
	}
	st.moment.events += v.events
	st.moment.cost += v.cost
	st.seq += uint64(added.Count)
	c := ledger.Count{Records: int64(added.Count), Bytes: int64(added.Bytes)}
	st.held = st.held.Plus(c)
	b.weigh(st)
	st.account.Received(c)
	return true
}

// mark writes the run of lost records into the tail, as a loss marker. It counts
// together with the record behind it: where the marker alone found room, the
// record would begin the next run, and so on with each record.
func (b *Buffer) mark(st *stream) {
	if b.cfg.NoLossMarkers {
		st.lost = record.Loss{}
		return
	}
	from := b.tail.used
	frames := record.AppendLoss(b.tail.mem[:from], st.lost)
	var batch record.Batch
	record.Parse(frames[from:], &batch)
	b.tail.used, b.openAt = len(frames), -1
	b.marker = markerSize{len(frames) - from, volume{1, b.cost(1, batch.Bytes+batch.Repair)}}
}

// markerSize is what a marker takes of the tail, and of a request.
type markerSize struct {
	bytes int
	volume
}

// enqueue makes the tail, now used bytes long, wait with v more in it, unless
// what was written there stands in the backlog now.
func (b *Buffer) enqueue(used int, v volume) bool {
	if b.disk != nil && b.disk.backlog {
		b.forgetTail()
		return false
	}
	// Whoever takes requests is woken when there is something to take and when
	// there is a whole request, not for each record between.
	was := b.pending
	b.tail.used = used
	b.tail.items += v.events
	b.pending.events += v.events
	b.pending.cost += v.cost
	if was.events == 0 || b.fills(b.pending) && !b.fills(was) {
		b.poke()
	}
	if !b.tail.queued {
		b.tail.queued = true
		b.waiting = append(b.waiting, b.tail)
	}
	b.hold(b.tail)
	return true
}

// fills reports whether v is enough for a request that need not wait for more: half
// of its share, since the rest may still be on its way to us.
func (b *Buffer) fills(v volume) bool {
	enough := min(max(b.share(v)/2, leastShare), b.sizes.request)
	return v.cost >= enough || b.cfg.Sink.Events > 0 && v.events >= b.cfg.Sink.Events
}

// leastShare is what makes a request large enough, in bytes as the sink counts, where
// it takes larger ones.
const leastShare = 1 << 20

// share is how much of a request's room is used while v waits. A source that waits
// to be told sends no more until it is, so what is held may be far less than all
// requests in flight could take; one that took most of it would leave the others
// nothing, and the destination idle between two of them.
func (b *Buffer) share(v volume) int {
	if b.hasBacklog() {
		return b.sizes.request
	}
	even := (int64(v.cost) + b.flightHeld) / int64(b.sizes.window)
	return min(b.sizes.request, max(int(even), leastShare))
}

// cost is what events take of a request, as the sink counts.
func (b *Buffer) cost(events, bytes int) int { return bytes + events*b.cfg.Sink.PerEvent }

func sameMillisecond(a, b int64) bool {
	return a/int64(time.Millisecond) == b/int64(time.Millisecond)
}
