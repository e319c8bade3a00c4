package diskbuffer

import (
	"errors"
	"hash/crc32"
	"io"

	"github.com/spillway/spillway/internal/record"
)

// windowSize is how much is read at once where frames are looked for, in bytes.
const windowSize = 256 << 10

// readFull reads until p is full or the file ends, which is no error.
func readFull(f File, p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		m, err := f.ReadAt(p[n:], off+int64(n))
		n += m
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return n, err
		}
		if m == 0 {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// window is a piece of a file in memory.
type window struct {
	file File
	size int64 // the file ends here
	off  int64
	buf  []byte
}

// view returns n bytes at off, fewer at the end of the file. It is valid until
// the next call.
func (w *window) view(off int64, n int) ([]byte, error) {
	n = int(max(min(int64(n), w.size-off), 0))
	if off >= w.off && off+int64(n) <= w.off+int64(len(w.buf)) {
		at := int(off - w.off)
		return w.buf[at : at+n], nil
	}
	want := int(min(int64(max(n, windowSize)), w.size-off))
	if cap(w.buf) < want {
		w.buf = make([]byte, 0, want)
	}
	w.off, w.buf = off, w.buf[:want]
	got, err := readFull(w.file, w.buf, off)
	w.buf = w.buf[:got]
	return w.buf[:min(n, got)], err
}

// rest returns what there is at off, at least a frame header unless the file
// ends. What is in memory already is not read again: where every few bytes look
// like a frame, that would never end.
func (w *window) rest(off int64) ([]byte, error) {
	if at := off - w.off; at >= 0 && at+frameHeaderSize <= int64(len(w.buf)) {
		return w.buf[at:], nil
	}
	return w.view(off, windowSize)
}

// scan walks over the whole frames of one segment file, whatever is between
// them.
type scan struct {
	window
	tag tag
	any bool // take the tag of the first frame there is
	at  int64
	// bad is the start of what could not be read as a frame before the present
	// one, -1 where nothing was.
	bad    int64
	unpack unpacker
	raw    []byte
}

// scanned is one whole frame; the payload is valid until the next one.
type scanned struct {
	frameHeader
	off     int64
	payload []byte
}

func newScan(f File, from, size int64, t tag) *scan {
	return &scan{window: window{file: f, size: size}, tag: t, at: from, bad: -1}
}

// next returns the next whole frame, io.EOF behind the last. Any other error is
// one of reading.
func (s *scan) next() (scanned, error) {
	s.bad = -1
	for {
		off, err := s.candidate()
		if err != nil {
			return scanned{}, err
		}
		if off != s.at && s.bad < 0 {
			s.bad = s.at
		}
		s.at = off
		f, ok, err := s.frame(off)
		if err != nil {
			return scanned{}, err
		}
		if ok {
			s.at = off + f.size()
			s.tag, s.any = f.Tag, false
			return f, nil
		}
		if s.bad < 0 {
			s.bad = off
		}
		s.at++
	}
}

// candidate is where the next frame may begin.
func (s *scan) candidate() (int64, error) {
	for from := s.at; ; {
		p, err := s.rest(from)
		if err != nil {
			return 0, err
		}
		if len(p) < frameHeaderSize {
			if s.at < s.size && s.bad < 0 {
				s.bad = s.at
			}
			return 0, io.EOF
		}
		if i := findMagic(p); i >= 0 {
			return from + int64(i), nil
		}
		from += int64(len(p) - len(frameMagic) + 1)
	}
}

// frame reads the frame at off, if there is a whole one.
func (s *scan) frame(off int64) (f scanned, ok bool, err error) {
	head, err := s.view(off, frameHeaderSize)
	if err != nil || f.parse(head) != nil || (f.Tag != s.tag && !s.any) || off+f.size() > s.size {
		return scanned{}, false, err
	}
	stored, err := s.view(off+frameHeaderSize, int(f.Stored))
	if err != nil || len(stored) < int(f.Stored) || crc32.Checksum(stored, castagnoli) != f.PayloadSum {
		return scanned{}, false, err
	}
	f.off, f.payload = off, stored
	if f.Compression != None {
		if cap(s.raw) < int(f.Raw) {
			s.raw = make([]byte, 0, f.Raw)
		}
		if f.payload, err = s.unpack.unpack(s.raw[:f.Raw], stored, f.Compression); err != nil {
			return scanned{}, false, nil //nolint:nilerr // It is no frame, which is the answer.
		}
	}
	return f, f.valid(f.payload), nil
}

// valid says whether the payload is well made and as the header says.
func (h *frameHeader) valid(payload []byte) bool {
	if len(payload) != int(h.Raw) {
		return false
	}
	if h.Kind == kindStreams {
		_, _, ok := parseStreams(payload)
		return ok && h.Events == 0 && h.Records == 0
	}
	if h.Kind == kindOrigins {
		_, ok := parseOrigins(payload)
		return ok && h.Events == 0 && h.Records == 0
	}
	events, records, size, err := record.Check(payload)
	return err == nil && events == int(h.Events) && records == int(h.Records) && uint64(size) == h.Bytes && events > 0
}
