package kafka

import (
	"context"
	"time"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source/kafka/wire"
)

// large is what a worker holds of records that are larger than usual: what is unpacked
// of one, a batch that is unpacked at once, a value that is made of one, and the chunk that a record becomes. It
// is mapped and not allocated, so that it is gone at once when it is not needed any more, and
// takes no more than is touched.
//
// One worker at a time has any, or a decompressor that holds much. A route without room
// keeps others from it for heldAfter alone: then what waits for that route is given up, and a
// chunk of its own taken back (record.Chunk.Until), to be fetched again.
type large struct {
	window, block, value, bodies mapping
	ring                         int64 // bytes of a decompressor
	holds                        bool
}

// mapping is memory of which size bytes are to be touched.
type mapping struct {
	data []byte
	size int64
}

// largeWindow gives the memory for unpacked records of a batch: no more than is counted,
// since a decompressor fills what it gets.
func (w *worker) largeWindow(size int) []byte {
	if w.large.window.data == nil {
		w.enlarge(&w.large.window, w.mostLarge())
	}
	w.touch(&w.large.window, size)
	return w.large.window.data[:size:size]
}

// mostLarge is what the largest record takes with what stands beside it, in bytes.
func (w *worker) mostLarge() int { return w.cfg.MaxRecord + w.cfg.MaxRecord/8 }

// largeBlock gives the memory for what is unpacked at once.
func (w *worker) largeBlock(size int) []byte {
	if len(w.large.block.data) < size {
		w.enlarge(&w.large.block, size)
	}
	w.touch(&w.large.block, size)
	return w.large.block.data
}

// largeValue gives the memory for a value that is made of a record of that size.
func (w *worker) largeValue(size int) []byte {
	if size += size/8 + wire.Stride; len(w.large.value.data) < size {
		w.enlarge(&w.large.value, max(size, w.mostLarge()))
	}
	w.touch(&w.large.value, size)
	return w.large.value.data[:0]
}

// largeBodies gives the memory for a chunk of that size, when there is nothing in the
// one before. It has no more capacity, so that who needs more asks again.
func (w *worker) largeBodies(size int) []byte {
	if len(w.large.bodies.data) < size {
		w.enlarge(&w.large.bodies, max(size, w.mostLarge()))
	}
	w.touch(&w.large.bodies, size)
	return w.large.bodies.data[:0:size]
}

// largeRing notes what a decompressor will hold.
func (w *worker) largeRing(size int) {
	w.hold()
	w.large.ring += int64(size)
	w.memory.overdraw(int64(size))
}

// enlarge maps memory.
func (w *worker) enlarge(which *mapping, size int) {
	w.hold()
	w.reduce(which)
	which.data = mapMemory(size)
}

// touch counts what is to be touched.
func (w *worker) touch(which *mapping, size int) {
	if more := int64(size) - which.size; more > 0 {
		which.size += more
		w.memory.overdraw(more)
	}
}

func (w *worker) reduce(which *mapping) {
	if which.data != nil {
		w.memory.give(which.size)
		unmap(which.data)
		*which = mapping{}
	}
}

// hold waits for the turn to hold what is large.
func (w *worker) hold() {
	for !w.large.holds {
		next, freed := w.tryHold()
		if freed == nil {
			return
		}
		select {
		case <-freed:
		case <-time.After(next):
		}
	}
}

// tryHold takes the turn, or says when to try again. Who has it and waits for its route
// has what waits fetched again.
func (w *worker) tryHold() (next time.Duration, freed <-chan struct{}) {
	w.handing.Lock()
	defer w.handing.Unlock()
	next = heldAfter
	if has := w.holder; has != nil && !has.line.since.IsZero() && !has.line.held {
		if next = heldAfter - time.Since(has.line.since); next <= 0 {
			has.line.giveUp()
			next = heldAfter
		}
	}
	if w.holder != nil {
		return next, w.letGo
	}
	w.holder, w.large.holds = w, true
	return 0, nil
}

// mayRecall lets a chunk be taken back while it waits for its route. It counts then as never
// handed over.
func (w *worker) mayRecall(c *record.Chunk) {
	until, recall := context.WithCancel(context.Background())
	told, records, size := c.Done, c.Count, len(c.Bodies)
	c.Until, w.recall = until, recall
	c.Done = func(ok bool) {
		if !ok && until.Err() != nil {
			w.counts.records.Add(-int64(records))
			w.counts.bytes.Add(-int64(size))
			w.counts.chunks.Add(-1)
		}
		told(ok)
	}
}

// shrink lets go of what large records have taken, at the end of a batch.
func (w *worker) shrink() {
	if !w.large.holds {
		return
	}
	w.flush()
	w.handing.Lock()
	defer w.handing.Unlock()
	if w.large.bodies.data != nil {
		w.bodies = newBodies()
		w.reduce(&w.large.bodies)
	}
	w.abandon()
}

// abandon lets go of all but the chunk that is being handed over, and of the turn where
// that is not large; a large one is wanted back. handing is held, and the worker waits for
// its route, or calls it.
func (w *worker) abandon() {
	if !w.large.holds {
		return
	}
	if w.large.bodies.data != nil {
		w.recall()
	}
	w.records.Trim()
	w.value = nil
	w.reduce(&w.large.window)
	w.reduce(&w.large.block)
	w.reduce(&w.large.value)
	w.memory.give(w.large.ring)
	if w.large.ring = 0; w.large.bodies.data == nil {
		w.large.holds, w.holder = false, nil
		close(w.letGo)
		w.letGo = make(chan struct{})
	}
}

// mapped is a part of memory that is mapped, from a place on.
type mapped struct {
	data []byte
	at   int
}

// drop gives back the pages of n bytes, which are not looked at any more.
func (m *mapped) drop(n int) {
	if m.data != nil {
		dropPages(m.data, m.at, min(m.at+n, len(m.data)))
		m.at += n
	}
}

// find says where the value of a large record lies.
func (w *worker) find(rec *wire.Record) mapped {
	switch where, at := w.records.Place(rec); where {
	case wire.InBatch:
		if w.pc.block != nil && w.pc.block.mapped {
			return mapped{w.pc.block.data, w.begins + at}
		}
	case wire.InWindow:
		return mapped{w.large.window.data, at}
	case wire.InBlock:
		return mapped{w.large.block.data, at}
	}
	return mapped{}
}

// made gives back a large value of which another one was made, and says where that lies.
func (w *worker) made(m *record.Message, rec *wire.Record) {
	if !w.makes() || cap(m.Value) == cap(rec.Value) {
		return // It is the same, or was made beside the memory for it.
	}
	w.from.drop(len(rec.Value))
	if w.from = (mapped{}); cap(m.Value) == cap(w.large.value.data) {
		w.from.data = w.large.value.data
	}
}

// appendLarge appends a large message. What was copied of its value is given back as that
// goes on, so that it is nearly never there twice.
func (w *worker) appendLarge(m *record.Message) {
	w.bodies = record.AppendMessageHead(w.bodies, m)
	for rest := m.Value; len(rest) > 0; {
		n := min(len(rest), wire.Stride)
		w.bodies = append(w.bodies, rest[:n]...)
		w.from.drop(n)
		rest = rest[n:]
	}
}
