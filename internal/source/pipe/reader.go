// Package pipe reads the output of one container or command from a pipe and
// hands its lines to the intake. It never stops reading because of anything
// that happens behind the intake: the death of the last reader is a SIGPIPE for
// the writer. It keeps no records, only the line that is not complete yet.
package pipe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

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
	// pipeSize is what the pipe is grown to where that is allowed; unprivileged
	// users may have this much in /proc/sys/fs/pipe-max-size.
	pipeSize = 1 << 20
)

// Reader reads one pipe. Run may be called once.
type Reader struct {
	file   *os.File
	stream *record.Stream
	intake source.Intake
	joiner *multiline.Joiner // nil where each line is a record
	tee    io.Writer
	now    func() time.Time

	buf  []byte
	held int // bytes of an incomplete line at the start of buf
	part record.Part
	stop chan struct{}
	once sync.Once
}

// Options of a Reader; the zero value is fine.
type Options struct {
	// Joiner makes multiline events.
	Joiner *multiline.Joiner
	// Tee gets a copy of what is read; a failure to write it is not the reader's
	// business and ends the copying only.
	Tee io.Writer
}

// New returns a reader of file for stream. The file's descriptor is put into
// non-blocking mode by the caller, so that a read can be ended.
func New(file *os.File, stream *record.Stream, intake source.Intake, o Options) *Reader {
	return &Reader{
		file: file, stream: stream, intake: intake, joiner: o.Joiner, tee: o.Tee, now: time.Now,
		stop: make(chan struct{}),
	}
}

// Grow enlarges the pipe to pipeSize, so that its writer is held up later, and
// returns the size it has then. An error says why it could not grow; the reader
// works all the same.
func Grow(file *os.File) (size int, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("grow the pipe %s: %w", file.Name(), err)
	}
	control := raw.Control(func(fd uintptr) {
		_, err = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize)
		size, _ = unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0)
	})
	return size, errors.Join(control, err)
}

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
			return fmt.Errorf("read %s: %w", r.file.Name(), err)
		}
		r.flush()
		if n > 0 && n < restBelow {
			r.rest()
		}
	}
}

// Stop makes Run end once the pipe is empty, even if its writer still holds it
// open. It may be called again, and by any goroutine.
func (r *Reader) Stop() error {
	r.once.Do(func() { close(r.stop) })
	return r.file.SetReadDeadline(time.Unix(1, 0))
}

// read fills the rest of the buffer. After Stop it takes what is there and
// reports the end of the file when there is nothing.
func (r *Reader) read() (int, error) {
	for {
		n, err := r.file.Read(r.buf[r.held:])
		if n > 0 && r.tee != nil {
			if _, failed := r.tee.Write(r.buf[r.held : r.held+n]); failed != nil {
				r.tee = nil
			}
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		select {
		case <-r.stop:
			return r.readNow()
		default:
		}
		// The deadline was that of the joiner.
		r.flush()
	}
}

// readNow reads what the pipe holds without waiting for more.
func (r *Reader) readNow() (n int, err error) {
	raw, err := r.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	control := raw.Control(func(fd uintptr) {
		for {
			n, err = unix.Read(int(fd), r.buf[r.held:])
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	switch {
	case control != nil:
		return 0, control
	case errors.Is(err, unix.EAGAIN), err == nil && n == 0:
		return 0, io.EOF
	case err != nil:
		return 0, err
	}
	return n, nil
}

func (r *Reader) rest() {
	t := time.NewTimer(rest)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.stop:
	}
}

// flush lets the joiner emit what it has held for too long, and sees to it that
// a read ends when the next such moment comes.
func (r *Reader) flush() {
	if r.joiner == nil {
		return
	}
	r.joiner.Flush(r.now().UnixNano(), r.emit)
	var deadline time.Time
	if at, ok := r.joiner.Deadline(); ok {
		deadline = time.Unix(0, at)
	}
	select {
	case <-r.stop:
		return
	default:
	}
	if err := r.file.SetReadDeadline(deadline); err != nil {
		// A file that cannot be waited for with a deadline still delivers its events,
		// with the next line or at its end.
		return
	}
}

func (r *Reader) emit(t int64, body []byte) { r.intake.Body(r.stream, t, body, record.Part{}) }

// take hands over the complete lines among the n bytes that were read, and
// keeps the rest.
func (r *Reader) take(n int) {
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
	if r.part.Ordinal == 0 && r.joiner == nil && (len(lines) <= limit && valid || len(lines) <= limit/3) {
		r.intake.Lines(r.stream, t, lines, valid)
		return
	}
	for len(lines) > 0 {
		n := bytes.IndexByte(lines, '\n')
		r.line(t, lines[:n+1], limit, valid)
		lines = lines[n+1:]
	}
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
	switch {
	case r.part.Ordinal > 0:
		r.end(t, text)
	case len(text) > 0:
		r.line(t, append(text, '\n'), r.maxLine(), utf8.Valid(text))
	}
	if r.joiner != nil {
		r.joiner.Close(r.emit)
	}
	r.buf = nil
}
