package diskbuffer

import (
	"hash/crc32"
	"io"
)

// readTries is how often one place is read before what cannot be read there
// counts as damage. The calls are the caller's.
const readTries = 3

// reader is where Read is.
type reader struct {
	store *Store
	seg   *segment
	file  File
	next  ahead
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
	r.next.end()
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
	r.next.end()
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
// frame alone does not fit; it may say so once more for the one behind it, where
// that frame turns out to be damaged. io.EOF says that there is nothing more now;
// even then the chunk may say that something is missing, and has First behind
// that. After another error the same may be read again; what cannot be read
// three times counts as damaged.
func (s *Store) Read(dst []byte) (Chunk, error) {
	var c Chunk
	r := &s.read
	for {
		err := r.peek()
		switch {
		case c.N > 0 && (err != nil || r.head.First != r.pos || r.head.Again != c.Again):
			return r.done(c), nil //nolint:nilerr // The next Read meets the same error.
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
			c.First, c.Again = r.head.First, r.head.Again
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
	r.lookAhead()
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
	// What this process has written is what its sum says.
	if !r.seg.ours && !h.valid(raw) {
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
