package forward

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// expect notes that an ack will be due, before the first byte is written: it may
// come before the last one is.
func (c *Conn) expect(id string, notify func(error)) (*Pending, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	if c.once && c.wrote {
		return nil, ErrOneMessage
	}
	if id == "" {
		return nil, nil
	}
	if c.waiting[id] != nil {
		return nil, fmt.Errorf("chunk id %q is in flight on this connection already", id)
	}
	p := &Pending{id: id, notify: notify, prev: c.last, done: make(chan struct{})}
	if c.last != nil {
		c.last.next = p
	} else {
		c.first = p
	}
	c.last = p
	c.waiting[id] = p
	return p, nil
}

// unlink takes a chunk off those that wait. The lock is held.
func (c *Conn) unlink(p *Pending) {
	delete(c.waiting, p.id)
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		c.first = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		c.last = p.prev
	}
	p.prev, p.next = nil, nil
}

// abandon drops a chunk whose writer is told by Write itself that it failed.
func (c *Conn) abandon(p *Pending, written int64) {
	if p == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[p.id] == p {
		c.unlink(p)
	}
	if written > 0 {
		c.unacked = append(c.unacked, p.id)
	}
}

// sent notes that a message is written whole: from now on its ack counts, and
// the clock of it runs.
func (c *Conn) sent(p *Pending) {
	if p == nil {
		return
	}
	c.mu.Lock()
	p.due = time.Now().Add(c.o.AckTimeout)
	switch {
	case p.early:
		if c.waiting[p.id] == p {
			c.unlink(p)
		}
		c.mu.Unlock()
		<-c.slots
		p.finish(nil)
		return
	case c.err != nil:
		c.unacked = append(c.unacked, p.id)
		err := c.err
		c.mu.Unlock()
		p.finish(&SendError{ID: p.id, Unsure: true, Err: err})
		return
	case c.overdue == nil:
		c.overdue = time.AfterFunc(c.o.AckTimeout, c.watch)
	}
	c.mu.Unlock()
}

// watch runs when an ack may be overdue. One timer for all of them, set again
// only when it fires, costs nothing for each chunk.
func (c *Conn) watch() {
	c.mu.Lock()
	if c.err != nil || c.first == nil || c.first.due.IsZero() {
		c.overdue = nil
		c.mu.Unlock()
		return
	}
	if next := time.Until(c.first.due); next > 0 {
		c.overdue.Reset(next)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.fail(fmt.Errorf("%w from %s within %v", ErrAckTimeout, c.o.Address, c.o.AckTimeout))
}

// acknowledge settles the chunk that an ack names. An ack may overtake the end
// of the write that it answers; it counts only once that has ended well, since
// nobody can have the whole of a message that was not written whole.
func (c *Conn) acknowledge(id []byte) error {
	c.mu.Lock()
	p := c.waiting[string(id)]
	if p == nil || p.early {
		c.mu.Unlock()
		return fmt.Errorf("%w: %.64q from %s; no such chunk is in flight", ErrUnknownAck, id, c.o.Address)
	}
	if p.due.IsZero() {
		p.early = true
		c.mu.Unlock()
		return nil
	}
	c.unlink(p)
	ended := c.ending && len(c.waiting) == 0
	c.mu.Unlock()
	<-c.slots
	p.finish(nil)
	if ended {
		return ErrClosed
	}
	return nil
}

func (p *Pending) finish(err error) {
	p.err = err
	close(p.done)
	if p.notify != nil {
		p.notify(err)
	}
}

// fail ends the connection, once, and tells all who wait. A chunk that is being
// written is left to its writer.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	c.reading.Add(1) // so that Close waits until all are told
	defer c.reading.Done()
	if c.overdue != nil {
		c.overdue.Stop()
	}
	var left []*Pending
	for p := c.first; p != nil; p = p.next {
		if !p.due.IsZero() {
			left = append(left, p)
			c.unacked = append(c.unacked, p.id)
		}
	}
	c.first, c.last = nil, nil
	clear(c.waiting)
	close(c.done)
	c.mu.Unlock()
	for _, p := range left {
		p.finish(&SendError{ID: p.id, Unsure: true, Err: err})
	}
	c.shut(err)
}

// farewell is how long the orderly end of TLS may take.
const farewell = time.Second

// shut closes the connection. Only an orderly end says farewell by TLS, which a
// peer that does not read would hold up for seconds.
func (c *Conn) shut(why error) {
	nc := c.nc
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
		if errors.Is(why, ErrClosed) {
			// The cause is known; that closing failed, too, would tell nobody anything.
			timer := time.AfterFunc(farewell, func() { _ = nc.Close() })
			_ = t.Close()
			timer.Stop()
			return
		}
	}
	_ = nc.Close() // as above
}
