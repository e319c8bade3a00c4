package forward

import (
	"sync"
	"time"
)

// ackers write acknowledgements. A destination may settle what thousands of
// connections have sent at once, and a goroutine for each would cost more than what
// they hold; so there are a few, and those do not wait for a peer.
type ackers struct {
	do   func(*ackQueue, *ackWriter) // writes what a connection is due
	most int                         // goroutines

	mu     sync.Mutex
	queues []*ackQueue
	first  int // of queues that is not taken
	active int

	idle sync.Pool // of *ackWriter
}

// ackWriter writes what a connection takes at once.
type ackWriter struct {
	ready func(fd uintptr) bool // write
	b     []byte

	n     int
	again bool
	err   error
}

func (w *ackWriter) write(fd uintptr) bool {
	w.n, w.again, w.err = writeNow(fd, w.b)
	return true
}

// Bounds of the goroutines that write acknowledgements: those that do not wait for a
// peer, and those to connections of which it cannot be known whether they would: over TLS.
const (
	ackersMost  = 8
	waitingMost = 64
)

// add has the acknowledgements of q written, of which writing is set.
func (w *ackers) add(q *ackQueue) {
	w.mu.Lock()
	w.queues = append(w.queues, q)
	begin := w.active < w.most
	if begin {
		w.active++
	}
	w.mu.Unlock()
	if begin {
		go w.run()
	}
}

// next returns a queue that has something to write, or nil for the end of run.
func (w *ackers) next() *ackQueue {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == len(w.queues) {
		if w.first = 0; cap(w.queues) > 1<<10 {
			w.queues = nil
		}
		w.queues = w.queues[:0]
		w.active--
		return nil
	}
	q := w.queues[w.first]
	w.queues[w.first] = nil
	w.first++
	return q
}

func (w *ackers) run() {
	one, _ := w.idle.Get().(*ackWriter)
	if one == nil {
		one = new(ackWriter)
		one.ready = one.write
	}
	for q := w.next(); q != nil; q = w.next() {
		w.do(q, one)
	}
	w.idle.Put(one)
}

// take returns what there is to write, in exchange for the memory of done. It is
// empty where there is nothing, and then whoever writes must end: the connection's
// settle waits for it.
func (q *ackQueue) take(done []byte) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.out
	q.out = done[:0]
	q.unwritten = 0
	q.writing = len(b) > 0
	q.signal()
	return b
}

// writeNow writes what the connection takes now, and leaves the rest to a goroutine
// of its own.
func (q *ackQueue) writeNow(w *ackWriter) {
	defer func() { w.b = nil }()
	for w.b = q.take(nil); len(w.b) > 0; w.b = q.take(w.b) {
		err := q.c.raw.Write(w.ready)
		if err == nil {
			err = w.err
		}
		switch {
		case err != nil:
			q.c.kill(reasonWrite, err) // and what is not written yet fails at once
		case w.again || w.n < len(w.b):
			go q.write(w.b[w.n:])
			return
		}
	}
}

// write writes b, and then what there is, and waits for the peer.
func (q *ackQueue) write(b []byte) {
	c := q.c
	if len(b) == 0 {
		b = q.take(nil)
	}
	for ; len(b) > 0; b = q.take(b) {
		err := c.nc.SetWriteDeadline(time.Now().Add(c.s.cfg.WriteTimeout))
		if err == nil {
			_, err = c.nc.Write(b)
		}
		if err == nil {
			err = c.nc.SetWriteDeadline(time.Time{})
		}
		if err != nil {
			c.kill(reasonWrite, err) // and what is not written yet fails at once
		}
	}
}
