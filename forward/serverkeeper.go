package forward

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The keeper looks at all connections now and then. It and the one that waits for
// idle connections are the only goroutines that are not a connection's.
const (
	keeperPeriod = 250 * time.Millisecond
	// idleAfter is when memory that waits for the rest of a message is used better.
	idleAfter = time.Second
	// slowAfter is how long a half-read message is left alone, and waitAfter how long
	// somebody has waited for memory before others are closed.
	slowAfter = time.Second
	waitAfter = time.Second
	// shakeAfter is how long a peer may take for its part of a handshake while others
	// wait to make theirs.
	shakeAfter = 2 * time.Second
)

func (s *Server) keep() {
	ticker := time.NewTicker(keeperPeriod)
	defer ticker.Stop()
	var all []*serverConn // used again: there may be thousands
	for {
		select {
		case <-s.stopping:
			if err := s.closeParking(); err != nil {
				s.report(nil, "", reasonRead, err)
			}
			return
		case now := <-ticker.C:
			s.pool.retry()
			s.retryTurns()
			all = s.open(all)
			s.look(all, now.Sub(s.began))
			m := s.pool.state()
			switch {
			case m.over > 0:
				s.makeRoom(holders(all), m.over, now.Sub(s.began))
			case m.waiting && m.full && now.Sub(m.since) > waitAfter:
				s.makeRoom(holders(all), m.first, now.Sub(s.began))
			}
			clear(all)
			if m.used == 0 {
				s.pool.trim()
			}
			if err := s.pool.fault(); err != nil {
				s.report(nil, "", reasonMemory, err)
			}
		}
	}
}

// retryTurns gives turns, of which there are more where connections have ended.
func (s *Server) retryTurns() {
	s.mu.Lock()
	p := s.parking
	s.mu.Unlock()
	if p != nil {
		p.retry()
	}
}

// holder is a connection as the keeper sees it.
type holder struct {
	c           *serverConn
	state       connState
	held, got   int64
	since, last time.Duration // from the start of the server
	came        time.Duration // likewise, when its last bytes came
	limit       time.Duration // of its handshakes; 0 once they are made
	charged     int64
}

// shrinks says whether what is half read would fit in less.
func (h *holder) shrinks() bool {
	if h.got <= smallRest {
		return h.held > h.got+128
	}
	return bitsFor(h.got+1) < bitsFor(h.held)
}

// seen says what the keeper sees of a connection.
func (c *serverConn) seen() holder {
	c.mu.Lock()
	defer c.mu.Unlock()
	return holder{c, c.state, c.held, c.got, c.since, c.progress, c.came, c.limit, c.charged}
}

// waits says whether it waits for its peer.
func (h *holder) waits() bool { return h.state == stateReading || h.state == stateParked }

// look closes connections on which a message has stalled, and nudges those that
// hold more than they use, be it a goroutine.
func (s *Server) look(all []*serverConn, now time.Duration) {
	s.mu.Lock()
	p := s.parking
	s.mu.Unlock()
	crowded := p != nil && p.crowded()
	for _, c := range all {
		h := c.seen()
		idle := now - h.last
		switch {
		case h.limit > 0 && h.state == stateParked && now > h.limit:
			c.late(errNoHandshake)
		case h.state == stateShaking && crowded && now-h.since > shakeAfter:
			c.late(fmt.Errorf("%w: others wait to make theirs", errNoHandshake))
		case h.state == stateReading && c.feed != nil && c.parking != nil && idle > s.cfg.WriteTimeout+idleAfter:
			c.kill(reasonWrite, errors.New("it asks for new keys and does not read the answers"))
		case h.waits() && h.got > 0 && now-h.came > s.cfg.StallTimeout:
			c.kill(reasonStalled, fmt.Errorf("%d bytes of a message came, and nothing more for %v", h.got, (now-h.came).Round(time.Second)))
		case h.state == stateReading && idle > idleAfter && (c.parking != nil || h.got > 0 && h.shrinks()):
			c.nudge()
		}
	}
}

// holders returns those that hold memory, or are about to.
func holders(all []*serverConn) (some []holder) {
	for _, c := range all {
		if h := c.seen(); h.state != stateBusy && h.state != stateQueued && h.state != stateShaking && (h.got > 0 || !h.waits()) {
			some = append(some, h)
		}
	}
	return some
}

// makeRoom closes connections, because others wait for memory and nobody gives
// any back: of those that wait for their peers the slowest, until they hold no
// more than their share, and what is wanted is there unless the Receiver holds
// memory up as well; or, where every connection waits for memory, the one that
// holds most.
func (s *Server) makeRoom(holders []holder, want int64, now time.Duration) {
	var slow, waiting []holder
	var sum int64
	handling := false
	for _, h := range holders {
		switch {
		case h.state == stateHandling:
			handling = true
		case h.state == stateWaiting:
			waiting = append(waiting, h)
		case now-h.since > slowAfter:
			slow = append(slow, h)
			sum += h.held
		}
	}
	rate := func(h holder) float64 { return float64(h.got) / (now - h.since).Seconds() }
	slices.SortFunc(slow, func(a, b holder) int { return cmp.Compare(rate(a), rate(b)) })
	freed := int64(0)
	for _, h := range slow {
		if sum <= s.halfRead() && (handling || freed >= want) {
			break
		}
		h.c.kill(reasonMemory, fmt.Errorf("%d bytes of a message in %v hold %d bytes of memory, which others wait for",
			h.got, (now-h.since).Round(time.Second), h.held))
		freed += h.held
		sum -= h.held
	}
	if freed > 0 || handling {
		return
	}
	slices.SortFunc(waiting, func(a, b holder) int { return cmp.Compare(b.held, a.held) })
	for _, h := range waiting {
		if freed >= want {
			break
		}
		h.c.kill(reasonMemory, fmt.Errorf("all memory is held by messages that wait for more; this one holds %d bytes", h.held))
		freed += max(h.held, 1)
	}
}
