package buffer

import (
	"slices"

	"github.com/spillway/spillway/internal/diskbuffer"
)

// remember moves the store's cursor to where everything is settled.
func (b *Buffer) remember() {
	d := b.disk
	if d == nil {
		return
	}
	settled := b.settled()
	if err := d.Store.Settle(settled); err != nil {
		b.fault = err
	}
	for len(d.moved) > 0 && d.moved[0].to.Events <= settled.Events {
		d.moved = d.moved[1:]
	}
	b.chore()
}

// settled is up to where everything in the store is settled.
func (b *Buffer) settled() diskbuffer.Position {
	d := b.disk
	d.order = slices.DeleteFunc(d.order, func(w *whole) bool { return w.open == 0 && !w.kept })
	at := b.behindOrder()
	for _, w := range d.order {
		if from, ok := w.start(); ok && from.Events < at.Events {
			at = from
		}
	}
	return at
}

// position is where the store has the block's events from the given one on, if
// it has the first of them.
func (blk *block) position(from diskbuffer.Position) (diskbuffer.Position, bool) {
	at := plus(blk.place.Position, from)
	return at, blk.stored > 0 && at.Events < blk.end.Events
}

func plus(p, q diskbuffer.Position) diskbuffer.Position {
	return diskbuffer.Position{Events: p.Events + q.Events, Records: p.Records + q.Records}
}

// unsettled returns the blocks of which something is not settled, in order.
func (b *Buffer) unsettled() []*block {
	d := b.disk
	d.held = slices.DeleteFunc(d.held, func(blk *block) bool {
		blk.listed = blk.items > 0
		return !blk.listed
	})
	return d.held
}

// hold lists a block that has something to settle.
func (b *Buffer) hold(blk *block) {
	if b.disk == nil || blk.listed {
		return
	}
	b.unsettled()
	blk.listed = true
	b.disk.held = append(b.disk.held, blk)
}
