package diskbuffer

import (
	"errors"
	"fmt"
	"io/fs"
)

// unsynced is what one sync of a segment covers.
type unsynced struct {
	seg  *segment
	upto int64
	last Position
}

// Sync makes durable what was written when it was called, and returns up to
// where everything is. It may run beside Append. A *SyncError names what it
// could not make durable; that is not tried again.
func (s *Store) Sync() (Position, error) {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	end, unnamed, closed := s.end, s.unnamed, s.closed
	s.unnamed = false
	var work []unsynced
	for _, seg := range s.segments {
		if seg.syncedTo < seg.written || !seg.named {
			work = append(work, unsynced{seg, seg.written, seg.last})
		}
	}
	s.mu.Unlock()
	if closed {
		return Position{}, errClosed
	}
	var named error
	if unnamed {
		named = s.dir.Sync()
	}
	var failed *SyncError
	for _, u := range work {
		err := s.syncSegment(u)
		if err == nil && !u.seg.named {
			err = named
		}
		failed = s.synced(u, err, failed)
	}
	if failed != nil {
		return failed.From, failed
	}
	return end, nil
}

// syncSegment syncs one segment. One that is gone was settled.
func (s *Store) syncSegment(u unsynced) error {
	if u.seg.syncedTo >= u.upto {
		return nil
	}
	if u.seg.file != nil {
		return u.seg.file.Sync()
	}
	f, err := s.dir.Open(u.seg.name, true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// synced notes the outcome of a sync of one segment. A failed one ends the
// segment: the writer must be between two writes then, so that the range is
// right.
func (s *Store) synced(u unsynced, err error, failed *SyncError) *SyncError {
	if err != nil {
		s.writing.Lock()
		defer s.writing.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from := u.seg.synced
	if err != nil {
		u.upto, u.last = u.seg.written, u.seg.last
		u.seg.sealed = true
	}
	u.seg.syncedTo, u.seg.synced, u.seg.named = u.upto, u.last, true
	if err == nil || from == u.last {
		return failed
	}
	if failed == nil {
		return &SyncError{From: from, To: u.last, Err: fmt.Errorf("segment %s: %w", u.seg.name, err)}
	}
	failed.To = u.last
	return failed
}
