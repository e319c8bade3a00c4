package forward

import (
	"errors"
	"io"
	"os"
)

// Sizes of what is read at once, in bytes.
const (
	firstRead = 4 << 10  // from a connection that has sent little so far
	bulkRead  = 64 << 10 // from one that fills that
	// trusted is the most that is taken of memory as soon as a message is announced,
	// and only on a connection that has sent as much before. Otherwise memory grows
	// with what has come.
	trusted = 1 << 20
	// readAhead is what is read beyond the end of a message, so that little has to
	// be moved.
	readAhead = 4 << 10
	// smallRest is what is kept on the Go heap of a message whose rest does not come.
	smallRest = 1 << 10
)

// receiveBuffer is where a connection is read into. It is empty, and has no
// memory, until something has come; the same memory is used again while more
// comes.
type receiveBuffer struct {
	c     *serverConn
	ready func(fd uintptr) bool // readReady

	mem      []byte
	from, to int
	readTo   int   // how far the next read may go
	kind     uint8 // whose mem is
	bulk     bool
	resting  bool  // moved to memory of the size of what there is, with a little room
	idle     bool  // nothing came for a while
	nudged   bool  // it reads on after a nudge, and nothing has come since
	fresh    bool  // a message was whole since the last read
	slow     bool  // the message at hand has been under way for a while
	quick    bool  // the last message was whole soon after it had begun
	trust    int64 // the largest message so far
	peeked   [1]byte
	broken   error // what sip met
	need     int64 // size of the message at hand, as far as it is known
	left     int64 // what is read at most, of a message that is put aside; 0 otherwise

	// Results of readReady.
	n    int
	err  error
	want int64 // size of the block that there is no memory for
}

// Whose memory a receiveBuffer has.
const (
	memNone  = iota
	memPool  // a block of the pool
	memHeap  // on the Go heap, not charged: what came with a handshake, and of a TLS connection
	memSmall // on the Go heap, charged
)

// bytes are those that were read and not handed over.
func (r *receiveBuffer) bytes() []byte { return r.mem[r.from:r.to] }

// advance leaves the first n bytes behind.
func (r *receiveBuffer) advance(n int) {
	r.from, r.fresh, r.trust = r.from+n, true, min(max(r.trust, int64(n)), trusted)
}

// start begins with bytes that were read already.
func (r *receiveBuffer) start(b []byte) {
	if len(b) > 0 {
		r.mem, r.from, r.to, r.kind = b, 0, len(b), memHeap
	}
}

// release gives the memory back.
func (r *receiveBuffer) release() {
	r.free()
	r.mem, r.from, r.to, r.kind = nil, 0, 0, memNone
}

func (r *receiveBuffer) free() {
	switch r.kind {
	case memPool:
		r.c.s.pool.put(r.mem)
	case memSmall:
		r.c.s.pool.uncharge(int64(cap(r.mem)))
	}
}

// replace moves to block, a block of the pool.
func (r *receiveBuffer) replace(block []byte) {
	n := copy(block, r.mem[r.from:r.to])
	r.free()
	r.mem, r.from, r.to, r.kind = block, 0, n, memPool
}

// room sees to it that there is room for the next read; false means that it
// takes a block of size want, and there is none.
func (r *receiveBuffer) room() bool {
	have := r.to - r.from
	if r.left > 0 {
		r.from, r.to = 0, copy(r.mem, r.mem[r.from:r.to])
		r.readTo = int(min(int64(len(r.mem)), int64(r.to)+r.left))
		return true
	}
	if have == 0 {
		size := int64(firstRead)
		if r.bulk {
			size = bulkRead
		}
		r.from, r.to = 0, 0
		if r.c.raw == nil && !r.bulk && r.kind != memPool {
			if r.kind != memHeap || len(r.mem) < firstRead {
				r.mem, r.kind = make([]byte, firstRead), memHeap
			}
		} else if r.kind != memPool || int64(len(r.mem)) < size {
			if !r.move(size) {
				return false
			}
		}
		r.readTo = len(r.mem)
		return true
	}
	if r.resting && r.to < len(r.mem) {
		r.readTo = len(r.mem)
		return true
	}
	need := max(r.need, int64(have)+1)
	size := need
	if size > 2*r.trust {
		size = min(size, r.next(int64(have)))
	}
	if r.kind == memSmall || int64(len(r.mem)) < size {
		if !r.move(size) {
			return false
		}
	} else if int64(len(r.mem)-r.from) < size || r.from > 0 && len(r.mem)-r.to < readAhead {
		r.to = copy(r.mem, r.mem[r.from:r.to])
		r.from = 0
	}
	r.readTo = len(r.mem)
	if need > bulkRead {
		r.readTo = int(min(int64(len(r.mem)), int64(r.from)+need+readAhead))
	}
	return true
}

// next is the memory for a message of which have bytes have come, and whose size
// is not believed: what there is while a quarter of it is free, then twice as
// much.
func (r *receiveBuffer) next(have int64) int64 {
	size := int64(len(r.mem))
	if have+size/4 > size || r.kind == memSmall {
		size = 2 * max(r.trust, have, firstRead/2)
	}
	return size
}

func (r *receiveBuffer) move(size int64) bool {
	block, ok := r.c.s.pool.get(size, r.quick)
	if !ok {
		r.want = size
		return false
	}
	r.replace(block)
	return true
}

// read waits for bytes and reads them. It returns errNoMemory where there is no
// memory for them, and neither bytes nor an error after a nudge, where nothing has
// come ever, or where a message comes slowly.
func (r *receiveBuffer) read() (n int, err error) {
	c := r.c
	got := r.to - r.from
	if r.left > 0 {
		got++ // something of it came, if only to the file
	}
	c.reading(got, cap(r.mem))
	if r.broken != nil {
		return 0, r.broken
	}
	r.n, r.err = 0, nil
	if c.raw != nil {
		if err := c.raw.Read(r.ready); err != nil {
			r.err = err
		}
	} else if r.room() {
		r.n, r.err = c.nc.Read(r.mem[r.to:r.readTo])
	} else {
		r.err = errNoMemory
	}
	c.enter(stateBusy)
	if r.n > 0 {
		r.resting, r.nudged = false, false
		if r.to += r.n; r.to == r.readTo && r.to == len(r.mem) {
			r.bulk = true
		}
		return r.n, nil
	}
	if errors.Is(r.err, os.ErrDeadlineExceeded) {
		return 0, c.goOn()
	}
	return 0, r.err
}

// readReady reads what is there, and returns false where that is nothing; it is
// called again then when there is something.
func (r *receiveBuffer) readReady(fd uintptr) bool {
	if !r.room() {
		// Who has nothing to read needs no memory.
		if !r.c.peek(fd) {
			return false
		}
		r.err = errNoMemory
		return true
	}
	n, again, err := r.c.readNow(fd, r.mem[r.to:r.readTo])
	if again {
		switch have := r.to - r.from; {
		case r.left > 0:
		case r.parks(have):
			return true // It waits for its next bytes where that costs least.
		case have == 0:
			r.release()
		case have <= smallRest && !r.quick && r.kind == memPool && r.c.s.pool.tight():
			r.toSmall()
		}
		r.c.holds(cap(r.mem))
		return false
	}
	if n == 0 && err == nil {
		err = io.EOF
	}
	r.n, r.err = n, err
	return true
}

// parks reports whether a connection that holds have bytes and has nothing to read
// is to be parked at once: before its first byte, in the middle of a small message
// that comes slowly, and wherever turns are scarce.
func (r *receiveBuffer) parks(have int) bool {
	c := r.c
	if c.parking == nil || c.stays {
		return false
	}
	return have == 0 && !c.begun || r.slow && have <= smallRest || c.parking.scarce()
}

// shrink moves what is half read to memory of its size, with room for a byte at
// least: into that is read until there is more.
func (r *receiveBuffer) shrink() {
	have := r.to - r.from
	r.bulk = false
	r.idle = r.left == 0 && (have == 0 || r.c.parking != nil) && r.c.drained()
	if have > 0 {
		r.quick = false
	}
	if r.kind != memPool || have == 0 || r.left > 0 {
		return
	}
	if have > smallRest {
		if bitsFor(int64(have)+1) < bitsFor(int64(len(r.mem))) {
			if block, ok := r.c.s.pool.get(int64(have)+1, r.quick); ok {
				r.replace(block)
				r.resting = true
			}
		}
		return
	}
	r.toSmall()
}

// toSmall moves what is half read, which is little, to the Go heap.
func (r *receiveBuffer) toSmall() {
	have := r.to - r.from
	block, small := r.mem, make([]byte, (have+128)&^127)
	copy(small, r.mem[r.from:r.to])
	r.mem, r.from, r.to, r.kind = small, 0, have, memSmall
	r.resting = true
	r.c.s.pool.swap(block, int64(len(small)))
}
