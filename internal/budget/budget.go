// Package budget holds the memory in which records wait. An Arena hands out
// blocks outside the Go heap, because a heap that holds n bytes grows to twice
// that between collections, and it never has more mapped than its limit: what
// is counted is what is held.
package budget

import (
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Arena is a bounded set of memory blocks. Its methods may be called by several
// goroutines at once.
type Arena struct {
	blockSize int
	limit     int64

	mu     sync.Mutex
	mapped int64 // bytes mapped: handed out and free ones together
	peak   int64
	free   [][]byte // blocks of blockSize that are kept for the next Get
	// large are free blocks of other sizes, the last given back at the end: a
	// chunk has a block of its own size, and to map each anew would cost as much as
	// to fill it.
	large     [][]byte
	largeHeld int64
}

// maxLarge is how many free blocks of other sizes are looked through.
const maxLarge = 64

// NewArena returns an arena of at most limit bytes, whose usual block has
// blockSize bytes, rounded up to whole pages.
func NewArena(limit int64, blockSize int) *Arena {
	return &Arena{blockSize: roundToPages(blockSize), limit: limit}
}

// BlockSize is the size of the usual block, in bytes.
func (a *Arena) BlockSize() int { return a.blockSize }

// Get returns a block of at least size bytes, rounded up to whole pages, or
// false where the limit leaves no room for it. The usual size is the fast case.
// An error means that the system gave no memory, which is treated as no room
// but should be told.
func (a *Arena) Get(size int) (block []byte, ok bool, err error) {
	size = roundToPages(size)
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.free); size == a.blockSize && n > 0 {
		block, a.free = a.free[n-1], a.free[:n-1]
		return block, true, nil
	}
	if block := a.takeLarge(size); block != nil {
		return block, true, nil
	}
	for a.mapped+int64(size) > a.limit && len(a.free)+len(a.large) > 0 {
		if err := a.unmapFree(); err != nil {
			return nil, false, err
		}
	}
	if a.mapped+int64(size) > a.limit {
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

// Put takes back a block that Get returned, whatever part of it is in use.
func (a *Arena) Put(block []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	block = block[:cap(block)]
	if len(block) == a.blockSize {
		a.free = append(a.free, block)
		return nil
	}
	if len(a.large) < maxLarge {
		a.large = append(a.large, block)
		a.largeHeld += int64(len(block))
		return nil
	}
	return a.unmap(block)
}

// takeLarge returns a free block that has room for size bytes and is at most a
// quarter larger, or nil.
func (a *Arena) takeLarge(size int) []byte {
	if size == a.blockSize {
		return nil
	}
	for i := len(a.large) - 1; i >= 0; i-- {
		if block := a.large[i]; len(block) >= size && len(block) <= size+size/4 {
			a.dropLarge(i)
			return block
		}
	}
	return nil
}

func (a *Arena) dropLarge(i int) {
	a.largeHeld -= int64(len(a.large[i]))
	a.large = slices.Delete(a.large, i, i+1)
}

// Trim gives all free blocks back to the system.
func (a *Arena) Trim() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.free)+len(a.large) > 0 {
		if err := a.unmapFree(); err != nil {
			return err
		}
	}
	a.free, a.large = nil, nil
	return nil
}

// Held is how many bytes are handed out, Peak the most that were ever mapped.
func (a *Arena) Held() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mapped - int64(len(a.free)*a.blockSize) - a.largeHeld
}

// Peak is the most bytes that were ever mapped at once.
func (a *Arena) Peak() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.peak
}

// unmapFree gives one free block back to the system, those of other sizes first
// and of these the one that has been free for longest.
func (a *Arena) unmapFree() error {
	if len(a.large) > 0 {
		block := a.large[0]
		a.dropLarge(0)
		return a.unmap(block)
	}
	n := len(a.free) - 1
	block := a.free[n]
	a.free[n] = nil
	a.free = a.free[:n]
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
