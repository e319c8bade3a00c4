package forward

// turnShare is the part of the memory for receiving, as a divisor, that the stacks of
// connections at work may take. What they hold beside comes out of the rest, so that
// they cannot all wait for it.
const turnShare = 3

// most is how many turns there are.
func (p *parking) most() int { return max(8, int(p.s.pool.share()/turnShare/turnCost)) }

// room reports whether a connection of a queue may have a turn. A quarter of them is
// for quick ones, as a quarter of the memory is.
func (p *parking) room(queue int) bool {
	most := p.most()
	if queue > 0 {
		most -= most / 4
	}
	return p.turns < most
}

// queueOf is the queue in which a connection waits.
func queueOf(c *serverConn) int {
	if c.isQuick() {
		return 0
	}
	return 1
}

// ask gives a connection a turn, now or later.
func (p *parking) ask(c *serverConn) {
	q := queueOf(c)
	if len(p.queues[q]) == 0 && p.room(q) {
		p.give(c)
		c.resume()
		return
	}
	c.enter(stateQueued)
	c.queued = true
	p.queues[q] = append(p.queues[q], c)
	p.queued++
}

// join is for a connection that is about to read for the first time: it reports that
// it is to end its goroutine, since it is parked or waits for a turn.
func (p *parking) join(c *serverConn) bool {
	if len(c.recv.bytes()) == 0 {
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
	p.ask(c)
	return true
}

func (p *parking) give(c *serverConn) {
	c.turn = true
	p.count(1)
}

func (p *parking) count(n int) {
	p.turns += n
	p.s.pool.turn(int64(n))
	p.few.Store(p.turns > p.most()/2)
}

// giveBack takes a turn, if the connection has one, for the next.
func (p *parking) giveBack(c *serverConn) {
	if !c.turn {
		return
	}
	c.turn = false
	p.count(-1)
	p.next()
}

// next gives turns to those that wait: the quick first, but every fourth to another,
// and in each queue the first.
func (p *parking) next() {
	for p.queued > 0 {
		q := 0
		if len(p.queues[0]) == 0 || p.given%4 == 3 && len(p.queues[1]) > 0 && p.room(1) {
			q = 1
		}
		if !p.room(q) {
			return
		}
		c := p.queues[q][0]
		p.queues[q][0] = nil
		p.queues[q] = p.queues[q][1:]
		if !c.queued {
			continue // It was stopped.
		}
		c.queued = false
		p.queued--
		p.given++
		p.give(c)
		c.resume()
	}
	for q := range p.queues {
		clear(p.queues[q])
		p.queues[q] = nil
	}
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

// retry gives turns that there are now because there is more memory.
func (p *parking) retry() {
	p.mu.Lock()
	p.next()
	p.mu.Unlock()
}
