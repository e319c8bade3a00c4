package forward

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the farewell.
const (
	drainTime  = 500 * time.Millisecond
	drainBytes = 16 << 20
	// nothingMore is how long a connection that cannot be asked is given to show
	// what has come.
	nothingMore = 20 * time.Millisecond
)

// halt is what ends when nothing more is to be handed over.
func (c *serverConn) halt() *ending {
	if c.last {
		return &c.killed
	}
	return &c.stopped
}

func (c *serverConn) isHalted() bool { return c.halt().is() }

// ending is something that happens once. It costs a channel only where somebody
// waits for it.
type ending struct {
	mu   sync.Mutex
	over atomic.Bool
	ch   chan struct{}
}

func (e *ending) is() bool { return e.over.Load() }

// end makes it happen, and reports whether it had not.
func (e *ending) end() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over.Load() {
		return false
	}
	e.over.Store(true)
	if e.ch != nil {
		close(e.ch)
	}
	return true
}

// done is closed when it happens.
func (e *ending) done() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ch == nil {
		if e.ch = make(chan struct{}); e.over.Load() {
			close(e.ch)
		}
	}
	return e.ch
}

// drain hands over what has come already when the server closes. A client that
// wants no acknowledgements takes it for sent.
func (c *serverConn) drain() {
	if !c.ready || c.ended || c.s.cfg.DenyKeepalive || c.acks.saidNo() || c.isKilled() {
		return
	}
	if c.nc.SetReadDeadline(time.Time{}) != nil {
		return // it is closed
	}
	c.last = true
	end := time.Now().Add(drainTime)
	for c.messages() {
		if time.Now().After(end) || !c.more() {
			break
		}
	}
	if rest := c.recv.bytes(); len(rest) > 0 && !c.isKilled() {
		c.complain(c.scan.peekTag(rest), reasonCutOff, errors.New("the server closes"))
	}
}

// more reads what is there, without waiting for it.
func (c *serverConn) more() bool {
	c.arrived = time.Time{}
	r := &c.recv
	for {
		r.n, r.err = 0, nil
		switch {
		case c.raw != nil:
			if err := c.raw.Read(func(fd uintptr) bool { r.readReady(fd); return true }); err != nil {
				return false
			}
		case !r.room():
			r.err = errNoMemory
		default:
			r.n, r.err = c.readSoon(r.mem[r.to:r.readTo])
		}
		if errors.Is(r.err, errNoMemory) {
			if block, ok := c.wait(r.want); ok {
				r.replace(block)
				continue
			}
		}
		r.to += r.n
		r.resting = false
		c.ended = errors.Is(r.err, io.EOF)
		return r.n > 0
	}
}

// readSoon reads what comes within nothingMore. A read that begins behind its deadline,
// because the machine is busy, has not looked, and is made again.
func (c *serverConn) readSoon(b []byte) (n int, err error) {
	for range 10 {
		began := time.Now()
		if err := c.nc.SetReadDeadline(began.Add(nothingMore)); err != nil {
			return 0, err
		}
		n, err = c.nc.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) < 2*nothingMore {
			break
		}
	}
	return n, err
}

// shut closes the connection. What the peer still sends is read for a moment, or
// the system would answer it in a way that takes the acknowledgements away from
// the peer.
func (c *serverConn) shut() {
	if c.isKilled() {
		return
	}
	half, ok := c.nc.(interface{ CloseWrite() error })
	if ok && !c.ended && !c.brief && half.CloseWrite() == nil && c.nc.SetReadDeadline(time.Now().Add(drainTime)) == nil {
		// An error ends it, which is all that is wanted.
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(c.nc, drainBytes), make([]byte, 4096))
		c.s.stats.discarded.Add(n)
	}
	_ = c.nc.Close() // what was due is written, and nobody is to be told
}
