package forward

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression is that of a payload.
type Compression uint8

// The compressions. CompressionUnknown is what a peer named and nobody here
// knows.
const (
	CompressionNone    Compression = 0
	CompressionGzip    Compression = 1
	CompressionZstd    Compression = 2
	CompressionUnknown Compression = 3
)

// String is the name in the protocol's option map.
func (c Compression) String() string {
	switch c {
	case CompressionNone:
		return "text"
	case CompressionGzip:
		return "gzip"
	case CompressionZstd:
		return "zstd"
	case CompressionUnknown:
		return "unknown"
	}
	return "Compression(" + strconv.Itoa(int(c)) + ")"
}

func compressionNamed(name string) Compression {
	switch name {
	case "", "text":
		return CompressionNone
	case "gzip":
		return CompressionGzip
	case "zstd":
		return CompressionZstd
	}
	return CompressionUnknown
}

// gzipLevel compresses log text better than level 1 and as fast.
const gzipLevel = 2

var gzipWriters = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzipLevel)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

var zstdEncoder = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
})

// Compress appends src to dst, compressed as one member or frame. It may be
// called by several goroutines at once.
func Compress(dst, src []byte, c Compression) ([]byte, error) {
	switch c {
	case CompressionNone:
		return append(dst, src...), nil
	case CompressionGzip:
		out := bytes.NewBuffer(dst)
		w := gzipWriters.Get().(*gzip.Writer)
		defer gzipWriters.Put(w)
		w.Reset(out)
		if _, err := w.Write(src); err != nil {
			return dst, fmt.Errorf("compress by gzip: %w", err)
		}
		if err := w.Close(); err != nil {
			return dst, fmt.Errorf("compress by gzip: %w", err)
		}
		return out.Bytes(), nil
	case CompressionZstd:
		e, err := zstdEncoder()
		if err != nil {
			return dst, fmt.Errorf("compress by zstd: %w", err)
		}
		return e.EncodeAll(src, dst), nil
	}
	return dst, fmt.Errorf("compress by %v: no such compression", c)
}
