package budget_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/budget"
)

var page = int64(os.Getpagesize())

// pages is the size of a block, as whole pages and, where it is larger, of five
// significant binary digits.
func pages(size int) int64 {
	n := (int64(size) + page - 1) / page
	step := int64(1)
	for n > 32*step {
		step *= 2
	}
	return (n + step - 1) / step * step * page
}

// held is a block that the test has, filled with a byte of its own.
type held struct {
	mem  []byte
	mark byte
}

// machine is an arena beside a model of what it must have mapped.
type machine struct {
	arena     *budget.Arena
	limit     int64
	most      int64 // the largest limit that there was
	block     int64
	blocks    []held
	out, free int64   // bytes handed out, and kept for the next Get
	large     []int64 // of these, those of unusual sizes, in order
	peak      int64
	next      byte
}

// get asks for a block; the model knows whether there must be room.
func (m *machine) get(t *rapid.T) {
	size := rapid.OneOf(
		rapid.Just(m.arena.BlockSize()), rapid.IntRange(1, m.arena.BlockSize()), rapid.IntRange(1, int(m.most)+1),
	).Draw(t, "size")
	need := pages(size)
	mem, ok, err := m.arena.Get(size)
	if err != nil {
		t.Fatalf("get %d: %v", size, err)
	}
	if want := m.out+need <= m.limit || m.out == 0 && m.limit < m.most && need <= m.most; ok != want {
		t.Fatalf("get %d with %d of %d handed out and %d free: %t, want %t", size, m.out, m.limit, m.free, ok, want)
	}
	at := slices.Index(m.large, need)
	switch usual := m.free; {
	case need == m.block && usual > m.sumLarge():
		m.free -= need
	case at >= 0:
		m.free -= need
		m.large = slices.Delete(m.large, at, at+1)
	default:
		m.shrink(need)
	}
	if !ok {
		return
	}
	m.out += need
	m.peak = max(m.peak, m.out+m.free)
	if int64(len(mem)) != need {
		t.Fatalf("get %d gave %d bytes, want %d", size, len(mem), need)
	}
	m.next++
	for i := range mem {
		mem[i] = m.next
	}
	m.blocks = append(m.blocks, held{mem, m.next})
}

// shrink gives free blocks back to the system while there is no room for more.
func (m *machine) shrink(more int64) {
	for m.out+m.free+more > m.limit && m.free > 0 {
		if len(m.large) > 0 {
			m.free -= m.large[0]
			m.large = m.large[1:]
		} else {
			m.free -= m.block
		}
	}
}

// change changes the limit.
func (m *machine) change(t *rapid.T) {
	m.limit = rapid.Int64Range(1, 20*page).Draw(t, "new limit")
	m.most = max(m.most, m.limit)
	if err := m.arena.SetLimit(m.limit); err != nil {
		t.Fatalf("set the limit to %d: %v", m.limit, err)
	}
	m.shrink(0)
}

// put gives a block back, after a look at whether it is still as it was; only a
// part of it may be in use.
func (m *machine) put(t *rapid.T) {
	if len(m.blocks) == 0 {
		t.Skip("nothing is held")
	}
	i := rapid.IntRange(0, len(m.blocks)-1).Draw(t, "block")
	b := m.blocks[i]
	m.blocks = slices.Delete(m.blocks, i, i+1)
	if !bytes.Equal(b.mem, bytes.Repeat([]byte{b.mark}, len(b.mem))) {
		t.Fatalf("a block of %d bytes was written by somebody else", len(b.mem))
	}
	if err := m.arena.Put(b.mem[:rapid.IntRange(0, len(b.mem)).Draw(t, "in use")]); err != nil {
		t.Fatalf("put %d: %v", len(b.mem), err)
	}
	m.out -= int64(len(b.mem))
	m.free += int64(len(b.mem))
	if int64(len(b.mem)) != m.block {
		m.large = append(m.large, int64(len(b.mem)))
	}
	m.shrink(0)
}

func (m *machine) sumLarge() (sum int64) {
	for _, size := range m.large {
		sum += size
	}
	return sum
}

func (m *machine) trim(t *rapid.T) {
	if err := m.arena.Trim(); err != nil {
		t.Fatalf("trim: %v", err)
	}
	m.free, m.large = 0, nil
}

func (m *machine) check(t *rapid.T) {
	if got := m.arena.Held(); got != m.out {
		t.Fatalf("%d bytes are held, want %d", got, m.out)
	}
	if got := m.arena.Peak(); got != m.peak || got > m.most {
		t.Fatalf("the peak is %d bytes, want %d and at most %d", got, m.peak, m.most)
	}
}

// TestArena does anything in any order: no more than the limit is ever mapped,
// what is free never stands in the way of a larger block, and no two blocks
// share memory.
func TestArena(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int64{1, 2, 7, 20, 200}).Draw(t, "limit")*page - rapid.SampledFrom([]int64{0, 1, page - 1}).Draw(t, "less")
		size := rapid.IntRange(1, int(3*page)).Draw(t, "block")
		m := &machine{arena: budget.NewArena(limit, size), limit: limit, most: limit, block: pages(size)}
		if got := int64(m.arena.BlockSize()); got != m.block {
			t.Fatalf("blocks have %d bytes, want %d", got, m.block)
		}
		t.Repeat(map[string]func(*rapid.T){"get": m.get, "put": m.put, "trim": m.trim, "limit": m.change, "": m.check})
		for len(m.blocks) > 0 {
			m.put(t)
		}
		m.trim(t)
		m.check(t)
	})
}

// TestConcurrent lets several goroutines use one arena.
func TestConcurrent(t *testing.T) {
	const limit = 64 << 10
	a := budget.NewArena(limit, 4<<10)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for n := range 200 {
				mem, ok, err := a.Get(1 + (n*1237*(i+1))%(20<<10))
				if err != nil {
					t.Errorf("get: %v", err)
					return
				}
				if !ok {
					continue
				}
				mem[0], mem[len(mem)-1] = byte(i), byte(i)
				if mem[0] != byte(i) || mem[len(mem)-1] != byte(i) {
					t.Error("two have one block")
				}
				if err := a.Put(mem); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if a.Held() != 0 || a.Peak() > limit {
		t.Errorf("%d bytes are held at the end, %d were at most; want 0 and at most %d", a.Held(), a.Peak(), limit)
	}
}

// resident is the memory of this process that is in use, in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, rss int64
	if _, err := fmt.Fscan(strings.NewReader(string(raw)), &size, &rss); err != nil {
		t.Fatalf("read %q: %v", raw, err)
	}
	return rss * page
}

// TestTrimReturnsMemory asks the system itself. The amount is so large that
// nothing else in the process can hide it.
func TestTrimReturnsMemory(t *testing.T) {
	const limit, margin = 128 << 20, 32 << 20
	a := budget.NewArena(limit, 1<<20)
	var blocks [][]byte
	for {
		mem, ok, err := a.Get(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		for i := 0; i < len(mem); i += int(page) {
			mem[i] = 1
		}
		blocks = append(blocks, mem)
	}
	for _, mem := range blocks {
		if err := a.Put(mem); err != nil {
			t.Fatal(err)
		}
	}
	before := resident(t)
	if before < limit {
		t.Fatalf("%d bytes are resident with %d in use", before, limit)
	}
	if err := a.Trim(); err != nil {
		t.Fatal(err)
	}
	if after := resident(t); before-after < limit-margin {
		t.Errorf("%d bytes were resident before and %d after; %d should have gone", before, after, limit)
	}
}
