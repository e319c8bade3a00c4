package buffer_test

import (
	"slices"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// send lets the destination have a request, if nothing stands in its way.
func (m *model) send(s *sending) bool {
	if s.whole.arrival == 0 && s.whole.free() {
		m.arrived++
		s.whole.arrival = m.arrived
	}
	return s.whole.arrival > 0
}

// split cuts what is in flight in two.
func (m *model) split(s *sending, n int) {
	first, second := s.request.Split(n)
	a := &sending{request: first, events: s.events[:n], whole: s.whole}
	b := &sending{request: second, events: s.events[n:], whole: s.whole}
	s.whole.open++
	i := slices.Index(m.flight, s)
	m.flight = slices.Replace(m.flight, i, i+1, a, b)
}

// span is a range of events.
type span = sink.Span

// divide takes spans of events out of what is in flight.
func (m *model) divide(s *sending, spans []span) {
	others, these := s.request.Divide(spans)
	parts := [2]*sending{{request: others, whole: s.whole}, {request: these, whole: s.whole}}
	for i, e := range s.events {
		at := 0
		if slices.ContainsFunc(spans, func(s span) bool { return s.First <= i && i < s.End }) {
			at = 1
		}
		parts[at].events = append(parts[at].events, e)
	}
	s.whole.open--
	i := slices.Index(m.flight, s)
	m.flight = slices.Delete(m.flight, i, i+1)
	for _, part := range parts {
		if (part.request == nil) != (len(part.events) == 0) {
			m.Fatalf("a part of %d events is %v", len(part.events), part.request)
		}
		if part.request != nil {
			s.whole.open++
			m.flight = slices.Insert(m.flight, i, part)
		}
	}
}

// repeat notes that an attempt may have delivered some of what is in flight.
func (m *model) repeat(s *sending, spans []span) {
	s.request.Repeat(spans)
	for _, one := range spans {
		for i := one.First; i < one.End; i++ {
			s.events[i].repeated = true
		}
	}
}

// repeated holds what a request says of earlier attempts to the model.
func (m *model) repeated(s *sending) {
	m.Helper()
	var want []span
	for i, e := range s.events {
		switch last := len(want) - 1; {
		case !e.repeated:
		case last >= 0 && want[last].End == i:
			want[last].End++
		default:
			want = append(want, span{First: i, End: i + 1})
		}
	}
	m.diff("what an earlier attempt may have delivered", want, s.request.Repeated())
}

// settle ends what is in flight, after a last look at whether it is still what
// it was, and books what must become of it.
func (m *model) settle(s *sending, fate buffer.Fate) {
	m.Helper()
	if now := m.read(s.request, false).events; !slices.EqualFunc(now, s.events, sameRecord) {
		m.Fatalf("a request of %d events is no longer what it was: %d", len(s.events), len(now))
	}
	m.repeated(s)
	waiting := m.waiting(s)
	untold := m.buf.Settle(s.request, fate)
	i := slices.Index(m.flight, s)
	m.flight = slices.Delete(m.flight, i, i+1)
	s.whole.open--
	refused := []uint64{}
	for i, e := range s.events {
		why := fate.Dropped
		for _, r := range fate.Rejected {
			if r.First <= i && i < r.End && why == "" {
				why = ledger.Reason(r.Reason)
			}
		}
		if e.loss && why != "" {
			refused = append(refused, e.seq)
			if why != ledger.Shutdown {
				e.flow.markersRefused++
			}
		}
		if why == ledger.Shutdown && !e.loss && waiting[e.flow.handed[e.seq-1].chunk] {
			why = ledger.Returned
		}
		m.book(e, s.whole.arrival, why, e.repeated)
	}
	told := []uint64{}
	for _, l := range untold {
		told = append(told, l.FirstSeq)
	}
	m.diff("markers that were not delivered", refused, told)
	m.untold += len(untold)
}

// waiting are the chunks in a request of which the source waits to hear.
func (m *model) waiting(s *sending) map[*sent]bool {
	all := map[*sent]bool{}
	for _, e := range s.events {
		if c := e.flow.handed[e.seq-1].chunk; c != nil && !e.loss {
			all[c] = c.level != record.LevelMemory && len(c.answers) == 0
		}
	}
	return all
}

// book moves one event from flight to its end.
func (m *model) book(e event, arrival int, why ledger.Reason, repeated bool) {
	f := e.flow
	if why == "" {
		m.readers = append(m.readers, reading{e, arrival})
	}
	if e.loss {
		if why == "" {
			f.markersIn++
		}
		return
	}
	c := ledger.Count{Records: 1, Bytes: int64(len(f.handed[e.seq-1].body))}
	if chunk := f.handed[e.seq-1].chunk; chunk != nil && (why == ledger.Shutdown || why == ledger.Returned) {
		chunk.lost++
	} else if chunk != nil {
		chunk.settled++
	}
	if why != "" {
		f.rejected[why] = f.rejected[why].Plus(c)
		if !m.cfg.NoLossMarkers && why != ledger.Shutdown && why != ledger.Returned {
			f.refused[e.seq] = why
		}
		return
	}
	f.delivered = f.delivered.Plus(c)
	if repeated {
		f.repeated++
	}
}

func sameRecord(a, b event) bool { return a.flow == b.flow && a.seq == b.seq && a.loss == b.loss }

// checkBooks holds the balance and the state to the model, whatever is under way.
func (m *model) checkBooks() {
	m.Helper()
	m.checkChunks(false)
	b, state := m.buf.Balance(), m.buf.State()
	inFlight := int64(0)
	for i, w := range m.flight {
		for _, e := range w.events {
			if !e.loss {
				inFlight++
			}
		}
		m.checkWaits(m.flight[:i], w)
	}
	waitingMarkers := b.Markers.Made
	for i, f := range m.streams {
		m.checkSheet(f, b.Streams[i].Sheet)
		waitingMarkers -= f.markersOut
	}
	if got, want := b.Pending, inFlight+int64(state.Waiting)-waitingMarkers; got != want {
		m.Fatalf("%d records are pending, but %d are in flight and %d events wait, %d of them markers",
			got, inFlight, state.Waiting, waitingMarkers)
	}
	if state.Held > state.Peak || state.Peak > m.most || state.Limit != max(m.cfg.Limit, buffer.MinLimit) || state.Fault != "" {
		m.Fatalf("the state is %+v, the limit should be %d", state, m.cfg.Limit)
	}
	if m.buf.Idle() && (state.Waiting > 0 || len(m.flight) > 0) {
		m.Fatalf("the buffer is idle with %d waiting and %d in flight", state.Waiting, len(m.flight))
	}
	if m.over && state.Waiting > 0 {
		m.Fatalf("%d events wait in an abandoned buffer", state.Waiting)
	}
}

// checkWaits holds a request to waiting for every earlier one with which it
// shares a moment of a stream.
func (m *model) checkWaits(earlier []*sending, s *sending) {
	m.Helper()
	if m.cfg.Sink.OrderedBy == 0 || !s.whole.free() {
		return
	}
	for _, e := range earlier {
		if e.whole == s.whole {
			continue
		}
		for shared := range s.whole.moments {
			if e.whole.moments[shared] {
				m.Fatalf("%s: two requests share the millisecond %d and the later is free", shared.flow.Name, shared.ms)
			}
		}
	}
}

// checkSheet holds the balance of one stream to the model.
func (m *model) checkSheet(f *flow, s ledger.Sheet) {
	m.Helper()
	var dropped, overflow, rejected ledger.Count
	for why, n := range s.ByReason {
		c := ledger.Count{Records: n, Bytes: s.Bytes.ByReason[why]}
		dropped = dropped.Plus(c)
		lost := ledger.Count{Records: c.Records - f.rejected[why].Records, Bytes: c.Bytes - f.rejected[why].Bytes}
		if lost != (ledger.Count{}) && !m.mayLose(why) {
			m.Fatalf("%s: %+v were dropped as %s, %+v of them as the destination wished", f.Name, c, why, f.rejected[why])
		}
		overflow = overflow.Plus(lost)
	}
	for _, c := range f.rejected {
		rejected = rejected.Plus(c)
	}
	known := overflow.Plus(rejected)
	if dropped != known || s.Dropped != dropped.Records || s.Bytes.Dropped != dropped.Bytes {
		m.Fatalf("%s: dropped %+v by reason, %d and %d bytes in all, want %+v", f.Name, dropped, s.Dropped, s.Bytes.Dropped, known)
	}
	want := f.received
	got := ledger.Count{Records: s.Received, Bytes: s.Bytes.Received}
	m.diff(f.Name+": received", want, got)
	m.diff(f.Name+": delivered", f.delivered, ledger.Count{Records: s.Delivered, Bytes: s.Bytes.Delivered})
	if s.Unaccounted != 0 || s.Bytes.Unaccounted != 0 || s.PossibleDuplicates != f.repeated ||
		s.Markers.Delivered != f.markersIn || s.Markers.Refused != f.markersRefused {
		m.Fatalf("%s: the balance is %+v; %d may be there twice, %d markers are delivered and %d refused",
			f.Name, s, f.repeated, f.markersIn, f.markersRefused)
	}
	if overflow.Records < f.gaps.Records || overflow.Bytes < f.gaps.Bytes {
		m.Fatalf("%s: %+v were lost by the balance, %+v by the gaps", f.Name, overflow, f.gaps)
	}
}

// finish takes and delivers everything that is left, and holds the whole to the
// model: nothing is held, every loss was told.
func (m *model) finish() {
	m.Helper()
	for {
		for len(m.flight) > 0 {
			m.send(m.flight[0])
			m.settle(m.flight[0], buffer.Fate{})
			m.checkBooks()
		}
		if m.take(true) == nil {
			break
		}
	}
	if !m.buf.Idle() {
		m.Fatalf("nothing is left to take, but the buffer is not idle: %+v", m.buf.State())
	}
	if err := m.buf.Trim(); err != nil {
		m.Fatalf("trim: %v", err)
	}
	b := m.buf.Balance()
	for i, f := range m.streams {
		m.checkEnd(f, b.Streams[i].Sheet)
	}
	if s := m.buf.State(); s.Held != 0 || s.Waiting != 0 || s.InFlight != 0 {
		m.Fatalf("at the end the state is %+v", s)
	}
	m.checkOrder()
	m.checkChunks(true)
}

func (m *model) checkEnd(f *flow, s ledger.Sheet) {
	m.Helper()
	if len(f.refused) > 0 && !m.over {
		m.Fatalf("%s: no marker tells of %d refused records", f.Name, len(f.refused))
	}
	m.passReturned(f, uint64(len(f.handed)))
	lost := f.gaps
	if end := uint64(len(f.handed)); f.taken < end {
		if !m.cfg.NoLossMarkers {
			m.Fatalf("%s: nothing tells what became of %d to %d", f.Name, f.taken+1, end)
		}
		lost = lost.Plus(ledger.Count{Records: int64(end - f.taken), Bytes: f.bytes(f.taken+1, end)})
	}
	for why, c := range f.rejected {
		lost = lost.Plus(c)
		if s.ByReason[why] < c.Records {
			m.Fatalf("%s: %d were dropped as %s, want %d", f.Name, s.ByReason[why], why, c.Records)
		}
	}
	m.diff(f.Name+": dropped in all", lost, ledger.Count{Records: s.Dropped, Bytes: s.Bytes.Dropped})
	if s.Pending != 0 || s.Bytes.Pending != 0 || s.Markers.Made != f.markersOut {
		m.Fatalf("%s: %d are pending, %d markers were made and %d came out", f.Name, s.Pending, s.Markers.Made, f.markersOut)
	}
}

// reject draws ranges for a fate.
func reject(first, end int, reason ledger.Reason) sink.Rejection {
	return sink.Rejection{First: first, End: end, Reason: string(reason)}
}
