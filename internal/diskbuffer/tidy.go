package diskbuffer

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// keepWarm is how much of the backlog before the reader stays in the page
// cache, in bytes: it is read soon, and may then never reach the disk at all.
const keepWarm = 64 << 20

// Tidy makes the cursor durable and then deletes the segments that are settled,
// in this order, so that nothing is missed that was not settled. It also takes
// what lies far before the reader out of the page cache; that syncs, so that a
// *SyncError is possible as from Sync. It may be slow: one goroutine calls it,
// at least every second while there is work.
func (s *Store) Tidy() error {
	s.tidying.Lock()
	defer s.tidying.Unlock()
	settled, err := s.cursor.flush()
	if err != nil {
		return err
	}
	if err := s.deleteSettled(settled, true); err != nil {
		return err
	}
	return s.cool(settled)
}

// Reclaim deletes the segments that are settled at once, and syncs nothing. The death
// of the process costs nothing by it, since the kernel is given the cursor before
// it is asked to delete. After a power cut the cursor on the disk may be that of the
// last Tidy, and what was deleted since counts as damage then: it is for buffers that
// promise nothing of a power cut.
func (s *Store) Reclaim() error {
	s.tidying.Lock()
	defer s.tidying.Unlock()
	settled, err := s.cursor.written()
	if err != nil {
		return err
	}
	return s.deleteSettled(settled, false)
}

// deleteSettled deletes the segments before a place which the cursor has; tidying is
// held.
func (s *Store) deleteSettled(settled Position, durably bool) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return errClosed
	}
	if err := s.roll(settled, durably); err != nil {
		return err
	}
	for _, seg := range s.below(settled) {
		if err := s.dir.Remove(seg.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delete settled segment: %w", err)
		}
		if err := s.forget(seg); err != nil {
			return err
		}
	}
	return nil
}

// below returns the segments that are settled; never the last one, which says
// what the streams are.
func (s *Store) below(settled Position) []*segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*segment
	for _, span := range spans(s.segments[:max(len(s.segments), 1)-1]) {
		until := span.until
		if until == never {
			until = s.segments[len(s.segments)-1].first
		}
		if until.Events <= settled.Events {
			all = append(all, span.segment)
		}
	}
	return all
}

// forget takes a deleted segment out of the books.
func (s *Store) forget(seg *segment) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	s.used -= seg.size
	s.segments = slices.DeleteFunc(s.segments, func(other *segment) bool { return other == seg })
	s.mu.Unlock()
	return s.shut(seg)
}

// shut closes a segment's file, which nobody writes any more; syncing is held.
func (s *Store) shut(seg *segment) error {
	if seg.file == nil {
		return nil
	}
	err := seg.file.Close()
	seg.file = nil
	if err != nil {
		return fmt.Errorf("close segment %s: %w", seg.name, err)
	}
	return nil
}

// roll begins a new segment when the last one is large and settled, so that its
// space comes back. Durably, the new one is synced before the old one goes: it says
// what the streams are. Where there is no room for it, the old one stays.
func (s *Store) roll(settled Position, durably bool) error {
	seg, err := s.successor(settled)
	if errors.Is(err, ErrFull) {
		return nil
	}
	if seg == nil || err != nil || !durably {
		return err
	}
	_, err = s.syncOnly(seg)
	return err
}

// Reclaimable reports whether Tidy or Reclaim would give space back. It is cheap.
func (s *Store) Reclaimable() bool {
	settled := s.cursor.settled()
	if len(s.below(settled)) > 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wasted(settled)
}

// wasted reports whether the last segment is large and settled; the lock is
// held.
func (s *Store) wasted(settled Position) bool {
	old := s.active()
	return old != nil && s.end == settled && old.written-old.head >= s.segment/4
}

func (s *Store) successor(settled Position) (*segment, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	if !s.wasted(settled) {
		s.mu.Unlock()
		return nil, nil
	}
	seg := s.open()
	s.mu.Unlock()
	size := int64(len(s.lead))
	if err := s.room(size, true); err != nil {
		return nil, err
	}
	if err := s.put(seg, true, size, [][]byte{s.lead}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.publish(seg, true, size)
	return seg, nil
}

// syncOnly syncs one segment and its name.
func (s *Store) syncOnly(seg *segment) (bool, error) {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	u := unsynced{seg, seg.written, seg.last}
	named := seg.named
	s.mu.Unlock()
	err := s.syncSegment(u)
	if err == nil && !named {
		err = s.dir.Sync()
	}
	if failed := s.synced(u, err, nil); failed != nil {
		return false, failed
	}
	return err == nil, err
}

// cool syncs sealed segments that are far before the reader and takes them out
// of the page cache, and closes the files of those that are not written again.
func (s *Store) cool(settled Position) error {
	for _, seg := range s.far(settled) {
		ok, err := s.syncOnly(seg)
		if err != nil {
			return err
		}
		s.syncing.Lock()
		if ok && seg.file != nil {
			seg.file.Drop(0, seg.written)
		}
		s.mu.Lock()
		seg.cooled = true
		s.mu.Unlock()
		err = s.shut(seg)
		s.syncing.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// far returns the sealed segments that have more than keepWarm before them that
// the reader has not seen.
func (s *Store) far(settled Position) []*segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := settled.Events
	if s.readAt.Events > from {
		from = s.readAt.Events
	}
	var all []*segment
	ahead := int64(0)
	for _, span := range spans(s.segments) {
		if span.until.Events <= from {
			continue
		}
		if ahead >= s.warm && span.sealed && !span.cooled && span.file != nil {
			all = append(all, span.segment)
		}
		ahead += span.written
	}
	return all
}
