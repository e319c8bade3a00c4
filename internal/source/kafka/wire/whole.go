package wire

import (
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// whole unpacks a batch at once into memory that the decompressor needs for nothing
// else, where that is less than a window and what a stream takes beside it: most batches are small,
// and of one that holds a large record the decompressor would keep nearly as much again.
// Where it cannot, or something is wrong, the stream says so.
func (r *Records) whole(c Compression, body []byte) (all []byte, ok bool) {
	var err error
	switch c {
	case Zstd:
		var h zstd.Header
		if h.Decode(body[:min(len(body), zstd.HeaderMaxSize)]) != nil || h.Skippable {
			return nil, false
		}
		size := keptSize
		if h.HasFCS {
			// Both are there for a moment.
			n, most := h.FrameContentSize, uint64(r.mostAtOnce())
			if n > keptSize && (n > most || n+uint64(len(body)) > most) {
				return nil, false
			}
			size = int(n)
		} else if !r.mayFit(len(body)) {
			return nil, false
		}
		var d *zstd.Decoder
		if d, err = r.unpack.decoder(); err == nil {
			// A stream that was not read to its end has the one decoder that there is.
			err = d.Reset(nil)
		}
		if err == nil {
			all, err = d.DecodeAll(body, r.room(size)[:0:size])
		}
	case LZ4:
		if r.mayFit(len(body)) {
			if all, err = wholeLZ4(r.room(keptSize)[:0:keptSize], body, nil); err == nil {
				return all, true
			}
			r.untried = triedAgain
		}
		most, known := mostLZ4(body)
		if !known || most > r.mostAtOnce() {
			return nil, false
		}
		// Where it is broken, what comes before that is read, and what has passed cannot be
		// looked at again.
		all, _ = wholeLZ4(r.room(most)[:0:most], body, r.Passed)
		return all, true
	case Snappy:
		var n int
		if isFramed(body) {
			return nil, false
		}
		if n, err = s2.DecodedLen(body); err != nil || n > r.mostUnpacked() {
			return nil, false
		}
		all, err = s2.Decode(r.room(n), body)
	default:
		return nil, false
	}
	if err != nil {
		r.untried = triedAgain
		return nil, false
	}
	return all, true
}

// mayFit reports whether to try whether a batch of unknown size fits into what is kept. Where
// one did not, the next ones are as large, most likely.
func (r *Records) mayFit(size int) bool {
	if r.untried > 0 && size > keptSize/16 {
		r.untried--
		return false
	}
	return size < keptSize
}

// triedAgain is after how many batches another one is tried.
const triedAgain = 64

// mostAtOnce is what may be unpacked at once, in bytes: a record that is as large as may be,
// and some small ones.
func (r *Records) mostAtOnce() int { return r.Max + r.Max/8 }

// room is memory for what is unpacked at once.
func (r *Records) room(size int) []byte {
	if size > keptSize && r.Block != nil {
		return r.Block(size)
	}
	if cap(r.window.kept) < size {
		r.window.kept = make([]byte, min(max(size+size/4, windowSize), max(size, keptSize)))
	}
	return r.window.kept[:cap(r.window.kept)]
}

// errFrame says that a frame of LZ4 is none that is unpacked at once.
var errFrame = errors.New("found another frame of LZ4")

// What a frame of LZ4 begins with, and says of itself; see the format's description
// (lz4_Frame_format.md).
const (
	lz4Magic       = 0x184D2204
	lz4Descriptor  = 4 + 2 + 1 // with magic and checksum
	lz4Version     = 0xC0
	lz4Independent = 0x20
	lz4BlockSums   = 0x10
	lz4Size        = 0x08
	lz4Dictionary  = 0x01
	lz4Stored      = 1 << 31
	lz4Reach       = 64 << 10 // how far back a block may refer
)

// lz4Frame is a frame whose blocks are walked. The batch has a checksum of its own, so the
// frame's are passed over.
type lz4Frame struct {
	flags byte
	rest  []byte
}

func readLZ4(src []byte) (f lz4Frame, ok bool) {
	if len(src) < lz4Descriptor || binary.LittleEndian.Uint32(src) != lz4Magic || src[4]&lz4Version != 0x40 || src[4]&lz4Dictionary != 0 {
		return f, false
	}
	begin := lz4Descriptor
	if src[4]&lz4Size != 0 {
		begin += 8
	}
	return lz4Frame{src[4], src[min(begin, len(src)):]}, true
}

// next returns the next block, and whether it is stored as it is; none at the end.
func (f *lz4Frame) next() (block []byte, stored bool, err error) {
	if len(f.rest) < 4 {
		return nil, false, errFrame
	}
	size := binary.LittleEndian.Uint32(f.rest)
	n := int(size &^ lz4Stored)
	if f.rest = f.rest[4:]; n > len(f.rest) {
		return nil, false, errFrame
	}
	if block, f.rest = f.rest[:n], f.rest[n:]; n > 0 && f.flags&lz4BlockSums != 0 {
		f.rest = f.rest[min(4, len(f.rest)):]
	}
	return block, size&lz4Stored != 0, nil
}

// mostLZ4 is what a frame unpacks to at most.
func mostLZ4(src []byte) (most int, ok bool) {
	f, ok := readLZ4(src)
	if !ok {
		return 0, false
	}
	for each := lz4Block(src); ; {
		block, stored, err := f.next()
		switch {
		case err != nil:
			return 0, false
		case len(block) == 0:
			return most, true
		case stored:
			most += len(block)
		default:
			most += min(each, lz4Ratio*len(block))
		}
	}
}

// lz4Block is the size of the blocks of a frame: 64 KiB, 256 KiB, 1 MiB or 4 MiB.
func lz4Block(src []byte) int { return 1 << (8 + 2*(src[5]>>4&7)) }

// lz4Ratio is how many times as large a block may become at most.
const lz4Ratio = 255

// wholeLZ4 unpacks a frame into what dst has room for, up to where it is broken. passed is told how far it is.
func wholeLZ4(dst, src []byte, passed func(at int)) ([]byte, error) {
	f, ok := readLZ4(src)
	for ok {
		if passed != nil {
			passed(HeadSize + len(src) - len(f.rest))
		}
		block, stored, err := f.next()
		if err != nil || len(block) == 0 {
			return dst, err
		}
		at := len(dst)
		if stored {
			if len(block) > cap(dst)-at {
				return dst, errFrame
			}
			dst = append(dst, block...)
			continue
		}
		var before []byte
		if f.flags&lz4Independent == 0 {
			before = dst[max(0, at-lz4Reach):]
		}
		n, err := lz4.UncompressBlockWithDict(block, dst[at:cap(dst)], before)
		if err != nil {
			return dst, err
		}
		dst = dst[:at+n]
	}
	return dst, errFrame
}
