package forward

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Bounds of the zstd format, and of what is taken of it.
const (
	zstdMagic     = 0xfd2fb528
	zstdSkippable = 0x184d2a50 // to 0x184d2a5f
	zstdMaxBlock  = 128 << 10
	// zstdMaxWindow is what every decoder should support, in bytes, and what no
	// encoder of short payloads exceeds.
	zstdMaxWindow = 8 << 20
	// zstdMargin is what a decoder may write behind the end before it notices.
	zstdMargin = zstdMaxBlock + 64
)

// zstdFrame is what the frame at the beginning of a payload says of itself.
type zstdFrame struct {
	size  int   // of the frame
	known bool  // whether it says what it expands to
	out   int64 // what it expands to, or at most may
}

var errZstd = errors.New("not a whole zstd frame")

// readZstdFrame goes from block to block, decompressing nothing, so that the
// memory is known before there is any.
func readZstdFrame(b []byte) (f zstdFrame, err error) {
	if len(b) < 6 {
		return f, errZstd
	}
	magic := binary.LittleEndian.Uint32(b)
	if magic&^0xf == zstdSkippable {
		if len(b) < 8 || int64(binary.LittleEndian.Uint32(b[4:])) > int64(len(b)-8) {
			return f, errZstd
		}
		return zstdFrame{size: 8 + int(binary.LittleEndian.Uint32(b[4:])), known: true}, nil
	}
	if magic != zstdMagic {
		return f, errZstd
	}
	descriptor := b[4]
	single := descriptor&0x20 != 0
	at := 5
	if !single {
		at++ // window descriptor
	}
	at += [4]int{0, 1, 2, 4}[descriptor&3] // dictionary id
	wide := [4]int{0, 2, 4, 8}[descriptor>>6]
	if wide == 0 && single {
		wide = 1
	}
	if len(b) < at+wide {
		return f, errZstd
	}
	if wide > 0 {
		f.known = true
		var raw [8]byte
		copy(raw[:], b[at:at+wide])
		content := binary.LittleEndian.Uint64(raw[:])
		if wide == 2 {
			content += 256
		}
		f.out = int64(min(content, math.MaxInt64))
		at += wide
	}
	blocks, at, err := readZstdBlocks(b, at)
	if err != nil {
		return f, err
	}
	if descriptor&4 != 0 {
		at += 4 // checksum
	}
	if at > len(b) {
		return f, errZstd
	}
	if f.size = at; !f.known {
		f.out = blocks
	}
	return f, nil
}

// readZstdBlocks returns what the blocks at b[at] may expand to, and where they
// end.
func readZstdBlocks(b []byte, at int) (out int64, end int, err error) {
	for {
		if at+3 > len(b) {
			return 0, 0, errZstd
		}
		head := int(b[at]) | int(b[at+1])<<8 | int(b[at+2])<<16
		size := head >> 3
		at += 3
		switch head >> 1 & 3 {
		case 0: // raw
			out += int64(size)
		case 1: // one byte, size times
			out += int64(size)
			size = 1
		case 2:
			out += zstdMaxBlock
		default:
			return 0, 0, errZstd
		}
		if at += size; at > len(b) {
			return 0, 0, errZstd
		}
		if head&1 != 0 {
			return out, at, nil
		}
	}
}

// zstdWhole decodes whole frames into memory that is there.
var zstdWhole = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(math.MaxInt64))
})

// zstdPiecemeal decodes frames of which nobody knows what they expand to. It
// holds a window beside, so there is one.
var zstdPiecemeal struct {
	sync.Mutex
	d *zstd.Decoder
}

// unzstd decompresses frame by frame.
func unzstd(dst, src []byte, limit int64, grow Grow) ([]byte, error) {
	start, all := len(dst), src
	for len(src) > 0 {
		frame, err := readZstdFrame(src)
		if err != nil {
			return dst, fmt.Errorf("decompress zstd: frame at byte %d of %d: %w", len(all)-len(src), len(all), err)
		}
		one := src[:frame.size]
		src = src[frame.size:]
		have := int64(len(dst) - start)
		switch {
		case frame.known && frame.out > limit-have:
			return dst, &LimitError{What: "decompressed payload", Bytes: have + frame.out, Limit: limit}
		case frame.known || frame.out <= min(limit-have, max(2*zstdMaxBlock, 8*int64(len(one)))):
			dst, err = unzstdWhole(dst, one, int(frame.out), grow)
		default:
			dst, err = unzstdPiecemeal(dst, start, one, limit, grow)
		}
		if err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// unzstdWhole decompresses a frame that expands to at most size bytes.
func unzstdWhole(dst, frame []byte, size int, grow Grow) ([]byte, error) {
	if size == 0 {
		return dst, nil
	}
	if cap(dst)-len(dst) < size+zstdMargin {
		var err error
		if dst, err = grow(dst, size+zstdMargin); err != nil {
			return dst, err
		}
	}
	d, err := zstdWhole()
	if err != nil {
		return dst, fmt.Errorf("decompress zstd: %w", err)
	}
	room := dst[len(dst):len(dst):cap(dst)]
	out, err := d.DecodeAll(frame, room)
	if err != nil {
		return dst, fmt.Errorf("decompress zstd: %w", err)
	}
	if len(out) > cap(room) {
		return dst, fmt.Errorf("decompress zstd: %w", zstd.ErrDecoderSizeExceeded)
	}
	return dst[:len(dst)+len(out)], nil
}

func unzstdPiecemeal(dst []byte, start int, frame []byte, limit int64, grow Grow) (out []byte, err error) {
	out = dst
	err = withZstd(bytes.NewReader(frame), func(d *zstd.Decoder) error {
		out, err = readAll(dst, start, d, len(frame), limit, grow, "zstd")
		return err
	})
	return out, err
}

// withZstd lets f read what r expands to.
func withZstd(r io.Reader, f func(d *zstd.Decoder) error) error {
	z := &zstdPiecemeal
	z.Lock()
	defer z.Unlock()
	if z.d == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdMaxWindow), zstd.WithDecodeBuffersBelow(0))
		if err != nil {
			return fmt.Errorf("decompress zstd: %w", err)
		}
		z.d = d
	}
	if err := z.d.Reset(r); err != nil {
		return fmt.Errorf("decompress zstd: %w", err)
	}
	return f(z.d)
}

// readAll appends what r gives to dst, so that it holds up to limit bytes from
// start on.
func readAll(dst []byte, start int, r io.Reader, hint int, limit int64, grow Grow, what string) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			var err error
			if dst, err = grow(dst, max(4096, hint, len(dst)-start)); err != nil {
				return dst, err
			}
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case int64(len(dst)-start) > limit:
			return dst, &LimitError{What: "decompressed payload", Bytes: int64(len(dst) - start), Limit: limit}
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return dst, fmt.Errorf("decompress %s: %w", what, err)
		}
	}
}
