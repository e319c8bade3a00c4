package forward

import (
	"context"
	"errors"
)

// Close refuses new records, delivers what is there until ctx ends, then closes
// the connections. It returns nil if everything was delivered, else an
// *UndeliveredError with all that was not; what a Spill holds, stays there. Only
// the first call does this; others return ErrClosed.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	c.closed = true
	c.progress() // those who wait for room
	c.completeAll()
	var cause error
	for cause == nil && (c.waiting.n+c.flying.n+c.behind.n > 0 || c.spill != nil && c.spill.busy()) {
		cause = c.sleep(ctx)
	}
	c.aging.Stop()
	c.mu.Unlock()
	c.stop()
	c.running.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handBack(cause)
}

// handBack makes the report of Close. Nothing runs any more.
func (c *Client) handBack(cause error) error {
	left := &UndeliveredError{InSpill: c.stats.InSpill, Cause: cause}
	for _, l := range []*chunkList{&c.flying, &c.behind} {
		for l.first != nil {
			ch := l.first
			l.remove(ch)
			ch.server = nil
			c.waiting.insert(ch)
		}
	}
	for c.waiting.first != nil {
		ch := c.waiting.first
		c.waiting.remove(ch)
		if !ch.spilled {
			out := OutChunk{Tag: ch.tag, Entries: ch.pieces(nil), Records: ch.records, ID: ch.id, Compression: ch.method}
			left.Chunks = append(left.Chunks, Returned{OutChunk: out, Unsure: ch.tried})
			left.Left.add(ch.records, ch.size)
		}
		c.release(ch, false)
	}
	c.stats.Returned = left.Left
	c.stats.Pending.take(int(left.Left.Records), left.Left.Bytes)
	if len(left.Chunks) == 0 && left.InSpill.Records == 0 {
		return nil
	}
	if cause == nil {
		left.Cause = ErrClosed
	}
	for _, s := range c.senders {
		if s.lastErr != nil {
			left.Cause = errors.Join(left.Cause, s.lastErr)
		}
	}
	return left
}
