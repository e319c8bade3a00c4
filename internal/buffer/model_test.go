package buffer_test

import (
	"cmp"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// tb is what a test and a property have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// maxAhead is how far, at most, a record's time may be after it was read.
const maxAhead = 1101 * time.Millisecond

// model knows what was handed to a buffer and follows it through requests to
// its end. It holds everything that comes out to what went in: each record once,
// in order, with its bytes and its number, and each gap told by the one marker
// that stands there.
type model struct {
	tb
	cfg     buffer.Config
	buf     *buffer.Buffer
	streams []*flow
	flight  []*sending
	readers []reading // what the destination has, as it arrived
	arrived int
	untold  int // markers that were not delivered
	over    bool
}

// flow is one stream of the model.
type flow struct {
	*record.Stream
	handed []handed
	taken  uint64 // the number up to which records came out or were told lost
	time   int64  // of the last that came out

	received, delivered, gaps ledger.Count
	rejected                  map[ledger.Reason]ledger.Count
	repeated                  int64
	markersOut, markersIn     int64
}

// handed is a record as it was given to the buffer.
type handed struct {
	body string
	at   int64
	part record.Part
}

// event is one event of a request.
type event struct {
	flow *flow
	seq  uint64 // of the record, or the first that a marker tells of
	loss bool
	time int64
	// index is its place in the request as it was taken.
	index int
}

// sending is a request, or a part of one, that is not settled.
type sending struct {
	request *buffer.Request
	events  []event
	// whole is the request that this is a part of; order its place among all.
	whole *wholeRequest
}

type wholeRequest struct {
	after   []<-chan struct{}
	open    int // parts that are not settled
	arrival int // place in the order of arrival, or 0 while it is not sent
	moments map[moment]bool
}

type moment struct {
	flow *flow
	ms   int64
}

type reading struct {
	event
	arrival int
}

func newModel(t tb, cfg buffer.Config, streams int) *model {
	m := &model{tb: t, cfg: cfg, buf: buffer.New(cfg, ledger.New())}
	for i := range streams {
		m.streams = append(m.streams, &flow{
			Stream: m.buf.Open(fmt.Sprint("stream ", i)), rejected: map[ledger.Reason]ledger.Count{},
		})
	}
	return m
}

// lines hands over lines.
func (m *model) lines(f *flow, at int64, bodies ...string) {
	var all []byte
	for _, body := range bodies {
		f.hand(body, at, record.Part{})
		all = append(append(all, body...), '\n')
	}
	m.buf.Lines(f.Stream, at, all, utf8.Valid(all))
	// What was handed over belongs to the caller again.
	for i := range all {
		all[i] = 0xee
	}
}

// body hands over one record.
func (m *model) body(f *flow, at int64, body string, part record.Part) {
	f.hand(body, at, part)
	m.buf.Body(f.Stream, at, []byte(body), part)
}

func (f *flow) hand(body string, at int64, part record.Part) {
	f.handed = append(f.handed, handed{body, at, part})
	f.received = f.received.Plus(ledger.Count{Records: 1, Bytes: int64(len(body))})
}

// bytes is the sum of the bodies from number first to last.
func (f *flow) bytes(first, last uint64) int64 {
	n := 0
	for _, h := range f.handed[first-1 : last] {
		n += len(h.body)
	}
	return int64(n)
}

// take takes a request, checks it against what went in, and keeps it in flight.
func (m *model) take(small bool) *sending {
	m.Helper()
	r := m.buf.Take(small)
	if r == nil {
		return nil
	}
	s := &sending{request: r, whole: &wholeRequest{after: r.After(), open: 1, moments: map[moment]bool{}}}
	seen := m.read(r, true)
	s.events = seen.events
	m.checkLimits(seen)
	for _, e := range s.events {
		s.whole.moments[moment{e.flow, e.time / int64(time.Millisecond)}] = true
	}
	m.flight = append(m.flight, s)
	return s
}

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
		if b.Kind == record.KindLoss {
			if first && marked[f] && !m.over {
				m.Fatalf("%s: two markers with no record between them in one request", f.Name)
			}
			seen.cost += m.marker(f, b, first) + m.cfg.Sink.PerEvent
			seen.events = append(seen.events, event{f, b.FirstSeq, true, b.Time, index})
		} else {
			seen.cost += m.records(f, b, first) + b.Count*m.cfg.Sink.PerEvent
			for i := range b.Count {
				seen.events = append(seen.events, event{f, b.FirstSeq + uint64(i), false, b.Time, index + i})
			}
		}
		marked[f] = b.Kind == record.KindLoss
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
	if l.Lost <= 0 || l.LastSeq-l.FirstSeq+1 != uint64(l.Lost) || l.LastSeq > uint64(len(f.handed)) || l.FirstSeq != b.FirstSeq {
		m.Fatalf("%s: a marker tells of %+v", f.Name, l)
	}
	if want := f.bytes(l.FirstSeq, l.LastSeq); l.Bytes != want {
		m.Fatalf("%s: %+v should tell of %d bytes", f.Name, l, want)
	}
	m.checkTime(f, f.handed[l.FirstSeq-1], l.FirstTime)
	m.checkTime(f, f.handed[l.LastSeq-1], l.LastTime)
	if l.FirstTime != b.Time || !m.mayLose(ledger.Reason(l.Reason)) {
		m.Fatalf("%s: %+v at %d, for a reason that cannot be", f.Name, l, b.Time)
	}
	if first {
		if l.FirstSeq != f.taken+1 || b.Time < f.time {
			m.Fatalf("%s: a marker of %d at %d stands behind %d at %d", f.Name, l.FirstSeq, b.Time, f.taken, f.time)
		}
		f.taken, f.time = l.LastSeq, b.Time
		f.gaps = f.gaps.Plus(ledger.Count{Records: l.Lost, Bytes: l.Bytes})
		f.markersOut++
	}
	return len(l.AppendText(nil))
}

// mayLose tells whether the buffer's mode can lose records for the reason.
func (m *model) mayLose(why ledger.Reason) bool {
	switch {
	case why == ledger.Shutdown:
		return m.over
	case m.cfg.Mode == buffer.Blocking:
		return m.cfg.MaxBlock > 0 && why == ledger.MaxBlock
	}
	return why == ledger.OverflowNewest || m.cfg.DropOldest && why == ledger.OverflowOldest
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
		}
		f.taken, f.time = b.FirstSeq+uint64(b.Count)-1, b.Time
	}
	if b.FirstSeq+uint64(b.Count)-1 > uint64(len(f.handed)) || b.Count <= 0 {
		m.Fatalf("%s: %d records from %d on, but only %d were handed over", f.Name, b.Count, b.FirstSeq, len(f.handed))
	}
	size, repaired, frames := 0, 0, b.Frames
	for i := range b.Count {
		var body []byte
		body, _, frames = record.Next(frames)
		want := f.handed[b.FirstSeq-1+uint64(i)]
		if string(body) != want.body || b.Part != want.part {
			m.Fatalf("%s: record %d is %q %+v, want %q %+v", f.Name, b.FirstSeq+uint64(i), body, b.Part, want.body, want.part)
		}
		m.checkTime(f, want, b.Time)
		size += len(body)
		repaired += max(len(string([]rune(want.body))), 1)
	}
	if len(frames) != 0 || b.Bytes != size || b.Repair != repaired-size {
		m.Fatalf("%s: %d bytes and %d of repair, want %d and %d; %d bytes are left", f.Name, b.Bytes, b.Repair, size, repaired-size, len(frames))
	}
	return repaired
}

func (m *model) checkTime(f *flow, h handed, got int64) {
	m.Helper()
	if got/int64(time.Millisecond) < h.at/int64(time.Millisecond) || got > h.at+int64(maxAhead) {
		m.Fatalf("%s: what was read at %d has the time %d", f.Name, h.at, got)
	}
}

// checkLimits holds a new request to the limits of the destination and of the
// window.
func (m *model) checkLimits(c contents) {
	m.Helper()
	l, state := m.cfg.Sink, m.buf.State()
	if l.RequestBytes > 0 && c.cost > l.RequestBytes || l.Events > 0 && len(c.events) > l.Events {
		m.Fatalf("a request of %d events and %d bytes is more than %+v", len(c.events), c.cost, l)
	}
	if l.Span > 0 && time.Duration(c.last-c.first) > l.Span {
		m.Fatalf("a request spans %s", time.Duration(c.last-c.first))
	}
	if state.InFlight > state.Window || state.Window > max(l.InFlight, 1) {
		m.Fatalf("%d requests are in flight, the window is %d and the destination bears %d", state.InFlight, state.Window, l.InFlight)
	}
}

// free reports that nothing stands in the way of a request any more.
func (w *wholeRequest) free() bool {
	return !slices.ContainsFunc(w.after, func(c <-chan struct{}) bool {
		select {
		case <-c:
			return false
		default:
			return true
		}
	})
}

// checkOrder holds the readers' view to the order of admission: a destination
// shows events by the millisecond and then as they arrived.
func (m *model) checkOrder() {
	m.Helper()
	if m.cfg.Sink.OrderedBy == 0 && m.cfg.Sink.InFlight > 1 {
		return
	}
	slices.SortFunc(m.readers, func(a, b reading) int {
		return cmp.Or(
			cmp.Compare(a.time/int64(time.Millisecond), b.time/int64(time.Millisecond)),
			cmp.Compare(a.arrival, b.arrival), cmp.Compare(a.index, b.index))
	})
	last := map[*flow]uint64{}
	for _, r := range m.readers {
		if r.seq <= last[r.flow] {
			m.Fatalf("%s: a reader sees %d after %d", r.flow.Name, r.seq, last[r.flow])
		}
		last[r.flow] = r.seq
	}
}

// diff fails with the difference between two values.
func (m *model) diff(what string, want, got any) {
	m.Helper()
	if d := gocmp.Diff(want, got); d != "" {
		m.Fatalf("%s (-want +got):\n%s", what, d)
	}
}
