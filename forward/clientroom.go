package forward

import (
	"context"
	"fmt"
)

// makeRoom waits, drops or refuses until need bytes fit, as WhenFull says. need
// is asked again whenever the buffer may have changed. The lock is held, but
// not while it waits.
func (c *Client) makeRoom(ctx context.Context, need func() int64, records int, size int64) error {
	for {
		if c.closed {
			c.stats.RefusedClosed.add(records, size)
			return ErrClosed
		}
		n := need()
		if c.held+n <= c.room() {
			c.idle.shrink(c.limit - c.held - n)
			return nil
		}
		switch c.o.WhenFull {
		case DropOldest:
			if c.dropOldest() {
				continue
			}
			fallthrough
		case DropNewest:
			c.stats.RefusedFull.add(records, size)
			return ErrBufferFull
		}
		c.completeSome()
		if c.spill != nil {
			c.spill.wantRoom()
		}
		if err := c.sleep(ctx); err != nil {
			c.stats.RefusedContext.add(records, size)
			return fmt.Errorf("%w: %w", ErrBufferFull, err)
		}
	}
}

// room is how much Post may fill: with something in the spill, less than all, so that it
// can come back.
func (c *Client) room() int64 {
	if c.spill != nil && c.spill.holds() {
		return c.limit - c.limit/4
	}
	return c.limit
}

// dropOldest drops the oldest block that is not under way; of a chunk that may
// have arrived, everything, since a chunk that is sent again is the same or is
// another. The lock is held.
func (c *Client) dropOldest() bool {
	list := &c.waiting
	ch := list.first
	if ch == nil || c.opens.first != nil && c.opens.first.opened.Before(ch.opened) {
		list = &c.opens
		ch = list.first
	}
	if ch == nil {
		return false
	}
	if len(ch.blocks) > 1 && !ch.foreign && !ch.tried && ch.packed == nil {
		records, size, held := ch.cut()
		c.held -= held
		if list == &c.opens {
			c.opening -= held
		}
		c.stats.DroppedOverflow.add(records, size)
		c.stats.Pending.take(records, size)
		return true
	}
	list.remove(ch)
	if list == &c.opens {
		delete(c.open, ch.tag)
		c.opening -= ch.held
	}
	c.stats.DroppedOverflow.add(ch.records, ch.size)
	c.stats.Pending.take(ch.records, ch.size)
	c.release(ch, !ch.foreign)
	return true
}
