package kafka

import (
	"fmt"
	"time"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source/kafka/wire"
)

// chunkSize is how large a chunk gets before the next begins, in bytes; a record that
// is larger is a chunk of its own.
const chunkSize = 256 << 10

// keptChunk is the largest chunk for which there need be no word, in bytes.
const keptChunk = 1 << 20

func newBodies() []byte { return make([]byte, 0, chunkSize+chunkSize/8) }

// builder gathers messages of one piece into chunks.
type builder struct {
	pc   *piece
	head int64 // behind it everything is new
	over bool  // the partition is not ours any more, or is read anew

	// What is gathered: messages, or what is refused for one reason and becomes dead
	// letters; of is the span that is handed over again, nil for what is new.
	why    record.Refusal
	of     *span
	bodies []byte
	count  int
	next   int64

	// dropped are tombstones that go nowhere, and droppedBytes their bodies. What stands
	// before the offset counted was counted when it was read first.
	dropped, droppedBytes int64
	counted               int64

	msg     record.Message
	headers []byte
}

// begin turns to a piece, and reports whether it is still wanted.
func (b *builder) begin(pc *piece) bool {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if pc.stream == pc.partition.stream && pc.from != pc.walked {
		// What is between them would be passed over.
		pc.goBack(pc.walked)
	}
	if b.bodies == nil {
		b.bodies = newBodies()
	}
	pc.read(pc.from)
	b.pc, b.head, b.over, b.of, b.count, b.bodies = pc, pc.head, false, nil, 0, b.bodies[:0]
	b.dropped, b.droppedBytes, b.counted = 0, 0, pc.counted
	return pc.stream == pc.partition.stream && !pc.stopped
}

// take takes a record.
func (w *worker) take(rec *wire.Record) {
	if rec.Size <= keptChunk {
		w.takeOne(rec)
		return
	}
	w.from = w.find(rec)
	w.takeOne(rec)
	w.from = mapped{}
}

func (w *worker) takeOne(rec *wire.Record) {
	if w.over {
		return // What it points to may be gone.
	}
	// What is read again is counted once.
	fresh := w.fresh(rec.Offset, rec.Offset)
	m := &w.msg
	*m = record.Message{Time: rec.Time * int64(time.Millisecond), Offset: rec.Offset}
	if rec.TooLarge {
		w.counts.tooLarge.Add(fresh)
		w.refuseUnread(ledger.TooLarge, rec.Offset, m.Time, fmt.Sprintf("a record of %d bytes, more than max-record-size; it is at %s", rec.Size, w.pc.at.Coordinates(rec.Offset)))
		return
	}
	m.Key, m.Value, m.Null = rec.Key, rec.Value, rec.Null
	if rec.HeaderCount() > 0 {
		w.headers = w.headers[:0]
		rec.EachHeader(func(name, value []byte) { w.headers = record.AppendHeader(w.headers, name, value) })
		m.Headers = w.headers
	}
	if m.Null {
		w.counts.tombstones.Add(fresh)
		switch w.how.Tombstone {
		case TombstoneDrop:
			w.dropped += fresh
			w.droppedBytes += fresh * int64(m.Size()-record.FrameSize)
		case TombstoneDeadLetter:
			w.put(m, refusal(ledger.Tombstone))
		case TombstoneDelete:
			m.Form = w.form
			w.put(m, record.Refusal{})
		}
		return
	}
	if rec.Size > keptChunk && w.makes() {
		w.value = w.largeValue(rec.Size)
	}
	err := w.convert(m, w.pc.partition)
	if w.noTime {
		w.counts.noTime.Add(fresh)
	}
	if err != nil {
		w.counts.invalid.Add(fresh)
		w.event("invalid", w.pc.place, fmt.Errorf("the value at offset %d: %w", rec.Offset, err))
		m.Value, m.Form = rec.Value, record.FormText
		w.put(m, refusal(w.not))
		return
	}
	if rec.Size > keptChunk {
		w.made(m, rec)
	}
	w.put(m, record.Refusal{})
}

// fresh is 1 where the records from first to last are read for the first time, else 0.
func (w *worker) fresh(first, last int64) int64 {
	if first < w.counted {
		return 0
	}
	w.counted = last + 1
	return 1
}

// refuseUnread makes a dead letter that stands for what was not read.
func (w *worker) refuseUnread(why ledger.Reason, offset, at int64, text string) {
	if at == 0 {
		at = time.Now().UnixNano()
	}
	w.put(&record.Message{Time: at, Offset: offset, Value: []byte(text)}, refusal(why))
}

func refusal(why ledger.Reason) record.Refusal { return record.Refusal{Reason: string(why)} }

// put adds a message to those that are gathered; why is known where it is refused.
func (w *worker) put(m *record.Message, why record.Refusal) {
	of, ok := w.span(m.Offset)
	if !ok || w.over {
		return
	}
	size := m.Size()
	if w.count > 0 && (why != w.why || of != w.of || len(w.bodies)+size > chunkSize) {
		before := w.of
		w.flush()
		if w.over {
			return
		}
		if of != nil && of == before {
			// What is left of the span has become one of its own.
			of, _ = w.span(m.Offset)
		}
	}
	w.why, w.of, w.next = why, of, m.Offset+1
	w.count++
	if size <= keptChunk {
		w.bodies = record.AppendMessage(w.bodies, m)
		return
	}
	if cap(w.bodies) < size {
		w.bodies = w.largeBodies(size)
	}
	w.appendLarge(m)
}

// tellDropped notes how far a piece was counted, and tells of its tombstones that go
// nowhere.
func (w *worker) tellDropped() {
	w.pc.mu.Lock()
	w.pc.counted = max(w.pc.counted, w.counted)
	w.pc.mu.Unlock()
	if w.dropped == 0 {
		return
	}
	w.counts.records.Add(w.dropped)
	w.counts.bytes.Add(w.droppedBytes)
	if w.cfg.Dropped != nil {
		w.cfg.Dropped(w.pc.tag, w.dropped, w.droppedBytes)
	}
}

// span finds out which span a record belongs to; nil is a new one. ok is false where
// it was handed over before, and not lost.
func (w *worker) span(offset int64) (s *span, ok bool) {
	if offset >= w.head {
		return nil, true
	}
	w.pc.mu.Lock()
	defer w.pc.mu.Unlock()
	s = w.pc.lostAt(offset)
	return s, s != nil
}

// flush hands over what is gathered.
func (w *worker) flush() {
	if w.count == 0 || w.over {
		return
	}
	p := w.pc.partition
	p.mu.Lock()
	if w.over = w.pc.stream != p.stream || p.stopped; w.over {
		p.mu.Unlock()
		return
	}
	s := w.of
	if s != nil {
		p.again(s, min(w.next, s.next), w.count)
	} else {
		s = p.hand(w.next, w.count)
		w.head = w.next
	}
	p.mu.Unlock()
	c := &record.Chunk{
		Tag: p.tag, Time: time.Now().UnixNano(), Encoding: record.EncodingMessage, Bodies: w.bodies, Count: w.count, Partition: p.at, Refusal: w.why, Level: w.cfg.Level,
		Done: func(ok bool) { w.told(p, s, ok) },
	}
	if w.large.bodies.data != nil {
		w.mayRecall(c)
	}
	w.counts.records.Add(int64(w.count))
	w.counts.bytes.Add(int64(len(w.bodies)))
	w.counts.chunks.Add(1)
	w.line.wait(w.next)
	if w.why.Known() {
		if c.Level != record.LevelMemory {
			c.Level = record.LevelDelivered
		}
		w.cfg.Router.Reject(c)
	} else {
		w.cfg.Router.Admit(c)
	}
	w.line.goOn()
	p.mu.Lock()
	w.over = w.pc.stream != p.stream || p.stopped // The rest of the piece may have been given up.
	p.mu.Unlock()
	w.bodies, w.count, w.of = w.bodies[:0], 0, nil
}
