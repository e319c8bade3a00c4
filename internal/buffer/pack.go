package buffer

import (
	"sync"
	"time"

	"github.com/klauspost/compress/s2"
)

// packer limits how much time compression takes from the source, whose writer
// waits meanwhile: at most packShare of each packWindow.
type packer struct {
	since   time.Time
	spent   time.Duration
	scratch []byte
}

const (
	packWindow = time.Second
	packShare  = 60 * time.Millisecond
)

// allowed reports whether there is time left in the present window.
func (p *packer) allowed(now time.Time) bool {
	if now.Sub(p.since) >= packWindow {
		p.since, p.spent = now, 0
	}
	return p.spent < packShare
}

func (p *packer) trim() { p.scratch = nil }

// pack compresses the newest waiting block that can be, since it will wait the
// longest, and reports whether that made room.
func (b *Buffer) pack() bool {
	start := time.Now()
	if !b.packing.allowed(start) {
		return false
	}
	blk := b.packable()
	if blk == nil {
		return false
	}
	defer func() { b.packing.spent += time.Since(start) }()
	if n := s2.MaxEncodedLen(blk.used); cap(b.packing.scratch) < n {
		b.packing.scratch = make([]byte, n)
	}
	packed := s2.Encode(b.packing.scratch[:cap(b.packing.scratch)], blk.mem[:blk.used])
	if len(packed) > len(blk.mem)/4*3 {
		blk.stiff = true
		return b.pack()
	}
	// The old block goes back first, or there would be no room for the new one.
	if err := b.arena.Put(blk.mem); err != nil {
		b.fault = err
	}
	mem, ok, err := b.arena.Get(len(packed))
	if !ok {
		// The room was there a moment ago and nobody else uses the arena, so only
		// the system can have refused.
		b.fault = err
		mem, blk.heap = make([]byte, len(packed)), true
	}
	copy(mem, packed)
	blk.raw = blk.used
	blk.mem = mem[:len(packed)]
	return true
}

// packable returns the newest waiting block that is whole, closed and not yet
// compressed.
func (b *Buffer) packable() *block {
	for i := len(b.waiting) - 1; i >= 0; i-- {
		blk := b.waiting[i]
		if blk != b.tail && blk.raw == 0 && !blk.stiff && blk.taken == 0 && blk.skip == 0 {
			return blk
		}
	}
	return nil
}

// unpacking holds memory for blocks that are being read.
var unpacking = sync.Pool{New: func() any { return new([]byte) }}

// unpacked returns the block's memory as it was written, and a function to call
// when it has been read. It may be called without the lock for a block of which
// something is in a request, since such a block is never compressed, and what is
// in the request no longer changes.
func (blk *block) unpacked() ([]byte, func()) {
	if blk.raw == 0 {
		return blk.mem, func() {}
	}
	scratch := unpacking.Get().(*[]byte)
	if cap(*scratch) < blk.raw {
		*scratch = make([]byte, blk.raw)
	}
	mem, err := s2.Decode((*scratch)[:cap(*scratch)], blk.mem)
	if err != nil || len(mem) != blk.raw {
		// It is our own memory, compressed by us: if it does not come back as it was,
		// memory is corrupt and nothing else can be trusted either.
		panic("BUG: a compressed block of the buffer does not decompress")
	}
	return mem, func() { unpacking.Put(scratch) }
}
