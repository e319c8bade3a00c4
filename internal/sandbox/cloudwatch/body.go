package cloudwatch

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// maxPooled is the largest buffer that is kept for the next request: an ordinary full batch is far below it.
const maxPooled = 4 << 20

// buffers hands out byte buffers and takes them back.
type buffers struct{ pool sync.Pool }

func (b *buffers) get(size int) *[]byte {
	if p, _ := b.pool.Get().(*[]byte); p != nil {
		if cap(*p) >= size {
			return p
		}
	}
	// A quarter more, so that bodies of nearly the same size do not each need a new one.
	fresh := make([]byte, 0, max(size+size/4, 4096))
	return &fresh
}

func (b *buffers) put(p *[]byte) {
	if p != nil && cap(*p) <= maxPooled {
		b.pool.Put(p)
	}
}

// read reads the request's body as it was sent. With a Content-Length, which every known client sends, it goes into
// one buffer of that size in as few reads as the socket allows.
func (b *buffers) read(r *http.Request) (*[]byte, *apiError) {
	if r.ContentLength > maxBody {
		return nil, tooLarge()
	}
	if r.ContentLength < 0 {
		data, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		switch {
		case err != nil:
			return nil, serialization("the body could not be read: %v", err)
		case len(data) > maxBody:
			return nil, tooLarge()
		}
		return &data, nil
	}
	p := b.get(int(r.ContentLength))
	*p = (*p)[:r.ContentLength]
	if _, err := io.ReadFull(r.Body, *p); err != nil {
		b.put(p)
		return nil, serialization("the body could not be read: expected %d bytes: %v", r.ContentLength, err)
	}
	return p, nil
}

// skipHalf reads half of the request's body and throws it away.
func skipHalf(r *http.Request) error {
	_, err := io.CopyN(io.Discard, r.Body, max(r.ContentLength, 0)/2)
	return err
}

func tooLarge() *apiError {
	return &apiError{http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "The request body is over 16 MiB."}
}

// unpack returns the body that wire stands for: itself, or a buffer of its own if it was sent compressed.
func (b *buffers) unpack(encoding string, wire *[]byte) (*[]byte, *apiError) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return wire, nil
	case "gzip":
	default:
		return nil, serialization("content-encoding %q: expected gzip or none", encoding)
	}
	zr, err := gzip.NewReader(bytes.NewReader(*wire))
	if err != nil {
		return nil, serialization("the body is not gzip: %v", err)
	}
	p := b.get(4 * len(*wire))
	out := bytes.NewBuffer((*p)[:0])
	n, err := io.Copy(out, io.LimitReader(zr, maxBody+1))
	*p = out.Bytes()
	switch {
	case err != nil:
		b.put(p)
		return nil, serialization("the gzip body is damaged: %v", err)
	case n > maxBody:
		b.put(p)
		return nil, tooLarge()
	}
	return p, nil
}
