package buffer

import (
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// evict drops the oldest waiting records, a block's worth of them, and reports
// whether there were any. Records in requests are never touched; the memory of
// a block that a request still uses comes back when that is settled.
func (b *Buffer) evict(why ledger.Reason) bool {
	if len(b.waiting) == 0 {
		return false
	}
	blk := b.waiting[0]
	b.dequeue()
	b.walk(blk, func(batch *record.Batch) {
		st := b.streams.at(batch.Stream)
		b.streams.tells(st)
		blk.items -= batch.Count
		blk.gone = plus(blk.gone, extent(batch))
		b.leaves(batch)
		if batch.Kind == record.KindLoss {
			// The marker's neighbours go with it, so it becomes part of their run.
			st.marked(-1)
			st.evicted.Add(batch.Loss())
			return
		}
		c := ledger.Count{Records: int64(batch.Count), Bytes: int64(batch.Bytes)}
		st.release(c)
		b.weigh(st)
		if why == ledger.Shutdown && b.givesBack(st, batch.FirstSeq, c.Records) {
			st.account.Dropped(ledger.Returned, c)
			return
		}
		st.account.Dropped(why, c)
		b.settledRecords(st, batch.FirstSeq, c.Records, lossOf(why))
		st.evicted.Add(record.Loss{
			Stream: st.Index, Lost: c.Records, Bytes: c.Bytes,
			FirstSeq: batch.FirstSeq, LastSeq: batch.FirstSeq + uint64(batch.Count) - 1,
			FirstTime: batch.Time, LastTime: batch.Time, Reason: string(why),
		})
	})
	blk.taken, blk.skip = blk.used, 0
	if blk == b.tail {
		b.openAt = -1
	}
	b.release(blk)
	return true
}

// walk calls f for each batch of blk that no request has taken, cut to the
// records that are left of it.
func (b *Buffer) walk(blk *block, f func(*record.Batch)) {
	mem, done := blk.memory()
	defer done()
	var batch record.Batch
	skip := blk.skip
	for off := blk.taken; off < blk.used; skip = 0 {
		off += record.Parse(mem[off:], &batch)
		batch.Slice(skip, batch.Count-skip)
		f(&batch)
	}
}

// dequeue takes the first waiting block off the queue.
func (b *Buffer) dequeue() {
	b.waiting[0].queued = false
	b.waiting[0] = nil
	b.waiting = b.waiting[1:]
	if len(b.waiting) == 0 {
		b.waiting = nil
	}
}

// release gives a block back once nothing in it is unsettled. The tail stays,
// for the next record.
func (b *Buffer) release(blk *block) {
	switch {
	case blk.items > 0 || blk == b.tail:
	case blk.raw > 0:
		b.unstore(blk)
	default:
		b.giveBack(blk.mem)
		blk.mem = nil
	}
}

// giveBack returns memory to the arena.
func (b *Buffer) giveBack(mem []byte) {
	if err := b.arena.Put(mem); err != nil {
		b.fault = err
	}
}

// releaseTail gives the tail back if nothing is in it.
func (b *Buffer) releaseTail() {
	if b.tail != nil && b.tail.items == 0 {
		b.giveBack(b.tail.mem)
		b.tail, b.openAt = nil, -1
	}
}

// Abandon ends the waiting for good: everything that waits and is not on a disk
// is dropped under the reason shutdown, or returned to the source that still waits for
// it, and so is whatever is still admitted. What is in flight is left to whoever sends
// it.
func (b *Buffer) Abandon() {
	b.mu.Lock()
	defer b.unlock()
	b.abandoned = true
	kept := b.keepStored()
	for b.evict(ledger.Shutdown) {
	}
	b.waiting = kept
	b.changed.Broadcast()
	b.poke()
}

// keepStored takes what the disk keeps off the queue and returns it.
func (b *Buffer) keepStored() []*block {
	if b.disk == nil {
		return nil
	}
	b.handOver(true)
	n := 0
	for n < len(b.waiting) && b.waiting[n].stored == b.waiting[n].used {
		n++
	}
	kept := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	return kept
}

// untold reports whether a loss waits for its marker.
func (b *Buffer) untold() bool {
	if b.cfg.NoLossMarkers {
		return false
	}
	return len(b.streams.tellers()) > 0
}
