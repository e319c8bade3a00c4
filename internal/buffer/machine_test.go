package buffer_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// machine does anything that sources and senders may do, in any order.
type machine struct {
	*model
	now   int64
	steps uint64
}

// someday is when the tests begin.
var someday = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC).UnixNano()

// anyConfig draws a buffer that is small for what it gets, and the limits of a
// destination.
func anyConfig(t *rapid.T) buffer.Config {
	c := buffer.Config{
		Limit: rapid.SampledFrom([]int64{buffer.MinLimit, 1 << 19, 0, 100_001, 1 << 20}).Draw(t, "limit"),
		Mode:  rapid.SampledFrom([]buffer.Mode{buffer.NonBlocking, buffer.Blocking}).Draw(t, "mode"),
		Sink: sink.Limits{
			RequestBytes: rapid.SampledFrom([]int{0, 5000, 1024, 1 << 20}).Draw(t, "request bytes"),
			PerEvent:     rapid.SampledFrom([]int{0, 26}).Draw(t, "per event"),
			Events:       rapid.SampledFrom([]int{0, 7, 1, 10_000}).Draw(t, "events"),
			Span:         rapid.SampledFrom([]time.Duration{0, 24 * time.Hour}).Draw(t, "span"),
			BodyBytes:    rapid.SampledFrom([]int{0, 300}).Draw(t, "body bytes"),
			OrderedBy:    rapid.SampledFrom([]time.Duration{time.Millisecond, 0}).Draw(t, "ordered by"),
			InFlight:     rapid.SampledFrom([]int{6, 3, 1, 2}).Draw(t, "in flight"),
		},
	}
	if c.Mode == buffer.Blocking {
		c.MaxBlock = rapid.SampledFrom([]time.Duration{time.Millisecond, 0}).Draw(t, "max block")
	}
	c.DropOldest = rapid.Bool().Draw(t, "drop oldest")
	c.NoLossMarkers = rapid.IntRange(0, 3).Draw(t, "no markers") == 0
	return c
}

// anyBody makes a body of at most size bytes: alike, unlike, or not even text.
func (m *machine) anyBody(r *rand.Rand, kind, size int) string {
	text := make([]byte, 0, size+8)
	for size := r.IntN(size + 1); len(text) < size; {
		switch kind {
		case 0:
			text = append(text, "GET /index.html 200 "...)
		case 1:
			text = append(strconv.AppendUint(text, r.Uint64(), 36), ' ')
		default:
			text = binary.LittleEndian.AppendUint64(text, r.Uint64())
		}
	}
	text = bytes.ReplaceAll(text, []byte{'\n'}, []byte{'\r'})
	return string(text[:record.CutAt(text, m.buf.MaxBody())])
}

// bodies draws what a source hands over at once. The amounts are not drawn
// themselves, since what is drawn is mostly small and would fill no buffer.
func (m *machine) bodies(t *rapid.T, most int) (bodies []string) {
	m.steps++
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), m.steps))
	kind, volume := r.IntN(3), r.IntN(int(m.buf.State().Limit))
	length := []int{0, 1, 30, 500, 5000, m.buf.MaxBody()}[r.IntN(6)]
	for len(bodies) == 0 || len(bodies) < most && volume > 0 {
		body := m.anyBody(r, kind, length)
		bodies = append(bodies, body)
		volume -= len(body) + 5
	}
	return bodies
}

func (m *machine) flow(t *rapid.T) *flow {
	return m.streams[rapid.IntRange(0, len(m.streams)-1).Draw(t, "stream")]
}

// admit hands something over. Where admission may wait for ever, what is in the
// buffer is delivered as soon as it does.
func (m *machine) admit(hand func()) {
	if m.cfg.Mode == buffer.NonBlocking || m.cfg.MaxBlock > 0 {
		hand()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		hand()
	}()
	for {
		synctest.Wait()
		select {
		case <-done:
			return
		default:
		}
		before := m.buf.Balance().Delivered
		m.drain()
		if m.buf.Balance().Delivered == before {
			m.Fatalf("admission waits and there is nothing to deliver: %+v", m.buf.State())
		}
	}
}

// drain delivers everything that waits or is in flight.
func (m *machine) drain() {
	for {
		for len(m.flight) > 0 {
			m.send(m.flight[0])
			m.settle(m.flight[0], buffer.Fate{})
		}
		if m.take(true) == nil {
			return
		}
	}
}

// Lines hands over lines.
func (m *machine) Lines(t *rapid.T) {
	f, bodies := m.flow(t), m.bodies(t, 300)
	m.admit(func() { m.lines(f, m.now, bodies...) })
}

// Burst hands over more than there may be room for.
func (m *machine) Burst(t *rapid.T) {
	for range 5 {
		m.Lines(t)
	}
}

// Body hands over one record, or a part of a line.
func (m *machine) Body(t *rapid.T) {
	f, body := m.flow(t), m.bodies(t, 1)[0]+rapid.SampledFrom([]string{"", "\n"}).Draw(t, "newline")
	var part record.Part
	if rapid.Bool().Draw(t, "part") {
		part = record.Part{Ordinal: rapid.Uint32Range(1, 3).Draw(t, "ordinal"), Last: rapid.Bool().Draw(t, "last")}
	}
	body = body[:record.CutAt([]byte(body), m.buf.MaxBody())]
	m.admit(func() { m.body(f, m.now, body, part) })
}

// Tick lets time go on.
func (m *machine) Tick(t *rapid.T) {
	m.now += int64(rapid.SampledFrom([]time.Duration{
		time.Microsecond, 300 * time.Microsecond, time.Millisecond, 50 * time.Millisecond, 30 * time.Hour,
	}).Draw(t, "time"))
}

// Take takes a request.
func (m *machine) Take(t *rapid.T) { m.take(rapid.Bool().Draw(t, "small")) }

// pick draws something that is in flight and that the destination has or may
// have.
func (m *machine) pick(t *rapid.T) *sending {
	if len(m.flight) == 0 {
		t.Skip("nothing is in flight")
	}
	s := m.flight[rapid.IntRange(0, len(m.flight)-1).Draw(t, "request")]
	if !m.send(s) {
		t.Skip("it waits for another")
	}
	return s
}

// Settle ends what is in flight in any way.
func (m *machine) Settle(t *rapid.T) {
	s := m.pick(t)
	fate := buffer.Fate{}
	switch rapid.IntRange(0, 5).Draw(t, "fate") {
	case 3:
		if m.over {
			fate.Dropped = ledger.Shutdown
		}
	case 0:
		fate.Dropped = rapid.SampledFrom([]ledger.Reason{ledger.RejectedInvalid, ledger.RejectedTooLong}).Draw(t, "dropped")
	case 1, 2:
		for i := 0; i < len(s.events); {
			first := i + rapid.IntRange(0, len(s.events)-i).Draw(t, "good")
			i = first + rapid.IntRange(1, len(s.events)).Draw(t, "bad")
			if i <= len(s.events) {
				why := rapid.SampledFrom([]ledger.Reason{ledger.RejectedTooOld, ledger.RejectedTooNew}).Draw(t, "why")
				fate.Rejected = append(fate.Rejected, reject(first, i, why))
			}
		}
	}
	m.settle(s, fate)
}

// Repeat has an attempt bring some of what is in flight to the destination, perhaps.
func (m *machine) Repeat(t *rapid.T) {
	s := m.pick(t)
	m.repeat(s, anySpans(t, len(s.events)))
}

// anySpans draws some of n events.
func anySpans(t *rapid.T, n int) (spans []span) {
	for i := 0; i < n; {
		first := i + rapid.IntRange(0, n-i).Draw(t, "out")
		i = first + rapid.IntRange(1, n).Draw(t, "in")
		if i <= n {
			spans = append(spans, span{First: first, End: i})
		}
	}
	return spans
}

// Split halves what is in flight.
func (m *machine) Split(t *rapid.T) {
	s := m.pick(t)
	if len(s.events) < 2 {
		t.Skip("a single event")
	}
	m.split(s, rapid.IntRange(1, len(s.events)-1).Draw(t, "first"))
}

// Trim gives free memory back.
func (m *machine) Trim(t *rapid.T) {
	if err := m.buf.Trim(); err != nil {
		t.Fatalf("trim: %v", err)
	}
}

// Abandon gives up what waits, now and then.
func (m *machine) Abandon(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "really") != 9 {
		t.Skip("not yet")
	}
	m.buf.Abandon()
	m.over = true
}

// Change changes the limit, the mode and what is dropped.
func (m *machine) Change(t *rapid.T) {
	c := anyConfig(t)
	c.Sink, c.NoLossMarkers = m.cfg.Sink, m.cfg.NoLossMarkers
	m.change(c)
}

func (m *machine) Check(t *rapid.T) { m.checkBooks() }

// TestAnything is the property that stands above all others: whatever happens,
// in whatever order, every record is accounted for, and memory is bounded.
func TestAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			m := &machine{model: newModel(t, anyConfig(t), rapid.IntRange(1, 4).Draw(t, "streams")), now: someday}
			t.Cleanup(m.buf.Abandon) // Nobody must be left waiting if this fails.
			t.Repeat(rapid.StateMachineActions(m))
			m.finish()
		})
	})
}
