package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Record is one record of a batch. What it points to is valid until the next one is
// asked for.
type Record struct {
	Offset int64
	Time   int64  // milliseconds since 1970
	Key    []byte // nil where there is none
	Value  []byte
	// Null: it has no value, which is not the same as an empty one.
	Null bool
	// headers are as the protocol has them.
	headers     []byte
	headerCount int
	at          int // where the value begins in the window, 0 where nobody has looked
	// Size is what the record takes in its batch, in bytes. Where it is more than is
	// wanted, TooLarge is set, and nothing but offset and time are known.
	Size     int
	TooLarge bool
}

// Records walks the records of one batch after the other. The zero value is ready;
// Max must be set. It keeps its window and its decompressors for the next batch.
type Records struct {
	// Max is the largest record, in bytes with its key and headers.
	Max int
	// Passed is called when another Stride bytes of a batch were read, or so, with how many:
	// what is before them is not looked at any more. It may be nil.
	Passed func(at int)
	// Large gives the memory in which more than Usual bytes are held of what is unpacked,
	// for a record of that size, until the next batch or Trim. It may be nil.
	Large func(size int) []byte
	// Block is the same for what is unpacked at once.
	Block func(size int) []byte
	// Ring is told of decompressors that hold more than maxRing bytes until Trim, and of how
	// many. It may be nil.
	Ring func(size int)
	// Turn is shared by those of whom one at a time is told of a ring; nil is none.
	Turn *Turn

	head    Head
	left    int
	window  window
	unpack  unpackers
	told    int // how far the batch was when Passed was called
	at      int // where the present record begins, in what is unpacked
	atOnce  bool
	ring    int // bytes of what its decompressor holds, if that is much
	untried int // how many batches of unknown size are not to be tried at once
	err     error
}

// Stride is how often Passed is called, and Usual how large a window may be without
// a word, in bytes.
const (
	Stride = 1 << 20
	Usual  = keptSize
)

// ReadHead is the function of that name, for a batch of which Passed is to be told.
func (r *Records) ReadHead(batch []byte, h *Head) error { return readHead(batch, h, r.Passed) }

// Begin turns to another batch, whose header was read from it.
func (r *Records) Begin(batch []byte, h *Head) error {
	r.head, r.left, r.err, r.told, r.atOnce = *h, h.Count, nil, 0, false
	body := batch[HeadSize:]
	r.window = window{kept: r.window.keep()}
	if h.Compression == None {
		r.window.buf, r.window.end = body, len(body)
		return nil
	}
	if all, ok := r.whole(h.Compression, body); ok {
		r.window.buf, r.window.end, r.atOnce = all, len(all), true
		if r.Passed != nil {
			r.Passed(len(batch))
		}
		return nil
	}
	if size := ring(h.Compression, body); size > maxRing {
		if r.Ring != nil {
			r.Ring(size)
		}
		if r.ring = size; r.Turn != nil && h.Compression == Zstd {
			r.Turn.take(&r.unpack)
		}
	}
	r.unpack.snappy.large = r.Block
	in, err := r.unpack.open(h.Compression, body, r.mostUnpacked())
	if err != nil {
		return err
	}
	r.window = window{in: in, buf: r.window.keep()}
	return nil
}

// mostUnpacked is the largest block of snappy, in bytes.
func (r *Records) mostUnpacked() int { return max(2*r.Max, usualUnpacked) }

// Where says in what memory something lies.
type Where uint8

// The memory in which the value of a record may lie.
const (
	Elsewhere Where = iota // of which nobody need know
	InBatch                // the batch itself
	InWindow               // what Large gave, if it gave any for this batch
	InBlock                // the same of Block
)

// Place says where the value of the present record lies, for one that takes more than
// Usual bytes.
func (r *Records) Place(rec *Record) (where Where, at int) {
	switch {
	case rec.at <= 0:
		return Elsewhere, 0
	case r.head.Compression == None:
		return InBatch, HeadSize + rec.at
	case r.atOnce:
		return InBlock, rec.at
	}
	return InWindow, rec.at
}

// Err is why Next has no more, nil at the end of the batch.
func (r *Records) Err() error { return r.err }

// errRecord says that the bytes are no record.
var errRecord = errors.New("found a record that does not fit its size")

// Next reads the next record. It returns false at the end, and where what follows
// cannot be read: see Err.
func (r *Records) Next(rec *Record) bool {
	if r.left == 0 || r.err != nil {
		return false
	}
	if err := r.next(rec); err != nil {
		r.err = fmt.Errorf("read record %d of %d: %w", r.head.Count-r.left, r.head.Count, err)
		return false
	}
	r.left--
	if r.Passed != nil {
		r.pass()
	}
	return true
}

// pass tells how far the batch was read. A record that lies in it is still to be looked at.
func (r *Records) pass() {
	at := r.at
	if r.window.in != nil {
		at = r.unpack.passed(r.head.Compression)
	}
	if at-r.told >= Stride && !r.atOnce {
		r.told = at
		r.Passed(HeadSize + at)
	}
}

// Trim lets go of what is larger than Usual, at the end of a batch. Nothing of that is
// looked at.
func (r *Records) Trim() {
	if r.ring > 0 {
		if r.Turn != nil {
			r.Turn.put(&r.unpack, r.ring)
		}
		r.unpack.forget()
		r.ring = 0
	}
	kept := r.window.keep()
	r.window = window{kept: kept}
	r.unpack.snappy.reset(nil, 0)
}

func (r *Records) next(rec *Record) error {
	r.at = r.window.begin
	if r.quick(rec) {
		return nil
	}
	size, n, err := r.window.varint()
	if err != nil {
		return err
	}
	// A record is never less than its six fields of one byte at least.
	if size < 6 || size > 1<<31-1 {
		return fmt.Errorf("found a size of %d bytes", size)
	}
	*rec = Record{Size: int(size) + n}
	if rec.Size > r.Max {
		return r.skip(rec, int(size))
	}
	if r.Large != nil && r.window.in != nil && rec.Size > Usual && len(r.window.buf) < rec.Size {
		r.window.move(r.Large(rec.Size))
	}
	body, err := r.window.take(int(size))
	if err != nil {
		return err
	}
	return r.parse(rec, body)
}

// skip passes over a record that is too large, but for what its first bytes say.
func (r *Records) skip(rec *Record, size int) error {
	rec.TooLarge = true
	begin, err := r.window.take(min(size, 1+2*binary.MaxVarintLen64))
	if err != nil {
		return err
	}
	if _, err := r.times(rec, begin); err != nil {
		return err
	}
	return r.window.drop(size - len(begin))
}

// times reads what a record begins with: attributes, time and offset.
func (r *Records) times(rec *Record, b []byte) (rest []byte, err error) {
	b = b[1:]
	time, n := binary.Varint(b)
	if n <= 0 {
		return nil, errRecord
	}
	b = b[n:]
	offset, n := binary.Varint(b)
	if n <= 0 || offset < 0 || offset > r.head.Last-r.head.First {
		return nil, errRecord
	}
	rec.Offset, rec.Time = r.head.First+offset, r.head.FirstTime+time
	if r.head.AppendTime {
		rec.Time = r.head.MaxTime
	}
	return b[n:], nil
}

func (r *Records) parse(rec *Record, b []byte) error {
	b, err := r.times(rec, b)
	if err != nil {
		return err
	}
	var ok bool
	if rec.Key, _, b, ok = field(b); !ok {
		return errRecord
	}
	if rec.Value, rec.Null, b, ok = field(b); !ok {
		return errRecord
	}
	rec.at = r.window.begin - len(b) - len(rec.Value)
	count, n := binary.Varint(b)
	if n <= 0 || count < 0 || count > int64(len(b)) {
		return errRecord
	}
	if rec.headers, rec.headerCount = b[n:], int(count); count > 0 && !rec.headersFit() {
		return errRecord
	}
	return nil
}

// field reads bytes behind their length, of which -1 is none.
func field(b []byte) (value []byte, null bool, rest []byte, ok bool) {
	if len(b) > 0 && b[0] < 0x80 {
		// One byte is the rule: it is a zigzag number of up to 63.
		size := int(b[0]>>1) ^ -int(b[0]&1)
		if size < 0 {
			return nil, true, b[1:], size == -1
		}
		if size >= len(b) {
			return nil, false, nil, false
		}
		return b[1 : 1+size : 1+size], false, b[1+size:], true
	}
	size, n := binary.Varint(b)
	if n <= 0 || size < 0 || size > int64(len(b)-n) {
		return nil, false, nil, false
	}
	end := n + int(size)
	return b[n:end:end], false, b[end:], true
}

// headersFit walks the headers to their end.
func (rec *Record) headersFit() bool {
	b := rec.headers
	for range rec.headerCount {
		var ok, null bool
		if _, null, b, ok = field(b); !ok || null {
			return false
		}
		if _, _, b, ok = field(b); !ok {
			return false
		}
	}
	return true
}

// HeaderCount is how many headers the record has.
func (rec *Record) HeaderCount() int { return rec.headerCount }

// EachHeader calls f for each header, in their order; a header without a value has
// a nil one.
func (rec *Record) EachHeader(f func(name, value []byte)) {
	b := rec.headers
	for range rec.headerCount {
		var name, value []byte
		name, _, b, _ = field(b)
		value, _, b, _ = field(b)
		f(name, value)
	}
}

// window is a stretch of what is unpacked, or all of it where nothing is to be
// unpacked.
type window struct {
	in         io.Reader // nil where buf is all that there is
	buf        []byte
	begin, end int
	kept       []byte // memory for the next batch that is unpacked
}

// windowSize is how large a window is that nothing has made larger, and keptSize how
// large it may be to be kept, in bytes.
const (
	windowSize = 128 << 10
	keptSize   = 1 << 20
)

// keep returns the memory of a window that is not needed any more.
func (w *window) keep() []byte {
	kept := w.buf
	if w.in == nil {
		kept = w.kept
	}
	if cap(kept) > keptSize {
		return nil
	}
	return kept[:cap(kept)]
}

// move has the window in other memory.
func (w *window) move(to []byte) {
	w.end = copy(to, w.buf[w.begin:w.end])
	w.buf, w.begin = to, 0
}

// fill makes the window hold at least n bytes, and reports whether it does.
func (w *window) fill(n int) error {
	if w.end-w.begin >= n {
		return nil
	}
	if w.in == nil {
		return io.ErrUnexpectedEOF
	}
	if len(w.buf)-w.begin < n {
		old := w.buf[w.begin:w.end]
		if len(w.buf) < n {
			w.buf = make([]byte, max(n, min(n+n/4, keptSize), windowSize))
		}
		w.end = copy(w.buf, old)
		w.begin = 0
	}
	for w.end-w.begin < n {
		more, err := w.in.Read(w.buf[w.end:])
		w.end += more
		if err != nil && w.end-w.begin < n {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// take returns the next n bytes, which are valid until the next call.
func (w *window) take(n int) ([]byte, error) {
	if err := w.fill(n); err != nil {
		return nil, err
	}
	from := w.begin
	w.begin += n
	return w.buf[from:w.begin:w.begin], nil
}

// drop passes over n bytes, however many they are.
func (w *window) drop(n int) error {
	for {
		have := min(n, w.end-w.begin)
		w.begin += have
		if n -= have; n == 0 {
			return nil
		}
		if err := w.fill(1); err != nil {
			return err
		}
	}
}

// varint takes a number, and says how many bytes it took.
func (w *window) varint() (int64, int, error) {
	// The last number of a batch has fewer bytes behind it than one may have.
	err := w.fill(binary.MaxVarintLen32)
	v, n := binary.Varint(w.buf[w.begin:w.end])
	switch {
	case n > 0:
		w.begin += n
		return v, n, nil
	case n < 0:
		return 0, 0, errRecord
	case err == nil:
		err = errRecord
	}
	return 0, 0, err
}
