// Package budget holds the memory in which records wait. An Arena hands out
// blocks outside the Go heap, because a heap that holds n bytes grows to twice
// that between collections, and it never has more mapped than its limit: what
// is counted is what is held.
package budget

import (
	"fmt"
	"math/bits"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Arena is a bounded set of memory blocks. Its methods may be called by several
// goroutines at once.
type Arena struct {
	blockSize int

	mu     sync.Mutex
	limit  int64
	most   int64 // the largest limit that there was
	mapped int64 // bytes mapped: handed out and free ones together
	beside int64 // bytes that are held elsewhere and count
	peak   int64
	// free are blocks of blockSize that are kept for the next Get, and large those
	// of other sizes, the oldest first; spare is the sum of both in bytes.
	free  [][]byte
	large [][]byte
	spare int64
}

// NewArena returns an arena of at most limit bytes, whose usual block has
// blockSize bytes, rounded up by Size.
func NewArena(limit int64, blockSize int) *Arena {
	return &Arena{blockSize: Size(blockSize), limit: limit, most: limit}
}

// BlockSize is the size of the usual block, in bytes.
func (a *Arena) BlockSize() int { return a.blockSize }

// Size is how many bytes a block has that Get returns for size: whole pages, and
// beyond 32 of them a multiple of a 16th of the power of two below, so that what is
// about as large finds what was given back.
func Size(size int) int {
	size = roundToPages(size)
	step := 1 << max(bits.Len(uint(size-1))-1-4, 0)
	if step <= os.Getpagesize() {
		return size
	}
	return (size + step - 1) / step * step
}

// SetLimit changes the limit. Where more is handed out, nothing more is until there
// is room below it.
func (a *Arena) SetLimit(limit int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limit, a.most = limit, max(a.most, limit)
	return a.shrink(0)
}

// Get returns a block of at least size bytes, see Size, or false where the limit
// leaves no room for it. Where the limit was lowered, and nothing is handed out, there is
// room for one block that would have had it before: somebody may wait for that. The usual
// size is the fast case. An error means that the system gave no memory, which is treated
// as no room but should be told.
func (a *Arena) Get(size int) (block []byte, ok bool, err error) {
	size = Size(size)
	a.mu.Lock()
	defer a.mu.Unlock()
	if block := a.kept(size); block != nil {
		a.spare -= int64(len(block))
		return block, true, nil
	}
	if err := a.shrink(int64(size)); err != nil {
		return nil, false, err
	}
	alone := a.mapped == 0 && a.limit < a.most && int64(size) <= a.most
	if a.mapped+a.beside+int64(size) > a.limit && !alone {
		return nil, false, nil
	}
	block, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, false, fmt.Errorf("map %d bytes for the buffer (%d of %d are mapped): %w", size, a.mapped, a.limit, err)
	}
	a.mapped += int64(size)
	a.peak = max(a.peak, a.mapped)
	return block, true, nil
}

// Beside says how many bytes are held elsewhere and count against the limit. Where
// blocks have that room already, no more of them are handed out until they have not.
func (a *Arena) Beside(n int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.beside = n
	return a.shrink(0)
}

// shrink gives free blocks back to the system until there is room for so many bytes
// more, or none is left.
func (a *Arena) shrink(more int64) error {
	for a.mapped+a.beside+more > a.limit && a.spare > 0 {
		if err := a.unmapFree(); err != nil {
			return err
		}
	}
	return nil
}

// Put takes back a block that Get returned, whatever part of it is in use.
func (a *Arena) Put(block []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	block = block[:cap(block)]
	a.spare += int64(len(block))
	if len(block) == a.blockSize {
		a.free = append(a.free, block)
	} else {
		a.large = append(a.large, block)
	}
	return a.shrink(0)
}

// kept takes a block of the size from those that are free, the newest, whose pages
// are the likeliest to be in a cache. It returns nil where there is none.
func (a *Arena) kept(size int) (block []byte) {
	if n := len(a.free); size == a.blockSize && n > 0 {
		block, a.free[n-1], a.free = a.free[n-1], nil, a.free[:n-1]
		return block
	}
	for i := len(a.large) - 1; i >= 0; i-- {
		if len(a.large[i]) == size {
			block = a.large[i]
			a.large = slices.Delete(a.large, i, i+1)
			return block
		}
	}
	return nil
}

// Trim gives all free blocks back to the system.
func (a *Arena) Trim() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.spare > 0 {
		if err := a.unmapFree(); err != nil {
			return err
		}
	}
	a.free, a.large = nil, nil
	return nil
}

// Held is how many bytes are handed out or held elsewhere, Peak the most that were
// ever mapped.
func (a *Arena) Held() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mapped - a.spare + a.beside
}

// Peak is the most bytes that were ever mapped at once.
func (a *Arena) Peak() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.peak
}

// unmapFree gives a free block back to the system: the oldest of an unusual size,
// else one of the usual.
func (a *Arena) unmapFree() error {
	var block []byte
	if len(a.large) > 0 {
		block = a.large[0]
		a.large = slices.Delete(a.large, 0, 1)
	} else {
		n := len(a.free) - 1
		block, a.free[n], a.free = a.free[n], nil, a.free[:n]
	}
	a.spare -= int64(len(block))
	return a.unmap(block)
}

func (a *Arena) unmap(block []byte) error {
	if err := unix.Munmap(block); err != nil {
		return fmt.Errorf("unmap %d bytes of the buffer: %w", len(block), err)
	}
	a.mapped -= int64(len(block))
	return nil
}

func roundToPages(size int) int {
	page := os.Getpagesize()
	return (size + page - 1) / page * page
}
