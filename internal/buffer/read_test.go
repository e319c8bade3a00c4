package buffer_test

import (
	"slices"
	"strings"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// contents is what a request holds, in numbers.
type contents struct {
	events      []event
	cost        int
	first, last int64
}

// read reads a request; the first time, it moves the flows on.
func (m *model) read(r *buffer.Request, first bool) contents {
	m.Helper()
	seen := contents{first: 1<<63 - 1}
	marked := map[*flow]bool{} // its last event here was a marker
	for index, b := range r.Batches() {
		if index != len(seen.events) {
			m.Fatalf("a batch has index %d, want %d", index, len(seen.events))
		}
		f := m.streams[b.Stream]
		late := b.Kind == record.KindLoss && strings.HasPrefix(b.Loss().Reason, "rejected-")
		switch {
		case late:
			seen.cost += m.rejectedMarker(f, b, first) + m.cfg.Sink.PerEvent
			seen.events = append(seen.events, event{flow: f, seq: b.FirstSeq, loss: true, late: true, time: b.Time, index: index})
		case b.Kind == record.KindLoss:
			if first && marked[f] && !m.over && len(m.chunks) == 0 { // A chunk is refused though others wait.
				m.Fatalf("%s: two markers with no record between them in one request", f.Name)
			}
			seen.cost += m.marker(f, b, first) + m.cfg.Sink.PerEvent
			seen.events = append(seen.events, event{flow: f, seq: b.FirstSeq, loss: true, time: b.Time, index: index})
		default:
			seen.cost += m.records(f, b, first) + b.Count*m.cfg.Sink.PerEvent
			for i := range b.Count {
				seen.events = append(seen.events, event{flow: f, seq: b.FirstSeq + uint64(i), time: b.Time, index: index + i})
			}
		}
		marked[f] = b.Kind == record.KindLoss && !late
		seen.first, seen.last = min(seen.first, b.Time), max(seen.last, b.Time)
	}
	if len(seen.events) != r.Events() || len(seen.events) == 0 {
		m.Fatalf("a request of %d events has %d", r.Events(), len(seen.events))
	}
	return seen
}

// marker holds a loss marker to the gap that it stands in, and returns the
// length of its text.
func (m *model) marker(f *flow, b *record.Batch, first bool) int {
	m.Helper()
	l := b.Loss()
	if m.cfg.NoLossMarkers {
		m.Fatalf("%s: a marker though there should be none", f.Name)
	}
	if l.Lost <= 0 || l.LastSeq < l.FirstSeq || l.LastSeq > uint64(len(f.handed)) || l.FirstSeq != b.FirstSeq {
		m.Fatalf("%s: a marker tells of %+v", f.Name, l)
	}
	span, back := int64(l.LastSeq-l.FirstSeq+1), m.returnable(f, l.FirstSeq, l.LastSeq)
	if l.Lost > span || l.Lost < span-back {
		m.Fatalf("%s: a marker tells of %+v, %d of which may be returned", f.Name, l, back)
	}
	if want := f.bytes(l.FirstSeq, l.LastSeq); l.Bytes > want || l.Bytes < want && l.Lost == span {
		m.Fatalf("%s: %+v should tell of %d bytes", f.Name, l, want)
	}
	m.checkTime(f, f.handed[l.FirstSeq-1], l.FirstTime)
	m.checkTime(f, f.handed[l.LastSeq-1], l.LastTime)
	if l.FirstTime != b.Time || !m.mayLose(ledger.Reason(l.Reason)) {
		m.Fatalf("%s: %+v at %d, for a reason that cannot be", f.Name, l, b.Time)
	}
	if first {
		m.passReturned(f, l.FirstSeq-1)
		if l.FirstSeq != f.taken+1 || b.Time < f.time {
			m.Fatalf("%s: a marker of %d at %d stands behind %d at %d", f.Name, l.FirstSeq, b.Time, f.taken, f.time)
		}
		f.taken, f.time = l.LastSeq, b.Time
		f.mark(l.FirstSeq, l.LastSeq)
		f.gaps = f.gaps.Plus(ledger.Count{Records: span, Bytes: f.bytes(l.FirstSeq, l.LastSeq)})
		f.markersOut++
	}
	return len(l.AppendText(nil))
}

// returnable is how many of the records from first to last may have been given back to
// their source by an abandoned buffer, so that no marker tells of them.
func (m *model) returnable(f *flow, first, last uint64) (n int64) {
	for _, h := range f.handed[first-1 : last] {
		if m.over && h.chunk != nil && h.chunk.level != record.LevelMemory {
			n++
		}
	}
	return n
}

// passReturned goes on behind records up to last that were all given back.
func (m *model) passReturned(f *flow, last uint64) {
	if last <= f.taken || m.returnable(f, f.taken+1, last) != int64(last-f.taken) {
		return
	}
	f.gaps = f.gaps.Plus(ledger.Count{Records: int64(last - f.taken), Bytes: f.bytes(f.taken+1, last)})
	f.mark(f.taken+1, last)
	f.taken = last
}

// rejectedMarker holds a marker of records that the destination refused to what
// it did refuse, and returns the length of its text.
func (m *model) rejectedMarker(f *flow, b *record.Batch, first bool) int {
	m.Helper()
	l := b.Loss()
	if m.cfg.NoLossMarkers || l.FirstTime != b.Time || l.FirstSeq != b.FirstSeq || l.LastSeq-l.FirstSeq+1 < uint64(l.Lost) {
		m.Fatalf("%s: a marker at %d tells of %+v", f.Name, b.Time, l)
	}
	if !first {
		return len(l.AppendText(nil))
	}
	// Only where a stream has too many runs do some become one.
	whole := l.LastSeq-l.FirstSeq+1 == uint64(l.Lost)
	told, size := int64(0), int64(0)
	for seq := l.FirstSeq; seq <= l.LastSeq && told < l.Lost; seq++ {
		if why, ok := f.refused[seq]; !ok || whole && string(why) != l.Reason {
			continue
		}
		delete(f.refused, seq)
		told++
		size += f.bytes(seq, seq)
	}
	if told != l.Lost || whole && size != l.Bytes {
		m.Fatalf("%s: a marker tells of %+v, but only %d of them, %d bytes, were refused", f.Name, l, told, size)
	}
	f.markersOut++
	return len(l.AppendText(nil))
}

// mayLose tells whether the buffer's mode, or one that it had, can lose records for the
// reason.
func (m *model) mayLose(why ledger.Reason) bool {
	if why == ledger.Shutdown || why == ledger.Returned {
		return m.over
	}
	return slices.ContainsFunc(append(m.before, m.cfg), func(c buffer.Config) bool {
		if c.Mode == buffer.Blocking {
			return c.MaxBlock > 0 && why == ledger.MaxBlock
		}
		return why == ledger.OverflowNewest || c.DropOldest && why == ledger.OverflowOldest
	})
}

// records holds a batch to what was handed over, and returns what its bodies
// take after repair.
func (m *model) records(f *flow, b *record.Batch, first bool) int {
	m.Helper()
	if first {
		if b.Time < f.time {
			m.Fatalf("%s: time goes back from %d to %d", f.Name, f.time, b.Time)
		}
		if gap := b.FirstSeq - f.taken - 1; gap > 0 {
			if !m.cfg.NoLossMarkers || b.FirstSeq <= f.taken {
				m.Fatalf("%s: record %d comes after %d and no marker between them", f.Name, b.FirstSeq, f.taken)
			}
			f.gaps = f.gaps.Plus(ledger.Count{Records: int64(gap), Bytes: f.bytes(f.taken+1, b.FirstSeq-1)})
			f.mark(f.taken+1, b.FirstSeq-1)
		}
		f.taken, f.time = b.FirstSeq+uint64(b.Count)-1, b.Time
	}
	if b.FirstSeq+uint64(b.Count)-1 > uint64(len(f.handed)) || b.Count <= 0 {
		m.Fatalf("%s: %d records from %d on, but only %d were handed over", f.Name, b.Count, b.FirstSeq, len(f.handed))
	}
	size, repaired, frames := 0, 0, b.Frames
	for i := range b.Count {
		var body []byte
		body, _, frames = b.Next(frames)
		want := f.handed[b.FirstSeq-1+uint64(i)]
		if string(body) != want.body || b.Part != want.part {
			m.Fatalf("%s: record %d is %q %+v, want %q %+v", f.Name, b.FirstSeq+uint64(i), body, b.Part, want.body, want.part)
		}
		m.checkTime(f, want, b.Time)
		size += len(body)
		if want.chunk == nil {
			repaired += max(len(string([]rune(want.body))), 1)
		} else {
			repaired += len(want.body)
			m.checkOrigin(b, i, want)
		}
	}
	if len(frames) != 0 || b.Bytes != size || b.Repair != repaired-size {
		m.Fatalf("%s: %d bytes and %d of repair, want %d and %d; %d bytes are left", f.Name, b.Bytes, b.Repair, size, repaired-size, len(frames))
	}
	return repaired
}

// checkOrigin holds a record to the chunk that it came in.
func (m *model) checkOrigin(b *record.Batch, i int, h handed) {
	m.Helper()
	o, c := b.Origin, h.chunk
	key, first := b.Identity(m.streams[b.Stream].Stream)
	if got := (record.Identity{Key: key, Number: b.Number(first, i, []byte(h.body))}); got != h.identity || b.Encoding != c.guise().encoding() {
		m.Fatalf("%s: record %d has the encoding %d and the identity %v, want %v", c.flow.Name, b.FirstSeq+uint64(i), b.Encoding, got, h.identity)
	}
	if c.guise() == messages {
		return
	}
	begin := b.FirstSeq - uint64(o.Position)
	if o.Key != c.key || int(o.Count) != c.count || int(o.Position)+i >= c.count ||
		c.flow.handed[begin-1].chunk != c || begin > 1 && c.flow.handed[begin-2].chunk == c {
		m.Fatalf("%s: record %d has the origin %+v", c.flow.Name, b.FirstSeq+uint64(i), o)
	}
}

func (m *model) checkTime(f *flow, h handed, got int64) {
	m.Helper()
	if got/int64(time.Millisecond) < h.at/int64(time.Millisecond) || got > h.at+int64(maxAhead) {
		m.Fatalf("%s: what was read at %d has the time %d", f.Name, h.at, got)
	}
}
