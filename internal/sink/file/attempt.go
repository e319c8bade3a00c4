package file

import (
	"context"
	"errors"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// attempt is what one Send does.
type attempt struct {
	sink *Sink
	req  sink.Request

	present  *file // what is written to, or nil
	written  int   // events
	again    []sink.Span
	rejected []sink.Rejection
	err      error // why something is to be tried again, unless it only found no room
	unsure   bool  // some of that may be there from an earlier attempt
}

// write writes the events of the request. An error ends the attempt; a file that
// cannot be opened, and an event that is none, are noted.
func (a *attempt) write(ctx context.Context) error {
	for first, b := range a.req.Batches() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.batch(first, b); err != nil {
			return err
		}
	}
	return a.leave()
}

func (a *attempt) batch(first int, b *record.Batch) error {
	stream := a.req.Stream(b.Stream)
	lines := &a.sink.lines
	lines.enter(stream, b)
	if b.Kind == record.KindLoss {
		return a.event(first, stream, b.Time, lines.loss(b))
	}
	rest := b.Frames
	for i := first; len(rest) > 0; i++ {
		var body []byte
		body, _, rest = b.Next(rest)
		at, line, err := lines.line(b, body)
		if err != nil {
			a.reject(i, err)
			continue
		}
		if err := a.event(i, stream, at, line); err != nil {
			return err
		}
	}
	return nil
}

// event puts the line of one event into its file.
func (a *attempt) event(i int, stream *record.Stream, at int64, line []byte) error {
	f, err := a.sink.files.find(stream, at)
	if errors.Is(err, errName) {
		a.reject(i, err)
		return nil
	}
	if err != nil {
		a.postpone(i, err)
		return nil
	}
	if f != a.present {
		if err := a.enter(f); err != nil {
			return err
		}
	}
	if a.sink.files.full(f) {
		if err := a.sink.files.rotate(f); err != nil {
			return err
		}
	}
	f.log.Put(line)
	f.log.End()
	a.written++
	return nil
}

// enter makes f the present file: it gets the buffer.
func (a *attempt) enter(f *file) error {
	if err := a.leave(); err != nil {
		return err
	}
	f.log.Lend(a.sink.buffer)
	a.present = f
	return nil
}

// leave writes what the present file has gathered, and takes the buffer back.
func (a *attempt) leave() error {
	if a.present == nil {
		return nil
	}
	err := a.present.log.Flush()
	a.present.log.Lend(nil)
	a.present = nil
	return err
}

// reject gives up an event that can never be written.
func (a *attempt) reject(i int, err error) {
	a.rejected = append(a.rejected, sink.Rejection{First: i, End: i + 1, Reason: string(ledger.RejectedInvalid), Detail: err.Error()})
}

// postpone leaves an event to another attempt.
func (a *attempt) postpone(i int, err error) {
	if torn := new(tornError); errors.As(err, &torn) {
		a.unsure = true
	}
	if a.err == nil && !errors.Is(err, errNoRoom) {
		a.err = err
	}
	if n := len(a.again); n > 0 && a.again[n-1].End == i {
		a.again[n-1].End++
		return
	}
	a.again = append(a.again, sink.Span{First: i, End: i + 1})
}

// outcome is that of an attempt which is committed.
func (a *attempt) outcome() sink.Outcome {
	if a.written == 0 && len(a.rejected) == 0 && a.err != nil {
		return failed(a.err, a.unsure)
	}
	return sink.Outcome{
		Verdict: sink.Delivered, Err: a.err, Again: a.again, Rejected: a.rejected, Config: a.err != nil && needsAction(a.err), Unsure: a.unsure,
	}
}
