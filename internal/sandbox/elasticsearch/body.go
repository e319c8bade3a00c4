package elasticsearch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// maxPooled is the largest buffer that is kept for the next request.
const maxPooled = 16 << 20

// buffers hands out byte buffers and takes them back.
type buffers struct{ pool sync.Pool }

func (b *buffers) get(size int) *[]byte {
	if p, _ := b.pool.Get().(*[]byte); p != nil && cap(*p) >= size {
		return p
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

func tooLarge() *apiError {
	return &apiError{status: http.StatusRequestEntityTooLarge, kind: "content_too_long_exception", reason: "entity content is too long", raw: []byte{}}
}

func unreadable(err error) *apiError {
	return refuse(http.StatusBadRequest, "parse_exception", "the body could not be read: %v", err)
}

// read reads the request's body as it was sent. With a Content-Length it goes into one buffer of that size in as few
// reads as the socket allows. pace, if not nil, is called before each piece of 64 KiB.
func (b *buffers) read(r *http.Request, limit int, pace func()) (*[]byte, *apiError) {
	if r.ContentLength > int64(limit) {
		return nil, tooLarge()
	}
	var from io.Reader = r.Body
	if pace != nil {
		from = &paced{r.Body, pace}
	}
	if r.ContentLength >= 0 {
		p := b.get(int(r.ContentLength))
		*p = (*p)[:r.ContentLength]
		if _, err := io.ReadFull(from, *p); err != nil {
			b.put(p)
			return nil, unreadable(err)
		}
		return p, nil
	}
	return b.all(from, limit)
}

// all reads what is of an unknown length.
func (b *buffers) all(from io.Reader, limit int) (*[]byte, *apiError) {
	p := b.get(1 << 20)
	body := (*p)[:0]
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		*p = body
		switch {
		case len(body) > limit:
			b.put(p)
			return nil, tooLarge()
		case errors.Is(err, io.EOF):
			return p, nil
		case err != nil:
			b.put(p)
			return nil, unreadable(err)
		}
	}
}

// paced reads slowly.
type paced struct {
	from io.Reader
	wait func()
}

func (p *paced) Read(to []byte) (int, error) {
	p.wait()
	return p.from.Read(to[:min(len(to), 64<<10)])
}

// skipHalf reads half of the request's body and throws it away.
func skipHalf(r *http.Request) error {
	half := r.ContentLength / 2
	if r.ContentLength < 0 {
		half = 64 << 10
	}
	_, err := io.CopyN(io.Discard, r.Body, half)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// unpack returns the body that wire stands for: itself, or a buffer of its own if it was sent compressed.
func (b *buffers) unpack(encoding string, wire *[]byte, limit int) (*[]byte, *apiError) {
	if !packed(encoding) || len(*wire) == 0 {
		return wire, nil
	}
	zr, err := gzip.NewReader(bytes.NewReader(*wire))
	if err != nil {
		return nil, unreadable(err)
	}
	p := b.get(4 * len(*wire))
	out := bytes.NewBuffer((*p)[:0])
	n, err := io.Copy(out, io.LimitReader(zr, int64(limit)+1))
	*p = out.Bytes()
	switch {
	case err != nil:
		b.put(p)
		return nil, unreadable(err)
	case n > int64(limit):
		b.put(p)
		return nil, tooLarge()
	}
	return p, nil
}

func packed(encoding string) bool { return strings.EqualFold(strings.TrimSpace(encoding), "gzip") }

// faultList is the JSON of /_sandbox/fault.
type faultList struct {
	Faults []string `json:"faults"`
}

func decodeStrict(r *http.Request, v any) error {
	decoder := json.NewDecoder(io.LimitReader(r.Body, 64<<10))
	decoder.DisallowUnknownFields()
	return decoder.Decode(v)
}
