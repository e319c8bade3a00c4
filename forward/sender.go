package forward

import (
	"context"
	"errors"
	"time"
)

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
	born   time.Time // when conn was made, or was last tried to be replaced
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
	switch { // what is under way can neither be dropped nor go into the spill
	case c.flying.n == 0:
	case c.o.WhenFull == DropOldest && c.flyingBytes() > c.limit/2, c.spill != nil && c.flyingBytes() > c.limit/4:
		return nil
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

// renewOld replaces a connection that works and is too old. Where no new one comes
// about it goes on, and the next attempt is as late.
func (s *sender) renewOld(ctx context.Context) {
	age := s.c.o.ConnectionAge
	if age == 0 || time.Since(s.born) < age {
		return
	}
	conn, err := Dial(ctx, s.to.DialOptions)
	if err != nil {
		s.born = time.Now()
		s.note(err)
		return
	}
	old := s.conn
	s.use(conn)
	old.closeSettled()
	s.c.running.Go(func() {
		select {
		case <-old.Done():
			if err := old.Err(); !errors.Is(err, ErrClosed) && len(old.Unacked()) > 0 {
				s.note(err)
			}
		case <-ctx.Done():
		}
		// It only waits until all who depend on the connection are told.
		_ = old.Close()
	})
}

// note counts a failure for which the server is not set aside.
func (s *sender) note(err error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.failures++
	s.lastErr = err
}
