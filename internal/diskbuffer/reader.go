package diskbuffer

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// peek finds the header of the next frame of batches that begins behind pos.
func (r *reader) peek() error {
	for {
		if r.have {
			if r.wanted() {
				return nil
			}
			r.have = false
			if r.head.Events > 0 && r.head.First.Events >= r.until.Events {
				r.off = r.limit // What follows is in the next segment.
			} else {
				r.off += r.head.size()
			}
		}
		if err := r.at(); err != nil {
			return err
		}
		if r.off >= r.limit {
			continue
		}
		if err := r.header(); err != nil {
			return err
		}
	}
}

// wanted says whether the frame at hand is to be returned.
func (r *reader) wanted() bool {
	h := &r.head
	if h.Kind != kindBatches || h.First.Events >= r.until.Events {
		return false
	}
	return h.First.Events >= r.pos.Events || r.fresh && h.end().Events > r.pos.Events
}

// at makes sure that a file is open and that there is more in it, and moves on
// to the next segment where there is not.
func (r *reader) at() error {
	if r.file != nil && r.off < r.limit {
		return nil
	}
	s := r.store
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	if r.seg == nil {
		if len(s.segments) > 0 {
			r.seg, r.off = s.segments[0], 0
		}
	}
	r.look()
	if r.seg == nil {
		s.mu.Unlock()
		return io.EOF
	}
	if r.off >= r.limit {
		next := r.following()
		if next == nil {
			s.mu.Unlock()
			return io.EOF
		}
		s.mu.Unlock()
		// What was read leaves the page cache with its file, which is deleted soon.
		r.leave()
		if r.next.seg != next {
			r.next.end()
		}
		r.seg, r.off, r.limit = next, 0, 0
		return nil
	}
	s.mu.Unlock()
	if r.file != nil {
		return nil
	}
	return r.openFile()
}

// following is the segment after the present one, nil if that is the last; the
// lock is held. The present one may be gone.
func (r *reader) following() *segment {
	for _, seg := range r.store.segments {
		if cmp.Or(cmp.Compare(seg.first.Events, r.seg.first.Events), cmp.Compare(seg.number, r.seg.number)) > 0 {
			return seg
		}
	}
	return nil
}

func (r *reader) openFile() error {
	f, err := r.store.dir.Open(r.seg.name, false)
	if err == nil {
		r.file, r.failed = f, 0
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) || r.gaveUp() {
		r.off = r.limit // It was settled and deleted, or cannot be read.
		return nil
	}
	return fmt.Errorf("read segment %s: %w", r.seg.name, err)
}

// gaveUp counts the tries at one place.
func (r *reader) gaveUp() bool {
	r.failed++
	return r.failed >= readTries
}

// header reads the header at off, or finds the next frame where there is none.
func (r *reader) header() error {
	if r.off == 0 {
		_, ok, err := readSegmentHeader(r.store.dir, r.seg.name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return r.unreadable(err)
		}
		if ok {
			r.off = min(segmentHeaderSize, r.limit)
			return nil
		}
	}
	n, err := readFull(r.file, r.buf[:min(frameHeaderSize, r.limit-r.off)], r.off)
	if err != nil {
		return r.unreadable(err)
	}
	if n == frameHeaderSize && r.ahead() {
		if r.head.Kind == kindBatches {
			return nil
		}
		// A streams frame is small, and if it is damaged its length is, too.
		return r.find(r.off)
	}
	return r.find(r.off + 1)
}

// ahead decodes the header in buf, which is that at off.
func (r *reader) ahead() bool {
	r.have = r.head.parse(r.buf[:]) == nil && r.head.Tag == r.store.tag && r.off+r.head.size() <= r.limit
	return r.have
}

// find looks for the next whole frame from a place on.
func (r *reader) find(from int64) error {
	r.have = false
	s := newScan(r.file, from, r.limit, r.store.tag)
	defer s.unpack.close()
	f, err := s.next()
	switch {
	case isEnd(err):
		r.off = r.limit
	case err != nil:
		return r.unreadable(err)
	default:
		r.off, r.head, r.have = f.off, f.frameHeader, true
	}
	return nil
}

// unreadable counts an error of the disk at this place. When it persists,
// reading goes on behind it, in growing steps.
func (r *reader) unreadable(err error) error {
	r.have = false
	if !r.gaveUp() {
		return fmt.Errorf("read segment %s at %d: %w", r.seg.name, r.off, err)
	}
	const least, most = 4 << 10, 1 << 20
	for step := int64(least); ; step = min(2*step, most) {
		r.off = (r.off + step) &^ (least - 1)
		if r.off >= r.limit {
			r.off, r.failed = r.limit, 0
			return nil
		}
		if _, err := r.file.ReadAt(r.buf[:1], r.off); err == nil || isEnd(err) {
			r.failed = readTries - 1 // The next bad place is part of the same damage.
			return r.find(r.off)
		}
	}
}
