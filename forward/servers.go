package forward

// sender is the client's side of one server: it keeps the connection, and
// writes the chunks that it is given. All fields are the client's lock's, except
// conn, which is its goroutine's.
type sender struct {
	c       *Client
	to      *Endpoint
	given   []*bufferedChunk // not written yet
	flying  int              // given, and not settled
	signal  chan struct{}    // holds one: look again
	aside   bool             // it has failed, and is given nothing
	row     int              // failures since the last success
	balance int              // of the weighted turns

	connected bool
	hostname  string
	failures  int64
	lastErr   error
	settled   Count

	conn   *Conn
	pieces [][]byte
}

func newSender(c *Client, to *Endpoint) *sender {
	return &sender{c: c, to: to, signal: make(chan struct{}, 1)}
}

func (s *sender) report() ServerStats {
	stats := ServerStats{
		Address: s.to.Address, Hostname: s.hostname, Connected: s.connected, Aside: s.aside, Failures: s.failures,
		Error: s.lastErr, InFlight: s.flying, Settled: s.settled,
	}
	if s.lastErr != nil {
		stats.Cause = s.lastErr.Error()
	}
	return stats
}

// wake makes a sender look for what it was given.
func (s *sender) wake() {
	select {
	case s.signal <- struct{}{}:
	default: // it will look anyway
	}
}

// dispatch gives waiting chunks to senders while any has a place in its window.
// The lock is held.
func (c *Client) dispatch() {
	for c.waiting.first != nil {
		s := c.pick()
		if s == nil {
			break
		}
		ch := c.waiting.first
		c.waiting.remove(ch)
		c.flying.insert(ch)
		ch.server = s
		s.given = append(s.given, ch)
		s.flying++
		s.wake()
	}
	if c.spill != nil {
		c.spill.wake()
	}
}

// pick chooses the next server: by smooth weighted turns among those that are
// available and have a place in their window. As many standbys are available as
// others are set aside. The lock is held.
func (c *Client) pick() *sender {
	if c.o.WhenFull == DropOldest && c.flying.n > 0 && c.flyingBytes() > c.limit/2 {
		return nil // what is under way cannot be dropped
	}
	stand := 0
	for _, s := range c.senders {
		if !s.to.Standby && s.aside {
			stand++
		}
	}
	var best *sender
	total := 0
	for _, s := range c.senders {
		if s.aside {
			continue
		}
		if s.to.Standby {
			if stand == 0 {
				continue
			}
			stand--
		}
		if s.flying >= s.to.Window {
			continue
		}
		s.balance += s.to.Weight
		total += s.to.Weight
		if best == nil || s.balance > best.balance {
			best = s
		}
	}
	if best != nil {
		best.balance -= total
	}
	return best
}

func (c *Client) flyingBytes() (n int64) {
	for ch := c.flying.first; ch != nil; ch = ch.next {
		n += ch.held
	}
	return n
}
