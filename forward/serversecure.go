package forward

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// What a connection over TLS takes of the Go heap beside connectionCost, in bytes, measured
// with Go 1.26: its state and keys, the buffer in which crypto/tls keeps the record at hand
// and which it never makes smaller, and the messages of the handshake. An idle one of a
// client that sends small records takes some 7 KiB, and one whose client fills its records
// 41 KiB.
const (
	secureState = 4 << 10
	// secureCost is what one takes at least.
	secureCost = 10 << 10
	// recordMost is what that buffer becomes for records of the largest size: it doubles.
	recordMost = 34 << 10
	// secureStack is the stack of a goroutine that has made a TLS handshake.
	secureStack = 16 << 10
)

// feed is what TLS reads from and writes to. It sees to it that reading TLS does not wait
// where the connection does not, so that such a connection can be parked as any other, and
// sees how large a buffer TLS has for a record.
type feed struct {
	net.Conn
	c *serverConn

	// What follows belongs to the reader.
	now     bool // fd is not to be waited for
	fd      uintptr
	drained bool  // TLS holds nothing that could be handed over
	record  int64 // the largest buffer that it had
	greeted int64 // bytes of the handshake
}

// nothing is what feed reads where nothing has come. crypto/tls goes on after an error that
// is temporary.
type nothing struct{}

func (nothing) Error() string   { return "nothing has come yet" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

// Read implements net.Conn.
func (f *feed) Read(b []byte) (n int, err error) {
	f.record = max(f.record, int64(cap(b)))
	f.c.s.secure.takes(f.c, secureState+f.record+f.greeted)
	if !f.now {
		n, err = f.Conn.Read(b)
		if !f.c.ready {
			f.greeted += int64(n)
		}
		return n, err
	}
	n, again, err := readNow(f.fd, b)
	switch {
	case again:
		return 0, nothing{}
	case err == nil && n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, err
}

// readNow reads what is there, as the function readNow does, also through TLS.
func (c *serverConn) readNow(fd uintptr, b []byte) (n int, again bool, err error) {
	f := c.feed
	if f == nil {
		return readNow(fd, b)
	}
	f.now, f.fd = true, fd
	n, err = c.nc.Read(b)
	f.now = false
	switch {
	case n > 0:
		err = nil // It comes again.
	case errors.Is(err, nothing{}):
		again, err = true, nil
	case errors.Is(err, io.EOF):
		err = nil
	}
	f.drained = again
	return n, again, err
}

// peek reports whether there is something to read, or an end.
func (c *serverConn) peek(fd uintptr) bool {
	return !c.drained() || peekNow(fd, c.recv.peeked[:])
}

// drained reports whether all that has come is in the system, where it can be waited for.
func (c *serverConn) drained() bool { return c.feed == nil || c.feed.drained }

// ServeTLS is Serve for connections that begin with a TLS handshake as config says; l is of
// TCP or unix. Where Serve is given what tls.NewListener makes, each connection takes a
// goroutine as long as it is open, and counts for that much more.
func (s *Server) ServeTLS(l net.Listener, config *tls.Config) error {
	return s.serve(l, true, func(nc net.Conn) *serverConn {
		f := &feed{Conn: nc}
		f.c = newServerConn(s, tls.Server(f, config))
		if f.c.raw = rawOf(nc); f.c.raw != nil {
			f.c.feed = f
		}
		f.c.charged = secureCost
		return f.c
	})
}

// secureRoom bounds what connections over TLS take of the Go heap: half of the memory for
// receiving. More of them wait to be accepted. Those that there are take more when their
// clients send larger records; where that is too much, the one that has been idle for
// longest is closed.
type secureRoom struct {
	s *Server

	mu      sync.Mutex
	used    int64
	changed chan struct{} // closed when there is less; nil while nobody waits
}

func (e *secureRoom) most() int64 { return e.s.memory.Load() / 2 }

// enter takes the room for one connection, as soon as there is room for one with the largest
// buffer; one is always served. It reports false when the server closes.
func (e *secureRoom) enter() bool {
	told := false
	for {
		e.mu.Lock()
		used := e.used
		if used == 0 || used+secureState+recordMost <= e.most() {
			e.used += secureCost
			e.mu.Unlock()
			return true
		}
		if e.changed == nil {
			e.changed = make(chan struct{})
		}
		changed := e.changed
		e.mu.Unlock()
		if !told {
			told = true
			e.s.report(nil, "", reasonFull, fmt.Errorf("those over TLS take %d KiB of %d KiB that they may have, half of the memory for receiving; "+
				"further ones wait to be accepted until some are closed; give it more memory", used>>10, e.most()>>10))
		}
		select {
		case <-changed:
		case <-e.s.stopping:
			return false
		}
	}
}

// charge counts what c takes; entered says that secureCost of it is counted already.
func (e *secureRoom) charge(c *serverConn, entered bool) {
	if c.charged == 0 {
		if entered { // One over TLS was expected.
			e.leave(secureCost)
		}
		return
	}
	e.s.pool.beside(c.charged)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.used += c.charged; entered {
		e.used -= secureCost
	}
}

// resized closes connections where there is less room than they take.
func (e *secureRoom) resized() {
	e.mu.Lock()
	over := e.used - e.most()
	if e.changed != nil {
		close(e.changed) // There may be more.
		e.changed = nil
	}
	e.mu.Unlock()
	if over > 0 {
		e.makeRoom(nil, over)
	}
}

// leave gives back what n bytes are of one that is not there any more.
func (e *secureRoom) leave(n int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.used -= n
	if e.changed != nil {
		close(e.changed)
		e.changed = nil
	}
}

// takes counts what c takes by now.
func (e *secureRoom) takes(c *serverConn, now int64) {
	c.mu.Lock()
	n := now - c.charged
	if n <= 0 || c.charged == 0 {
		c.mu.Unlock() // It is counted, or about to be closed.
		return
	}
	c.charged = now
	c.mu.Unlock()
	e.s.pool.beside(n)
	e.mu.Lock()
	e.used += n
	over := e.used - e.most()
	e.mu.Unlock()
	if over > 0 {
		e.makeRoom(c, over)
	}
}

// makeRoom closes connections over TLS that hold over bytes, but not the one that asks: the
// longest idle first, and only then those in the middle of a message, or that wait for a turn to
// be read.
func (e *secureRoom) makeRoom(asks *serverConn, over int64) {
	var idle []holder
	for _, c := range e.s.open(nil) {
		if h := c.seen(); c != asks && h.charged > 0 && (h.waits() || h.state == stateQueued) {
			idle = append(idle, h)
		}
	}
	slices.SortFunc(idle, func(a, b holder) int {
		return cmp.Or(cmp.Compare(a.busy(), b.busy()), cmp.Compare(a.last, b.last))
	})
	now := time.Since(e.s.began)
	for _, h := range idle {
		if over <= 0 {
			return
		}
		freed := e.forget(h.c)
		if over -= freed; freed > 0 {
			h.c.complain("", reasonMemory, fmt.Errorf("it was idle for %v and holds %d bytes for TLS, which others need", (now-h.last).Round(time.Second), freed))
			switch {
			case h.c.acks.none():
				h.c.stop()
			case asks == nil:
				h.c.cut() // It would wait for those that are due.
			default:
				// To close a connection waits for who reads it, and the one that asks is in the
				// middle of a read: two that close each other would wait for ever.
				e.s.running.Go(func() { h.c.cut() })
			}
		}
	}
}

// forget gives back what a connection takes, once.
func (e *secureRoom) forget(c *serverConn) int64 {
	c.mu.Lock()
	n := c.charged
	c.charged = 0
	c.mu.Unlock()
	if n > 0 {
		e.s.pool.beside(-n)
		e.leave(n)
	}
	return n
}

// busy says how much would be lost of it.
func (h *holder) busy() int {
	switch {
	case h.state == stateQueued:
		return 2
	case h.got > 0:
		return 1
	}
	return 0
}
