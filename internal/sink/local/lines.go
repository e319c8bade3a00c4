package local

import (
	"bytes"
	"fmt"
	"io"
)

const (
	// maxLine is the longest line that is read; none that is written is as long.
	maxLine = maxSegment/requestsFit*6 + 16<<10
	// readSize is how much is read at once.
	readSize = 64 << 10
)

// lines splits a file into lines, forwards. At the end of the file it may be
// asked again later, when the file has grown.
type lines struct {
	file   io.ReaderAt
	end    int64 // where to stop
	space  []byte
	buf    []byte // of space: what was read, from the last line given out on
	offset int64  // of buf in the file
	given  int    // how much of buf is the last line given out
	seen   int    // how much of buf is known to have no newline
	gone   int64  // bytes of the present line that were too many to keep
}

func newLines(f io.ReaderAt, from, end int64) *lines { return &lines{file: f, offset: from, end: end} }

// badLine is a line that is too long to be one of ours.
type badLine struct{ offset, size int64 }

func (b *badLine) Error() string {
	return fmt.Sprintf("a line of %d bytes, where at most %d are written", b.size, maxLine)
}

// next returns the next line without its newline, which is valid until the next
// call. Its error is a *badLine, io.EOF, or that of the file.
func (l *lines) next() ([]byte, error) {
	l.buf, l.offset, l.given = l.buf[l.given:], l.offset+int64(l.given), 0
	for {
		if i := bytes.IndexByte(l.buf[l.seen:], '\n'); i >= 0 {
			line := l.buf[:l.seen+i]
			l.given, l.seen = len(line)+1, 0
			bad := badLine{l.offset - l.gone, l.gone + int64(l.given)}
			if l.gone = 0; bad.size > maxLine {
				return nil, &bad
			}
			return line, nil
		}
		l.seen = len(l.buf)
		if len(l.buf) > maxLine {
			l.gone += int64(len(l.buf))
			l.offset += int64(len(l.buf))
			l.buf, l.seen = l.buf[:0], 0
		}
		if err := l.fill(); err != nil {
			return nil, err
		}
	}
}

// start is the offset of the last line given out.
func (l *lines) start() int64 { return l.offset }

// rest is how many bytes at the end of the file are no line yet.
func (l *lines) rest() int64 { return l.gone + int64(len(l.buf)-l.given) }

// fill reads on behind buf.
func (l *lines) fill() error {
	room := min(readSize, l.end-l.offset-int64(len(l.buf)))
	if room <= 0 {
		return io.EOF
	}
	if cap(l.buf)-len(l.buf) < int(room) {
		if len(l.space) < len(l.buf)+int(room) {
			l.space = make([]byte, max(2*len(l.buf), 2*readSize))
		}
		l.buf = l.space[:copy(l.space, l.buf)]
	}
	n, err := l.file.ReadAt(l.buf[len(l.buf):len(l.buf)+int(room)], l.offset+int64(len(l.buf)))
	l.buf = l.buf[:len(l.buf)+n]
	if n > 0 {
		return nil
	}
	return err
}
