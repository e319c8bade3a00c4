package buffer

import (
	"errors"
	"io"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// load reads as much of the backlog as the next requests need.
func (b *Buffer) load() {
	for b.loadOne() {
	}
}

// loadOne reads one block of the backlog, without the lock, and reports whether
// there may be use for another.
func (b *Buffer) loadOne() bool {
	b.mu.Lock()
	defer b.unlock()
	blk := b.slot(false)
	if blk == nil {
		return false
	}
	b.disk.loading = true
	b.mu.Unlock()
	chunk, err := b.disk.Store.Read(blk.mem)
	b.mu.Lock()
	b.disk.loading = false
	b.changed.Broadcast()
	return b.loaded(blk, chunk, err)
}

// slot returns memory for the next block of the backlog, or nil where there is
// none, or, unless it is to be dropped, enough waits already or the room is
// wanted for what arrives.
func (b *Buffer) slot(drop bool) *block {
	d := b.disk
	if d == nil || !d.backlog || d.loading || !drop && (d.handedOver || b.abandoned) {
		return nil
	}
	if !b.moreToRead() {
		return nil
	}
	if !drop && d.Durability == Power && d.from.Events >= d.durable.Events {
		return nil
	}
	if !drop && b.pending.cost >= 2*b.sizes.request {
		return nil
	}
	size, err := d.Store.Next()
	if err != nil && !errors.Is(err, io.EOF) {
		b.fault = err
		b.chore()
		return nil
	}
	size = max(size, b.arena.BlockSize())
	if len(b.waiting) > 0 && b.arena.Held()+int64(size) > b.sizes.data/4*3 {
		return nil
	}
	mem, ok, err := b.arena.Get(size)
	if !ok && drop && b.tail != nil && b.tail.items == 0 {
		// It has the room for what arrives, which is no use before the disk has some.
		b.releaseTail()
		mem, ok, err = b.arena.Get(size)
	}
	if err != nil {
		b.fault = err
	}
	if !ok {
		return nil
	}
	return &block{mem: mem}
}

// loaded makes what was read wait, and reports whether there may be more.
func (b *Buffer) loaded(blk *block, chunk diskbuffer.Chunk, err error) bool {
	for _, lost := range chunk.Lost {
		b.damaged(lost)
	}
	if chunk.N == 0 {
		b.giveBack(blk.mem)
		// What is missing at the end may be nothing but markers.
		if chunk.First.Events > b.disk.from.Events {
			b.disk.from = chunk.First
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrShortBuffer) {
			b.fault = err
			b.chore()
			return false
		}
		return b.moreToRead()
	}
	b.resume(blk, chunk)
	return true
}

// moreToRead ends the backlog if everything in the store was read, and reports
// whether there is more.
func (b *Buffer) moreToRead() bool {
	d := b.disk
	if d.from.Events < d.Store.End().Events {
		return true
	}
	d.backlog, d.unread = false, 0
	b.rest()
	b.remember()
	return false
}

// rest stops writing where only the overflow is to be written, and there is
// none any more.
func (b *Buffer) rest() {
	d := b.disk
	if d.Durability == Memory && d.writing && !d.backlog && !d.handedOver && b.arena.Held() <= b.sizes.data/2 {
		d.writing, d.trouble = false, nil
		// A block is on the disk as a whole or not at all.
		b.leaveTail()
	}
}

// resume puts a chunk of the backlog into the queue, but for what is settled.
func (b *Buffer) resume(blk *block, chunk diskbuffer.Chunk) {
	d := b.disk
	d.unread = max(d.unread-int64(chunk.N), 0)
	blk.used, blk.place, blk.again = chunk.N, chunk.Place, chunk.Again
	blk.place.Position = chunk.First
	blk.end = plus(chunk.First, diskbuffer.Position{Events: uint64(chunk.Events), Records: uint64(chunk.Records)})
	past, jumps := d.jump(&blk.end)
	b.passOver(blk, d.from.Events)
	var v volume
	b.walk(blk, func(batch *record.Batch) {
		v.events += batch.Count
		v.cost += b.cost(batch.Count, batch.Bytes+batch.Repair)
		if batch.Kind == record.KindLoss {
			b.streams.at(batch.Stream).marked(1)
		}
	})
	if blk.end.Events > d.from.Events {
		d.from = blk.end
	}
	if jumps {
		d.from = past.to
		d.Store.Seek(past.place)
	}
	if d.Durability != Power || d.from.Events <= d.durable.Events {
		blk.sure = blk.used
	}
	if v.events == 0 {
		b.giveBack(blk.mem)
		return
	}
	b.pending.events += v.events
	b.pending.cost += v.cost
	blk.items = v.events
	blk.queued = true
	b.waiting = append(b.waiting, blk)
	b.hold(blk)
}

// passOver makes a block that was read end where its stretch does, and begin at an
// event: what is before that is settled.
func (b *Buffer) passOver(blk *block, from uint64) {
	var batch record.Batch
	at, off := blk.place.Position.Events, 0
	for off < blk.used && at < blk.end.Events {
		size := record.Parse(blk.mem[off:], &batch)
		b.adopt(blk.mem[off:], &batch)
		count := batch.Count
		if from > at {
			settled := int(min(from-at, uint64(count)))
			batch.Slice(0, settled)
			blk.gone = plus(blk.gone, extent(&batch))
			if settled < count {
				blk.skip = settled
			} else {
				blk.taken = off + size
			}
		}
		at += uint64(count)
		off += size
	}
	blk.used, blk.stored = off, off
}

// adopt makes sure that the batch, which another process has written, is of a
// stream that is known.
func (b *Buffer) adopt(header []byte, batch *record.Batch) {
	if index := b.known(batch.Stream); index != batch.Stream {
		batch.Stream = index
		record.PutHeader(header, batch, len(batch.Frames))
	}
}

// maxUnknown bounds the streams of which damage has taken the name.
const maxUnknown = 1 << 12

// known returns the index of a stream of the disk, whose name may be lost.
func (b *Buffer) known(index uint32) uint32 {
	if b.streams.at(index) != nil {
		return index
	}
	if index >= maxUnknown && len(b.streams.all) >= 2*maxUnknown {
		index = maxUnknown - 1 // More than there can be: the index is damaged, too.
		if b.streams.at(index) != nil {
			return index
		}
	}
	st := &record.Stream{Index: index, Name: diskbuffer.LostName(index)}
	b.streams.add(&stream{Stream: st, account: b.ledger.Open(st.Name)})
	return index
}

// extent is what a batch takes of the store's positions.
func extent(batch *record.Batch) diskbuffer.Position {
	p := diskbuffer.Position{Events: uint64(batch.Count)}
	if batch.Kind == record.KindRecords {
		p.Records = p.Events
	}
	return p
}

// damaged counts records that the store has lost, and keeps them for a marker.
func (b *Buffer) damaged(lost diskbuffer.Lost) {
	st := b.streams.at(b.known(lost.Stream))
	c := ledger.Count{Records: int64(lost.Records), Bytes: max(lost.Bytes, 0)}
	if lost.Bytes < 0 && c.Records == st.held.Records {
		// They are the last ones, so the bytes are known all the same.
		c.Bytes = st.held.Bytes
	}
	st.release(c)
	b.weigh(st)
	st.account.Dropped(ledger.DiskDamage, c)
	b.doubt(st)
	if !b.cfg.NoLossMarkers {
		b.streams.tells(st)
		st.reject(record.Loss{
			Stream: st.Index, Lost: c.Records, Bytes: c.Bytes, FirstSeq: lost.FirstSeq, LastSeq: lost.LastSeq,
			FirstTime: b.time, LastTime: b.time, Reason: string(ledger.DiskDamage),
		})
	}
}

// unload takes memory back from what waits: the newest half of it, which the
// store has, becomes backlog. It reports whether any memory came free.
func (b *Buffer) unload() bool {
	d := b.disk
	freed := false
	for len(b.waiting) > 0 && !d.loading {
		blk := b.waiting[len(b.waiting)-1]
		if blk.taken > 0 || blk.skip > 0 || blk.stored < blk.used || freed && b.arena.Held() <= b.sizes.data/2 {
			break
		}
		b.walk(blk, func(batch *record.Batch) {
			b.leaves(batch)
			if batch.Kind == record.KindLoss {
				// It is counted as made again when it is read.
				b.streams.at(batch.Stream).marked(-1)
			}
		})
		b.waiting[len(b.waiting)-1] = nil
		b.waiting = b.waiting[:len(b.waiting)-1]
		blk.items, blk.queued = 0, false
		if blk == b.tail {
			b.tail, b.openAt = nil, -1
		}
		d.from = blk.place.Position
		d.unread += int64(blk.used)
		d.Store.Seek(blk.place)
		b.giveBack(blk.mem)
		blk.mem = nil
		freed, d.backlog = true, true
	}
	if freed {
		b.leaveTail()
	}
	return freed
}

// leaveTail stops filling a tail that holds something: what arrives stands
// behind the backlog.
func (b *Buffer) leaveTail() {
	if b.tail != nil && b.tail.items > 0 {
		b.tail, b.openAt = nil, -1
	}
}
