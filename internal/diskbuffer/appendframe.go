package diskbuffer

import (
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
)

// write puts one frame behind the last one, in a new segment if need be.
func (s *Store) write(h *frameHeader, stored, payload []byte) (Place, error) {
	h.Stored, h.PayloadSum = uint32(len(stored)), crc32.Checksum(stored, castagnoli)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return Place{}, errClosed
	}
	h.First = s.end
	seg := s.active()
	fresh := seg == nil || seg.written > seg.head && (seg.written+s.announceSize()+h.size() > s.segment || len(s.origins) >= maxOrigins || s.introduced >= maxIntroduced)
	s.lead = s.lead[:0]
	if fresh {
		seg = s.open()
	} else if len(s.announce) > 0 {
		s.lead = s.appendStreamsFrame(s.lead, 0, s.announce)
	}
	s.mu.Unlock()
	h.put(s.head[:])
	s.pieces = append(s.pieces[:0], s.lead, s.head[:], stored)
	pieces := s.pieces
	if len(s.lead) == 0 {
		pieces = pieces[1:]
	}
	place := Place{seg.number, seg.written + int64(len(s.lead)), h.First}
	size := int64(len(s.lead)) + h.size()
	err := s.room(size, fresh)
	if err == nil {
		err = s.put(seg, fresh, size, pieces)
	}
	clear(s.pieces) // The payload is the caller's.
	if err != nil {
		return Place{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.publish(seg, fresh, size)
	s.end, s.changed = h.end(), true
	seg.last = s.end
	s.total(payload, h.First.Events)
	return place, nil
}

// active is the segment that may be written, nil if a new one is needed; the
// lock is held.
func (s *Store) active() *segment {
	if n := len(s.segments); n > 0 && !s.segments[n-1].sealed && s.segments[n-1].file != nil {
		return s.segments[n-1]
	}
	return nil
}

// announceSize is what the streams take that the disk does not know yet.
func (s *Store) announceSize() int64 {
	if len(s.announce) == 0 {
		return 0
	}
	return streamsSize(s.announce)
}

// open begins a new segment in memory, and leaves its first bytes in lead; the
// lock is held.
func (s *Store) open() *segment {
	h := s.header
	h.Number, h.First = s.next, s.end
	s.lead = append(s.lead[:0], make([]byte, segmentHeaderSize)...)
	h.put(s.lead)
	s.lead = s.appendStreamsFrame(s.lead, streamsComplete, s.allStreams())
	s.lead = s.appendOriginsFrame(s.lead)
	return &segment{
		number: s.next, name: segmentName(s.next), first: s.end, last: s.end, synced: s.end, head: int64(len(s.lead)), ours: true,
	}
}

// appendStreamsFrame encodes a streams frame; the lock is held.
func (s *Store) appendStreamsFrame(dst []byte, flags uint32, streams []Stream) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, frameHeaderSize)...)
	return s.putTable(appendStreams(dst, flags, streams), at, kindStreams)
}

// appendOriginsFrame encodes the origins of the last segment, for the next one,
// where there are any; the lock is held.
func (s *Store) appendOriginsFrame(dst []byte) []byte {
	if len(s.origins) == 0 {
		return dst
	}
	at := len(dst)
	dst = append(dst, make([]byte, frameHeaderSize)...)
	return s.putTable(appendOrigins(dst, s.origins), at, kindOrigins)
}

// putTable puts the header of a frame that holds no events before its payload; the
// lock is held.
func (s *Store) putTable(dst []byte, at int, kind byte) []byte {
	payload := dst[at+frameHeaderSize:]
	h := frameHeader{
		Kind: kind, Stored: uint32(len(payload)), Raw: uint32(len(payload)), First: s.end, Tag: s.tag,
		PayloadSum: crc32.Checksum(payload, castagnoli),
	}
	h.put(dst[at:])
	return dst
}

// put writes the pieces, which are size bytes, to the end of a segment.
func (s *Store) put(seg *segment, fresh bool, size int64, pieces [][]byte) error {
	if fresh {
		f, err := s.dir.Create(seg.name)
		if err != nil {
			return s.failed(size, fmt.Errorf("create segment %s: %w", seg.name, err))
		}
		seg.file = f
	}
	if err := seg.file.WriteAt(seg.written, pieces...); err != nil {
		return s.failed(size, errors.Join(fmt.Errorf("append to segment %s: %w", seg.name, err), s.undo(seg, fresh, size)))
	}
	s.sinceFree += size
	return nil
}

// publish makes what was put count; the lock is held.
func (s *Store) publish(seg *segment, fresh bool, size int64) {
	if fresh {
		s.join(seg)
	}
	seg.written += size
	seg.size, seg.cooled = seg.written, false
	s.used += size
	s.free -= size
	s.introduced += len(s.announce)
	s.announce = s.announce[:0]
}

// join makes a new segment the last one; the lock is held.
func (s *Store) join(seg *segment) {
	if n := len(s.segments); n > 0 {
		s.segments[n-1].sealed = true
	}
	s.segments = append(s.segments, seg)
	s.next = seg.number + 1
	s.unnamed = true
	s.origins, s.originsHidden, s.introduced = s.origins[:0], false, 0
}

// closing leaves what ends the buffer in lead; the lock is held.
func (s *Store) closing(fresh bool, streams []Stream) {
	s.lead = s.lead[:0]
	if fresh {
		s.lead = s.lead[:segmentHeaderSize] // It is there: see open.
	}
	s.lead = s.appendStreamsFrame(s.lead, streamsComplete|streamsClosing, streams)
	if fresh && s.used+int64(len(s.lead))+originsSize(len(s.origins)) <= s.options.Max {
		s.lead = s.appendOriginsFrame(s.lead)
	}
}

// writeClosing writes the totals of all streams where they are not the last
// thing that the buffer says.
func (s *Store) writeClosing() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	if !s.changed || len(s.segments) == 0 && len(s.streams) == 0 {
		s.mu.Unlock()
		return nil
	}
	seg := s.active()
	fresh := seg == nil
	if fresh {
		seg = s.open()
	}
	s.closing(fresh, s.allStreams())
	if s.used+int64(len(s.lead)) > s.options.Max {
		// The reserve is for the streams of which there is something.
		s.closing(fresh, slices.DeleteFunc(s.allStreams(), func(st Stream) bool {
			return slices.ContainsFunc(s.announce, func(other Stream) bool { return other.Index == st.Index })
		}))
	}
	full, same := s.used+int64(len(s.lead)) > s.options.Max, s.end == s.totalled
	s.mu.Unlock()
	if full && same {
		return nil // The last close took the reserve. All that is new is streams of which there is nothing.
	}
	if full {
		return fmt.Errorf("close the disk buffer: %w: the totals of the streams do not fit", ErrFull)
	}
	if err := s.put(seg, fresh, int64(len(s.lead)), [][]byte{s.lead}); err != nil {
		return fmt.Errorf("close the disk buffer: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.publish(seg, fresh, int64(len(s.lead)))
	s.changed, s.totalled = false, s.end
	return nil
}
