package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// maxZstdWindow is the largest window of zstd that is taken, in bytes: producers use
// up to 8 MiB at usual levels. The decoder holds as much.
const maxZstdWindow = 16 << 20

// usualUnpacked is what a block of snappy may unpack to however small the largest record
// is, in bytes. Such a block may be a whole batch and is unpacked at once; those of
// brokers' usual limit, 1 MiB, unpack to some twenty times as much at most.
const usualUnpacked = 24 << 20

// maxRing is what a decompressor may hold of what it has unpacked, for back references, of
// which nobody need know, in bytes.
const maxRing = 512 << 10

// unpackers are the decompressors, each made when it is first needed.
type unpackers struct {
	src    bytes.Reader
	gzip   *gzip.Reader
	lz4    *lz4.Reader
	zstd   *zstd.Decoder
	snappy snappyReader
}

// open returns a reader of what body unpacks to. limit is the largest record.
func (u *unpackers) open(c Compression, body []byte, limit int) (io.Reader, error) {
	u.src.Reset(body)
	switch c {
	case Gzip:
		if u.gzip == nil {
			u.gzip = new(gzip.Reader)
		}
		return u.gzip, wrap("gzip", u.gzip.Reset(&u.src))
	case LZ4:
		if u.lz4 == nil {
			u.lz4 = lz4.NewReader(nil)
		}
		u.lz4.Reset(&u.src)
		return u.lz4, nil
	case Zstd:
		d, err := u.decoder()
		if err != nil {
			return nil, wrap("zstd", err)
		}
		return d, wrap("zstd", d.Reset(&u.src))
	case Snappy:
		u.snappy.reset(body, limit)
		return &u.snappy, nil
	}
	return nil, fmt.Errorf("found compression %d, expected gzip, snappy, lz4 or zstd", c)
}

// decoder is that of zstd.
func (u *unpackers) decoder() (d *zstd.Decoder, err error) {
	if u.zstd == nil {
		u.zstd, err = newZstd()
	}
	return u.zstd, err
}

func newZstd() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecodeAllCapLimit(true))
}

// Turn is what Records that take turns have in common: a decompressor that holds much, so
// that not each batch makes another one. The zero value is ready.
type Turn struct{ zstd *zstd.Decoder }

// keptRing is the largest that is kept for the next batch, in bytes: of the usual level of
// Kafka's library for Java it is somewhat more than 2 MiB.
const keptRing = 3 << 20

// take gives the decompressor to who has the turn.
func (t *Turn) take(u *unpackers) {
	if t.zstd != nil {
		u.zstd, t.zstd = t.zstd, nil
	}
}

// put takes it back, where it is not too large, without what it reads from.
func (t *Turn) put(u *unpackers, ring int) {
	if d := u.zstd; d != nil && ring <= keptRing && d.Reset(nil) == nil {
		u.zstd, t.zstd = nil, d
	}
}

// ring is how much a decompressor will hold of what it has unpacked, in bytes.
func ring(c Compression, body []byte) int {
	switch c {
	case Zstd:
		var h zstd.Header
		if h.Decode(body[:min(len(body), zstd.HeaderMaxSize)]) != nil || h.Skippable {
			return maxZstdWindow // It may be anything.
		}
		window := int(min(h.WindowSize, maxZstdWindow))
		if h.SingleSegment {
			window = int(min(h.FrameContentSize, maxZstdWindow))
		}
		return window + 2*min(window, 128<<10)
	case LZ4:
		if len(body) < lz4Descriptor {
			return 0
		}
		return 2 * lz4Block(body) // and what it is unpacked from
	}
	return 0
}

// forget lets go of decompressors that hold much.
func (u *unpackers) forget() {
	if u.zstd != nil {
		u.zstd.Close()
	}
	u.zstd, u.lz4 = nil, nil
}

// passed is how many bytes of a batch were read.
func (u *unpackers) passed(c Compression) int {
	n := int(u.src.Size())
	if c == Snappy {
		return n - len(u.snappy.src)
	}
	return n - u.src.Len()
}

func wrap(what string, err error) error {
	if err != nil {
		return fmt.Errorf("unpack %s: %w", what, err)
	}
	return nil
}

// Close gives back what the decompressors hold.
func (r *Records) Close() {
	if r.unpack.zstd != nil {
		r.unpack.zstd.Close()
	}
}

// snappyReader unpacks both forms of snappy that producers send: one block, or the
// frames of the Java library, each a length and a block.
type snappyReader struct {
	framed bool
	src    []byte
	out    []byte // what is unpacked and was not read
	buf    []byte
	limit  int
	large  func(size int) []byte // memory for a large block; nil makes it
}

// javaMagic begins the frames of the Java library; two version numbers follow it.
var javaMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const javaHead = 16

func isFramed(src []byte) bool { return bytes.HasPrefix(src, javaMagic) && len(src) >= javaHead }

func (s *snappyReader) reset(src []byte, limit int) {
	if cap(s.buf) > keptSize {
		s.buf = nil
	}
	s.framed, s.src, s.out, s.limit = false, src, nil, limit
	if isFramed(src) {
		s.framed, s.src = true, src[javaHead:]
	}
}

// Read implements io.Reader.
func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		if len(s.src) == 0 {
			return 0, io.EOF
		}
		block := s.src
		if s.src = nil; s.framed {
			var ok bool
			if block, s.src, ok = frame(block); !ok {
				return 0, wrap("snappy", io.ErrUnexpectedEOF)
			}
		}
		if err := s.block(block); err != nil {
			return 0, wrap("snappy", err)
		}
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

func frame(b []byte) (block, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	size := uint64(binary.BigEndian.Uint32(b))
	if size > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+size], b[4+size:], true
}

// ErrUnpacked says that a block of snappy, which is unpacked at once, is larger than two
// of the largest records, and than usual batches are.
var ErrUnpacked = errors.New("a block unpacks to more than 24 MiB, and more than twice the largest record")

func (s *snappyReader) block(b []byte) error {
	n, err := s2.DecodedLen(b)
	if err != nil {
		return err
	}
	if n > s.limit {
		return ErrUnpacked
	}
	switch {
	case n > keptSize && s.large != nil:
		s.buf = s.large(n)
	case cap(s.buf) < n:
		s.buf = make([]byte, n)
	}
	s.out, err = s2.Decode(s.buf[:n], b)
	return err
}
