package forward

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
	}
	return dst, fmt.Errorf("decompress %v: expected gzip or zstd", c)
}

func gunzip(dst, src []byte, limit int64, grow Grow) ([]byte, error) {
	r := gzipReaders.Get().(*gzip.Reader)
	defer gzipReaders.Put(r)
	if err := r.Reset(bytes.NewReader(src)); err != nil {
		return dst, fmt.Errorf("decompress gzip: %w", err)
	}
	start := len(dst)
	for {
		if len(dst) == cap(dst) {
			var err error
			if dst, err = grow(dst, max(4096, len(src), len(dst)-start)); err != nil {
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
			return dst, fmt.Errorf("decompress gzip: %w", err)
		}
	}
}
