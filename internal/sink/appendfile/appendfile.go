// Package appendfile appends entries of text to files in few large writes, and
// takes back all that an attempt has written when the attempt fails: the next
// one then repeats nothing, and no entry is ever torn. The sinks that write
// files use it. It does not open, name, sync or retry; those differ between
// them.
package appendfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spillway/spillway/internal/jsontext"
)

// File is what a Writer needs of a file, which must be opened to append. An
// *os.File is one; tests put faults into others.
type File interface {
	io.WriteCloser
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
}

// BufferSize is how many bytes a Writer gathers before it writes.
const BufferSize = 1 << 20

// Writer appends to one file at a time. Its work comes in attempts: entries are
// put, and then either Commit succeeds or Rollback takes them back. The first
// error of an attempt is kept, and makes the rest of the attempt do nothing. A
// Writer is used by one goroutine at a time. The zero value is ready, but has no
// file.
type Writer struct {
	files []mark // those of this attempt; the last is the present one
	size  int64  // of the present file
	buf   []byte // what comes after that
	whole int    // how much of buf is whole entries
	err   error
	torn  bool // a Rollback has failed
}

// mark is a file, and its size when the attempt began to write to it.
type mark struct {
	file File
	size int64
}

// Use makes f, which has size bytes, the present file. What was put must be
// flushed before. The files that the attempt wrote before stay open until it
// succeeds, so that they can be taken back, too; but only keep of them, since
// those before are deleted by now.
func (w *Writer) Use(f File, size int64, keep int) {
	w.files = append(w.files, mark{f, size})
	w.size = size
	for len(w.files) > keep+1 {
		w.files[0].file.Close() //nolint:errcheck // What it tells would be of a deleted file.
		w.files = w.files[1:]
	}
}

// Lend makes the Writer gather in buf, of which it uses the capacity, instead of
// in a buffer of its own, so that Writers which are used one after the other can
// share one. It must be called while nothing is gathered: after Flush, Rollback
// or before the first Put. With nil the buffer goes back to its owner.
func (w *Writer) Lend(buf []byte) { w.buf, w.whole = buf[:0], 0 }

// HasFile tells whether there is a present file.
func (w *Writer) HasFile() bool { return len(w.files) > 0 }

// Size is the size of the present file once everything is written, in bytes.
func (w *Writer) Size() int64 { return w.size + int64(len(w.buf)) }

// Put appends p to the present entry.
func (w *Writer) Put(p []byte) {
	for w.err == nil {
		n := copy(w.buf[len(w.buf):cap(w.buf)], p)
		w.buf = w.buf[:len(w.buf)+n]
		if p = p[n:]; len(p) == 0 {
			return
		}
		w.spill()
	}
}

// PutText appends text to the present entry as the inside of a JSON string.
func (w *Writer) PutText(form jsontext.Form, text []byte) {
	for w.err == nil {
		var n int
		w.buf, n = form.Append(w.buf, text)
		if text = text[n:]; len(text) == 0 {
			return
		}
		w.spill()
	}
}

// End ends the present entry.
func (w *Writer) End() { w.whole = len(w.buf) }

// spill makes room in a full buffer. Entries are written whole, but for those
// that are longer than the buffer.
func (w *Writer) spill() {
	switch {
	case w.buf == nil:
		w.buf = make([]byte, 0, BufferSize)
	case w.whole > 0:
		w.write(w.whole)
	default:
		w.write(len(w.buf))
	}
}

// Flush writes what is gathered, and returns the error of the attempt.
func (w *Writer) Flush() error {
	if w.err == nil && len(w.buf) > 0 {
		w.write(len(w.buf))
	}
	return w.err
}

func (w *Writer) write(n int) {
	wrote, err := w.files[len(w.files)-1].file.Write(w.buf[:n])
	if err == nil && wrote < n {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.err = fmt.Errorf("append %d bytes at %d, of which %d went in: %w", n, w.size, wrote, err)
		return
	}
	w.size += int64(n)
	w.buf = w.buf[:copy(w.buf, w.buf[n:])]
	w.whole = 0
}

// Commit ends an attempt whose Flush has succeeded. An error means that a file
// which the attempt has left behind may not hold what was written to it.
func (w *Writer) Commit() error {
	var err error
	last := len(w.files) - 1
	for _, m := range w.files[:last] {
		err = errors.Join(err, m.file.Close())
	}
	w.files[0] = mark{w.files[last].file, w.size}
	clear(w.files[1:])
	w.files = w.files[:1]
	return err
}

// Rollback takes back what was put since the last Commit. While that fails, the
// files may hold some of it; Ready tries again.
func (w *Writer) Rollback() error {
	w.buf, w.whole, w.err = w.buf[:0], 0, nil
	w.torn = true
	for i := range w.files {
		if err := w.files[i].cut(); err != nil {
			return fmt.Errorf("take back what a failed attempt has written: %w", err)
		}
		w.size = w.files[i].size
	}
	w.torn = false
	return nil
}

// cut truncates the file to the mark. If somebody else has made it shorter
// already, it must not be made longer.
func (m *mark) cut() error {
	info, err := m.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > m.size {
		return m.file.Truncate(m.size)
	}
	m.size = info.Size()
	return nil
}

// Ready must be called before an attempt. It completes a Rollback that failed.
func (w *Writer) Ready() error {
	if !w.torn {
		return nil
	}
	return w.Rollback()
}

// Close closes the files. What was put since the last Commit must have been
// rolled back.
func (w *Writer) Close() error {
	var err error
	for _, m := range w.files {
		err = errors.Join(err, m.file.Close())
	}
	w.files = nil
	return err
}
