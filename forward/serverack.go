package forward

import (
	"crypto/tls"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ackQueue counts what a connection's Receiver has not settled, and writes the
// acknowledgements.
type ackQueue struct {
	c *serverConn

	mu        sync.Mutex
	due       int    // handed over, and nothing said
	unwritten int    // acknowledgements in out
	out       []byte // what is to be written
	writing   bool   // by a goroutine of its own
	no        bool   // the Receiver did not take a message
	changed   chan struct{}
}

// dueAck is one message that was handed over.
type dueAck struct {
	q      *ackQueue
	id     ackID
	wanted bool
	tag    string
	told   atomic.Bool
}

// done is what the Receiver calls; only the first call counts.
func (d *dueAck) done(ok bool) {
	if d.told.Swap(true) {
		return
	}
	q, st := d.q, &d.q.c.s.stats
	if ok {
		st.taken.Add(1)
	} else {
		st.notTaken.Add(1)
	}
	q.mu.Lock()
	q.due--
	write := false
	if ok && d.wanted {
		q.out = d.id.append(q.out)
		q.unwritten++
		st.acks.Add(1)
		write = !q.writing
		q.writing = true
	}
	no := !ok && d.wanted
	q.no = q.no || no
	q.signal()
	q.mu.Unlock()
	if write {
		if q.c.raw == nil || q.c.feed != nil {
			q.c.s.waiting.add(q)
		} else {
			q.c.s.ackers.add(q)
		}
	}
	if no {
		q.c.complain(d.tag, reasonNotTaken, nil)
		q.c.stop()
	}
}

// saidNo reports whether a message was not taken.
func (q *ackQueue) saidNo() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.no
}

// signal wakes the reader, if it waits.
func (q *ackQueue) signal() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

// wait waits until until says so, under the lock, or end happens, or the deadline
// is there. It reports which.
func (q *ackQueue) wait(until func() bool, end *ending, deadline <-chan time.Time) bool {
	for {
		q.mu.Lock()
		if until() {
			q.mu.Unlock()
			return true
		}
		if q.changed == nil {
			q.changed = make(chan struct{})
		}
		changed := q.changed
		q.mu.Unlock()
		var over <-chan struct{}
		if end != nil {
			over = end.done()
		}
		select {
		case <-changed:
		case <-over:
			return false
		case <-deadline:
			return false
		}
	}
}

// room waits until there are not too many; false means that nothing more is to
// be handed over.
func (q *ackQueue) room() bool {
	most := q.c.s.cfg.MaxDue
	return q.wait(func() bool { return q.due+q.unwritten < most }, q.c.halt(), nil)
}

// expect counts one more message. Only the reader calls it, after room.
func (q *ackQueue) expect() {
	q.mu.Lock()
	q.due++
	q.mu.Unlock()
}

// none reports whether nothing is due or to be written.
func (q *ackQueue) none() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.due == 0 && !q.writing
}

// settle waits for what is due, and until it is written.
func (q *ackQueue) settle() {
	var deadline <-chan time.Time
	if !q.c.s.isClosed() { // Close has its own
		t := time.NewTimer(q.c.s.cfg.LingerTimeout)
		defer t.Stop()
		deadline = t.C
	}
	if !q.wait(func() bool { return q.due == 0 && !q.writing }, &q.c.killed, deadline) && !q.c.isKilled() {
		q.c.kill(reasonLinger, nil)
	}
	q.wait(func() bool { return !q.writing }, nil, nil)
}

// stop makes the connection read no further.
func (c *serverConn) stop() {
	c.mu.Lock()
	first := c.stopped.end()
	if first {
		// An error means that the connection is closed, which ends a read as well.
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
	c.mu.Unlock()
	if first && c.parking != nil {
		c.parking.leave(c)
	}
}

func (c *serverConn) isStopped() bool { return c.stopped.is() }
func (c *serverConn) isKilled() bool  { return c.killed.is() }
func (s *Server) isClosed() bool      { return isClosed(s.stopping) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// kill closes the connection at once, and tells why.
func (c *serverConn) kill(why reason, err error) {
	if c.cut() {
		c.complain("", why, err)
	}
}

// cut closes the connection at once, unless it is closed already.
func (c *serverConn) cut() bool {
	c.stop()
	if !c.killed.end() {
		return false
	}
	nc := c.nc
	if conn, ok := nc.(*tls.Conn); ok {
		nc = conn.NetConn() // TLS would say goodbye, and wait for that
	}
	_ = nc.Close() // whatever it says, nobody uses it any more
	return true
}

// setDeadline sets the deadline of reads and writes, unless the connection is to
// read no further.
func (c *serverConn) setDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isStopped() {
		return errStopped
	}
	return c.nc.SetDeadline(t)
}

// nudge ends a read, so that the connection may use less memory.
func (c *serverConn) nudge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isStopped() && c.state == stateReading && c.raw != nil {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // an error ends the read as well
	}
}

// goOn makes reading possible again after a nudge.
func (c *serverConn) goOn() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isStopped() {
		return os.ErrDeadlineExceeded
	}
	return c.nc.SetReadDeadline(time.Time{})
}
