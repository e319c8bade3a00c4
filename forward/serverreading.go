package forward

import (
	"time"
)

// sip reads the few bytes that have come of half a message to a connection that is
// parked, and reports that it may stay so. Who sends a byte at a time then costs
// little more than the read.
func (c *serverConn) sip(fd uintptr) bool {
	if c.receiving == nil || c.json != nil || c.feed != nil || c.recv.kind != memSmall || c.recv.to == len(c.recv.mem) {
		return false
	}
	r := &c.recv
	n, again, err := readNow(fd, r.mem[r.to:])
	switch {
	case again:
		return true
	case err != nil:
		r.broken = err // It is told once.
		return false
	case n == 0:
		return false
	}
	r.to += n
	c.mu.Lock()
	c.progress = time.Since(c.s.began)
	c.came = c.progress
	c.got += int64(n)
	c.mu.Unlock()
	size, need, err := c.scan.Scan(r.bytes())
	r.need = need
	return size == 0 && err == nil
}

// reading says that the connection waits for its peer.
func (c *serverConn) reading(got, held int) {
	now := time.Since(c.s.began)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.recv.fresh {
		c.recv.quick = c.progress-c.since < slowAfter
	}
	c.state, c.progress, c.held = stateReading, now, int64(held)
	if !c.recv.nudged {
		c.came = now
	}
	if got == 0 || c.got == 0 || c.recv.fresh {
		c.since, c.recv.fresh = now, false
	}
	c.got = int64(got)
	c.recv.slow = got > 0 && now-c.since > slowAfter
}

// holds says how much memory the connection holds while it waits.
func (c *serverConn) holds(n int) {
	c.mu.Lock()
	c.held = int64(n)
	c.mu.Unlock()
}

// enter says what the connection does.
func (c *serverConn) enter(state connState) {
	c.mu.Lock()
	c.state = state
	c.mu.Unlock()
}

// wait waits for a block of the pool; false means that the connection is closed.
func (c *serverConn) wait(size int64) ([]byte, bool) {
	if block, ok := c.s.pool.get(size, c.recv.quick); ok {
		return block, true
	}
	c.mu.Lock()
	before := c.state
	c.state = stateWaiting
	c.mu.Unlock()
	block, ok, err := c.s.pool.wait(size, c.recv.quick, c.halt().done())
	c.enter(before)
	if err != nil {
		c.complain("", reasonTooLarge, err)
	}
	return block, ok
}
