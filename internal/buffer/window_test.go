package buffer_test

import (
	"testing"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// TestOnlyFullRequests: without small, a request is taken once there is enough
// for one, by events or by bytes.
func TestOnlyFullRequests(t *testing.T) {
	for _, limits := range []sink.Limits{{Events: 10}, {RequestBytes: 10 * (100 + 26), PerEvent: 26}} {
		m := newModel(t, buffer.Config{Mode: buffer.Blocking, Sink: limits}, 1)
		f := m.streams[0]
		for n := range 25 {
			if s := m.take(false); s != nil {
				if n != 10 && n != 20 || len(s.events) != 10 {
					t.Errorf("%+v: after %d records there was a request of %d", limits, n, len(s.events))
				}
				m.send(s)
				m.settle(s, buffer.Fate{})
			}
			m.lines(f, someday, unlike(n, 100))
		}
		if got := m.buf.Balance(); got.Delivered != 20 || m.take(false) != nil {
			t.Errorf("%+v: %d are delivered, want 20", limits, got.Delivered)
		}
		m.finish()
	}
}

// TestWindowStaysOpen: as many requests as the window has may be in flight,
// also after many times the limit has passed through.
func TestWindowStaysOpen(t *testing.T) {
	for _, mode := range []buffer.Mode{buffer.Blocking, buffer.NonBlocking} {
		m := newModel(t, buffer.Config{Limit: 1 << 20, Mode: mode, Sink: sink.Limits{Events: 10, InFlight: 2}}, 1)
		for round := range 50 {
			for n := range 40 {
				m.lines(m.streams[0], someday, unlike(n, 1000))
			}
			for m.take(false) != nil {
			}
			if len(m.flight) != 2 {
				t.Fatalf("%s: in round %d, %d requests are in flight, want 2", mode, round, len(m.flight))
			}
			m.finish()
		}
	}
}

// TestFlightLeavesRoom: in non-blocking mode most of the buffer is left to what
// waits, since what is in flight is not compressed; one request may always go.
func TestFlightLeavesRoom(t *testing.T) {
	m := newModel(t, buffer.Config{Limit: 4 << 20, Mode: buffer.NonBlocking, Sink: sink.Limits{InFlight: 100}}, 1)
	for range 3000 {
		m.lines(m.streams[0], someday, unlike(len(m.streams[0].handed), 1000))
	}
	for m.take(true) != nil {
	}
	events := 0
	for _, s := range m.flight {
		events += len(s.events)
	}
	if len(m.flight) < 1 || events < 300 || events > 1100 {
		t.Errorf("%d requests of %d records are in flight at once", len(m.flight), events)
	}
	m.finish()
}

// TestShareOfARequest: what a source that waits to be told has sent is spread over all requests that may be in flight,
// also where one could take it; where more is held, each is as large as the sink takes.
func TestShareOfARequest(t *testing.T) {
	const size, window = 250_000, 4
	for _, c := range []struct{ chunks, share, requests int }{{3, 0, 0}, {6, 4, 1}, {32, 8, 4}, {200, 20, 4}} {
		m := newModel(t, buffer.Config{Limit: 64 << 20, Mode: buffer.Blocking, Sink: sink.Limits{RequestBytes: 5 << 20, InFlight: window}}, 1)
		for n := range c.chunks {
			m.chunk(m.streams[0], someday, record.LevelDelivered, unlike(n, size))
		}
		for s := m.take(false); s != nil; s = m.take(false) {
			if len(s.events) != c.share {
				t.Errorf("of %d chunks, request %d takes %d, want %d", c.chunks, len(m.flight), len(s.events), c.share)
			}
		}
		if len(m.flight) != c.requests {
			t.Errorf("of %d chunks %d requests are made, want %d", c.chunks, len(m.flight), c.requests)
		}
		m.finish()
	}
}
