package diskbuffer

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
)

// readTries is how often one place is read before what cannot be read there
// counts as damage. The calls are the caller's.
const readTries = 3

// reader is where Read is.
type reader struct {
	store *Store
	seg   *segment
	file  File
	off   int64 // of the next frame
	limit int64 // what is in the segment for certain
	until Position
	// pos is behind what was read, end where the buffer ended at the last look.
	pos, end Position
	fresh    bool // the next frame may begin before pos
	// head is the header of the frame at off, if have says so.
	head   frameHeader
	have   bool
	buf    [frameHeaderSize]byte
	stored []byte // of compressed frames
	unpack unpacker
	failed int   // tries at this place
	gaps   []gap // of the last survey
	span   [2]Position
}

// start puts the reader to a frame; one without a segment is looked for.
func (r *reader) start(p Place, pos Position) {
	r.leave()
	r.seg, r.off, r.pos, r.fresh = nil, p.Offset, pos, true
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range s.segments {
		if p.Segment == seg.number {
			r.seg = seg
			break
		}
		if p.Segment == 0 && (r.seg == nil || seg.first.Events <= pos.Events) {
			r.seg, r.off = seg, 0
		}
	}
	if r.seg == nil && len(s.segments) > 0 {
		r.seg, r.off = s.segments[0], 0
	}
	if r.seg != nil && p.Segment == 0 && pos == s.end {
		r.seg, r.off = s.segments[len(s.segments)-1], s.segments[len(s.segments)-1].written
	}
	r.look()
	s.readAt = pos
}

// Seek puts the reader before the frame at a place that Append has returned.
func (s *Store) Seek(p Place) {
	s.read.start(p, p.Position)
}

// look takes over how far the present segment goes; the store's lock is held.
func (r *reader) look() {
	s := r.store
	r.end = s.end
	if r.seg == nil {
		return
	}
	r.limit, r.until = r.seg.written, never
	for _, seg := range s.segments {
		if seg.first.Events > r.seg.first.Events {
			r.until = seg.first
			break
		}
	}
}

// leave closes the present file.
func (r *reader) leave() {
	r.have, r.failed = false, 0
	if r.file != nil {
		r.file.Close() //nolint:errcheck // It was read, so that there is nothing to lose.
		r.file = nil
	}
}

// close gives everything back.
func (r *reader) close() error {
	r.leave()
	r.unpack.close()
	r.stored, r.gaps = nil, nil
	return nil
}

// Next returns the size of the next frame's payload, in bytes; io.EOF where
// there is none.
func (s *Store) Next() (int, error) {
	if err := s.read.peek(); err != nil {
		return 0, err
	}
	return int(s.read.head.Raw), nil
}

// Read reads the payloads of the next frames into dst, as many as fit, each
// whole; what is behind them in dst is undefined. The first frame after Open or
// Seek may begin before what is settled. io.ErrShortBuffer says that the next
// frame alone does not fit, io.EOF that there is nothing more now; even then the
// chunk may say that something is missing, and has First behind that. After
// another error the same may be read again; what cannot be read three times
// counts as damaged.
func (s *Store) Read(dst []byte) (Chunk, error) {
	var c Chunk
	r := &s.read
	for {
		err := r.peek()
		switch {
		case c.N > 0 && (err != nil || r.head.First != r.pos):
			return r.done(c), nil
		case isEnd(err):
			return r.ended(c)
		case err != nil:
			return Chunk{}, err
		case int(r.head.Raw) > len(dst)-c.N:
			if c.N > 0 {
				return r.done(c), nil
			}
			return Chunk{}, io.ErrShortBuffer
		}
		ok, err := r.load(dst[c.N:])
		if err != nil {
			if c.N > 0 {
				return r.done(c), nil
			}
			return Chunk{}, err
		}
		if !ok {
			continue
		}
		if c.N == 0 {
			c.First = r.head.First
			c.Place = Place{Segment: r.seg.number, Offset: r.off, Position: c.First}
			if c.Lost, err = r.lost(c.First); err != nil {
				return Chunk{}, err
			}
		}
		r.take(&c)
	}
}

// take adds the frame that was loaded to the chunk.
func (r *reader) take(c *Chunk) {
	h := &r.head
	c.N += int(h.Raw)
	c.Events += int(h.Events)
	c.Records += int(h.Records)
	r.pos, r.fresh, r.failed = h.end(), false, 0
	r.off += h.size()
	r.have = r.have && r.ahead()
}

// done publishes where the reader is.
func (r *reader) done(c Chunk) Chunk {
	r.store.mu.Lock()
	r.store.readAt = r.pos
	r.store.mu.Unlock()
	return c
}

// ended is the answer at the end of what was written.
func (r *reader) ended(c Chunk) (Chunk, error) {
	if r.pos.Events < r.end.Events {
		end := r.end
		lost, err := r.lost(end)
		if err != nil {
			return Chunk{}, err
		}
		c.First, c.Lost, r.pos = end, lost, end
	}
	return r.done(c), io.EOF
}

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
		drop := r.seg.syncedTo >= r.seg.written
		s.mu.Unlock()
		if drop && r.file != nil {
			r.file.Drop(0, r.limit)
		}
		r.leave()
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

// load reads the payload of the frame at hand to the start of dst and checks it.
// A damaged one is passed over, to the next whole frame.
func (r *reader) load(dst []byte) (bool, error) {
	h := &r.head
	raw := dst[:h.Raw]
	stored, more := raw, 0
	if h.Compression != None {
		if cap(r.stored) < int(h.Stored) {
			r.stored = make([]byte, h.Stored)
		}
		stored = r.stored[:h.Stored]
	} else if len(dst)-len(raw) >= frameHeaderSize && r.off+h.size()+frameHeaderSize <= r.limit {
		more = frameHeaderSize // One call reads the next header, too.
	}
	n, sum, err := r.payload(stored[:len(stored)+more], len(stored))
	if err != nil {
		return false, r.unreadable(err)
	}
	if n < len(stored) || sum != h.PayloadSum {
		return false, r.find(r.off + 1)
	}
	if h.Compression != None {
		if raw, err = r.unpack.unpack(raw, stored, h.Compression); err != nil {
			return false, r.find(r.off + 1)
		}
	}
	if !h.valid(raw) {
		return false, r.find(r.off + 1)
	}
	r.have = n == len(stored)+frameHeaderSize && more > 0
	if r.have {
		copy(r.buf[:], stored[len(stored):n])
	}
	return true, nil
}

// payload reads what is behind the header at off into p, and sums the first size
// bytes. It does so in pieces: the kernel reads ahead during the sum, and the
// piece is in the processor's cache.
func (r *reader) payload(p []byte, size int) (n int, sum uint32, err error) {
	const piece = 128 << 10
	for n < len(p) {
		part := p[n:min(n+piece, len(p))]
		if len(p)-n < piece+frameHeaderSize {
			part = p[n:]
		}
		m, err := readFull(r.file, part, r.off+frameHeaderSize+int64(n))
		sum = crc32.Update(sum, castagnoli, p[min(n, size):min(n+m, size)])
		n += m
		if err != nil || m < len(part) {
			return n, sum, err
		}
	}
	return n, sum, nil
}

// lost says what is missing between the last frame and a position.
func (r *reader) lost(to Position) ([]Lost, error) {
	from := later(r.pos, r.store.cursor.settled())
	if r.fresh && to.Events <= r.pos.Events || from.Events >= to.Events {
		return nil, nil
	}
	if from.Events < r.span[0].Events || to.Events > r.span[1].Events || len(r.gaps) == 0 {
		r.gaps = nil
		if err := r.survey(from, to); err != nil && !r.gaveUp() {
			return nil, err
		}
	}
	want := to.Records - min(from.Records, to.Records)
	all := lostAt(r.gaps, from, to)
	var sum uint64
	for _, l := range all {
		sum += l.Records
	}
	if sum > want {
		all, sum = slice(all, 0, want), want
	}
	if sum < want {
		// What failed for a while is there again for the survey.
		all = append(all, Lost{Stream: r.lastStream(), Records: want - sum, Bytes: -1})
	}
	for i := range all {
		all[i].Notes = fmt.Sprintf("events %d to %d are damaged or missing", from.Events, to.Events)
	}
	return all, nil
}

func (r *reader) lastStream() uint32 {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	all := r.store.allStreams()
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1].Index
}

// survey finds out whose the records are that are missing in a range.
func (r *reader) survey(from, to Position) error {
	s := r.store
	s.mu.Lock()
	all, end, streams := spans(slices.Clone(s.segments)), s.end, s.allStreams()
	s.mu.Unlock()
	first := 0
	for i := range all {
		if all[i].first.Events <= from.Events {
			first = i
		}
	}
	first, err := based(s.dir, all, first, s.tag)
	if err != nil {
		return err
	}
	v := newSurvey(from)
	v.until = to
	if len(all) > 0 && all[first].first.Events < from.Events {
		v.pos = all[first].first
	}
	for i := first; i < len(all) && !v.done(); i++ {
		if _, err := v.walk(s.dir, all[i], s.tag, false); err != nil {
			return fmt.Errorf("read segment %s: %w", all[i].name, err)
		}
	}
	if !v.done() {
		v.finish(end, streams)
	}
	r.gaps, r.span = v.gaps, [2]Position{from, v.pos}
	return nil
}
