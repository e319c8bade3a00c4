package diskbuffer

import (
	"fmt"
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
	s.know(&known{Stream: st})
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
	s.table -= st.size()
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
