package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// source is what is to be read of one writer.
type source struct {
	reader  *reader
	writer  string
	ordinal int // of the last segment that was listed

	segments []segment // to be read; the first is the present one
	from     int64     // where to begin in that
	to       int64     // where to end in one that is being written to
	file     *os.File  // of the present segment, or nil
	lines    *lines
	final    bool // nothing is added to the present segment any more

	parser parser
	entry  Entry
	key    int64 // the place in time of the entry, or of what comes next at the earliest
	loaded bool  // there is an entry
}

// add takes note of a segment that was listed, or of its new name.
func (s *source) add(g segment) {
	for i := range s.segments {
		if s.segments[i].ordinal == g.ordinal {
			s.segments[i] = g
		}
	}
	if g.ordinal > s.ordinal {
		s.ordinal = g.ordinal
		if s.reader.query.wanted(g) {
			s.segments = append(s.segments, g)
		}
	}
}

// prepare tells whether there may be something to read.
func (s *source) prepare() bool {
	s.loaded = false
	if len(s.segments) > 0 && s.file == nil {
		s.key = max(s.key, s.segments[0].first)
	}
	return len(s.segments) > 0
}

// advance goes to the next entry. If there is none it returns false: all was
// read, or the writer may write more.
func (s *source) advance() (bool, error) {
	s.loaded = false
	for len(s.segments) > 0 {
		if s.file == nil {
			if err := s.open(); err != nil {
				return false, err
			}
			continue
		}
		line, err := s.lines.next()
		var bad *badLine
		switch {
		case errors.As(err, &bad):
			s.damaged(bad.offset, bad.size, err)
		case errors.Is(err, io.EOF):
			if more, err := s.atEnd(); !more {
				return false, err
			}
		case err != nil:
			return false, err
		default:
			err := s.parser.parse(line, &s.entry)
			if err == nil {
				s.key, s.loaded = s.entry.sort, true
				return true, nil
			}
			s.damaged(s.lines.start(), int64(len(line))+1, err)
		}
	}
	return false, nil
}

// open opens the present segment, or goes to the next if it was deleted.
func (s *source) open() error {
	f, err := s.openSegment(0)
	if err != nil {
		return err
	}
	if f == nil {
		s.segments, s.from = s.segments[1:], 0
		return nil
	}
	to := int64(math.MaxInt64)
	if !s.segments[0].closed && !s.reader.query.Follow {
		// What is written from now on may have no end.
		info, err := f.Stat()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		to = min(s.to, info.Size())
	}
	s.file, s.lines, s.final = f, newLines(f, s.from, to), s.segments[0].closed
	return nil
}

// openSegment opens a segment. If it is gone, it returns neither a file nor an
// error.
func (s *source) openSegment(i int) (*os.File, error) {
	for {
		name := s.segments[i].name()
		f, err := s.reader.root.Open(name)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		// It has a new name, or was deleted.
		s.reader.settled = false
		if err := s.reader.look(); err != nil {
			return nil, err
		}
		if s.segments[i].name() == name {
			return nil, nil
		}
	}
}

// atEnd decides at the end of a segment's file whether there is more to read:
// there, or in the next segment.
func (s *source) atEnd() (bool, error) {
	if !s.final {
		ended, err := s.ended(s.segments[0], s.file)
		switch {
		case err != nil:
			return false, err
		case !ended && s.reader.query.Follow:
			return false, nil
		case !ended || s.to < math.MaxInt64:
			s.segments = nil
			return false, s.close()
		}
		// It may have grown between its end and this.
		s.final, s.lines.end = true, math.MaxInt64
		return true, nil
	}
	if n := s.lines.rest(); n > 0 {
		s.damaged(s.lines.offset+int64(s.lines.given), n, errCutOff)
	}
	s.segments, s.from = s.segments[1:], 0
	return true, s.close()
}

var errCutOff = errors.New("the line is cut off, because its writer was killed or failed")

// ended tells whether nobody writes to a segment any more: it has its final
// name, or its writer's lock is gone.
func (s *source) ended(g segment, f *os.File) (bool, error) {
	if g.closed {
		return true, nil
	}
	err := tryLock(f, unix.LOCK_SH)
	if errors.Is(err, errLocked) {
		return false, nil
	}
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_UN)
	}
	if err != nil {
		return false, fmt.Errorf("find out whether %s is being written to: %w", g.name(), err)
	}
	return true, nil
}

func (s *source) damaged(offset, size int64, err error) {
	if report := s.reader.query.Damaged; report != nil {
		report(Damage{Segment: s.segments[0].name(), Offset: offset, Size: size, Err: err})
	}
}

func (s *source) close() error {
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file, s.lines = nil, nil
	return f.Close()
}
