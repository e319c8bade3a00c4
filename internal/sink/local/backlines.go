package local

import (
	"bytes"
	"io"
)

// backLines splits a file into lines, backwards.
type backLines struct {
	file    io.ReaderAt
	space   []byte
	lo, hi  int   // what was read and not given out is space[lo:hi]
	offset  int64 // of that in the file
	partial bool  // it ends within a line, which is not to be given out
}

// newBackLines begins with the last line that ends before size.
func newBackLines(f io.ReaderAt, size int64) *backLines {
	return &backLines{file: f, offset: size, partial: true}
}

// previous returns the line before the last one given out, without its newline,
// and its offset. It is valid until the next call. Lines that are too long are
// left out. The error is io.EOF before the first line, or that of the file.
func (l *backLines) previous() ([]byte, int64, error) {
	for {
		if line, ok := l.cut(); ok {
			return line, l.offset + int64(l.hi-l.lo), nil
		}
		if l.offset == 0 {
			return nil, 0, io.EOF
		}
		if l.hi-l.lo > maxLine {
			l.lo, l.partial = l.hi, true
		}
		if err := l.fill(); err != nil {
			return nil, 0, err
		}
	}
}

// cut takes the last line off, if all of it was read.
func (l *backLines) cut() ([]byte, bool) {
	for l.lo < l.hi {
		text := l.space[l.lo:l.hi]
		if !l.partial {
			text = text[:len(text)-1]
		}
		i := bytes.LastIndexByte(text, '\n')
		if i < 0 && l.offset > 0 {
			return nil, false
		}
		l.hi = l.lo + i + 1
		if !l.partial {
			return text[i+1:], true
		}
		l.partial = false
	}
	return nil, false
}

// fill reads what comes before.
func (l *backLines) fill() error {
	n, held := int(min(readSize, l.offset)), l.hi-l.lo
	if l.lo < n {
		space := l.space
		if len(space) < held+n {
			space = make([]byte, 2*(held+readSize))
		}
		copy(space[len(space)-held:], l.space[l.lo:l.hi])
		l.space, l.lo, l.hi = space, len(space)-held, len(space)
	}
	if _, err := l.file.ReadAt(l.space[l.lo-n:l.lo], l.offset-int64(n)); err != nil {
		return err
	}
	l.lo -= n
	l.offset -= int64(n)
	return nil
}
