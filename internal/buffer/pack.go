package buffer

import (
	"fmt"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
)

// packer holds waiting blocks compressed. Compressed blocks stand one behind
// the other on shelves, which are blocks of the arena, and may go on from one
// shelf to the next, so that no room is lost between them.
type packer struct {
	encoder *zstd.Encoder // made when it is first needed: most buffers never are
	decoder *zstd.Decoder
	scratch []byte
	shelf   *shelf // the one that has room

	// Compression takes time from the source, whose writer waits meanwhile: at most
	// packShare of each packWindow.
	since time.Time
	spent time.Duration
}

const (
	packWindow = time.Second
	packShare  = 60 * time.Millisecond
)

// shelf is one block of the arena with compressed blocks in it.
type shelf struct {
	mem  []byte
	used int
	refs int // pieces on it
}

// piece is the part of a compressed block that stands on one shelf.
type piece struct {
	shelf *shelf
	mem   []byte
}

// pack compresses the oldest waiting block that can be, and reports whether
// there was one. The first gains nothing, since it needs a shelf; its successors
// find that shelf.
func (b *Buffer) pack() bool {
	p := &b.packing
	start := time.Now()
	if start.Sub(p.since) >= packWindow {
		p.since, p.spent = start, 0
	}
	if p.spent >= packShare {
		return false
	}
	defer func() { p.spent += time.Since(start) }()
	blk := b.packable()
	if blk == nil || !p.ready(&b.fault) {
		return false
	}
	p.scratch = p.encoder.EncodeAll(blk.mem[:blk.used], p.scratch[:0])
	if len(p.scratch) > len(blk.mem)/4*3 || b.shelves(len(p.scratch)) > len(blk.mem) {
		blk.stiff = true
		return true
	}
	blk.raw, blk.decoder = blk.used, p.decoder
	// The block's own memory goes first, or there would be no room for a shelf.
	b.giveBack(blk.mem)
	blk.mem = nil
	b.store(blk, p.scratch)
	return true
}

// shelves is how many bytes of new shelves a block of size compressed bytes
// needs. No more than the block gives back may be needed.
func (b *Buffer) shelves(size int) int {
	if s := b.packing.shelf; s != nil {
		size -= len(s.mem) - s.used
	}
	one := b.arena.BlockSize()
	return (max(size, 0) + one - 1) / one * one
}

// packable returns the oldest waiting block that is whole, closed and not yet
// compressed.
func (b *Buffer) packable() *block {
	for _, blk := range b.waiting {
		if blk != b.tail && blk.raw == 0 && !blk.stiff && blk.taken == 0 && blk.skip == 0 {
			return blk
		}
	}
	return nil
}

// ready makes the encoder and the decoder.
func (p *packer) ready(fault *error) bool {
	if p.encoder != nil {
		return true
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(64<<10), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		*fault = fmt.Errorf("make an encoder for waiting records: %w", err)
		return false
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true))
	if err != nil {
		*fault = fmt.Errorf("make a decoder for waiting records: %w", err)
		return false
	}
	p.encoder, p.decoder = encoder, decoder
	return true
}

// store puts the compressed form of blk on shelves.
func (b *Buffer) store(blk *block, packed []byte) {
	for len(packed) > 0 {
		s := b.packing.shelf
		if s == nil || s.used == len(s.mem) {
			mem, ok, err := b.arena.Get(b.arena.BlockSize())
			if !ok {
				// The room was there a moment ago and nobody else uses the arena, so only
				// the system can have refused; the heap is the way not to lose the records.
				b.fault = err
				blk.packed = append(blk.packed, piece{mem: append([]byte(nil), packed...)})
				return
			}
			s = &shelf{mem: mem}
			b.leaveShelf()
			b.packing.shelf = s
		}
		n := copy(s.mem[s.used:], packed)
		blk.packed = append(blk.packed, piece{shelf: s, mem: s.mem[s.used : s.used+n : s.used+n]})
		s.used += n
		s.refs++
		packed = packed[n:]
	}
}

// leaveShelf stops filling the present shelf.
func (b *Buffer) leaveShelf() {
	s := b.packing.shelf
	b.packing.shelf = nil
	if s != nil && s.refs == 0 {
		b.giveBack(s.mem)
	}
}

// unstore takes what is left of a compressed block off the shelves.
func (b *Buffer) unstore(blk *block) {
	for _, p := range blk.packed {
		if p.shelf == nil {
			continue
		}
		if p.shelf.refs--; p.shelf.refs > 0 {
			continue
		}
		if p.shelf == b.packing.shelf {
			b.packing.shelf = nil
		}
		b.giveBack(p.shelf.mem)
	}
	blk.packed = nil
}

// trim forgets what compression needs, once nothing is compressed.
func (p *packer) trim() {
	if p.shelf == nil {
		p.encoder, p.decoder, p.scratch = nil, nil, nil
	}
}

// unpacking holds memory for compressed blocks that are being read.
var unpacking = sync.Pool{New: func() any { return new(unpacked) }}

type unpacked struct{ joined, raw []byte }

// memory returns the block's memory as it was written, and a function to call
// when it has been read. It may be called without the lock for a block of which
// something is in a request, since such a block is never compressed, and what is
// in the request no longer changes.
func (blk *block) memory() ([]byte, func()) {
	if blk.raw == 0 {
		return blk.mem, func() {}
	}
	u := unpacking.Get().(*unpacked)
	packed := blk.packed[0].mem
	if len(blk.packed) > 1 {
		u.joined = u.joined[:0]
		for _, p := range blk.packed {
			u.joined = append(u.joined, p.mem...)
		}
		packed = u.joined
	}
	raw, err := blk.decoder.DecodeAll(packed, u.raw[:0])
	if err != nil || len(raw) != blk.raw {
		// It is our own memory, compressed by us: if it does not come back as it was,
		// memory is corrupt and nothing else can be trusted either.
		panic(fmt.Sprintf("BUG: a compressed block of the buffer does not come back: %d of %d bytes, %v", len(raw), blk.raw, err))
	}
	u.raw = raw
	return raw, func() { unpacking.Put(u) }
}

// size is how many bytes the block holds of the arena.
func (blk *block) size() int {
	n := len(blk.mem)
	for _, p := range blk.packed {
		n += len(p.mem)
	}
	return n
}
