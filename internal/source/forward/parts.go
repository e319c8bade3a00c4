package forward

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"github.com/tinylib/msgp/msgp"

	protocol "github.com/spillway/spillway/forward"
)

// The keys that Docker's fluentd driver puts beside the log of a line of more
// than 16 KiB (daemon/logger/fluentd/fluentd.go of moby): all are strings.
const (
	keyLog     = "log"
	keyPartial = "partial_message"
	keyID      = "partial_id"
	keyOrdinal = "partial_ordinal"
	keyLast    = "partial_last"
)

// Bounds of what waits for its next part.
const (
	partAge   = 5 * time.Second
	partBytes = 1 << 20 // of one line
	partLines = 64
	allParts  = 4 << 20 // of all lines, with the entries of their first parts
)

// parts joins the parts of lines that Docker has cut. A line that is not complete
// in time, or gets too long, goes out as it is, still marked as a part, so that
// nobody takes it for the whole.
type parts struct {
	out func(tag string, t int64, entry []byte)

	// leaving holds one: whoever lets out lines that have waited long enough.
	leaving chan struct{}

	mu    sync.Mutex
	lines []*line // the oldest first
	bytes int     // of all of them
	timer *time.Timer
	ended bool
}

// line is one line in the making.
type line struct {
	tag, id string
	since   time.Time
	ordinal []byte // of the last part, as it arrived
	first   []byte // the entry of the first part
	log     []byte
}

func newParts(out func(tag string, t int64, entry []byte)) *parts {
	return &parts{out: out, leaving: make(chan struct{}, 1)}
}

// The key as msgpack has it, with its length in four bits, as nearly every encoder
// writes it, and in a byte or more. Both begin with a byte that is rare in text.
var (
	shortPartial = []byte("\xaf" + keyPartial)
	longPartial  = []byte("\x0f" + keyPartial)
)

// maybe reports whether there may be parts among the entries. It is a look at the
// bytes, which costs next to nothing.
func maybe(entries []byte) bool {
	return bytes.Contains(entries, shortPartial) || bytes.Contains(entries, longPartial)
}

// part is what of a record matters here.
type part struct {
	id, ordinal, log []byte
	partial, last    bool
}

func readPart(record []byte) (p part, ok bool) {
	n, b, err := msgp.ReadMapHeaderBytes(record)
	for ; n > 0 && err == nil; n-- {
		key := textOf(b)
		if b, err = msgp.Skip(b); err != nil {
			break
		}
		value := textOf(b)
		switch string(key) {
		case keyLog:
			p.log = value
		case keyID:
			p.id = value
		case keyOrdinal:
			p.ordinal = value
		case keyPartial:
			p.partial = string(value) == "true"
		case keyLast:
			p.last = string(value) == "true"
		}
		b, err = msgp.Skip(b)
	}
	return p, err == nil && p.partial && p.id != nil && p.log != nil
}

// take takes the parts out of the entries and returns the rest, and how many
// entries that is. What is complete goes to out.
func (ps *parts) take(tag string, entries []byte) (rest []byte, count int, err error) {
	for len(entries) > 0 {
		e, next, err := protocol.NextEntry(entries)
		if err != nil {
			return nil, 0, err
		}
		if p, ok := readPart(e.Record); ok {
			ps.add(tag, &e, &p)
		} else {
			rest = append(rest, e.Raw...)
			count++
		}
		entries = next
	}
	return rest, count, nil
}

func (ps *parts) add(tag string, e *protocol.Entry, p *part) {
	ps.mu.Lock()
	l := ps.find(tag, p.id)
	if l == nil {
		l = &line{tag: tag, id: string(p.id), since: time.Now(), first: bytes.Clone(e.Raw)}
		ps.lines = append(ps.lines, l)
		ps.bytes += len(l.first)
	}
	l.log = append(l.log, p.log...)
	ps.bytes += len(p.log)
	l.ordinal = append(l.ordinal[:0], p.ordinal...)
	var out []*line
	whole := p.last
	if whole || len(l.log) >= partBytes || ps.ended {
		ps.remove(l)
		out = append(out, l)
	}
	for len(ps.lines) > partLines || ps.bytes > allParts {
		out = append(out, ps.lines[0])
		ps.remove(ps.lines[0])
	}
	ps.wake()
	ps.mu.Unlock()
	for _, o := range out {
		ps.out(o.tag, o.since.UnixNano(), o.entry(whole && o == l))
	}
}

func (ps *parts) find(tag string, id []byte) *line {
	for _, l := range ps.lines {
		if l.id == string(id) && l.tag == tag {
			return l
		}
	}
	return nil
}

func (ps *parts) remove(l *line) {
	for i, known := range ps.lines {
		if known == l {
			ps.lines = slices.Delete(ps.lines, i, i+1)
			ps.bytes -= len(l.first) + len(l.log)
			return
		}
	}
}

// wake sets the timer to when the oldest line has waited long enough.
func (ps *parts) wake() {
	if len(ps.lines) == 0 || ps.ended {
		return
	}
	d := time.Until(ps.lines[0].since.Add(partAge))
	if ps.timer == nil {
		ps.timer = time.AfterFunc(d, func() { ps.expire(false) })
		return
	}
	ps.timer.Reset(d)
}

// expire lets lines out that have waited long enough, or all of them.
func (ps *parts) expire(all bool) {
	ps.leaving <- struct{}{}
	defer func() { <-ps.leaving }()
	ps.mu.Lock()
	var out []*line
	for len(ps.lines) > 0 && (all || time.Since(ps.lines[0].since) >= partAge) {
		out = append(out, ps.lines[0])
		ps.remove(ps.lines[0])
	}
	ps.wake()
	ps.mu.Unlock()
	for _, l := range out {
		ps.out(l.tag, l.since.UnixNano(), l.entry(false))
	}
}

// end lets everything out, and returns when it is; what comes after that waits no
// more.
func (ps *parts) end() {
	ps.mu.Lock()
	ps.ended = true
	if ps.timer != nil {
		ps.timer.Stop()
	}
	ps.mu.Unlock()
	ps.expire(true)
}

// entry is what was joined: the record of the first part, with the log of all of
// them. The whole line has no mark; what is less keeps that of a part, with the
// ordinal of the last.
func (l *line) entry(whole bool) []byte {
	e, _, err := protocol.NextEntry(l.first)
	if err != nil {
		return l.first
	}
	marks := fields{}
	for _, key := range []string{keyLog, keyPartial, keyID, keyOrdinal, keyLast} {
		marks.keys = append(marks.keys, []byte(key))
	}
	n, pairs, err := msgp.ReadMapHeaderBytes(e.Record)
	if err != nil {
		return l.first
	}
	kept, left, err := marks.without(n, pairs)
	if err != nil {
		return l.first
	}
	added := fields{}
	if !whole {
		added.add(keyPartial, "true")
		added.add(keyID, l.id)
		added.add(keyOrdinal, string(l.ordinal))
		added.add(keyLast, "false")
	}
	dst := append([]byte(nil), e.Raw[:len(e.Raw)-len(e.Record)]...)
	dst = msgp.AppendMapHeader(dst, left+uint32(len(added.keys))+1)
	dst = append(append(dst, kept...), added.pairs...)
	dst = msgp.AppendString(dst, keyLog)
	return msgp.AppendStringFromBytes(dst, l.log)
}
