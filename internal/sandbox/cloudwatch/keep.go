package cloudwatch

import (
	"slices"
	"sync"
	"time"
)

// chunk is the kept events of one request. Apart from dead it never changes after push, so that readers need no lock.
type chunk struct {
	stream   *stream
	seq      uint64 // Arrival.
	ingested int64  // Milliseconds since 1970.
	text     []byte
	events   []keptEvent
	dead     bool // Forgotten, but still in the queue.
}

type keptEvent struct {
	time     int64
	from, to uint32 // The message in text.
}

const (
	keptEventBytes = 16
	keptChunkBytes = 256
)

func (c *chunk) bytes() int {
	return len(c.text) + len(c.events)*keptEventBytes + keptChunkBytes
}

// keeper holds the newest messages for GetLogEvents, up to a limit for all streams together; beyond it the oldest
// arrivals go first. It is safe for concurrent use. A stream's lock, where it is held too, is taken before mu.
type keeper struct {
	limit int // Bytes, overhead included; negative keeps nothing.

	mu        sync.Mutex
	queue     []*chunk // By arrival.
	dead      int      // Chunks of the queue that are dead.
	held      int      // Bytes.
	forgotten uint64   // Events, for want of room.
	// Also guarded by mu: every stream.chunks and chunk.dead.
}

// build unescapes the events into a chunk. It is nil if nothing is to be kept.
func (k *keeper) build(p *putRequest, events []event, now time.Time) *chunk {
	if k.limit < 0 || len(events) == 0 {
		return nil
	}
	size := 0
	for i := range events {
		size += int(events[i].message.length)
	}
	c := &chunk{ingested: now.UnixMilli(), text: make([]byte, 0, size), events: make([]keptEvent, len(events))}
	for i := range events {
		from := len(c.text)
		if raw := p.message(&events[i]); events[i].message.escaped {
			c.text = appendUnescaped(c.text, raw, -1)
		} else {
			c.text = append(c.text, raw...)
		}
		c.events[i] = keptEvent{time: events[i].time, from: uint32(from), to: uint32(len(c.text))}
	}
	return c
}

// push adds a chunk to its stream, and forgets as many of the oldest as that takes: the chunk itself, too, if it is
// larger than the limit.
func (k *keeper) push(st *stream, c *chunk) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c.stream = st
	st.chunks = append(st.chunks, c)
	k.queue = append(k.queue, c)
	k.held += c.bytes()
	for k.held > k.limit {
		oldest := k.queue[0]
		k.queue[0] = nil
		k.queue = k.queue[1:]
		if oldest.dead {
			k.dead--
			continue
		}
		k.held -= oldest.bytes()
		k.forgotten += uint64(len(oldest.events))
		oldest.stream.chunks[0] = nil // Both lists are in the order of arrival.
		oldest.stream.chunks = oldest.stream.chunks[1:]
	}
}

// forget drops all chunks of a deleted stream.
func (k *keeper) forget(st *stream) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range st.chunks {
		k.held -= c.bytes()
		c.dead = true
	}
	k.dead += len(st.chunks)
	st.chunks = nil
	if k.dead > len(k.queue)/2 {
		k.queue = slices.DeleteFunc(k.queue, func(c *chunk) bool { return c.dead })
		k.dead = 0
	}
}

// of returns the chunks of a stream.
func (k *keeper) of(st *stream) []*chunk {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(st.chunks)
}

// usage returns the bytes held and the events forgotten.
func (k *keeper) usage() (held int, forgotten uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.held, k.forgotten
}
