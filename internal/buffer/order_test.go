package buffer_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// TestBurstNeedsNoWaiting: a burst that was read at one moment and fills many
// requests is spread over the next moments, so that its requests need not wait
// for each other.
func TestBurstNeedsNoWaiting(t *testing.T) {
	limits := sink.Limits{Events: 100, OrderedBy: time.Millisecond, InFlight: 16}
	m := newModel(t, buffer.Config{Limit: 8 << 20, Mode: buffer.Blocking, Sink: limits}, 1)
	f := m.streams[0]
	for range 10 {
		var lines []string
		for range 100 {
			lines = append(lines, "one of many")
		}
		m.lines(f, someday, lines...)
	}
	for m.take(false) != nil {
	}
	if len(m.flight) != 10 {
		t.Errorf("%d requests are in flight, want 10", len(m.flight))
	}
	for _, s := range m.flight {
		if !s.whole.free() {
			t.Errorf("a request of the burst waits for another")
		}
	}
	m.finish()
}

// TestClockRunsAheadOnlySoFar: a flood that one moment brings does not move the
// stream's clock further than a tenth of a second; what is more shares a moment,
// and its requests wait for each other.
func TestClockRunsAheadOnlySoFar(t *testing.T) {
	limits := sink.Limits{Events: 1, OrderedBy: time.Millisecond, InFlight: 4}
	m := newModel(t, buffer.Config{Limit: 8 << 20, Mode: buffer.Blocking, Sink: limits}, 1)
	f := m.streams[0]
	for range 150 {
		m.lines(f, someday, "one of many") // The model checks the times.
	}
	waited := 0
	for s := m.take(true); s != nil; s = m.take(true) {
		if m.take(true); len(m.flight) > 1 && !m.flight[1].whole.free() {
			waited++
		}
		for len(m.flight) > 0 {
			if !m.send(m.flight[0]) {
				t.Fatal("the oldest request is not free")
			}
			m.settle(m.flight[0], buffer.Fate{})
		}
	}
	if waited == 0 {
		t.Error("no request had to wait, though a hundred moments cannot be enough")
	}
	m.finish()
}

// TestHalvesKeepTheRestWaiting: a request that was split is done when all of
// its parts are settled, and not before.
func TestHalvesKeepTheRestWaiting(t *testing.T) {
	limits := sink.Limits{Events: 4, InFlight: 4, OrderedBy: time.Millisecond}
	m := newModel(t, buffer.Config{Limit: 1 << 20, Mode: buffer.Blocking, Sink: limits}, 1)
	f := m.streams[0]
	// All are parts, which are admitted one by one and may not share a batch.
	for range 500 {
		m.body(f, someday, "a", record.Part{Ordinal: 1})
	}
	var first, second *sending
	for {
		if first, second = m.take(true), m.take(true); !second.whole.free() {
			break
		}
		for len(m.flight) > 0 {
			m.send(m.flight[0])
			m.settle(m.flight[0], buffer.Fate{})
		}
	}
	m.send(first)
	m.split(first, 2)
	m.settle(m.flight[1], buffer.Fate{})
	if second.whole.free() {
		t.Error("half of a request is settled and the next is free")
	}
	m.settle(m.flight[0], buffer.Fate{})
	if !second.whole.free() {
		t.Error("both halves are settled and the next still waits")
	}
	m.finish()
}

// TestReadersSeeTheOrder: whatever the order in which requests arrive, readers,
// who see events by the millisecond and then by arrival, see each stream in its
// order.
func TestReadersSeeTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := sink.Limits{Events: rapid.IntRange(1, 9).Draw(t, "events"), OrderedBy: time.Millisecond, InFlight: 16}
		m := &machine{model: newModel(t, buffer.Config{Limit: 8 << 20, Mode: buffer.Blocking, Sink: limits}, 3), now: someday}
		step := rapid.SampledFrom([]time.Duration{300 * time.Microsecond, time.Microsecond, 2 * time.Millisecond})
		t.Repeat(map[string]func(*rapid.T){
			"line": func(t *rapid.T) {
				for range rapid.IntRange(1, 10).Draw(t, "lines") {
					m.lines(m.flow(t), m.now, "line")
				}
			},
			"tick":   func(t *rapid.T) { m.now += int64(step.Draw(t, "time")) },
			"take":   func(t *rapid.T) { m.take(true) },
			"send":   func(t *rapid.T) { m.pick(t) },
			"settle": func(t *rapid.T) { m.settle(m.pick(t), buffer.Fate{}) },
			"":       m.Check,
		})
		m.finish()
	})
}

// TestMarkersKeepTheOrder: a marker of the same moment as records in flight must
// not overtake them.
func TestMarkersKeepTheOrder(t *testing.T) {
	limits := sink.Limits{OrderedBy: time.Millisecond, InFlight: 4}
	for _, oldest := range []bool{false, true} {
		m := newModel(t, buffer.Config{Limit: 1 << 20, Mode: buffer.NonBlocking, DropOldest: oldest, Sink: limits}, 1)
		f := m.streams[0]
		m.lines(f, someday, "in flight")
		m.take(true)
		if oldest {
			m.overflow(f, someday, 5000)
		} else {
			m.buf.Abandon()
			m.over = true
			m.lines(f, someday, "lost")
		}
		if s := m.take(true); len(markers(s)) == 0 || s.whole.free() {
			t.Errorf("oldest %t: a request with %d markers is free, though it shares its moment", oldest, len(markers(s)))
		}
		m.finish()
	}
}

// TestRequestEndsWithTheMoment: a request that would end in mid-moment ends
// where the moment begins, so that the next need not wait for it.
func TestRequestEndsWithTheMoment(t *testing.T) {
	limits := sink.Limits{Events: 10, OrderedBy: time.Millisecond, InFlight: 4}
	m := newModel(t, buffer.Config{Limit: 1 << 20, Mode: buffer.Blocking, Sink: limits}, 1)
	for ms, count := range []int{2, 3, 8, 1} {
		for range count {
			m.lines(m.streams[0], someday+int64(ms)*int64(time.Millisecond), "line")
		}
	}
	for _, want := range []int{5, 9} {
		s := m.take(true)
		if len(s.events) != want || !s.whole.free() {
			t.Errorf("a request has %d records and is free: %t; want %d that wait for nothing", len(s.events), s.whole.free(), want)
		}
	}
	m.finish()
}
