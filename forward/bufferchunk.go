package forward

import (
	"math/bits"
	"time"
)

// What the buffer's limit counts beside the bytes of entries.
const (
	blockOverhead = 64  // a block's descriptor
	chunkOverhead = 512 // a chunk's descriptor, its place in the tables, its id
	// smallestBlock holds a short record; largestBlock is large enough that a chunk
	// has few of them.
	smallestBlock = 256
	largestBlock  = 64 << 10
)

// block is a piece of memory with whole entries. No entry spans blocks, so that
// the oldest block of a chunk can be dropped alone.
type block struct {
	b       []byte // capacity is what is held
	records int
}

// bufferedChunk is what becomes one message: entries of one tag. Its memory
// grows with its data, from the smallest block on, so a tag with one short
// record costs little.
type bufferedChunk struct {
	seq    uint64 // in the order of opening
	tag    string
	id     string // from sealing on
	opened time.Time

	blocks  []block
	packed  []byte // the compressed form, which replaces the blocks; or what the spill gave back
	method  Compression
	records int
	size    int64 // of its entries, in bytes
	held    int64 // what the limit counts for it

	tried   bool // some of it was written, so it may have arrived
	again   bool // it was sent more than once
	foreign bool // its memory came from outside, and its bytes are settled
	spilled bool // the spill has it, too

	server     *sender // that it was given to
	prev, next *bufferedChunk
}

// blockSize is the size of the next block of a chunk of at most most bytes: as
// much as it has already, so that at most half of what is held is unused, and
// few blocks make a large chunk.
func (ch *bufferedChunk) blockSize(entry, most int) int {
	if entry > largestBlock {
		return (entry + 4095) &^ 4095
	}
	grow := min(int(ch.size), most-int(ch.size), largestBlock)
	return 1 << bits.Len(uint(max(entry, grow, smallestBlock)-1))
}

// room reports whether an entry fits behind the last one.
func (ch *bufferedChunk) room(entry int) bool {
	if len(ch.blocks) == 0 {
		return false
	}
	last := ch.blocks[len(ch.blocks)-1].b
	return cap(last)-len(last) >= entry
}

// add appends records that are entries already. The caller has made sure of the
// memory.
func (ch *bufferedChunk) add(entries []byte, records int, grown []byte) {
	if grown != nil {
		ch.blocks = append(ch.blocks, block{b: grown})
		ch.held += int64(cap(grown)) + blockOverhead
	}
	last := &ch.blocks[len(ch.blocks)-1]
	last.b = append(last.b, entries...)
	last.records += records
	ch.records += records
	ch.size += int64(len(entries))
}

// pieces are the chunk's payload.
func (ch *bufferedChunk) pieces(into [][]byte) [][]byte {
	if ch.packed != nil {
		return append(into, ch.packed)
	}
	for i := range ch.blocks {
		into = append(into, ch.blocks[i].b)
	}
	return into
}

// out is the chunk as others see it.
func (ch *bufferedChunk) out() OutChunk {
	return OutChunk{Tag: ch.tag, Entries: ch.pieces(nil), Records: ch.records, ID: ch.id, Compression: ch.method}
}

// cut takes the oldest block off a chunk that nobody has seen yet.
func (ch *bufferedChunk) cut() (records int, size, held int64) {
	first := ch.blocks[0]
	ch.blocks[0] = block{}
	ch.blocks = ch.blocks[1:]
	records, size, held = first.records, int64(len(first.b)), int64(cap(first.b))+blockOverhead
	ch.records -= records
	ch.size -= size
	ch.held -= held
	return records, size, held
}

// chunkList is a list of chunks, in the order of their sequence numbers.
type chunkList struct {
	first, last *bufferedChunk
	n           int
}

func (l *chunkList) push(ch *bufferedChunk) {
	ch.prev, ch.next = l.last, nil
	if l.last != nil {
		l.last.next = ch
	} else {
		l.first = ch
	}
	l.last = ch
	l.n++
}

// insert puts a chunk in its place; those that come back are mostly the oldest.
func (l *chunkList) insert(ch *bufferedChunk) {
	if l.last == nil || l.last.seq <= ch.seq {
		l.push(ch)
		return
	}
	at := l.first
	for at.seq < ch.seq {
		at = at.next
	}
	ch.prev, ch.next = at.prev, at
	if at.prev != nil {
		at.prev.next = ch
	} else {
		l.first = ch
	}
	at.prev = ch
	l.n++
}

func (l *chunkList) remove(ch *bufferedChunk) {
	if ch.prev != nil {
		ch.prev.next = ch.next
	} else {
		l.first = ch.next
	}
	if ch.next != nil {
		ch.next.prev = ch.prev
	} else {
		l.last = ch.prev
	}
	ch.prev, ch.next = nil, nil
	l.n--
}
