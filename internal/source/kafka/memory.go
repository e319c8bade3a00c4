package kafka

import (
	"math/bits"
	"sync"
)

// memory is what answers of brokers may take, and the blocks that hold their batches.
// Blocks are used again: an answer that is allocated anew each time would be cleared
// by the runtime, page by page, before a broker's bytes overwrite that, and collected
// after it. Its methods may be called by several goroutines at once.
type memory struct {
	// all is the whole, and spool the directory for what is larger than memory has room for.
	all   int64
	spool string

	mu sync.Mutex
	// free is what can be taken, and taken what answers to come may take. Blocks count
	// beside that while their answer comes.
	free, taken int64
	freed       chan struct{} // closed and made anew when there is more
	// spare are blocks that are in use no more, by size, and inSpare their bytes.
	spare   map[int][][]byte
	inSpare int64
	// placed are blocks that stand in an answer which nobody has read yet, by their tokens.
	placed map[uint64]*block
	token  uint64
}

// block holds batches of one partition: in memory, or mapped from a file that has no
// name any more.
type block struct {
	data   []byte
	in     *memory
	whole  []byte // what data is the beginning of, to be used again
	size   int64  // what it counts
	mapped bool   // outside of the heap
	aside  bool   // from a file
}

func newMemory(all int64, spool string) *memory {
	return &memory{
		all: all, free: all, spool: spool, freed: make(chan struct{}), spare: make(map[int][][]byte), placed: make(map[uint64]*block),
	}
}

// take takes n bytes for an answer, if there are as many. Else freed is closed when it is
// worth while to ask again.
func (m *memory) take(n int64) (ok bool, freed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.free < n {
		return false, m.freed
	}
	m.free -= n
	m.taken += n
	return true, nil
}

// untake gives back what was taken for an answer, which is there.
func (m *memory) untake(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken -= n
	m.gain(n)
}

// give gives bytes back that were overdrawn.
func (m *memory) give(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gain(n)
}

// gain tells who waits that there are n bytes more. The lock is held.
func (m *memory) gain(n int64) {
	m.free += n
	close(m.freed)
	m.freed = make(chan struct{})
}

// overdraw takes n bytes whether they are there or not: nothing more is fetched until
// there is memory again.
func (m *memory) overdraw(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free -= n
	m.trim(m.unused())
}

// unused is what is not in use: blocks that are spare are no more than that. The lock is
// held.
func (m *memory) unused() int64 { return max(m.free+m.taken, 0) }

// leastKept is the smallest block that is kept for another use, in bytes.
const leastKept = 32 << 10

// blockWaste says how much of a block may be of no use: an eighth of what it holds, a
// ninth of the whole.
const blockWaste = 9

// class is the size of the blocks that hold n bytes, so that there are few sizes.
func class(n int) int {
	if n <= leastKept {
		return n
	}
	step := 1 << (bits.Len(uint(n-1)) - 4)
	return (n + step - 1) &^ (step - 1)
}

// block returns one for n bytes, which may count half more than that has to be. Who
// asks for it has taken what it counts; that is given back beside it.
func (m *memory) block(n int) *block {
	size := class(n)
	m.mu.Lock()
	whole := m.reuse(size)
	m.mu.Unlock()
	b := &block{in: m, whole: whole, size: int64(max(len(whole), size))}
	m.overdraw(b.size)
	if b.whole == nil {
		b.whole = make([]byte, size)
	}
	b.data = b.whole[:n]
	return b
}

// reuse returns the smallest spare block that holds a size, nil where none is near it. The
// lock is held.
func (m *memory) reuse(size int) (whole []byte) {
	best := 0
	for s, kept := range m.spare {
		if len(kept) > 0 && s >= size && s <= size+size/2 && (best == 0 || s < best) {
			best = s
		}
	}
	if best == 0 {
		return nil
	}
	kept := m.spare[best]
	last := len(kept) - 1
	whole, kept[last] = kept[last], nil
	m.spare[best] = kept[:last]
	m.inSpare -= int64(best)
	return whole
}

// trim lets go of spare blocks until they are at most so many bytes. The lock is held.
func (m *memory) trim(most int64) {
	for size, kept := range m.spare {
		for len(kept) > 0 && m.inSpare > most {
			last := len(kept) - 1
			kept[last] = nil
			kept = kept[:last]
			m.inSpare -= int64(size)
		}
		m.spare[size] = kept
	}
}

// rest lets go of what is not in use: nothing has come for a while.
func (m *memory) rest() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trim(0)
}

// release gives a block back; nil is none.
func (b *block) release() {
	if b == nil {
		return
	}
	m, keep := b.in, b.whole
	if b.mapped {
		unmap(b.data)
		keep = nil
	}
	b.data, b.whole = nil, nil
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gain(b.size)
	if len(keep) > leastKept && m.inSpare+b.size <= m.unused() {
		m.spare[len(keep)] = append(m.spare[len(keep)], keep)
		m.inSpare += b.size
	}
}

// place notes a block that stands in an answer, and returns its token.
func (m *memory) place(b *block) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.token++
	m.placed[m.token] = b
	return m.token
}

// redeem returns the block of a token, nil where there is none any more.
func (m *memory) redeem(token uint64) *block {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.placed[token]
	delete(m.placed, token)
	return b
}
