package diskbuffer

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// undo takes back what a failed write may have left. Where that fails, too, the
// segment is never written again; what is behind its last whole frame counts
// against the bound.
func (s *Store) undo(seg *segment, fresh bool, size int64) error {
	if fresh {
		err := seg.file.Close()
		seg.file = nil
		if e := s.dir.Remove(seg.name); e != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.join(seg)
			seg.sealed, seg.size, seg.syncedTo = true, size, seg.written
			s.used += size
			return errors.Join(err, fmt.Errorf("take back segment %s: %w", seg.name, e))
		}
		return err
	}
	err := seg.file.Truncate(seg.written)
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.sealed, seg.size = true, seg.written+size
	s.used += size
	return fmt.Errorf("take back the end of segment %s: %w", seg.name, err)
}

// failed says what a failed write means: no space is a matter of policy.
func (s *Store) failed(size int64, err error) error {
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sinceFree = spaceEvery
	return &FullError{Need: size, Used: s.used, Max: s.options.Max, Free: s.free, MinFree: s.options.MinFree, Err: err}
}

// reserve is what must stay for a clean close: at worst a new segment with all
// streams. The lock is held.
func (s *Store) reserve() int64 {
	return segmentHeaderSize + frameHeaderSize + streamsHeadSize + s.table
}

// Spare keeps so many bytes, of Max and of what is free on the file system, from
// Append, and leaves them to AppendSpare.
func (s *Store) Spare(bytes int64) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.spare = bytes
}

// room makes sure that size more bytes keep all bounds.
func (s *Store) room(size int64, fresh bool) error {
	s.mu.Lock()
	full := FullError{Need: size + s.reserve() + s.toSpare, Used: s.used, Max: s.options.Max, Free: s.free, MinFree: s.options.MinFree}
	s.mu.Unlock()
	if full.Used+full.Need > full.Max {
		return full.copy()
	}
	if !fresh && s.sinceFree < spaceEvery && full.Free-size-s.toSpare >= full.MinFree {
		return nil
	}
	free, _, err := s.dir.Space()
	if err != nil {
		return fmt.Errorf("append to the disk buffer: %w", err)
	}
	s.sinceFree, full.Free = 0, free
	s.mu.Lock()
	s.free = free
	s.mu.Unlock()
	if free-size-s.toSpare < full.MinFree {
		return full.copy()
	}
	return nil
}

// copy is on the heap, where an error must be; the test for it is not.
func (e FullError) copy() error { return &e }
