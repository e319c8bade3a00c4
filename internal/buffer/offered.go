package buffer

import "github.com/spillway/spillway/internal/record"

// offer leaves word in the store of what a request holds, and remembers the
// request's place.
func (b *Buffer) offer(r *Request) {
	d, w := b.disk, r.whole
	if w.first == nil {
		return // Markers only, and none of them stored.
	}
	d.order = append(d.order, w)
	for _, n := range r.runs {
		if n.block != nil {
			w.events += n.events
		}
	}
	if w.last.stored == 0 {
		return
	}
	at := min(plus(w.last.place.Position, w.after).Events, w.last.end.Events)
	if err := d.Store.Offer(at); err != nil {
		b.fault = err
	}
}

// offerFlight leaves word of requests in flight whose events the store has only
// now: whoever finds them there must know that they may be delivered.
func (b *Buffer) offerFlight() {
	for _, w := range b.disk.order {
		if w.open == 0 || w.last.stored == 0 {
			continue
		}
		at := min(plus(w.last.place.Position, w.after).Events, w.last.end.Events)
		if err := b.disk.Store.Offer(at); err != nil {
			b.fault = err
		}
	}
}

// offeredBefore reports whether a predecessor may have delivered the event at
// the given index of the block.
func (b *Buffer) offeredBefore(blk *block, at uint64) bool {
	return b.disk != nil && blk != nil && blk.stored > 0 && (blk.again || blk.place.Position.Events+at < b.disk.offered)
}

// fetchedAgain reports whether a batch was admitted by a predecessor already: a source
// reads a partition again from the last commit, and what was on the disk by then is
// there, or was delivered. What is recovered is the first of the two.
func (b *Buffer) fetchedAgain(blk *block, at uint64, batch *record.Batch) bool {
	if b.disk == nil || b.disk.Found == nil || len(b.disk.Found.Partitions) == 0 {
		return false
	}
	if blk != nil && blk.stored > 0 && blk.place.Position.Events+at < b.disk.Found.End.Events {
		return false
	}
	key, first, _, ok := batch.Offsets()
	if !ok {
		return false
	}
	had, known := b.disk.Found.Partitions[key]
	return known && first <= had
}
