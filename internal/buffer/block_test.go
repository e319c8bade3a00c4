package buffer_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// timed hands over one record of a kilobyte and tells how long that took.
func (m *model) timed(f *flow) time.Duration {
	start := time.Now()
	m.body(f, start.UnixNano(), unlike(len(f.handed), 1000), record.Part{})
	return time.Since(start)
}

// dropped is how many records were dropped for the reason.
func (m *model) dropped(why ledger.Reason) int64 { return m.buf.Balance().ByReason[why] }

// fill hands over records until one would wait. It must run in a bubble.
func (m *model) fill(f *flow) (waiting chan time.Duration) {
	m.Helper()
	for range 10_000 {
		took := make(chan time.Duration, 1)
		go func() { took <- m.timed(f) }()
		synctest.Wait()
		select {
		case <-took:
		default:
			return took
		}
	}
	m.Fatalf("nothing makes admission wait: %+v", m.buf.State())
	return nil
}

// TestBlockingWaits: a full buffer makes the source wait, for as long as it
// takes, and not a moment longer.
func TestBlockingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, buffer.Config{Mode: buffer.Blocking, Sink: cloud}, 1)
		took := m.fill(m.streams[0])
		time.Sleep(5 * time.Hour)
		s := m.take(true)
		synctest.Wait()
		if len(took) > 0 {
			t.Error("admission went on before anything was settled")
		}
		time.Sleep(time.Hour)
		m.settle(s, buffer.Fate{})
		if d := <-took; d != 6*time.Hour {
			t.Errorf("admission waited %s, want 6h", d)
		}
		m.finish()
		if b := m.buf.Balance(); b.Dropped != 0 || b.Delivered != int64(len(m.streams[0].handed)) {
			t.Errorf("the balance is %+v", b.Sheet)
		}
	})
}

// TestMaxBlock: admission waits for so long and no longer, drops at once from
// then on, and waits again once there was room.
func TestMaxBlock(t *testing.T) {
	for _, oldest := range []bool{false, true} {
		t.Run(fmt.Sprint("oldest ", oldest), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, buffer.Config{Mode: buffer.Blocking, MaxBlock: 2 * time.Second, DropOldest: oldest, Sink: cloud}, 1)
				f := m.streams[0]
				for range 2 {
					if d := <-m.fill(f); d != 2*time.Second {
						t.Errorf("the first waited %s, want 2s", d)
					}
					before := m.dropped(ledger.MaxBlock)
					for range 100 {
						if d := m.timed(f); d != 0 {
							t.Fatalf("a record waited %s after the time was over", d)
						}
					}
					if m.dropped(ledger.MaxBlock) < before+50 || m.dropped(ledger.MaxBlock) == 0 {
						t.Errorf("dropped: %d before and %d after", before, m.dropped(ledger.MaxBlock))
					}
					m.checkBooks()
					m.finish() // Now there is room.
				}
			})
		})
	}
}

// TestMaxBlockForgets: that one stream's time was over must not shorten the
// wait of another, once there was room in between.
func TestMaxBlockForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, buffer.Config{Mode: buffer.Blocking, MaxBlock: 2 * time.Second, Sink: cloud}, 2)
		first := m.fill(m.streams[0])
		time.Sleep(1500 * time.Millisecond)
		second := make(chan time.Duration, 1)
		go func() { second <- m.timed(m.streams[1]) }()
		if d := <-first; d != 2*time.Second {
			t.Errorf("the first waited %s, want 2s", d)
		}
		<-second
		m.finish()
		// The buffer is full again before the second's time would have been over.
		third := m.fill(m.streams[0])
		if d := <-third; d != 2*time.Second {
			t.Errorf("after there was room, a record waited %s, want 2s", d)
		}
		m.finish()
	})
}

// TestAbandonEndsTheWaiting: whoever waits for room goes on, and what it wanted
// to hand over is counted, as is all that comes later.
func TestAbandonEndsTheWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, buffer.Config{Mode: buffer.Blocking, Sink: cloud}, 1)
		f := m.streams[0]
		took := m.fill(f)
		s := m.take(true)
		time.Sleep(time.Second)
		m.buf.Abandon()
		m.over = true
		if d := <-took; d != time.Second {
			t.Errorf("it waited %s, want 1s", d)
		}
		m.timed(f)
		m.lines(f, time.Now().UnixNano(), "late", "later")
		m.checkBooks()
		// What is in flight may still end well.
		m.send(s)
		m.settle(s, buffer.Fate{})
		b := m.buf.Balance()
		if b.Pending != 0 || b.Delivered != int64(len(s.events)) || b.ByReason[ledger.Shutdown] != b.Received-b.Delivered {
			t.Errorf("the balance is %+v with %d in flight", b.Sheet, len(s.events))
		}
		if !m.buf.State().Abandoned || !m.buf.Idle() {
			t.Error("an empty, abandoned buffer is not idle")
		}
		m.finish()
	})
}
