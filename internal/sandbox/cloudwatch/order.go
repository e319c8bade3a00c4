package cloudwatch

import "encoding/binary"

// run is what one request brought of one series in one millisecond: enough to join it to its neighbours in readers'
// order, whenever those arrive.
type run struct {
	time     int64  // Milliseconds since 1970.
	seq      uint64 // The arrival of the request; requests of one stream have different ones.
	first    uint64
	last     uint64
	descents uint64 // Places inside the run where the number goes down.
}

// before is readers' order: by time, then by arrival.
func (r *run) before(o *run) bool {
	return r.time < o.time || r.time == o.time && r.seq < o.seq
}

// maxLanes bounds the lanes of a series. A sender that keeps some requests in flight needs as many lanes as it has
// requests overtaking each other, which is few.
const maxLanes = 1024

// order remembers a series in readers' order although its requests arrive in any. A request joins the lane that ends
// closest before it; a request that is earlier than every lane's end starts a lane. So each lane is in order, and the
// lanes are merged only when someone asks. A run takes one byte where numbers count up one a millisecond.
type order struct {
	lanes []lane
	at    int // The lane of the current request.
	cur   run
	open  bool // Whether cur holds events.
	lost  uint64
}

type lane struct {
	buf  []byte
	prev run
}

// add notes the next event of request seq. Times within a request never go down.
func (o *order) add(seq uint64, time int64, number uint64, room *allowance) {
	if o.open && o.cur.seq == seq && o.cur.time == time {
		if number < o.cur.last {
			o.cur.descents++
		}
		o.cur.last = number
		return
	}
	o.flush(room)
	o.open, o.cur = true, run{time: time, seq: seq, first: number, last: number}
}

// flush moves the current run into a lane. If there is no room for it, lost counts it.
func (o *order) flush(room *allowance) {
	if !o.open {
		return
	}
	o.open = false
	if o.at >= len(o.lanes) || o.lanes[o.at].prev.seq != o.cur.seq {
		if !o.pick() {
			o.lost++
			return
		}
	}
	l := &o.lanes[o.at]
	held := len(l.buf)
	buf := appendRun(l.buf, &l.prev, &o.cur)
	if !room.take(len(buf) - held) {
		o.lost++
		return
	}
	l.buf, l.prev = buf, o.cur
}

// pick chooses the lane for a new request: the one with the latest end that is not after it.
func (o *order) pick() bool {
	best := -1
	for i := range o.lanes {
		end := o.lanes[i].prev.time
		if end <= o.cur.time && (best < 0 || end > o.lanes[best].prev.time) {
			best = i
		}
	}
	if best < 0 {
		if len(o.lanes) == maxLanes {
			return false
		}
		best = len(o.lanes)
		o.lanes = append(o.lanes, lane{})
	}
	o.at = best
	return true
}

// snapshot returns the lanes as they are; since they only ever grow, it can be read without the stream's lock.
func (o *order) snapshot(room *allowance) []lane {
	o.flush(room)
	return append([]lane(nil), o.lanes...)
}

// outOfOrder counts the places in readers' order where a number is smaller than the one before it.
func outOfOrder(lanes []lane) uint64 {
	type cursor struct {
		rest []byte
		run
	}
	h := heap[*cursor]{less: func(a, b *cursor) bool { return a.run.before(&b.run) }}
	for i := range lanes {
		if len(lanes[i].buf) > 0 {
			c := &cursor{}
			c.rest, c.run = nextRun(lanes[i].buf, run{})
			h.push(c)
		}
	}
	var count, last uint64
	for len(h.items) > 0 {
		c := h.items[0]
		if c.first < last {
			count++
		}
		count += c.descents
		last = c.last
		if len(c.rest) == 0 {
			h.pop()
			continue
		}
		c.rest, c.run = nextRun(c.rest, c.run)
		h.fix()
	}
	return count
}

// The first byte of a run in a lane: what differs from the usual, and the step in time.
const (
	runNewSeq   = 1 << 0
	runJump     = 1 << 1
	runLong     = 1 << 2
	runDescents = 1 << 3
	stepShift   = 4
	stepMax     = 15
)

// appendRun writes r as the one after prev.
func appendRun(buf []byte, prev, r *run) []byte {
	at := len(buf)
	step := uint64(r.time) - uint64(prev.time)
	buf = append(buf, byte(min(step, stepMax)<<stepShift))
	if step >= stepMax {
		buf = binary.AppendUvarint(buf, step-stepMax)
	}
	if r.seq != prev.seq {
		buf[at] |= runNewSeq
		buf = binary.AppendUvarint(buf, r.seq-prev.seq)
	}
	if jump := int64(r.first - (prev.last + 1)); jump != 0 {
		buf[at] |= runJump
		buf = binary.AppendVarint(buf, jump)
	}
	if r.last != r.first {
		buf[at] |= runLong
		buf = binary.AppendVarint(buf, int64(r.last-r.first))
	}
	if r.descents != 0 {
		buf[at] |= runDescents
		buf = binary.AppendUvarint(buf, r.descents)
	}
	return buf
}

// nextRun reads the run after prev and returns what follows it.
func nextRun(buf []byte, prev run) ([]byte, run) {
	flags, r := buf[0], prev
	buf = buf[1:]
	unsigned := func() uint64 {
		v, n := binary.Uvarint(buf)
		buf = buf[n:]
		return v
	}
	signed := func() uint64 {
		v, n := binary.Varint(buf)
		buf = buf[n:]
		return uint64(v)
	}
	step := uint64(flags >> stepShift)
	if step == stepMax {
		step += unsigned()
	}
	r.time = int64(uint64(prev.time) + step)
	if flags&runNewSeq != 0 {
		r.seq += unsigned()
	}
	r.first = prev.last + 1
	if flags&runJump != 0 {
		r.first += signed()
	}
	r.last = r.first
	if flags&runLong != 0 {
		r.last += signed()
	}
	r.descents = 0
	if flags&runDescents != 0 {
		r.descents = unsigned()
	}
	return buf, r
}
