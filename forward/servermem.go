package forward

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"time"
)

// Budget is memory that a Server shares with others. Both methods are called by
// several goroutines at once, and must not block.
type Budget interface {
	// Reserve takes n bytes, or reports that there are none.
	Reserve(n int64) bool
	// Release gives n bytes back.
	Release(n int64)
}

// Sizes of blocks, which are powers of two: the smallest is a page.
const (
	minBlockBits = 12
	maxBlockBits = 31
)

// pool is the memory into which a Server receives: blocks outside the Go heap,
// because a heap that holds n bytes grows to twice that between collections, and
// never more of them than the limit. A quarter of it is for connections that are
// quick: those whose last message was whole soon after it had begun. They go
// before the others, so that no number of slow ones holds them up. Beside that,
// whoever waits for a block gets it in the order of asking.
type pool struct {
	limit  int64
	budget Budget

	mu      sync.Mutex
	mapped  int64 // blocks handed out, blocks kept, and what is charged beside
	used    int64 // mapped without the blocks kept
	peak    int64
	others  int64                      // what connections take elsewhere
	turns   int64                      // what those at work take elsewhere
	free    [maxBlockBits + 1][][]byte // by size
	waiters []*memoryWaiter            // the quick ones first
	quick   int                        // how many of the waiters are
	err     error                      // the last of the system's
}

type memoryWaiter struct {
	bits  int
	quick bool
	since time.Time
	ready chan []byte // holds one
}

var errNoMemory = errors.New("larger than the memory for receiving")

// bitsFor is the size of block, as a power of two, for n bytes.
func bitsFor(n int64) int {
	return max(minBlockBits, bits.Len64(uint64(max(n, 1)-1)))
}

// get returns a block of at least n bytes, if there is one and nobody waits who
// goes before.
func (p *pool) get(n int64, quick bool) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quick > 0 || len(p.waiters) > 0 && !quick {
		return nil, false
	}
	return p.take(bitsFor(n), quick)
}

// fits reports whether n bytes more are within what there is for such a
// connection.
func (p *pool) fits(n int64, quick bool) bool {
	limit := p.blocks()
	if !quick {
		limit -= limit / 4
	}
	return p.used+n <= limit
}

// tight reports whether memory is scarce, so that what is half read should take
// no more than it needs.
func (p *pool) tight() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiters) > 0 || p.used > p.most()/4
}

// connectionCost is about what a connection takes of the Go heap while it is idle, in
// bytes.
const connectionCost = 2 << 10

// beside counts n bytes that lie elsewhere and take the room of blocks, or with fewer
// than 0 no longer.
func (p *pool) beside(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.others += n
	for p.mapped > p.blocks() && p.trimOne() {
	}
	if n < 0 {
		p.serve()
	}
}

// turnCost is what a connection at work takes beside what it reads into: the stack
// of a goroutine that has called a Receiver, in bytes.
const turnCost = 8 << 10

// turn counts n connections at work more, or with fewer than 0 fewer.
func (p *pool) turn(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turns += n * turnCost
	for p.mapped > p.blocks() && p.trimOne() {
	}
	if n < 0 {
		p.serve()
	}
}

// share is what there is for blocks and for connections at work.
func (p *pool) share() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most()
}

// blocks is how much blocks may take now.
func (p *pool) blocks() int64 { return p.most() - p.turns }

// most is how much blocks and connections at work may take: what is left of the
// limit, and at least half of it, without which little would be received.
func (p *pool) most() int64 { return max(p.limit-p.others, p.limit/2) }

// take returns a block of 1<<b bytes, if there is one.
func (p *pool) take(b int, quick bool) ([]byte, bool) {
	size := int64(1) << b
	if !p.fits(size, quick) {
		return nil, false
	}
	if n := len(p.free[b]); n > 0 {
		block := p.free[b][n-1]
		p.free[b] = p.free[b][:n-1]
		p.used += size
		return block, true
	}
	if !p.reserve(size) {
		return nil, false
	}
	block, err := mapMemory(int(size))
	if err != nil {
		p.err = fmt.Errorf("get %d bytes from the system: %w", size, err)
		p.unreserve(size)
		return nil, false
	}
	p.used += size
	p.peak = max(p.peak, p.mapped)
	return block, true
}

// reserve counts n bytes, if there are as many; blocks kept make room.
func (p *pool) reserve(n int64) bool {
	most := p.blocks()
	if p.used+n > most {
		return false
	}
	for p.mapped+n > most && p.trimOne() {
	}
	if p.budget != nil {
		for !p.budget.Reserve(n) {
			if !p.trimOne() {
				return false
			}
		}
	}
	p.mapped += n
	return true
}

func (p *pool) unreserve(n int64) {
	p.mapped -= n
	if p.budget != nil {
		p.budget.Release(n)
	}
}

// resize changes the limit.
func (p *pool) resize(limit int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = limit
	for p.mapped > p.blocks() && p.trimOne() {
	}
	p.refuse()
	p.serve()
}

// refuse turns away those who wait for more than there will ever be.
func (p *pool) refuse() {
	kept := p.waiters[:0]
	for i, w := range p.waiters {
		if int64(1)<<w.bits <= p.limit {
			kept = append(kept, w)
			continue
		}
		if w.quick {
			p.quick--
		}
		p.waiters[i] = nil
		close(w.ready)
	}
	clear(p.waiters[len(kept):])
	p.waiters = kept
}

// trimOne gives a kept block back to the system, the largest first.
func (p *pool) trimOne() bool {
	for b := maxBlockBits; b >= minBlockBits; b-- {
		n := len(p.free[b])
		if n == 0 {
			continue
		}
		if err := unmapMemory(p.free[b][n-1]); err != nil {
			p.err = fmt.Errorf("give %d bytes back to the system: %w", 1<<b, err)
		}
		p.free[b][n-1] = nil
		p.free[b] = p.free[b][:n-1]
		p.unreserve(1 << b)
		return true
	}
	return false
}

// put takes a block back. A quarter of the limit is kept for the next get.
func (p *pool) put(block []byte) {
	if block == nil {
		return
	}
	block = block[:cap(block)]
	p.mu.Lock()
	defer p.mu.Unlock()
	b := bitsFor(int64(len(block)))
	p.used -= int64(len(block))
	p.free[b] = append(p.free[b], block)
	for p.mapped-p.used > p.most()/4 && p.trimOne() {
	}
	p.serve()
}

// swap takes a block back, and counts n bytes less than its size that lie
// elsewhere.
func (p *pool) swap(block []byte, n int64) {
	block = block[:cap(block)]
	p.mu.Lock()
	defer p.mu.Unlock()
	size := int64(len(block))
	p.used -= size - n
	if p.budget == nil && p.mapped+n <= p.limit && p.mapped+n-p.used <= p.limit/4 {
		b := bitsFor(size)
		p.free[b] = append(p.free[b], block)
		p.mapped += n
	} else {
		if err := unmapMemory(block); err != nil {
			p.err = fmt.Errorf("give %d bytes back to the system: %w", size, err)
		}
		p.unreserve(size - n)
	}
	p.serve()
}

// uncharge is the opposite of charge.
func (p *pool) uncharge(n int64) {
	if n == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used -= n
	p.unreserve(n)
	p.serve()
}

// serve gives memory to those who wait, the first first.
func (p *pool) serve() {
	for len(p.waiters) > 0 {
		w := p.waiters[0]
		block, ok := p.take(w.bits, w.quick)
		if !ok {
			return
		}
		if w.quick {
			p.quick--
		}
		w.ready <- block
		p.waiters[0] = nil
		p.waiters = p.waiters[1:]
	}
}

// retry serves those who wait for a budget that others have given back to.
func (p *pool) retry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve()
}

// wait returns a block of at least n bytes as soon as there is one, or false
// once cancel is closed.
func (p *pool) wait(n int64, quick bool, cancel <-chan struct{}) ([]byte, bool, error) {
	b := bitsFor(n)
	w := &memoryWaiter{bits: b, quick: quick, since: time.Now(), ready: make(chan []byte, 1)}
	p.mu.Lock()
	if b > maxBlockBits || int64(1)<<b > p.limit {
		p.mu.Unlock()
		return nil, false, errNoMemory
	}
	if quick {
		p.waiters = slices.Insert(p.waiters, p.quick, w)
		p.quick++
	} else {
		p.waiters = append(p.waiters, w)
	}
	p.serve()
	p.mu.Unlock()
	select {
	case block, ok := <-w.ready:
		if !ok {
			return nil, false, errNoMemory
		}
		return block, true, nil
	case <-cancel:
	}
	p.mu.Lock()
	for i, other := range p.waiters {
		if other == w {
			p.waiters = slices.Delete(p.waiters, i, i+1)
			if quick {
				p.quick--
			}
			break
		}
	}
	p.serve()
	p.mu.Unlock()
	select {
	case block := <-w.ready: // it came just now
		p.put(block)
	default:
	}
	return nil, false, nil
}

// trim gives kept blocks back to the system.
func (p *pool) trim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.trimOne() {
	}
}

// memory is what a pool says of itself.
type memory struct {
	used, peak int64
	waiting    bool
	first      int64     // what the one needs that has waited longest
	since      time.Time // when it began to wait
	full       bool      // it is the limit that it waits for, not the budget
	over       int64     // what is used beyond a limit that was lowered
}

func (p *pool) state() memory {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := memory{used: p.used, peak: p.peak, waiting: len(p.waiters) > 0, over: max(p.used-p.limit, 0)}
	if m.waiting {
		w := p.waiters[0]
		if p.quick > 0 && p.quick < len(p.waiters) && p.waiters[p.quick].since.Before(w.since) {
			w = p.waiters[p.quick]
		}
		m.first, m.since = 1<<w.bits, w.since
		m.full = !p.fits(m.first, w.quick)
	}
	return m
}

// fault returns the last error of the system, once.
func (p *pool) fault() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.err
	p.err = nil
	return err
}
