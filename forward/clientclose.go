package forward

import (
	"context"
	"errors"
	"time"
)

// Close refuses new records, delivers what is there until ctx ends, then closes
// the connections. It returns nil if everything was delivered, else an
// *UndeliveredError with all that was not. A Spill is given what is left, and
// keeps it for the next client; only what it refuses is handed back. Only the
// first call does this; others return ErrClosed.
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
	c.gather()
	if c.spill != nil {
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), spillPatience)
		defer cancel()
		c.spill.last(patience)
	}
	return c.handBack(cause)
}

// spillPatience limits what a Spill may take in Close, beyond its context.
const spillPatience = 5 * time.Second

// gather puts everything that is left into one list, in its order. Nothing runs
// any more.
func (c *Client) gather() {
	for _, l := range []*chunkList{&c.flying, &c.behind} {
		for l.first != nil {
			ch := l.first
			l.remove(ch)
			ch.server = nil
			c.waiting.insert(ch)
		}
	}
}

// handBack makes the report of Close.
func (c *Client) handBack(cause error) error {
	left := &UndeliveredError{InSpill: c.stats.InSpill, Cause: cause}
	for c.waiting.first != nil {
		ch := c.waiting.first
		c.waiting.remove(ch)
		if !ch.spilled {
			left.Chunks = append(left.Chunks, Returned{OutChunk: ch.out(), Unsure: ch.tried})
			left.Left.add(ch.records, ch.size)
		}
		c.release(ch, false)
	}
	c.ended = true
	c.progress() // those in Flush
	c.stats.Returned = left.Left
	c.stats.Pending.take(int(left.Left.Records), left.Left.Bytes)
	if len(left.Chunks) == 0 && left.InSpill.Records == 0 {
		return nil
	}
	if cause == nil {
		left.Cause = ErrClosed
	}
	left.Cause = c.because(left.Cause)
	return left
}

// because adds to err why nothing gets on: what servers and the spill said last.
func (c *Client) because(err error) error {
	for _, s := range c.senders {
		if s.lastErr != nil {
			err = errors.Join(err, s.lastErr)
		}
	}
	if c.spill != nil && c.spill.err != nil {
		err = errors.Join(err, c.spill.err)
	}
	return err
}
