package forward

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	protocol "github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source/seen"
)

// keptParts joins the parts of lines that ask for an ack. Docker's daemon sends
// the next part only after the ack of this one, so each part that is not the last
// is written to a file of its line, and acknowledged then. The last completes the
// line: it is acknowledged when the line is where its route vouches for it, and
// the file is removed just before. Whoever is killed meanwhile finds the parts in
// the file when he starts again.
//
// A line that is not complete in time, or gets too long, goes out marked as a part.
// Where a line has to wait beyond the bounds, or its file cannot be written, its
// parts are passed on as they come: they are never refused because of it.
type keptParts struct {
	dir    string
	level  record.Level
	admit  func(c *record.Chunk)
	during func(hand func()) // runs it while handing over is allowed
	report func(error)
	// heir is what takes over what is left of a source in whose place another is, or nil.
	heir func() *keptParts

	mu     sync.Mutex
	lines  []*keptLine
	bytes  int
	timer  *time.Timer
	ended  bool
	counts PartCounts
}

// keptLine is one line in the making, whose parts are in a file.
type keptLine struct {
	line
	keys   []seen.Key // of the parts in the file, in their order
	file   partsFile
	due    time.Time
	handed bool // it is being admitted, and waits for nothing else
	held   bool // it is admitted, and in a balance
	broken bool // its file takes no more
}

// PartCounts are the parts of lines that ask for an ack.
type PartCounts struct {
	// Waiting are acknowledged, on the disk, and in no balance yet: they are received
	// with their line.
	Waiting int `json:"waiting"`
	// Parts are those that were put into a line, Lines the whole lines that became of
	// them, and Marked the lines that went out incomplete.
	Parts  int64 `json:"parts"`
	Lines  int64 `json:"lines"`
	Marked int64 `json:"marked"`
	// Passed are parts that were handed over as they came.
	Passed int64 `json:"passed"`
	// Trouble is why the last file could not be written, read or removed.
	Trouble string `json:"trouble,omitempty"`
}

// take takes a chunk of one entry, where it is a part that can be joined; c.Done is
// then told. With power, a part is acknowledged once it survives a loss of power.
func (k *keptParts) take(c *record.Chunk, power bool) (taken bool) {
	e, rest, err := protocol.NextEntry(c.Bodies)
	if err != nil || len(rest) > 0 {
		return false
	}
	p, ok := readPart(e.Record)
	if !ok {
		return false
	}
	k.mu.Lock()
	l, known := k.lineOf(c, &p)
	if l == nil {
		if !known {
			k.counts.Passed++
		}
		k.mu.Unlock()
		if known {
			c.Done(true)
		}
		return known
	}
	if k.waits(l, e.Raw, &p) && k.keep(l, c, e.Raw, &p, power) {
		k.mu.Unlock()
		c.Done(true)
		return true
	}
	if len(l.keys) == 0 {
		// There is nothing to join it with.
		k.forget(l)
		k.counts.Passed++
		k.mu.Unlock()
		return false
	}
	entry := l.with(&p)
	l.handed = true
	k.counts.Parts++
	k.mu.Unlock()
	k.hand(l, entry, p.last, c)
	return true
}

// lineOf is the line to which a part belongs, or nil if it is to be passed on.
// known reports that it is in the file already.
func (k *keptParts) lineOf(c *record.Chunk, p *part) (l *keptLine, known bool) {
	n, err := strconv.Atoi(string(p.ordinal))
	if err != nil || n < 1 || len(c.Tag) > 1<<16-1 {
		return nil, false
	}
	for _, l := range k.lines {
		if l.id != string(p.id) || l.tag != c.Tag {
			continue
		}
		if n <= len(l.keys) {
			key := c.Origin.Key
			return nil, key != (seen.Key{}) && key == l.keys[n-1]
		}
		if l.handed || n != len(l.keys)+1 {
			return nil, false
		}
		return l, false
	}
	if n != 1 || p.last || k.ended || len(k.lines) >= partLines {
		return nil, false
	}
	now := time.Now()
	l = &keptLine{line: line{tag: c.Tag, id: string(p.id), since: now}, due: now.Add(partAge)}
	k.lines = append(k.lines, l)
	return l, false
}

// waits reports whether the line has to wait for more after this part, and can.
func (k *keptParts) waits(l *keptLine, raw []byte, p *part) bool {
	held := k.bytes + len(p.log)
	if len(l.keys) == 0 {
		held += len(raw)
	}
	return !p.last && !l.broken && !k.ended && len(l.log)+len(p.log) < partBytes && held <= allParts &&
		l.file.size+int64(frameHead+frameBody+len(l.tag)+len(raw)) <= maxPartsFile
}

// keep writes a part to the file of its line, and reports whether it is there.
func (k *keptParts) keep(l *keptLine, c *record.Chunk, raw []byte, p *part, power bool) bool {
	var err error
	if l.file.path == "" {
		l.file, err = makePartsFile(k.dir, power)
	}
	if err == nil {
		frame := partFrame{key: c.Origin.Key, since: l.since, tag: l.tag, entry: raw}
		err = l.file.append(frame.append(nil), power)
	}
	if err != nil {
		l.broken = true
		k.trouble(fmt.Errorf("keep a part of a line: %w", err))
		return false
	}
	k.add(l, c.Origin.Key, raw, p)
	k.counts.Parts++
	k.wake()
	return true
}

// add adds what is in the file to the line.
func (k *keptParts) add(l *keptLine, key seen.Key, raw []byte, p *part) {
	if len(l.keys) == 0 {
		l.first = slices.Clone(raw)
		k.bytes += len(raw)
	}
	l.keys = append(l.keys, key)
	l.log = append(l.log, p.log...)
	k.bytes += len(p.log)
	l.ordinal = append(l.ordinal[:0], p.ordinal...)
}

// with is the entry of the line with one more part, which is not in the file.
func (l *keptLine) with(p *part) []byte {
	more := l.line
	more.log = append(slices.Clone(l.log), p.log...)
	more.ordinal = p.ordinal
	return more.entry(p.last)
}

// hand hands a line over. last is the part that completes it, or nil. The line has
// the key of its last part, so that it is known when that is sent again.
func (k *keptParts) hand(l *keptLine, entry []byte, whole bool, last *record.Chunk) {
	c := record.Chunk{Tag: l.tag, Time: l.since.UnixNano(), Encoding: record.EncodingEntry, Bodies: entry, Count: 1, Level: k.level}
	c.Origin.Key = l.keys[len(l.keys)-1]
	answer := func(bool) {}
	if last != nil {
		c.Origin, answer = last.Origin, last.Done
	}
	c.Done = func(ok bool) {
		k.told(l, whole, ok)
		answer(ok)
	}
	k.admit(&c)
	k.mu.Lock()
	if slices.Contains(k.lines, l) { // Else it is gone, or another's.
		l.held = l.handed
	}
	k.mu.Unlock()
}

// told ends a line that its route keeps. One that is not kept waits for its last
// part to be sent again, and goes out as it is when that does not come: by the source that
// has taken the place of one that has ended.
func (k *keptParts) told(l *keptLine, whole, ok bool) {
	var heir *keptParts
	if !ok && k.heir != nil {
		heir = k.heir()
	}
	k.mu.Lock()
	if !ok && k.ended && heir != nil {
		k.part(l)
		k.mu.Unlock()
		heir.adopt(l)
		return
	}
	defer k.mu.Unlock()
	switch {
	case ok && whole:
		k.counts.Lines++
	case ok:
		k.counts.Marked++
	default:
		l.handed, l.held, l.due = false, false, time.Now().Add(partAge)
		k.wake()
		return
	}
	k.forget(l)
}

// adopt goes on with a line of a source that has ended.
func (k *keptParts) adopt(l *keptLine) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l.handed, l.held, l.due = false, false, time.Now().Add(partAge)
	k.lines = append(k.lines, l)
	k.bytes += len(l.first) + len(l.log)
	k.wake()
}

// part takes a line off those that there are, and leaves its file.
func (k *keptParts) part(l *keptLine) {
	if i := slices.Index(k.lines, l); i >= 0 {
		k.lines = slices.Delete(k.lines, i, i+1)
	}
	if len(l.keys) > 0 {
		k.bytes -= len(l.first) + len(l.log)
	}
}

// forget removes a line and its file.
func (k *keptParts) forget(l *keptLine) {
	k.part(l)
	if l.file.path == "" {
		return
	}
	if err := l.file.remove(); err != nil {
		k.trouble(fmt.Errorf("remove the parts of a line, which may be delivered twice: %w", err))
	}
}

// state is what there is, for status.
func (k *keptParts) state() PartCounts {
	k.mu.Lock()
	defer k.mu.Unlock()
	counts := k.counts
	for _, l := range k.lines {
		if !l.held {
			counts.Waiting += len(l.keys)
		}
	}
	return counts
}
