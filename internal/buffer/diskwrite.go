package buffer

import (
	"errors"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/ledger"
)

// persist writes a stretch of the tail to the store, where that is due. If it
// returns false, nothing of it counts as written.
func (b *Buffer) persist(from, to int) bool {
	d := b.disk
	if d == nil || !d.writing {
		return true
	}
	if err := b.append(b.tail, from, to); err != nil {
		d.trouble = err
		b.tail.used, b.openAt = from, -1
		b.chore()
		return false
	}
	d.trouble, b.gaveUp = nil, false
	// What is written is a frame of its own, so the batch in it cannot grow.
	b.openAt = -1
	return true
}

// append writes a stretch of a block to the store, as its next frame.
func (b *Buffer) append(blk *block, from, to int) error {
	d := b.disk
	if err := b.announce(); err != nil {
		return err
	}
	place, err := d.Store.Append(blk.mem[from:to])
	if err != nil {
		return err
	}
	if from == 0 {
		blk.place = place
	}
	blk.stored, blk.end = to, d.Store.End()
	if d.Durability == Power {
		b.chore()
	}
	return nil
}

// announce makes the streams known to the store that it does not know yet.
func (b *Buffer) announce() error {
	for len(b.streams.unannounced) > 0 {
		st := b.streams.unannounced[0]
		// What is held is about to be written, and goes on from there.
		last := st.seq - uint64(st.held.Records)
		s := diskbuffer.Stream{Index: st.Index, Name: st.Name, Incarnation: st.Incarnation, LastSeq: last, LastTime: st.time}
		if err := b.disk.Store.AddStream(s); err != nil {
			return err
		}
		st.announced = true
		b.streams.unannounced = b.streams.unannounced[1:]
	}
	b.streams.unannounced = nil
	return nil
}

// writeAll puts everything that is held into the store, in order, so that memory
// may be taken from what waits. It reports whether all of it is there.
func (b *Buffer) writeAll() bool {
	d := b.disk
	b.openAt = -1
	for _, blk := range b.unsettled() {
		if blk.stored == blk.used {
			continue
		}
		if err := b.append(blk, blk.stored, blk.used); err != nil {
			d.trouble = err
			b.chore()
			return false
		}
	}
	d.trouble = nil
	d.writing = true
	b.offerFlight()
	b.stored()
	return true
}

// forgetTail makes the tail empty again: what it holds is in the backlog now.
func (b *Buffer) forgetTail() {
	b.disk.unread += int64(b.tail.used)
	b.tail.used, b.tail.stored, b.openAt = 0, 0, -1
	b.chore()
	if b.pending.events == 0 {
		b.poke()
	}
}

// refused tells under which reason an arriving record goes that the disk does
// not take.
func (d *disk) refused() ledger.Reason {
	if errors.Is(d.trouble, diskbuffer.ErrFull) {
		return ledger.OverflowNewest
	}
	return ledger.DiskFailed
}
