package elasticsearch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// body is what the transport reads of an attempt. It writes whole pieces where it
// can, which spares a copy. The transport may still be at it when the answer is
// there, and the memory of the batches goes when they are settled, so nothing is
// read after Close.
type body struct {
	a    *attempt
	rest []byte // of the piece, while it is read
}

// piece returns the next piece, which holds until the next call or Close, and
// io.EOF at the end.
func (b *body) piece() ([]byte, error) {
	a := b.a
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used = false
	if a.closed {
		return nil, io.ErrClosedPipe
	}
	if a.taken && !a.done {
		a.fill()
	} else if a.taken {
		return nil, io.EOF
	}
	a.taken = true
	if len(a.out) == 0 {
		return nil, io.EOF
	}
	a.used = true
	return a.out, nil
}

// WriteTo implements io.WriterTo.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	var sum int64
	for {
		p, err := b.piece()
		if errors.Is(err, io.EOF) {
			return sum, nil
		}
		if err != nil {
			return sum, err
		}
		n, err := w.Write(p)
		sum += int64(n)
		if err != nil {
			b.release()
			return sum, err
		}
	}
}

// release says that the piece is not read any more.
func (b *body) release() {
	b.a.mu.Lock()
	defer b.a.mu.Unlock()
	b.a.used = false
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		piece, err := b.piece()
		if err != nil {
			return 0, err
		}
		b.rest = piece
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close implements io.Closer. It may be called again.
func (b *body) Close() error {
	b.a.mu.Lock()
	defer b.a.mu.Unlock()
	b.a.closed = true
	return nil
}

// compressed is a body that is compressed while it is read or written. Both give the
// same bytes, since the pieces are the same.
type compressed struct {
	body
	z    *gzip.Writer // while it is read
	out  bytes.Buffer
	done bool
}

var gzips = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return z
}}

// WriteTo implements io.WriterTo.
func (c *compressed) WriteTo(w io.Writer) (int64, error) {
	z := gzips.Get().(*gzip.Writer)
	defer gzips.Put(z)
	z.Reset(w)
	n, err := c.body.WriteTo(z)
	return n, errors.Join(err, z.Close())
}

// Read implements io.Reader, which the transport uses where the length is known.
func (c *compressed) Read(p []byte) (int, error) {
	if c.z == nil {
		c.z = gzips.Get().(*gzip.Writer)
		c.z.Reset(&c.out)
	}
	for c.out.Len() == 0 && !c.done {
		piece, err := c.piece()
		if err == nil {
			_, err = c.z.Write(piece)
		} else if errors.Is(err, io.EOF) {
			c.done, err = true, c.z.Close()
			gzips.Put(c.z) // Nothing is read behind the end.
		}
		if err != nil {
			return 0, err
		}
	}
	return c.out.Read(p)
}

// request makes the request of an attempt. GetBody is set for the transport alone,
// which uses it where a kept connection proves dead before anything was written.
func (a *attempt) request(ctx context.Context) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.sink.path, nil)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	a.sink.authorize(r)
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.ContentLength = -1
	if sign := a.sink.o.Signer; sign != nil {
		if err := a.sign(ctx, r); err != nil {
			return nil, err
		}
	}
	if a.sink.o.Gzip {
		r.Header.Set("Content-Encoding", "gzip")
	}
	r.GetBody = a.body
	r.Body, err = a.body()
	if err != nil {
		return nil, err
	}
	if r.ContentLength < 0 && !a.sink.o.Gzip {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.done {
			r.ContentLength = int64(len(a.out)) // All of it is in the first piece.
		}
	}
	return r, nil
}

// body returns the body from its start.
func (a *attempt) body() (io.ReadCloser, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.taken {
		if a.used {
			return nil, errors.New("the body is still being read")
		}
		a.rewind()
	}
	a.closed = false
	if a.sink.o.Gzip {
		return &compressed{body: body{a: a}}, nil
	}
	return &body{a: a}, nil
}

// sign reads the body once, for its length and the hash that the signature covers.
// The interceptor signs when the node is chosen.
func (a *attempt) sign(ctx context.Context, r *http.Request) error {
	h := sha256.New()
	counted := &counter{to: h}
	reader, err := a.body()
	if err != nil {
		return err
	}
	if _, err = reader.(io.WriterTo).WriteTo(counted); err != nil {
		return fmt.Errorf("make a body: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.ContentLength = counted.n
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(h.Sum(nil)))
	return nil
}

type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

// signerState is the signer, once it was asked for.
type signerState struct {
	mu  sync.Mutex
	got Signer
}

// signing signs each request once its node is known.
func (s *Sink) signing(r *http.Request) error {
	signer, err := s.theSigner(r.Context())
	if err != nil {
		return &credentialsError{err}
	}
	if err := signer.Sign(r.Context(), r, r.Header.Get("X-Amz-Content-Sha256"), time.Now()); err != nil {
		return &credentialsError{err}
	}
	return nil
}

func (s *Sink) theSigner(ctx context.Context) (Signer, error) {
	s.signer.mu.Lock()
	defer s.signer.mu.Unlock()
	if s.signer.got == nil {
		var err error
		if s.signer.got, err = s.o.Signer(ctx); err != nil {
			return nil, err
		}
	}
	return s.signer.got, nil
}

// credentialsError says that a request could not be signed; nothing was sent.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "sign the request: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }
