package forward

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// messages hands over what is whole, and says whether to read on.
func (c *serverConn) messages() bool {
	for {
		b := c.recv.bytes()
		if len(b) > 0 && !c.begun {
			c.begun = true
			if c.s.cfg.Security == nil && (b[0] == '{' || b[0] == '[') {
				c.isJSON = true
				c.json = &JSONScanner{Limit: c.s.inMemory() / 4}
			}
		}
		if c.json != nil {
			space := len(b) - len(bytes.TrimLeft(b, " \t\r\n"))
			c.recv.advance(space)
			b = b[space:]
		}
		if len(b) == 0 {
			c.recv.need = 0
			return true
		}
		size, need, err := c.scanned(b)
		switch {
		case err != nil:
			return c.unreadable(b, err)
		case size == 0:
			c.recv.need = need
			return true
		}
		// From here on the message is handed over, or stays as it is: reading it may
		// change its bytes.
		if c.isHalted() || !c.acks.room() {
			return false
		}
		c.handed = false
		goOn := c.message(b[:size])
		if goOn || c.handed {
			c.recv.advance(int(size))
		}
		if !goOn || c.s.cfg.DenyKeepalive {
			return false
		}
	}
}

// scanned finds the end of the message at the beginning of b.
func (c *serverConn) scanned(b []byte) (size, need int64, err error) {
	if c.json == nil {
		return c.scan.Scan(b)
	}
	size, err = c.json.Scan(b)
	return size, int64(len(b)) + 1, err
}

// unreadable is where a message is too large for memory, or none.
func (c *serverConn) unreadable(b []byte, err error) bool {
	var limit *LimitError
	switch {
	case !errors.As(err, &limit):
		c.complain("", reasonSyntax, err)
	case c.json != nil || c.s.cfg.Spool == nil || limit.Bytes > c.s.cfg.MaxSpooled:
		c.complain(c.scan.peekTag(b), reasonTooLarge, err)
	case c.last:
		c.complain(c.scan.peekTag(b), reasonCutOff, errStopped)
	default:
		return c.spooled()
	}
	return false
}

// message hands over the message that b holds.
func (c *serverConn) message(b []byte) bool {
	if c.r == nil {
		c.r = new(Received)
	}
	r := c.r
	if c.arrived.IsZero() {
		c.arrived = time.Now()
	}
	*r = Received{Message: Message{Tag: r.Tag}, Peer: c.peer.Load(), Time: c.arrived}
	c.s.stats.bytes.Add(int64(len(b)))
	if c.json != nil {
		return c.jsonMessage(b, r)
	}
	if err := c.scan.Parse(b, &r.Message); err != nil {
		return c.broken(&r.Message, err)
	}
	if r.Mode == 0 {
		c.s.stats.heartbeats.Add(1)
		return true
	}
	if r.Compression == CompressionNone || r.Mode != ModePackedForward {
		r.Check()
		return c.handOver(r)
	}
	return c.decompressed(r)
}

// broken tells of a value that is no message; it is skipped, as by fluentd. What
// is beyond a limit could be a message that is sent again for ever.
func (c *serverConn) broken(m *Message, err error) bool {
	var limit *LimitError
	if errors.As(err, &limit) {
		c.complain(m.Tag, reasonTooLarge, err)
		return false
	}
	c.complain(m.Tag, reasonBroken, err)
	return true
}

func (c *serverConn) jsonMessage(b []byte, r *Received) bool {
	c.json.Reset()
	block, ok := c.wait(3*int64(len(b)) + 64)
	if !ok {
		return false
	}
	defer c.s.pool.put(block)
	_, err := ParseJSON(block[:0], b, &r.Message)
	if err != nil {
		return c.broken(&r.Message, err)
	}
	r.Check()
	return c.handOver(r)
}

// decompressed hands over a compressed message.
func (c *serverConn) decompressed(r *Received) bool {
	var block []byte
	grow := func(b []byte, more int) ([]byte, error) {
		size := int64(len(b)) + int64(more)
		if block == nil {
			size = max(size, 4*int64(len(r.Payload))) // what log text usually expands to
		}
		if size = min(size, max(c.s.quarter(), int64(len(b))+int64(more))); size > c.s.quarter() {
			return b, errNoMemory
		}
		next, ok := c.wait(size)
		if !ok {
			return b, errStopped
		}
		n := copy(next, b)
		c.s.pool.put(block)
		block = next
		return next[:n], nil
	}
	_, err := r.Decompress(nil, c.s.cfg.Limits, grow)
	defer func() { c.s.pool.put(block) }()
	switch {
	case errors.Is(err, errStopped):
		return false
	case errors.Is(err, errNoMemory) && c.s.cfg.Spool != nil:
		c.s.pool.put(block)
		block = nil
		return c.decompressedToSpool(r, bytes.NewReader(r.Payload), int64(len(r.Payload)), nil)
	case errors.Is(err, errNoMemory):
		err = &LimitError{What: "decompressed payload", Bytes: c.s.quarter() + 1, Limit: c.s.quarter()}
	}
	if err != nil {
		r.Refused = err
		c.complain(r.Tag, reasonPayload, err)
	}
	return c.handOver(r)
}

var errStopped = errors.New("the connection is closed")

// handOver gives the message to the Receiver, and says whether to go on.
func (c *serverConn) handOver(r *Received) bool {
	c.handed = true
	c.acks.expect()
	st := &c.s.stats
	st.messages.Add(1)
	st.entries.Add(int64(r.Count))
	if r.InvalidCount > 0 {
		st.invalid.Add(int64(r.InvalidCount))
		c.complain(r.Tag, reasonInvalid, fmt.Errorf("%d of %d entries are invalid: %w", r.InvalidCount, r.Count+r.InvalidCount, r.InvalidErr))
	}
	due := &dueAck{q: &c.acks, id: r.ack, wanted: r.WantsAck, tag: r.Tag}
	c.mu.Lock()
	c.state = stateHandling
	c.mu.Unlock()
	c.s.cfg.Receiver.Receive(r, due.done)
	c.enter(stateBusy)
	return !c.isHalted()
}
