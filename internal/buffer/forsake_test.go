package buffer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
)

// TestForsake: what is in flight is accounted for though its senders do not come back,
// whole or cut, its memory stays readable, and what a sender says that comes back after
// all is not heard.
func TestForsake(t *testing.T) {
	m := newModel(t, buffer.Config{Limit: 1 << 20, Mode: buffer.Blocking, Sink: few}, 2)
	for n := range 40 {
		m.lines(m.streams[n%2], someday+int64(n)*int64(time.Millisecond), unlike(n, 300))
	}
	var flight []*buffer.Request
	for r := m.buf.Take(false); r != nil; r = m.buf.Take(false) {
		flight = append(flight, r)
	}
	first, second := flight[0].Split(3)
	m.buf.Settle(first, buffer.Fate{})
	before := m.buf.Balance()
	m.buf.Abandon()
	m.buf.Forsake()
	b := m.buf.Balance()
	if len(flight) != 4 || before.Pending == 0 || b.Pending != 0 || b.Unaccounted != 0 || b.Delivered != 3 || b.ByReason[ledger.Shutdown] != before.Pending {
		t.Errorf("%d requests were in flight; of %+v became %+v", len(flight), before.Sheet, b.Sheet)
	}
	if s := m.buf.State(); s.InFlight != 0 || !m.buf.Idle() || s.Held == 0 {
		t.Errorf("the state is %+v", s)
	}
	// Senders go on reading, and cutting.
	others, these := second.Divide([]sink.Span{{First: 1, End: 2}})
	for _, r := range append(flight[1:], others, these) {
		n := 0
		for _, batch := range r.Batches() {
			n += batch.Count
		}
		if n != r.Events() {
			t.Errorf("a forsaken request of %d events has %d", r.Events(), n)
		}
		m.buf.Settle(r, buffer.Fate{})
	}
	if now := m.buf.Balance(); now.Delivered != 3 || now.Unaccounted != 0 {
		t.Errorf("after the senders came back: %+v", now.Sheet)
	}
}

// TestForsakeWithADisk: what the disk has is the next process's, and may be there twice.
func TestForsakeWithADisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Kernel, buffer.Block)
		for range 3 {
			l.hand(50)
			time.Sleep(time.Second)
			l.take()
		}
		l.settle(1, buffer.Fate{})
		l.buf.HandOver()
		l.buf.Abandon()
		l.buf.Forsake()
		flight := l.flight
		l.flight = nil
		if b := l.buf.Balance(); b.Pending == 0 || b.Dropped != 0 || b.Unaccounted != 0 {
			t.Errorf("the balance is %+v", b.Sheet)
		}
		for _, r := range flight {
			l.buf.Settle(r, buffer.Fate{})
		}
		if err := l.leave(); err != nil {
			t.Errorf("close: %v", err)
		}
		l.finish()
		if l.possible == 0 {
			t.Error("nothing may be there twice")
		}
	})
}
