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
	before  []buffer.Config // what cfg was, see change
	most    int64           // the largest limit
	buf     *buffer.Buffer
	streams []*flow
	flight  []*sending
	readers []reading // what the destination has, as it arrived
	arrived int
	untold  int // markers that were not delivered
	over    bool
	chunks  []*sent
	plain   bool // all chunks are of entries
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
	markersRefused            int64
	refused                   map[uint64]ledger.Reason // rejected, and no marker has told it
}

// handed is a record as it was given to the buffer.
type handed struct {
	body string
	at   int64
	part record.Part
	// chunk is what it came in, or nil; then it has the identity.
	chunk    *sent
	identity record.Identity
}

// event is one event of a request.
type event struct {
	flow *flow
	seq  uint64 // of the record, or the first that a marker tells of
	loss bool
	// late: a marker of rejected records, which comes after its place.
	late bool
	time int64
	// index is its place in the request as it was taken.
	index int
	// repeated: an earlier attempt may have delivered it.
	repeated bool
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
	m := &model{tb: t, cfg: cfg, most: max(cfg.Limit, buffer.MinLimit), buf: buffer.New(cfg, ledger.New())}
	for i := range streams {
		m.streams = append(m.streams, &flow{
			Stream: m.buf.Open(fmt.Sprint("stream ", i)), rejected: map[ledger.Reason]ledger.Count{},
			refused: map[uint64]ledger.Reason{},
		})
	}
	return m
}

// change makes the buffer behave in another way.
func (m *model) change(cfg buffer.Config) {
	m.before = append(m.before, m.cfg)
	m.cfg, m.most = cfg, max(m.most, cfg.Limit)
	m.buf.Change(cfg, "")
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
	f.handed = append(f.handed, handed{body: body, at: at, part: part})
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
		if !e.late {
			s.whole.moments[moment{e.flow, e.time / int64(time.Millisecond)}] = true
		}
	}
	m.flight = append(m.flight, s)
	return s
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
		if r.late {
			continue
		}
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
