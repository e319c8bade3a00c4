package forward

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// Grow gives memory with the content of b and room for at least more bytes
// behind it, or says why there is none. b is not used any more afterwards.
type Grow func(b []byte, more int) ([]byte, error)

// onHeap is the Grow of those who do not say.
func onHeap(b []byte, more int) ([]byte, error) { return slices.Grow(b, more), nil }

var gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}

// Decompress appends src, decompressed, to dst; src may be several gzip members
// or zstd frames, one behind the other. Where the capacity of dst ends it asks
// grow, or the heap if grow is nil. A payload that expands beyond the limits is a
// *LimitError, found before more than the limit is held. It may be called by
// several goroutines at once.
func Decompress(dst, src []byte, c Compression, l Limits, grow Grow) ([]byte, error) {
	if grow == nil {
		grow = onHeap
	}
	limit := l.decompressed(len(src))
	switch c {
	case CompressionNone:
		return append(dst, src...), nil
	case CompressionGzip:
		return gunzip(dst, src, limit, grow)
	case CompressionZstd:
		return unzstd(dst, src, limit, grow)
	}
	return dst, fmt.Errorf("decompress %v: expected gzip or zstd", c)
}

func gunzip(dst, src []byte, limit int64, grow Grow) ([]byte, error) {
	r := gzipReaders.Get().(*gzip.Reader)
	defer gzipReaders.Put(r)
	if err := r.Reset(bytes.NewReader(src)); err != nil {
		return dst, fmt.Errorf("decompress gzip: %w", err)
	}
	return readAll(dst, len(dst), r, len(src), limit, grow, "gzip")
}

// Decompress decompresses the payload into dst, which must have nothing to do
// with it, and sets Entries to Invalid as Check does; see the function Decompress.
// A message that is not compressed is checked where it is, and dst returned.
func (m *Message) Decompress(dst []byte, l Limits, grow Grow) ([]byte, error) {
	if m.Compression == CompressionNone || m.Mode != ModePackedForward {
		m.Check()
		return dst, nil
	}
	start := len(dst)
	dst, err := Decompress(dst, m.Payload, m.Compression, l, grow)
	if err != nil {
		return dst, err
	}
	m.checked(CheckEntries(dst[start:]))
	return dst, nil
}
