package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// ErrTooLarge says that a body is larger than the limit.
var ErrTooLarge = errors.New("the body is too large")

// Buffers hold the bodies of requests, and are used again. All methods are safe for concurrent use.
type Buffers struct {
	// Kept is the largest buffer that is kept for the next request, in bytes.
	Kept int

	pool sync.Pool
}

// Get returns a buffer with room for so many bytes.
func (b *Buffers) Get(size int) *[]byte {
	if p, _ := b.pool.Get().(*[]byte); p != nil && cap(*p) >= size {
		return p
	}
	// A quarter more, so that bodies of nearly the same size do not each need a new one.
	fresh := make([]byte, 0, max(size+size/4, 4096))
	return &fresh
}

// Put takes a buffer back, which may be nil.
func (b *Buffers) Put(p *[]byte) {
	if p != nil && cap(*p) <= b.Kept {
		b.pool.Put(p)
	}
}

// Read reads a body as it was sent. Where its length is known, which is -1 otherwise, it goes into one buffer of that
// size in as few reads as the socket allows. A body above the limit is ErrTooLarge.
func (b *Buffers) Read(from io.Reader, length int64, limit int) (*[]byte, error) {
	if length > int64(limit) {
		return nil, ErrTooLarge
	}
	if length < 0 {
		return b.all(from, 1<<20, limit)
	}
	p := b.Get(int(length))
	*p = (*p)[:length]
	if _, err := io.ReadFull(from, *p); err != nil {
		b.Put(p)
		return nil, fmt.Errorf("the body could not be read: expected %d bytes: %w", length, err)
	}
	return p, nil
}

// Gunzip unpacks a body into a buffer of its own. One that expands above the limit is ErrTooLarge.
func (b *Buffers) Gunzip(wire []byte, limit int) (*[]byte, error) {
	zr, err := gzip.NewReader(bytes.NewReader(wire))
	if err != nil {
		return nil, fmt.Errorf("the body is not gzip: %w", err)
	}
	return b.all(zr, 4*len(wire), limit)
}

// all reads what is of an unknown length, perhaps of the given size.
func (b *Buffers) all(from io.Reader, size, limit int) (*[]byte, error) {
	p := b.Get(size)
	out := bytes.NewBuffer((*p)[:0])
	n, err := io.Copy(out, io.LimitReader(from, int64(limit)+1))
	*p = out.Bytes()
	switch {
	case err != nil:
		b.Put(p)
		return nil, fmt.Errorf("the body could not be read: %w", err)
	case n > int64(limit):
		b.Put(p)
		return nil, ErrTooLarge
	}
	return p, nil
}
