package diskbuffer

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/spillway/spillway/internal/record"
)

// spaceEvery is how much is written before the free space is looked at again.
const spaceEvery = 4 << 20

// maxIntroduced is how many streams may become known in one segment: what is in a
// segment keeps its streams from being forgotten.
const maxIntroduced = 1 << 12

// appender is what a writer needs from one append to the next, so that none
// takes new memory.
type appender struct {
	pack      packer
	pieces    [][]byte
	head      [frameHeaderSize]byte
	lead      []byte   // what goes before the frame: a segment's opening, new streams
	announce  []Stream // streams that the disk does not know yet
	sinceFree int64    // bytes written since the last look at the free space
	spare     int64    // bytes that are kept from Append
	toSpare   int64    // bytes that the present append must leave
	// origins are those of the last segment; originsHidden says that damage may have
	// taken some of them.
	origins       []Origin
	originsHidden bool
	introduced    int // streams that became known in the last segment
}

// AddStream makes a stream known, before its first batch. It goes to the disk
// together with that. A stream that is known already under this name is left as
// it is.
func (s *Store) AddStream(st Stream) error {
	if len(st.Name) > MaxName {
		return fmt.Errorf("add stream %d: its name has %d bytes, at most %d are possible", st.Index, len(st.Name), MaxName)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if before := s.streams[st.Index]; before != nil {
		if before.Name != st.Name {
			return fmt.Errorf("add stream %d: its name is %q already, not %q", st.Index, before.Name, st.Name)
		}
		return nil
	}
	s.streams[st.Index] = &known{Stream: st}
	s.announce = append(s.announce, st)
	s.changed = true
	return nil
}

// Forget makes a stream unknown, and reports whether it could: nothing of it may be
// on the disk any more. The disk hears of it with the next segment.
func (s *Store) Forget(index uint32) bool {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[index]
	if st == nil {
		return true
	}
	oldest := s.end
	if len(s.segments) > 0 {
		oldest = s.segments[0].first
	}
	if st.end > oldest.Events {
		return false
	}
	delete(s.streams, index)
	s.announce = slices.DeleteFunc(s.announce, func(other Stream) bool { return other.Index == index })
	return true
}

// Append writes a payload: whole batches, of streams that were added, at most
// MaxPayload bytes. They are in the kernel's hands then, and survive this
// process. On an error nothing of it counts as written; a *FullError says that
// it does not fit now.
func (s *Store) Append(payload []byte) (Place, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.toSpare = s.spare
	defer func() { s.toSpare = 0 }()
	return s.append(payload, false)
}

// AppendSpare is Append into the room that Spare keeps, as long as that lasts.
func (s *Store) AppendSpare(payload []byte) (Place, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.append(payload, false)
}

// AppendAgain is AppendSpare for what was in requests: who reads it is told that it
// may have been delivered already.
func (s *Store) AppendAgain(payload []byte) (Place, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.append(payload, true)
}

func (s *Store) append(payload []byte, again bool) (Place, error) {
	h := frameHeader{Kind: kindBatches, Again: again, Raw: uint32(len(payload)), Tag: s.tag}
	if len(payload) == 0 || len(payload) > MaxPayload {
		return Place{}, fmt.Errorf("append %d bytes to the disk buffer: 1 to %d are possible", len(payload), MaxPayload)
	}
	if err := s.count(&h, payload); err != nil {
		return Place{}, err
	}
	stored, compression, err := s.pack.pack(payload)
	if err != nil {
		return Place{}, err
	}
	h.Compression = compression
	return s.write(&h, stored, payload)
}

// count fills in what the payload holds. A batch of a stream that was not added
// is an error of the caller's.
func (s *Store) count(h *frameHeader, payload []byte) error {
	var b record.Batch
	var events, records int
	for rest := payload; len(rest) > 0; {
		rest = rest[record.Parse(rest, &b):]
		if s.streams[b.Stream] == nil {
			return fmt.Errorf("append to the disk buffer: stream %d was not added", b.Stream)
		}
		events += b.Count
		if b.Kind == record.KindRecords {
			records += b.Count
			h.Bytes += uint64(b.Bytes)
		}
	}
	if events > math.MaxUint32 {
		return fmt.Errorf("append to the disk buffer: %d events are too many for one frame", events)
	}
	h.Events, h.Records = uint32(events), uint32(records)
	return nil
}

// total adds a payload, which begins at the given event, to the totals of its
// streams; the lock is held.
func (s *Store) total(payload []byte, at uint64) {
	var b record.Batch
	for rest := payload; len(rest) > 0; {
		rest = rest[record.Parse(rest, &b):]
		st := s.streams[b.Stream]
		st.add(&b)
		st.end = s.end.Events
		s.origins = remember(s.origins, &b, at)
		at += uint64(b.Count)
	}
}

// add counts a batch of the stream. A marker takes the numbers of the records
// whose loss it tells.
func (st *Stream) add(b *record.Batch) {
	if b.Kind == record.KindLoss {
		l := b.Loss()
		st.LastSeq, st.LastTime = max(st.LastSeq, l.LastSeq), max(st.LastTime, l.LastTime)
		return
	}
	st.Records += uint64(b.Count)
	st.Bytes += uint64(b.Bytes)
	// What is appended once more does not set the numbering back.
	st.LastSeq, st.LastTime = max(st.LastSeq, b.FirstSeq+uint64(b.Count)-1), max(st.LastTime, b.Time)
}

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
