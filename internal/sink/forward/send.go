package forward

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/tlserror"
)

// chunk is one message of an attempt: so many events, and what became of it.
type chunk struct {
	sink.Span
	conn    *conn
	pending *forward.Pending // nil where no ack was asked for
	written bool
}

// attempt is what one Send does.
type attempt struct {
	sink *Sink
	ctx  context.Context //nolint:containedctx // It lives as long as the call that got it.

	server *server
	conn   *conn   // what is written to, or nil
	used   []*conn // all that were

	*buffers
	rejected []sink.Rejection
	taken    int // events that are settled
	unsure   bool
	config   bool
	err      error // the first
}

// buffers is what an attempt needs and the next one can use again.
type buffers struct {
	chunks  []chunk
	again   []sink.Span
	entries []byte // made of lines and messages
	convert *entry.Converter
	head    []byte // of an entry
	packed  []byte // compressed
	pieces  [1][]byte
}

// maxKept bounds what is kept of the memory of an attempt, in bytes.
const maxKept = 4 << 20

// Send implements sink.Sink. It writes all messages of the request and then waits
// for their acks.
func (s *Sink) Send(ctx context.Context, req sink.Request) sink.Outcome {
	a := &attempt{sink: s, ctx: ctx, buffers: s.buffers.Get().(*buffers)}
	defer a.end()
	for first, b := range req.Batches() {
		a.batch(first, req.Stream(b.Stream), b)
	}
	a.await()
	return a.outcome()
}

// end gives back what the attempt has used.
func (a *attempt) end() {
	for _, c := range a.used {
		c.release()
	}
	b := a.buffers
	clear(b.chunks)
	b.chunks, b.again, b.pieces[0] = b.chunks[:0], nil, nil
	if cap(b.entries)+cap(b.packed) <= maxKept {
		a.sink.buffers.Put(b)
	}
}

// batch sends one batch, in as many messages as it takes.
func (a *attempt) batch(first int, stream *record.Stream, b *record.Batch) {
	tag := a.sink.o.Tag(stream)
	if n := len(tag); n == 0 || n > forward.MaxTag {
		a.reject(first, b.Count, fmt.Errorf("the tag has %d bytes; expected 1 to %d", n, forward.MaxTag))
		return
	}
	m := message{attempt: a, stream: stream, tag: tag, first: first, seq: b.FirstSeq}
	switch {
	case b.Kind == record.KindLoss:
		loss := b.Loss()
		m.made(1, a.sink.o.Lines(stream).AppendLoss(a.entries[:0], &loss))
	case b.Encoding == record.EncodingEntry:
		m.packed(b)
	case b.Encoding == record.EncodingMessage:
		m.messages(b)
	default:
		m.lines(b)
	}
}

// await waits for the acks and notes what is to be tried again.
func (a *attempt) await() {
	for i := range a.chunks {
		c := &a.chunks[i]
		if err := a.answer(c); err != nil {
			a.fail(err)
			a.retry(c.Span)
			continue
		}
		a.taken += c.End - c.First
	}
}

var errNotWritten = errors.New("not sent, since an earlier message was not")

// answer is nil if a message is delivered.
func (a *attempt) answer(c *chunk) error {
	switch {
	case !c.written:
		return errNotWritten
	case c.pending == nil:
		// A server that takes one message on a connection closes it after that.
		if err := c.conn.Err(); err != nil && c.conn.KeepAlive() {
			c.conn.server.failed(c.conn, err)
			return &forward.SendError{Unsure: true, Err: err}
		}
		return nil
	}
	select {
	case <-c.pending.Done():
	case <-a.ctx.Done():
		select {
		case <-c.pending.Done():
		default:
			// The ack may still come, and the next attempt look for it.
			a.sink.late.keep(c.pending, c.conn)
			return &forward.SendError{ID: c.pending.ID(), Unsure: true, Err: context.Cause(a.ctx)}
		}
	}
	err := c.pending.Err()
	if err != nil {
		c.conn.server.failed(c.conn, err)
		return err
	}
	c.conn.server.worked()
	return nil
}

// fail notes why something is to be tried again.
func (a *attempt) fail(err error) {
	if a.err == nil && !errors.Is(err, errNotWritten) {
		a.err = inWords(err)
	}
	var told *forward.SendError
	a.unsure = a.unsure || errors.As(err, &told) && told.Unsure
	a.config = a.config || needsAction(err)
}

func (a *attempt) retry(span sink.Span) {
	if n := len(a.again); n > 0 && a.again[n-1].End == span.First {
		a.again[n-1].End = span.End
		return
	}
	a.again = append(a.again, span)
}

func (a *attempt) reject(first, count int, err error) {
	a.rejected = append(a.rejected, sink.Rejection{
		First: first, End: first + count, Reason: string(ledger.RejectedInvalid), Detail: err.Error(),
	})
	a.taken += count
}

func (a *attempt) outcome() sink.Outcome {
	out := sink.Outcome{Err: a.err, Unsure: a.unsure, Config: a.config}
	if len(a.again) > 0 && a.taken == 0 {
		return out
	}
	out.Verdict, out.Rejected, out.Again = sink.Delivered, a.rejected, slices.Clone(a.again)
	return out
}

// needsAction reports whether somebody has to put something right.
func needsAction(err error) bool {
	for _, cause := range []error{
		forward.ErrAuthRequired, forward.ErrNoHandshake, forward.ErrAuthRefused, forward.ErrWrongKey, forward.ErrSameHostname,
		forward.ErrProtocol,
	} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return tlserror.OfCertificate(err)
}
