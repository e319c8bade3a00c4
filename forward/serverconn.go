package forward

import (
	"crypto/tls"
	"errors"
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
	stateShaking                   // the peer's part of a handshake
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
	feed    *feed           // what is below TLS; nil where it cannot be parked, or has none
	peer    atomic.Pointer[Peer]

	// What follows belongs to the reader.
	*receiving
	trust    int64 // of its buffer, while it has none
	quick    bool
	begun    bool      // the first byte was seen
	isJSON   bool      // the connection speaks JSON
	ended    bool      // the peer sends no more
	ready    bool      // the handshakes are made
	greeting *greeting // of the one that is under way
	last     bool      // the server closes, and what has come already is handed over
	stays    bool      // it could not be parked
	brief    bool      // its end needs no farewell

	stopped, killed ending // nothing more is to be read; the connection is closed

	mu       sync.Mutex
	state    connState
	place    int32         // where it is parked; belongs to the parking, as the next two
	took     int           // turns that it has
	shakes   bool          // they are for a handshake
	queued   bool          // it waits for one
	charged  int64         // bytes that it takes for TLS
	asked    time.Duration // when it began to wait for its turn
	limit    time.Duration // when its handshakes are to be made; 0 once they are
	held     int64         // bytes of memory
	got      int64         // bytes of a message of which more is to come
	since    time.Duration
	progress time.Duration // as since from the start of the server
	came     time.Duration // likewise, when the last bytes came

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

// newServerConn is for nc, under which there may be TLS.
func newServerConn(s *Server, nc net.Conn) *serverConn {
	c := &serverConn{s: s, nc: nc, raw: rawOf(nc)}
	c.peer.Store(&Peer{Addr: nc.RemoteAddr(), Local: nc.LocalAddr()})
	c.acks.c = c
	_, isTLS := nc.(*tls.Conn)
	if isTLS {
		c.charged = secureState + recordMost + secureStack
	}
	c.ready = !isTLS && s.cfg.Security == nil
	return c
}

// rawOf is the connection of the system in nc, where that can be read without waiting.
func rawOf(nc net.Conn) syscall.RawConn {
	var conn syscall.Conn
	// A type that only embeds one of these may have its own way to read.
	switch nc := nc.(type) {
	case *net.TCPConn:
		conn = nc
	case *net.UnixConn:
		conn = nc
	default:
		return nil
	}
	raw, err := conn.SyscallConn()
	if err != nil || !readsNow {
		return nil
	}
	return raw
}

// wake gives the connection what it takes to read, unless it has that.
func (c *serverConn) wake() {
	if c.receiving != nil {
		return
	}
	c.receiving = &receiving{scan: Scanner{Limit: c.s.inMemory()}}
	c.recv.c, c.recv.trust, c.recv.quick = c, c.trust, c.quick
	if c.raw != nil {
		c.recv.ready = c.recv.readReady
	}
	if c.isJSON {
		c.json = &JSONScanner{Limit: c.s.inMemory() / 4}
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
	for !c.ready {
		waits, ok := c.open()
		if !waits {
			if c.ready = ok; ok && c.parking != nil && c.parking.join(c) {
				return
			}
			break
		}
		if c.rest(); c.parking.park(c) {
			return
		}
		c.stays = true
		c.wake()
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
			c.recv.nudged = true
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
