package elasticsearch

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"iter"
	"sync"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/jsonscan"
	"github.com/spillway/spillway/internal/jsontext"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// window is how much of a body is made at a time, in bytes. Each piece is one call of the system, which wakes its reader.
const window = 128 << 10

// maxKept bounds what an attempt keeps for the next, in bytes of each buffer.
const maxKept = 1 << 20

// attempt is one request on its way: what makes its body, and what it has found out
// about the events. The body is made by the transport's goroutine; what is below the
// lock is touched under it alone.
type attempt struct {
	sink *Sink
	req  sink.Request

	mu     sync.Mutex
	next   func() (int, *record.Batch, bool)
	stop   func()
	closed bool // nothing more may be read: the batches are settled
	taken  bool // a piece has been taken since the start
	used   bool // the transport holds the window
	done   bool // the body is at its end

	batch  *record.Batch
	stream *record.Stream
	frames []byte
	left   int // events of the batch
	index  int // of the next event in the request
	key    [16]byte
	number uint64 // of the batch's first
	origin originID
	head   indexHead
	tail   []byte // what stands behind the members of a document of this batch
	clock  clock

	out     []byte // the piece that is being made
	long    long   // of which that has only some
	scan    *jsonscan.Scanner
	scratch []byte
	id      []byte
	digest  hash.Hash

	sent     int
	size     int64    // of the body so far
	limit    int64    // at which it ends
	marks    []uint64 // hashes of ids
	places   []uint64 // the same with the index, where ids alone do not name documents
	deletes  []int    // which of those that were sent delete, in order
	rejected []sink.Rejection
	// bad is how many bytes of the present event were replaced because they are no UTF-8,
	// and replaced tells that of all that were sent and have any.
	bad      int
	replaced []replaced
}

// replaced is how many bytes of an event were replaced.
type replaced struct{ event, bytes int }

// indexHead is the beginning of an action, for as long as it stays the same.
type indexHead struct {
	text   []byte
	stream *record.Stream
	grain  int64
	mark   uint64 // a hash of the name, where it is asked for
	known  bool
}

func (s *Sink) newAttempt() *attempt {
	a := &attempt{sink: s, out: make([]byte, 0, window+window/2), scan: jsonscan.NewScanner(s.keys), clock: clock{format: s.o.TimeFormat}}
	if s.o.ID == IDHash {
		a.digest = sha256.New()
	}
	return a
}

// begin makes the attempt one of a request, and the first piece of its body.
func (s *Sink) begin(req sink.Request) *attempt {
	a := s.attempts.Get().(*attempt)
	a.req, a.limit = req, s.size.now(s.o.RequestSize)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rewind()
	return a
}

// rewind starts the body anew; the lock is held.
func (a *attempt) rewind() {
	if a.stop != nil {
		a.stop()
	}
	a.next, a.stop = iter.Pull2(a.req.Batches())
	a.long.end()
	a.closed, a.taken, a.done = false, false, false
	a.batch, a.stream, a.frames, a.left, a.index = nil, nil, nil, 0, 0
	a.head.known = false
	a.sent, a.size = 0, 0
	a.marks, a.places, a.deletes, a.replaced, a.rejected = a.marks[:0], a.places[:0], a.deletes[:0], a.replaced[:0], nil
	a.fill()
}

// end gives the attempt back. Nothing of the request is read after that.
func (a *attempt) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.stop != nil {
		a.stop()
	}
	a.long.end()
	if a.used {
		return // The transport still writes from it; the collector takes it when that ends.
	}
	a.req, a.next, a.stop, a.batch, a.stream, a.frames, a.rejected = nil, nil, nil, nil, nil, nil, nil
	a.head.stream, a.head.known = nil, false
	if cap(a.out)+cap(a.scratch)+8*(cap(a.marks)+cap(a.places)+cap(a.deletes)+2*cap(a.replaced)) <= maxKept {
		a.sink.attempts.Put(a)
	}
}

// fill makes the next piece of the body; the lock is held.
func (a *attempt) fill() {
	a.out = a.out[:0]
	for len(a.out) < window && !a.done {
		if a.long.next != nil {
			a.goOn()
			continue
		}
		if a.left == 0 {
			if !a.enter() {
				a.done = true
			}
			continue
		}
		start, frames := len(a.out), a.frames
		a.bad = 0
		err := a.event()
		n := int64(len(a.out)-start) + a.long.left
		switch {
		case err != nil:
			a.undo(start)
			a.reject(err)
		case a.sent > 0 && a.size+n > a.limit:
			// It is the next attempt's.
			a.undo(start)
			a.frames = frames
			if last := len(a.deletes) - 1; last >= 0 && a.deletes[last] == a.sent {
				a.deletes = a.deletes[:last]
			}
			a.done = true
			return
		default:
			if a.bad > 0 {
				a.replaced = append(a.replaced, replaced{a.index, a.bad})
			}
			a.sent++
			a.size += n
		}
		a.index++
		a.left--
	}
}

// undo takes the present event back, whose text begins there.
func (a *attempt) undo(start int) {
	a.long.end()
	a.out = a.out[:start]
	a.marks, a.places = a.marks[:min(len(a.marks), a.sent)], a.places[:min(len(a.places), a.sent)]
}

// documents tell which of the events that were sent are of one document: those that have
// the same here.
func (a *attempt) documents() []uint64 {
	if a.sink.want.apart {
		return a.places
	}
	return a.marks
}

// enter makes the next batch the present one.
func (a *attempt) enter() bool {
	first, b, ok := a.next()
	if !ok {
		return false
	}
	if a.stream == nil || a.stream.Index != b.Stream {
		a.stream = a.req.Stream(b.Stream)
	}
	a.batch, a.frames, a.left, a.index = b, b.Frames, b.Count, first
	a.key, a.number = b.Identity(a.stream)
	if b.Kind == record.KindLoss {
		a.key = lossKey(a.key)
	}
	a.origin.begin(a.key)
	a.tail = a.tail[:0]
	if w := &a.sink.want; w.tag >= 0 {
		a.tail = append(append(append(a.tail, ','), w.tagOpen...), '"')
		a.tail = append(jsontext.Repair.AppendString(a.tail, []byte(a.stream.Name)), '"')
	}
	if b.Part.Ordinal > 0 {
		a.tail = entry.AppendPart(a.tail, a.stream, b)
	}
	return true
}

// event appends the action and the document of the present event, and goes on to
// the next.
func (a *attempt) event() error {
	b := a.batch
	if b.Kind == record.KindLoss {
		a.frames = nil
		return a.loss(b.Loss())
	}
	if a.sink.want.plain && b.Encoding == record.EncodingEntry && len(a.frames) <= window*a.left {
		if rest, ok := a.quick(a.frames); ok {
			a.frames = rest
			return nil
		}
	}
	var body []byte
	var bad bool
	body, bad, a.frames = b.Next(a.frames)
	switch b.Encoding {
	case record.EncodingEntry:
		_, rec, err := entry.Split(body)
		if err != nil {
			return err
		}
		return a.packed(entry.Time(body, b.Time), a.number+uint64(b.Count-a.left), nil, rec)
	case record.EncodingMessage:
		return a.message(body)
	}
	return a.line(b.Time, a.number+uint64(b.Count-a.left), nil, body, bad)
}

// eventTime is how an entry begins, usually: an array of two, the first of which is
// an EventTime.
const eventTime = "\x92\xd7\x00"

// quick appends the entry that frames begin with, where it looks as usual and
// nothing is wanted from within it, and returns what follows it. It walks the entry
// once. Where it is not ok, nothing is appended.
func (a *attempt) quick(frames []byte) (rest []byte, ok bool) {
	const size = len(eventTime) + 8
	if len(frames) <= size || string(frames[:len(eventTime)]) != eventTime {
		return nil, false
	}
	be := binary.BigEndian
	at := int64(be.Uint32(frames[3:]))*1e9 + int64(be.Uint32(frames[7:]))
	if at == 0 {
		return nil, false
	}
	start := len(a.out)
	if a.action(at, a.number+uint64(a.batch.Count-a.left), values{}) != nil {
		return nil, false
	}
	a.out = append(append(a.out, a.sink.want.open...), '{')
	members := len(a.out)
	json, rest, made, err := entry.AppendPairsOf(a.out, frames[size:], a.sink.want.timeBegins)
	if a.out = json; err != nil || made.Looked && a.mayHaveTime(members) {
		a.undo(start)
		return nil, false
	}
	a.bad = made.Replaced
	a.finish(at, made.N > 0, false)
	return rest, true
}
