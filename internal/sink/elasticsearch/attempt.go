package elasticsearch

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"iter"
	"slices"
	"sync"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/jsonscan"
	"github.com/spillway/spillway/internal/jsontext"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// window is how much of a body is made at a time, in bytes; a longer record is made
// whole.
const window = 64 << 10

// maxKept bounds what an attempt keeps for the next, in bytes of each buffer.
const maxKept = 1 << 20

// attempt is one request on its way: what makes its body, and what it has found out
// about the events. The body is made by the transport's goroutine; what is below the
// lock is touched under it alone.
type attempt struct {
	sink *Sink
	req  sink.Request

	mu     sync.Mutex
	next   func() (int, *record.Batch, bool)
	stop   func()
	closed bool // nothing more may be read: the batches are settled
	taken  bool // a piece has been taken since the start
	used   bool // the transport holds the window
	done   bool // the body is at its end

	batch  *record.Batch
	stream *record.Stream
	frames []byte
	left   int // events of the batch
	index  int // of the next event in the request
	key    [16]byte
	number uint64 // of the batch's first
	origin originID
	head   indexHead
	tail   []byte // what stands behind the members of a document of this batch
	clock  clock

	out     []byte // the piece that is being made
	scan    *jsonscan.Scanner
	scratch []byte
	id      []byte
	digest  hash.Hash

	sent     int
	size     int64 // of the body so far
	limit    int64 // at which it ends
	marks    []uint64
	deletes  []int // which of those that were sent delete, in order
	rejected []sink.Rejection
	replaced int // bytes that were no UTF-8
}

// indexHead is the beginning of an action, for as long as it stays the same.
type indexHead struct {
	text   []byte
	stream *record.Stream
	grain  int64
	known  bool
}

func (s *Sink) newAttempt() *attempt {
	a := &attempt{sink: s, out: make([]byte, 0, window+window/2), scan: jsonscan.NewScanner(s.keys), clock: clock{format: s.o.TimeFormat}}
	if s.o.ID == IDHash {
		a.digest = sha256.New()
	}
	return a
}

// begin makes the attempt one of a request, and the first piece of its body.
func (s *Sink) begin(req sink.Request) *attempt {
	a := s.attempts.Get().(*attempt)
	a.req, a.limit = req, s.size.now(s.o.RequestSize)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rewind()
	return a
}

// rewind starts the body anew; the lock is held.
func (a *attempt) rewind() {
	if a.stop != nil {
		a.stop()
	}
	a.next, a.stop = iter.Pull2(a.req.Batches())
	a.closed, a.taken, a.done = false, false, false
	a.batch, a.stream, a.frames, a.left, a.index = nil, nil, nil, 0, 0
	a.head.known = false
	a.sent, a.size, a.replaced = 0, 0, 0
	a.marks, a.deletes, a.rejected = a.marks[:0], a.deletes[:0], nil
	a.fill()
}

// end gives the attempt back. Nothing of the request is read after that.
func (a *attempt) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.stop != nil {
		a.stop()
	}
	if a.used {
		return // The transport still writes from it; the collector takes it when that ends.
	}
	a.req, a.next, a.stop, a.batch, a.stream, a.frames, a.rejected = nil, nil, nil, nil, nil, nil, nil
	a.head.stream, a.head.known = nil, false
	if cap(a.out)+cap(a.scratch)+8*(cap(a.marks)+cap(a.deletes)) <= maxKept {
		a.sink.attempts.Put(a)
	}
}

// fill makes the next piece of the body; the lock is held.
func (a *attempt) fill() {
	a.out = a.out[:0]
	for len(a.out) < window && !a.done {
		if a.left == 0 {
			if !a.enter() {
				a.done = true
			}
			continue
		}
		start, marks, frames := len(a.out), len(a.marks), a.frames
		err := a.event()
		n := int64(len(a.out) - start)
		switch {
		case err != nil:
			a.out, a.marks = a.out[:start], a.marks[:marks]
			a.reject(err)
		case a.sent > 0 && a.size+n > a.limit:
			// It is the next attempt's.
			a.out, a.marks, a.frames = a.out[:start], a.marks[:marks], frames
			if last := len(a.deletes) - 1; last >= 0 && a.deletes[last] == a.sent {
				a.deletes = a.deletes[:last]
			}
			a.done = true
			return
		default:
			a.sent++
			a.size += n
		}
		a.index++
		a.left--
	}
}

// enter makes the next batch the present one.
func (a *attempt) enter() bool {
	first, b, ok := a.next()
	if !ok {
		return false
	}
	if a.stream == nil || a.stream.Index != b.Stream {
		a.stream = a.req.Stream(b.Stream)
	}
	a.batch, a.frames, a.left, a.index = b, b.Frames, b.Count, first
	a.key, a.number = b.Identity(a.stream)
	if b.Kind == record.KindLoss {
		a.key = lossKey(a.key)
	}
	a.origin.begin(a.key)
	a.tail = a.tail[:0]
	if w := &a.sink.want; w.tag >= 0 {
		a.tail = append(append(append(a.tail, ','), w.tagOpen...), '"')
		a.tail = append(jsontext.Repair.AppendString(a.tail, []byte(a.stream.Name)), '"')
	}
	if b.Part.Ordinal > 0 {
		a.tail = entry.AppendPart(a.tail, a.stream, b)
	}
	return true
}

// refusal is why a record cannot be sent.
type refusal struct {
	reason ledger.Reason
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }

func invalid(format string, args ...any) error {
	return &refusal{ledger.RejectedInvalid, fmt.Errorf(format, args...)}
}

// reject notes that the present event can never be sent.
func (a *attempt) reject(err error) {
	why := ledger.RejectedInvalid
	var told *refusal
	if errors.As(err, &told) {
		why = told.reason
	}
	a.rejected = append(a.rejected, sink.Rejection{First: a.index, End: a.index + 1, Reason: string(why), Detail: err.Error()})
}

// event appends the action and the document of the present event, and goes on to
// the next.
func (a *attempt) event() error {
	b := a.batch
	if b.Kind == record.KindLoss {
		a.frames = nil
		return a.loss(b.Loss())
	}
	if a.sink.want.plain && b.Encoding == record.EncodingEntry {
		if rest, ok := a.quick(a.frames); ok {
			a.frames = rest
			return nil
		}
	}
	var body []byte
	var bad bool
	body, bad, a.frames = b.Next(a.frames)
	switch b.Encoding {
	case record.EncodingEntry:
		_, rec, err := entry.Split(body)
		if err != nil {
			return err
		}
		return a.packed(entry.Time(body, b.Time), a.number+uint64(b.Count-a.left), nil, rec)
	case record.EncodingMessage:
		return a.message(body)
	}
	return a.line(b.Time, a.number+uint64(b.Count-a.left), nil, body, bad)
}

// eventTime is how an entry begins, usually: an array of two, the first of which is
// an EventTime.
const eventTime = "\x92\xd7\x00"

// quick appends the entry that frames begin with, where it looks as usual and
// nothing is wanted from within it, and returns what follows it. It walks the entry
// once. Where it is not ok, nothing is appended.
func (a *attempt) quick(frames []byte) (rest []byte, ok bool) {
	const size = len(eventTime) + 8
	if len(frames) <= size || string(frames[:len(eventTime)]) != eventTime {
		return nil, false
	}
	be := binary.BigEndian
	at := int64(be.Uint32(frames[3:]))*1e9 + int64(be.Uint32(frames[7:]))
	if at == 0 {
		return nil, false
	}
	start, marks := len(a.out), len(a.marks)
	if a.action(at, a.number+uint64(a.batch.Count-a.left), values{}) != nil {
		return nil, false
	}
	a.out = append(append(a.out, a.sink.want.open...), '{')
	members := len(a.out)
	json, n, replaced, rest, err := entry.AppendPairsOf(a.out, frames[size:])
	if a.out = json; err != nil || a.mayHaveTime(members) {
		a.out, a.marks = a.out[:start], a.marks[:marks]
		return nil, false
	}
	a.replaced += replaced
	a.finish(at, n > 0, false)
	return rest, true
}

// mayHaveTime reports whether the name of the time stands anywhere in the members
// from there on. Most records do not have it, and to find that out by its bytes is
// quick, and quicker by one that few texts have.
func (a *attempt) mayHaveTime(members int) bool {
	name := a.sink.o.TimeKey
	if a.sink.want.time < 0 {
		return false
	}
	made := a.out[members:]
	if name[0] == '@' {
		at := bytes.IndexByte(made, '@')
		if at < 0 {
			return false
		}
		made = made[at:]
	}
	return bytes.Contains(made, a.sink.want.timeName)
}

// message appends a message of a log with offsets.
func (a *attempt) message(body []byte) error {
	var m record.Message
	record.ParseMessage(body, &m)
	number := a.batch.Number(a.number, a.batch.Count-a.left, body)
	switch {
	case m.Null:
		return a.tombstone(&m, number)
	case m.Form == record.FormMap:
		return a.packed(m.Time, number, m.Key, m.Value)
	case m.Form == record.FormJSON:
		return a.json(m.Time, number, m.Key, m.Value)
	}
	return a.line(m.Time, number, m.Key, m.Value, true)
}

// line appends a line of text.
func (a *attempt) line(at int64, number uint64, key, text []byte, mayBeBad bool) error {
	if err := a.action(at, number, values{key: key, line: text}); err != nil {
		return err
	}
	w := &a.sink.want
	a.out = append(append(a.out, w.open...), w.textOpen...)
	form := jsontext.Valid
	if mayBeBad {
		form = jsontext.Repair
	}
	a.out = append(form.AppendString(a.out, text), '"')
	a.finish(at, true, false)
	return nil
}

// packed appends a record that is a msgpack map.
func (a *attempt) packed(at int64, number uint64, key, rec []byte) error {
	v := values{key: key, rec: rec}
	if err := a.action(at, number, v); err != nil {
		return err
	}
	w := &a.sink.want
	a.out = append(a.out, w.open...)
	start := len(a.out)
	a.out = append(a.out, '{')
	var n, replaced int
	var err error
	if v.hasAny(w.removed) {
		a.out, n, replaced, err = appendOthers(a.out, rec, w.removed)
	} else {
		a.out, n, replaced, err = entry.AppendPairs(a.out, rec)
	}
	if err != nil {
		return err
	}
	a.replaced += replaced
	timed := false
	if a.mayHaveTime(start) {
		_, timed = entry.Lookup(rec, a.sink.o.TimeKey)
	}
	a.finish(at, n > 0, timed)
	return nil
}

// json appends a record that is to be one JSON object.
func (a *attempt) json(at int64, number uint64, key, value []byte) error {
	if err := a.scan.Scan(value); err != nil {
		return invalid("the value is not one JSON object: %w", err)
	}
	if err := a.action(at, number, values{key: key, value: value, scan: a.scan}); err != nil {
		return err
	}
	w := &a.sink.want
	a.out = append(append(a.out, w.open...), '{')
	for _, key := range w.remove {
		a.scan.Remove(key)
	}
	var n, replaced int
	a.out, n, replaced = a.scan.AppendMembers(a.out)
	a.replaced += replaced
	a.finish(at, n > 0, w.time >= 0 && a.scan.Value(w.time) != nil && !slices.Contains(w.remove, w.time))
	return nil
}

// finish appends what stands behind the members of a document.
func (a *attempt) finish(at int64, members, timed bool) {
	w := &a.sink.want
	if w.time >= 0 && !timed {
		if members {
			a.out = append(a.out, ',')
		}
		a.out = a.clock.append(append(a.out, w.timeOpen...), at)
		members = true
	}
	if len(a.tail) > 0 {
		tail := a.tail
		if !members {
			tail = tail[1:]
		}
		a.out = append(a.out, tail...)
	}
	a.out = append(append(a.out, '}'), w.shut...)
}

// loss appends a loss marker: the text where a line would stand, and the object.
func (a *attempt) loss(l record.Loss) error {
	if a.sink.ordered {
		// It has no such field; what it says is kept by the log.
		return invalid("a loss marker has no id of the record's fields")
	}
	if err := a.action(l.FirstTime, l.FirstSeq, values{}); err != nil {
		return err
	}
	w := &a.sink.want
	a.out = append(append(a.out, w.open...), w.textOpen...)
	var text [record.LossTextSize]byte
	a.out = jsontext.Repair.AppendString(a.out, l.AppendText(text[:0]))
	a.out = append(append(append(a.out, `","`...), entry.KeyLoss...), `":`...)
	a.out = l.AppendJSON(a.out)
	a.finish(l.FirstTime, true, false)
	return nil
}

// tombstone appends what deletes the document of a key. Without ids from keys
// nothing can be deleted.
func (a *attempt) tombstone(m *record.Message, number uint64) error {
	if a.sink.o.ID != IDKey {
		return invalid("the value is null; expected one, since there are no ids from keys by which a document could be deleted")
	}
	start := len(a.out)
	if err := a.action(m.Time, number, values{key: m.Key}); err != nil {
		return err
	}
	// The line begins with {"index": or another verb.
	line := a.out[start:]
	verb := bytes.IndexByte(line, ':')
	a.scratch = append(append(a.scratch[:0], `{"delete"`...), line[verb:]...)
	if end := bytes.Index(a.scratch, []byte(`,"retry_on_conflict"`)); end > 0 {
		a.scratch = append(a.scratch[:end], "}}\n"...)
	}
	a.out = append(a.out[:start], a.scratch...)
	a.deletes = append(a.deletes, a.sent)
	return nil
}

// hashID makes the id of a record's content.
func (a *attempt) hashID(at int64, v *values) error {
	a.digest.Reset()
	o := &a.sink.o
	if o.HashTag {
		a.hashPiece([]byte(a.stream.Name))
	}
	if o.HashTime {
		a.scratch = binary.BigEndian.AppendUint64(a.scratch[:0], uint64(at))
		a.hashPiece(a.scratch)
	}
	if len(a.sink.want.hash) == 0 {
		a.hashPiece(v.whole())
	}
	for i := range a.sink.want.hash {
		f := &a.sink.want.hash[i]
		var ok bool
		if a.scratch, ok = v.text(a.scratch[:0], f, o.TextKey); !ok {
			return invalid("no id: the record has no field %q, or it is not text or a number", f.name)
		}
		a.hashPiece(a.scratch)
	}
	var sum [sha256.Size]byte
	a.digest.Sum(sum[:0])
	a.origin.begin([16]byte(sum[:16]))
	a.id = append(a.id[:0], a.origin.of(binary.BigEndian.Uint64(sum[16:]))...)
	return nil
}

func (a *attempt) hashPiece(p []byte) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(p)))
	a.digest.Write(size[:])
	a.digest.Write(p)
}
