package cloudwatch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
)

// windows are the pieces in which a body is hashed.
var windows = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// put makes one PutLogEvents call. gone says that the group or the stream is
// not there.
func (s *Sink) put(ctx context.Context, d *Destination, req sink.Request) (out sink.Outcome, gone bool) {
	order := chronological(req)
	size, sum, err := s.hash(order)
	if err != nil {
		return failed(fmt.Errorf("encode a request: %w", err)), false
	}
	sent := &progress{body: newBody(s.head, order.batches)}
	reply, err := s.call(ctx, d, "PutLogEvents", sent, size, sum)
	err = errors.Join(err, sent.Close())
	if err == nil && !sent.whole(size) {
		// The service answers what it has read; a proxy may say yes before that.
		err = &callError{operation: "PutLogEvents", err: errors.New("the answer came before all of the request was sent")}
	}
	if err != nil {
		out = failed(err)
		// Only a whole request can have been taken.
		out.Unsure = out.Unsure && sent.whole(size)
		var answer *apiError
		return out, errors.As(err, &answer) && answer.is("ResourceNotFoundException")
	}
	rejected, err := rejections(reply, req.Events())
	if err != nil {
		out = failed(err)
		out.Unsure = true
		return out, false
	}
	return sink.Outcome{Verdict: sink.Delivered, Rejected: order.original(rejected)}, false
}

// hash reads the request once, for its length and the SHA-256 that the
// signature covers.
func (s *Sink) hash(o order) (size int64, sum string, err error) {
	b := newBody(s.head, o.batches)
	defer b.stop()
	window := windows.Get().(*[]byte)
	defer windows.Put(window)
	h := sha256.New()
	for {
		n, err := b.Read(*window)
		size += int64(n)
		h.Write((*window)[:n])
		if errors.Is(err, io.EOF) {
			return size, hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return 0, "", err
		}
	}
}

// progress counts what has been read of a body, and ends the reading. The
// transport may still be reading when the answer is there, and the memory of the
// batches goes when they are settled, so nothing is read after Close.
type progress struct {
	mu     sync.Mutex
	body   *body
	sent   int64
	closed bool
}

func (p *progress) Read(buf []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, io.ErrClosedPipe
	}
	n, err := p.body.Read(buf)
	p.sent += int64(n)
	return n, err
}

// Close waits for a Read that is under way. It may be called again.
func (p *progress) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.body.stop()
	return nil
}

func (p *progress) whole(size int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent >= size
}

// rejectedInfo is the part of the answer to PutLogEvents that tells which events
// were not taken. Too old and expired ones are those before an index, too new
// ones those from an index on.
type rejectedInfo struct {
	TooNewStart *int `json:"tooNewLogEventStartIndex"`
	TooOldEnd   *int `json:"tooOldLogEventEndIndex"`
	ExpiredEnd  *int `json:"expiredLogEventEndIndex"`
}

// rejections reads the answer to a request of n events, in the order sent.
func rejections(reply []byte, n int) ([]sink.Rejection, error) {
	var answer struct {
		Rejected *rejectedInfo `json:"rejectedLogEventsInfo"`
	}
	if err := json.Unmarshal(reply, &answer); err != nil {
		return nil, fmt.Errorf("read the answer to PutLogEvents: %w", err)
	}
	info := answer.Rejected
	if info == nil {
		return nil, nil
	}
	var list []sink.Rejection
	start := 0
	add := func(first, end int, why ledger.Reason) {
		first, end = max(first, start), min(end, n)
		if first < end {
			list = append(list, sink.Rejection{First: first, End: end, Reason: string(why)})
			start = end
		}
	}
	if info.ExpiredEnd != nil {
		add(0, *info.ExpiredEnd, ledger.RejectedExpired)
	}
	if info.TooOldEnd != nil {
		add(0, *info.TooOldEnd, ledger.RejectedTooOld)
	}
	if info.TooNewStart != nil {
		add(*info.TooNewStart, n, ledger.RejectedTooNew)
	}
	return list, nil
}

// call makes one signed call and returns the answer's body.
func (s *Sink) call(
	ctx context.Context, d *Destination, operation string, body io.ReadCloser, size int64, sum string,
) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, body)
	if err != nil {
		return nil, errors.Join(&callError{operation: operation, err: err, config: true}, body.Close())
	}
	// Without GetBody the transport never sends a request a second time by itself.
	req.ContentLength, req.GetBody = size, nil
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "Logs_20140328."+operation)
	req.Header.Set("User-Agent", s.cfg.UserAgent)
	if s.cfg.Format != "" {
		req.Header.Set("X-Amzn-Logs-Format", s.cfg.Format)
	}
	if err := d.Signer.Sign(ctx, req, sum, time.Now()); err != nil {
		return nil, errors.Join(&callError{operation: operation, err: err, config: true}, body.Close())
	}
	resp, err := s.cfg.Client.Do(req)
	if err != nil {
		return nil, &callError{operation: operation, err: err, unsure: true}
	}
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	err = errors.Join(err, resp.Body.Close())
	if resp.StatusCode/100 != 2 {
		answer := newAPIError(operation, resp, reply)
		if answer.credentials() {
			d.Signer.Invalidate()
		}
		return nil, answer
	}
	if err != nil {
		return nil, &callError{operation: operation, err: err, unsure: true}
	}
	return reply, nil
}

// maxReply bounds what is read of an answer, in bytes.
const maxReply = 64 << 10
