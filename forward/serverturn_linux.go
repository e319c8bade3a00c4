package forward

import "time"

// turnShare is the part of the memory for receiving, as a divisor, that the stacks of
// connections at work may take. What they hold beside comes out of the rest, so that
// they cannot all wait for it.
const turnShare = 3

// most is how many turns there are.
func (p *parking) most() int { return max(8, int(p.s.pool.share()/turnShare/turnCost)) }

// Queues of connections that wait for a turn.
const (
	queueQuick  = iota // those whose last message came at once
	queueOthers        // those of which that is not known
	queueShakes        // those in a handshake, which have turns of their own
	queues
)

// room reports whether the connection c of a queue may have what it takes. A quarter of
// the turns is for quick ones, as a quarter of the memory is. Handshakes have as many as
// that beside them, so that neither hold each other up.
func (p *parking) room(queue int, c *serverConn) bool {
	most := p.most()
	switch queue {
	case queueShakes:
		return p.shaking == 0 || p.shaking+c.weight() <= most/4
	case queueOthers:
		most -= most / 4
	}
	return p.turns == 0 || p.turns+c.weight() <= most
}

// weight is how many turns a connection takes while it is at work: the stack of one over
// TLS is larger, and a handshake has messages beside.
func (c *serverConn) weight() int {
	switch {
	case c.feed == nil:
		return 1
	case c.ready:
		return secureStack / turnCost
	}
	return 2 * secureStack / turnCost
}

// queueOf is the queue in which a connection waits.
func queueOf(c *serverConn) int {
	switch {
	case !c.ready:
		return queueShakes
	case c.isQuick():
		return queueQuick
	}
	return queueOthers
}

// ask gives a connection a turn, now or later.
func (p *parking) ask(c *serverConn) {
	q := queueOf(c)
	if len(p.queues[q]) == 0 && p.room(q, c) {
		p.give(c)
		c.resume()
		return
	}
	c.mu.Lock()
	c.state, c.asked = stateQueued, time.Since(p.s.began)
	c.mu.Unlock()
	c.queued = true
	p.queues[q] = append(p.queues[q], c)
	p.queued++
	p.shakes.Store(len(p.queues[queueShakes]) > 0)
}

// take is for a connection that was just accepted. It reports that it is parked or waits
// for a turn.
func (p *parking) take(c *serverConn) bool {
	if !c.ready && c.feed == nil {
		// The server speaks first.
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.closed || c.isStopped() {
			return false
		}
		p.ask(c)
		return true
	}
	c.mu.Lock()
	c.state = stateParked
	if !c.ready {
		c.limit = time.Since(p.s.began) + p.s.cfg.HandshakeTimeout
	}
	c.mu.Unlock()
	if p.park(c) {
		return true
	}
	c.enter(stateBusy)
	return false
}

// join is for a connection that is about to read for the first time: it reports that
// it is to end its goroutine, since it is parked or waits for a turn.
func (p *parking) join(c *serverConn) bool {
	if len(c.recv.bytes()) == 0 && c.drained() {
		c.rest()
		if p.park(c) {
			return true
		}
		c.wake()
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.isStopped() {
		return false
	}
	p.giveBack(c)
	p.ask(c)
	return true
}

func (p *parking) give(c *serverConn) {
	c.took, c.shakes = c.weight(), !c.ready
	p.count(c.took, c.shakes)
}

func (p *parking) count(n int, shakes bool) {
	if shakes {
		p.shaking += n
	} else {
		p.turns += n
	}
	p.s.pool.turn(int64(n))
	p.few.Store(p.turns > p.most()/2)
}

// giveBack takes a turn, if the connection has one, for the next.
func (p *parking) giveBack(c *serverConn) {
	if c.took == 0 {
		return
	}
	n := c.took
	c.took = 0
	p.count(-n, c.shakes)
	p.next()
}

// next gives turns to those that wait: the quick first, but every fourth to another,
// and in each queue the first.
func (p *parking) next() {
	if p.queued == 0 {
		return
	}
	for {
		c := p.first(queueShakes)
		if c == nil || !p.room(queueShakes, c) {
			break
		}
		now := time.Since(p.s.began)
		c.mu.Lock()
		if c.limit > 0 {
			c.limit += now - c.asked // What it waited is not its peer's.
		}
		c.mu.Unlock()
		p.pass(queueShakes, c)
	}
	p.shakes.Store(len(p.queues[queueShakes]) > 0)
	for {
		q := queueQuick
		c, other := p.first(queueQuick), p.first(queueOthers)
		if other != nil && (c == nil || p.given%4 == 3 && p.room(queueOthers, other)) {
			q, c = queueOthers, other
		}
		if c == nil || !p.room(q, c) {
			return
		}
		p.given++
		p.pass(q, c)
	}
}

// first is who has waited longest in a queue. Those that were stopped do not wait any more.
func (p *parking) first(q int) *serverConn {
	for len(p.queues[q]) > 0 {
		if c := p.queues[q][0]; c.queued {
			return c
		}
		p.drop(q)
	}
	return nil
}

// drop takes the first out of a queue.
func (p *parking) drop(q int) {
	p.queues[q][0] = nil
	if p.queues[q] = p.queues[q][1:]; len(p.queues[q]) == 0 {
		p.queues[q] = nil
	}
}

// pass gives the first of a queue its turn.
func (p *parking) pass(q int, c *serverConn) {
	p.drop(q)
	c.queued = false
	p.queued--
	p.give(c)
	c.resume()
}

// scarce reports whether a connection that waits for its peer is to give its turn
// back. Who has one keeps it for a second where there are enough.
func (p *parking) scarce() bool { return p.few.Load() }

// ended takes the turn of a connection that is closed.
func (p *parking) ended(c *serverConn) {
	p.mu.Lock()
	p.giveBack(c)
	p.mu.Unlock()
}

// crowded reports whether connections wait for a turn to make a handshake.
func (p *parking) crowded() bool { return p.shakes.Load() }

// retry gives turns that there are now because there is more memory.
func (p *parking) retry() {
	p.mu.Lock()
	p.next()
	p.mu.Unlock()
}
