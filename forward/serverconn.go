package forward

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// connState says what a connection is waiting for.
type connState uint8

const (
	stateBusy     connState = iota // nothing
	stateReading                   // the peer
	stateWaiting                   // memory
	stateHandling                  // the Receiver
	stateParked                    // the peer, without a goroutine
	stateQueued                    // its turn, without a goroutine
)

// serverConn is one connection of a Server. One goroutine reads and hands over;
// acknowledgements are written by another, which lives as long as there are
// some. There may be thousands that are idle: one has neither a goroutine nor what it
// takes to read.
type serverConn struct {
	s     *Server
	nc    net.Conn
	index int // in the server's connections, under its lock
	// parking is where it waits while it is idle; nil where it waits by itself.
	parking *parking
	raw     syscall.RawConn // nil where nc has to be read by its own method
	peer    atomic.Pointer[Peer]

	// What follows belongs to the reader.
	*receiving
	trust  int64 // of its buffer, while it has none
	quick  bool
	begun  bool // the first byte was seen
	isJSON bool // the connection speaks JSON
	ended  bool // the peer sends no more
	ready  bool // the handshakes are made
	last   bool // the server closes, and what has come already is handed over
	stays  bool // it could not be parked
	brief  bool // its end needs no farewell

	stopped, killed ending // nothing more is to be read; the connection is closed

	mu       sync.Mutex
	state    connState
	place    int32 // where it is parked; belongs to the parking, as the next two
	turn     bool  // it has one
	queued   bool  // it waits for one
	held     int64 // bytes of memory
	got      int64 // bytes of a message of which more is to come
	since    time.Duration
	progress time.Duration // as since from the start of the server

	acks ackQueue
}

// receiving is what a connection needs to read messages.
type receiving struct {
	recv    receiveBuffer
	scan    Scanner
	json    *JSONScanner // where the connection speaks JSON
	handed  bool         // the message at hand was handed over
	r       *Received    // used again for each message
	arrived time.Time    // when the messages at hand were read; zero until one is handed over
}

func newServerConn(s *Server, nc net.Conn) *serverConn {
	c := &serverConn{s: s, nc: nc}
	c.peer.Store(&Peer{Addr: nc.RemoteAddr(), Local: nc.LocalAddr()})
	c.acks.c = c
	// A type that only embeds one of these may have its own way to read.
	switch conn := nc.(type) {
	case *net.TCPConn:
		c.useRaw(conn)
	case *net.UnixConn:
		c.useRaw(conn)
	}
	return c
}

func (c *serverConn) useRaw(conn syscall.Conn) {
	if raw, err := conn.SyscallConn(); err == nil && readsNow {
		c.raw = raw
	}
}

// wake gives the connection what it takes to read, unless it has that.
func (c *serverConn) wake() {
	if c.receiving != nil {
		return
	}
	c.receiving = &receiving{scan: Scanner{Limit: c.s.inMemory}}
	c.recv.c, c.recv.trust, c.recv.quick = c, c.trust, c.quick
	if c.raw != nil {
		c.recv.ready = c.recv.readReady
	}
	if c.isJSON {
		c.json = &JSONScanner{Limit: c.s.inMemory / 4}
	}
}

// rest is the opposite, for a connection on which nothing comes for now. One that
// has half a message keeps what it reads with.
func (c *serverConn) rest() {
	c.recv.idle, c.r = false, nil
	if len(c.recv.bytes()) == 0 && c.recv.left == 0 {
		c.recv.release()
		c.trust, c.quick = c.recv.trust, c.recv.quick
		c.receiving = nil
		c.holds(0)
	} else {
		c.holds(cap(c.recv.mem))
	}
	c.enter(stateParked)
}

// isQuick says how fast its last message came, while it has no goroutine.
func (c *serverConn) isQuick() bool {
	if c.receiving != nil {
		return c.recv.quick
	}
	return c.quick
}

// serve does all for a connection, until it is closed. One that is idle for a while
// is parked, and goes on in a new goroutine: not even a small stack is worth it, and
// that of one that has called a Receiver is large.
func (c *serverConn) serve() {
	rested := c.receiving == nil && c.ready && c.acks.none()
	c.wake()
	if !c.ready {
		if c.ready = c.open(); c.ready && c.parking != nil && c.parking.join(c) {
			return
		}
	}
	if c.ready {
		for c.messages() && c.fill() {
			if !c.recv.idle {
				continue
			}
			c.rest()
			if c.parking != nil && c.parking.park(c) {
				return
			}
			c.stays = true
			c.resume()
			return
		}
	}
	if c.s.isClosed() {
		c.drain()
		// Who was idle and sends nothing has read its acknowledgements.
		c.brief = rested && !c.handed && len(c.recv.bytes()) == 0
	}
	c.recv.release()
	c.acks.settle()
	c.shut()
	if c.parking != nil {
		c.parking.ended(c)
	}
	c.s.ended(c)
}

// resume goes on with a connection that was idle.
func (c *serverConn) resume() {
	c.enter(stateBusy)
	go c.serve()
}

// open makes the handshakes, and says whether the client may send.
func (c *serverConn) open() bool {
	conn, isTLS := c.nc.(*tls.Conn)
	if !isTLS && c.s.cfg.Security == nil {
		return true
	}
	ctx, end := context.WithTimeout(context.Background(), c.s.cfg.HandshakeTimeout)
	defer end()
	if isTLS {
		if err := conn.HandshakeContext(ctx); err != nil {
			c.complain("", reasonTLS, err)
			return false
		}
		if chain := conn.ConnectionState().PeerCertificates; len(chain) > 0 {
			p := *c.peer.Load()
			p.Certificate, p.CommonName = true, chain[0].Subject.CommonName
			c.peer.Store(&p)
		}
	}
	if c.s.cfg.Security == nil {
		return true
	}
	deadline, _ := ctx.Deadline()
	if err := c.handshake(deadline); err != nil {
		why := reasonHandshake
		if denied := new(deniedError); errors.As(err, &denied) {
			why = reasonDenied
		}
		c.complain("", why, err)
		return false
	}
	return true
}

// deniedError is the answer no.
type deniedError struct{ reason string }

func (e *deniedError) Error() string { return "the client is refused: " + e.reason }

func (c *serverConn) handshake(deadline time.Time) error {
	if err := c.setDeadline(deadline); err != nil {
		return err
	}
	security := c.s.cfg.Security
	hello := NewHello(security.Users != nil, !c.s.cfg.DenyKeepalive)
	if _, err := c.nc.Write(hello.Append(nil)); err != nil {
		return fmt.Errorf("send HELO: %w", err)
	}
	raw, rest, err := c.readPing()
	if err != nil {
		return fmt.Errorf("read PING: %w", err)
	}
	var ping Ping
	if err := ping.Parse(raw); err != nil {
		return fmt.Errorf("read PING: %w", err)
	}
	pong := security.decide(hello, &ping, c.nc.RemoteAddr())
	if _, err := c.nc.Write(pong.Append(nil)); err != nil {
		return fmt.Errorf("send PONG: %w", err)
	}
	if !pong.OK {
		return &deniedError{pong.Reason}
	}
	p := *c.peer.Load()
	p.Hostname, p.Username = ping.Hostname, ping.Username
	c.peer.Store(&p)
	c.recv.start(rest)
	return c.setDeadline(time.Time{})
}

// readPing reads one message, and what came behind it.
func (c *serverConn) readPing() (ping, rest []byte, err error) {
	s := Scanner{Limit: MaxHandshake}
	b := make([]byte, 0, 512)
	for {
		size, _, err := s.Scan(b)
		if err != nil {
			return nil, nil, err
		}
		if size > 0 {
			return b[:size], b[size:], nil
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := c.nc.Read(b[len(b):cap(b)])
		if b = b[:len(b)+n]; err != nil && n == 0 {
			return nil, nil, err
		}
	}
}

// messages hands over what is whole, and says whether to read on.
func (c *serverConn) messages() bool {
	for {
		b := c.recv.bytes()
		if len(b) > 0 && !c.begun {
			c.begun = true
			if c.s.cfg.Security == nil && (b[0] == '{' || b[0] == '[') {
				c.isJSON = true
				c.json = &JSONScanner{Limit: c.s.inMemory / 4}
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
		if size = min(size, max(c.s.quarter, int64(len(b))+int64(more))); size > c.s.quarter {
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
		err = &LimitError{What: "decompressed payload", Bytes: c.s.quarter + 1, Limit: c.s.quarter}
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

// complain counts and tells what went wrong.
func (c *serverConn) complain(tag string, why reason, err error) {
	c.s.report(c.peer.Load(), tag, why, err)
}

// fill reads more, and says whether there is any.
func (c *serverConn) fill() bool {
	c.arrived = time.Time{}
	for {
		n, err := c.recv.read()
		switch {
		case n > 0:
			return true
		case errors.Is(err, errNoMemory):
			block, ok := c.wait(c.recv.want)
			if !ok {
				return false
			}
			c.recv.replace(block)
		case c.isStopped():
			return false
		case err == nil: // nudged: nobody sends, so memory is better used elsewhere
			if c.recv.shrink(); c.recv.idle {
				return true
			}
		default:
			c.broke(err)
			return false
		}
	}
}

// broke tells how a connection ended, and closes one that is not there any more.
func (c *serverConn) broke(err error) {
	c.ended = errors.Is(err, io.EOF)
	switch b := c.recv.bytes(); {
	case len(b) > 0 || c.recv.left > 0:
		if c.ended {
			err = io.ErrUnexpectedEOF
		}
		c.complain(c.scan.peekTag(b), reasonCutOff, err)
	case !c.ended:
		c.complain("", reasonRead, err)
	}
	if !c.ended {
		c.cut()
	}
}
