// Package pipe reads the output of one container or command from a pipe and
// hands its lines to the intake. It never stops reading because of anything
// that happens behind the intake: the death of the last reader is a SIGPIPE for
// the writer. It keeps no records, only the line that is not complete yet.
package pipe

import (
	"bytes"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source"
	"github.com/spillway/spillway/internal/source/multiline"
)

const (
	// bufferSize is how much is read at once, and what is kept between reads.
	bufferSize = 64 << 10
	// restBelow and rest save wake-ups: after a read that brought little, the
	// pipe is left to collect for a moment. A writer is not held up by that as
	// long as the pipe has room, and never longer than rest.
	restBelow = 16 << 10
	rest      = 10 * time.Millisecond
)

// Reader reads one pipe. Run may be called once.
type Reader struct {
	fd     *Descriptor
	stream *record.Stream
	intake source.Intake
	joiner *multiline.Joiner // nil where each line is a record
	tee    io.Writer
	busy   func()
	now    func() time.Time

	buf  []byte
	held int // bytes of an incomplete line at the start of buf
	part record.Part
}

// Options of a Reader; the zero value is fine.
type Options struct {
	// Joiner makes multiline events.
	Joiner *multiline.Joiner
	// Tee gets a copy of what is read; a failure to write it is not the reader's
	// business and ends the copying only.
	Tee io.Writer
	// Busy is called after each read that brought much, before the next.
	Busy func()
}

// New returns a reader of fd for stream.
func New(fd *Descriptor, stream *record.Stream, intake source.Intake, o Options) *Reader {
	return &Reader{fd: fd, stream: stream, intake: intake, joiner: o.Joiner, tee: o.Tee, busy: o.Busy, now: time.Now}
}

// Stop makes Run end once the pipe is empty, even if its writer still holds it
// open. It may be called again, and by any goroutine.
func (r *Reader) Stop() error { return r.fd.stop() }

// Run reads until the end of the pipe, or, after Stop, until nothing is left in
// it. It returns an error where the pipe cannot be read; what was read by then
// has been handed over.
func (r *Reader) Run() error {
	r.buf = make([]byte, bufferSize)
	for {
		n, err := r.read()
		if n > 0 {
			r.take(n)
		}
		if err != nil {
			r.finish()
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		r.flush()
		switch {
		case n > 0 && n < restBelow:
			r.fd.rest(rest)
		case n > 0 && r.busy != nil:
			r.busy()
		}
	}
}

// read fills the rest of the buffer, or returns nothing where the joiner wants
// to be asked.
func (r *Reader) read() (int, error) {
	wait := time.Duration(-1)
	if r.joiner != nil {
		if at, ok := r.joiner.Deadline(); ok {
			wait = max(time.Unix(0, at).Sub(r.now()), 0)
		}
	}
	n, err := r.fd.read(r.buf[r.held:], wait)
	if n > 0 && r.tee != nil {
		if _, failed := r.tee.Write(r.buf[r.held : r.held+n]); failed != nil {
			r.tee = nil
		}
	}
	return n, err
}

// flush lets the joiner emit what it has held for too long.
func (r *Reader) flush() {
	if r.joiner != nil {
		r.joiner.Flush(r.now().UnixNano(), r.emit)
	}
}

func (r *Reader) emit(t int64, body []byte) { r.intake.Body(r.stream, t, body, record.Part{}) }

// take hands over the complete lines among the n bytes that were read, and
// keeps the rest.
func (r *Reader) take(n int) {
	defer r.intake.Turn()()
	t := r.now().UnixNano()
	data := r.buf[:r.held+n]
	end := bytes.LastIndexByte(data[r.held:], '\n') + 1
	if end > 0 {
		end += r.held
		r.lines(t, data[:end])
	}
	r.held = copy(r.buf, data[end:])
	if end == 0 || len(r.buf) > bufferSize {
		r.fit(t)
	}
}

// fit makes room for the rest of a long line: the buffer grows to what a record
// may hold, and then the line is cut.
func (r *Reader) fit(t int64) {
	limit := r.maxLine()
	for r.held > limit || r.held == len(r.buf) && len(r.buf) > limit {
		r.cut(t, limit)
	}
	switch {
	case r.held == len(r.buf):
		r.buf = append(r.buf, make([]byte, min(len(r.buf), max(limit+1-len(r.buf), 1)))...)
	case len(r.buf) > bufferSize && r.held < bufferSize/2:
		r.buf = append(make([]byte, 0, bufferSize), r.buf[:r.held]...)[:bufferSize]
	}
}

// maxLine is the longest line that is not cut, in bytes after repair. A joined
// event keeps the newlines of its lines.
func (r *Reader) maxLine() int {
	if r.joiner != nil {
		return r.intake.MaxBody() - 1
	}
	return r.intake.MaxBody()
}

// cut hands over the start of the incomplete line as a part.
func (r *Reader) cut(t int64, limit int) {
	n := record.CutAt(r.buf[:r.held], limit)
	r.part.Ordinal++
	r.body(t, r.buf[:n], r.part)
	r.held = copy(r.buf, r.buf[n:r.held])
}

// lines hands over complete lines.
func (r *Reader) lines(t int64, lines []byte) {
	limit := r.maxLine()
	valid := utf8.Valid(lines)
	for len(lines) > 0 {
		n := r.together(lines, limit, valid)
		if n > 0 {
			r.intake.Lines(r.stream, t, lines[:n], valid)
		} else {
			n = bytes.IndexByte(lines, '\n') + 1
			r.line(t, lines[:n], limit, valid)
		}
		lines = lines[n:]
	}
}

// together is how many bytes of the lines can be handed over at once: as many lines
// as are no longer than one may be, so that none of them is. In mode spill each
// call may be a write of its own.
func (r *Reader) together(lines []byte, limit int, valid bool) int {
	if r.part.Ordinal > 0 || r.joiner != nil {
		return 0
	}
	if !valid {
		limit /= 3 // What is not valid becomes as much longer, at most.
	}
	return bytes.LastIndexByte(lines[:min(len(lines), limit)], '\n') + 1
}

// line hands over one complete line, with its newline, in parts where it is too
// long or where its first parts have gone already.
func (r *Reader) line(t int64, line []byte, limit int, valid bool) {
	text := line[:len(line)-1]
	for {
		n := record.CutAt(text, limit)
		if n == len(text) {
			break
		}
		r.part.Ordinal++
		r.body(t, text[:n], r.part)
		text = text[n:]
	}
	switch {
	case r.part.Ordinal > 0:
		r.end(t, text)
	case r.joiner != nil:
		r.intake.Count(r.stream, ledger.Lines{Read: 1})
		r.joiner.Line(t, text, r.emit)
	default:
		r.intake.Lines(r.stream, t, line, valid)
	}
}

// end hands over the last part of a line.
func (r *Reader) end(t int64, text []byte) {
	last := record.Part{Ordinal: r.part.Ordinal + 1, Last: true}
	r.part = record.Part{}
	r.body(t, text, last)
	r.intake.Count(r.stream, ledger.Lines{Read: 1, Split: 1})
}

// body hands over a part. It is never joined with its neighbours, so what the
// joiner holds goes first.
func (r *Reader) body(t int64, body []byte, part record.Part) {
	if r.joiner != nil {
		r.joiner.Close(r.emit)
	}
	r.intake.Body(r.stream, t, body, part)
}

// finish hands over what is left at the end of the pipe.
func (r *Reader) finish() {
	t := r.now().UnixNano()
	text := r.buf[:r.held]
	r.held = 0
	// A line whose first parts have gone has something left, and that may be too
	// much for one part: bad bytes grow.
	if len(text) > 0 {
		r.line(t, append(text, '\n'), r.maxLine(), utf8.Valid(text))
	}
	if r.joiner != nil {
		r.joiner.Close(r.emit)
	}
	r.buf = nil
}
