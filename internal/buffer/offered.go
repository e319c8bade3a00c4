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

// triedBefore is how many events of a batch, from its first on, a process before this
// one may have delivered. The first has the given index in the block.
func (b *Buffer) triedBefore(blk *block, at uint64, batch *record.Batch) int {
	if len(b.unfinished) > 0 && b.comesAgain(batch) {
		return batch.Count
	}
	return max(b.offeredBefore(blk, at, batch.Count), b.fetchedAgain(blk, at, batch))
}

// offeredBefore is how many of count events from the given index of the block on a
// predecessor may have delivered.
func (b *Buffer) offeredBefore(blk *block, at uint64, count int) int {
	if b.disk == nil || blk == nil || blk.stored == 0 {
		return 0
	}
	place := blk.place.Position.Events + at
	switch {
	case blk.again:
		return count
	case place >= b.disk.offered:
		return 0
	}
	return int(min(uint64(count), b.disk.offered-place))
}

// fetchedAgain is how many messages of a batch were admitted by a predecessor already:
// a source reads a partition again from the last commit, and what was on the disk by
// then is there, or was delivered. What is recovered is the first of the two.
func (b *Buffer) fetchedAgain(blk *block, at uint64, batch *record.Batch) (n int) {
	if b.disk == nil || b.disk.Found == nil || len(b.disk.Found.Partitions) == 0 {
		return 0
	}
	if blk != nil && blk.stored > 0 && blk.place.Position.Events+at < b.disk.Found.End.Events {
		return 0
	}
	key, first, last, ok := batch.Offsets()
	if !ok {
		return 0
	}
	switch had, known := b.disk.Found.Partitions[key]; {
	case !known || first > had:
	case last <= had:
		n = batch.Count
	default:
		for frames := batch.Frames; ; n++ {
			var body []byte
			if body, _, frames = record.Next(frames); record.MessageOffset(body) > had {
				break
			}
		}
	}
	return n
}
