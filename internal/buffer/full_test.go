package buffer_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// cloud are the limits of CloudWatch Logs.
var cloud = sink.Limits{
	RequestBytes: 1 << 20, PerEvent: 26, Events: 10_000, Span: 24 * time.Hour, BodyBytes: 1<<20 - 26,
	OrderedBy: time.Millisecond, InFlight: 16,
}

// unlike is text that hardly shrinks; n tells one from the other.
func unlike(n, size int) string {
	var b strings.Builder
	for x := uint64(n)*0x9e3779b97f4a7c15 + 1; b.Len() < size; x ^= x << 17 {
		x ^= x << 13
		x ^= x >> 7
		fmt.Fprintf(&b, "%x", x)
	}
	return b.String()[:size]
}

// overflow hands over lines of size bytes until some were dropped.
func (m *model) overflow(f *flow, at int64, size int) {
	m.Helper()
	for before := m.buf.Balance().Dropped; m.buf.Balance().Dropped == before; {
		m.lines(f, at, unlike(len(f.handed), size))
	}
	m.checkBooks()
}

// TestFullBufferCanBeEmptied: with the smallest buffer and the largest records
// there is always a way out, since what sending needs is kept apart.
func TestFullBufferCanBeEmptied(t *testing.T) {
	for _, c := range []buffer.Config{
		{Mode: buffer.Blocking, Sink: cloud},
		{Mode: buffer.Blocking, Limit: 100_001},
		{Mode: buffer.Blocking, MaxBlock: time.Second, Sink: cloud},
		{Mode: buffer.Blocking, MaxBlock: time.Second, DropOldest: true, NoLossMarkers: true, Sink: cloud},
		{Mode: buffer.NonBlocking, Sink: cloud},
		{Mode: buffer.NonBlocking, DropOldest: true, Sink: cloud},
		{Mode: buffer.NonBlocking, DropOldest: true, Sink: sink.Limits{Events: 1}},
	} {
		t.Run(fmt.Sprintf("%s %t %d", c.Mode, c.DropOldest, c.Sink.Events), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, c, 2)
				for n := range 60 {
					m.streams[n%2].hand(unlike(n, m.buf.MaxBody()), someday, record.Part{})
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					for n := range 60 {
						f := m.streams[n%2]
						m.buf.Body(f.Stream, someday, []byte(f.handed[n/2].body), record.Part{})
					}
				}()
				for ended := false; !ended; {
					synctest.Wait()
					m.deliver(t)
					select {
					case <-done:
						ended = true
					case <-m.buf.Ready():
					}
				}
				m.finish()
				if b := m.buf.Balance(); c.Mode == buffer.Blocking && b.Delivered != 60 {
					t.Errorf("%d of 60 were delivered in blocking mode", b.Delivered)
				}
			})
		})
	}
}

// deliver takes one request and settles it, where there is one.
func (m *model) deliver(t *testing.T) {
	t.Helper()
	if s := m.take(true); s != nil {
		m.send(s)
		m.settle(s, buffer.Fate{})
	}
}

// TestFloodOfEmptyLines: lines that take no bytes still take memory, which is
// bounded like any other, whether they shrink to almost nothing or are dropped.
func TestFloodOfEmptyLines(t *testing.T) {
	const rounds = 100
	newlines := []byte(strings.Repeat("\n", 64<<10))
	for _, c := range []buffer.Config{
		{Limit: 1 << 20, Mode: buffer.NonBlocking, Sink: cloud},
		{Limit: 1 << 20, Mode: buffer.Blocking, MaxBlock: time.Millisecond, Sink: cloud},
		{Limit: 1 << 20, Mode: buffer.Blocking, MaxBlock: time.Millisecond, DropOldest: true, Sink: cloud},
	} {
		t.Run(fmt.Sprintf("%s %t", c.Mode, c.DropOldest), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := buffer.New(c, ledger.New())
				s := b.Open("stdout")
				before := inUse()
				for i := range rounds {
					b.Lines(s, someday+int64(i)*int64(time.Microsecond), newlines, true)
				}
				if grown := inUse() - before; grown > 8<<20 {
					t.Errorf("the heap grew by %d bytes", grown)
				}
				for r := b.Take(true); r != nil; r = b.Take(true) {
					b.Settle(r, buffer.Fate{})
				}
				got, state := b.Balance(), b.State()
				if state.Peak > state.Limit || got.Received != rounds*64<<10 || got.Unaccounted != 0 || got.Pending != 0 {
					t.Errorf("the state is %+v, the balance %+v", state, got.Sheet)
				}
				if c.Mode == buffer.Blocking && got.Dropped == 0 {
					t.Error("nothing was dropped, so the buffer was never full")
				}
			})
		})
	}
}

// inUse is the memory of the heap that is in use.
func inUse() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapInuse)
}

// TestCompressedHoldsMore: what waits is held compressed where that makes the
// limit hold more, and comes back as it was.
func TestCompressedHoldsMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, buffer.Config{Limit: 1 << 20, Mode: buffer.NonBlocking, Sink: cloud}, 2)
		for n := 0; m.buf.Balance().Dropped == 0; n++ {
			f := m.streams[n%2]
			m.lines(f, someday+int64(n)*int64(time.Millisecond), fmt.Sprintf(`203.0.113.%d - - "GET /page/%d HTTP/1.1" 200 %d`, n%256, n%1000, n))
		}
		m.checkBooks()
		if got, limit := m.buf.Balance().Bytes.Pending, m.buf.State().Limit; got < 2*limit {
			t.Errorf("%d bytes are held by a limit of %d, want twice as much", got, limit)
		}
		m.finish()
	})
}

// TestIncompressible: what does not shrink does no harm.
func TestIncompressible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, buffer.Config{Limit: 1 << 20, Mode: buffer.NonBlocking, Sink: cloud}, 1)
		m.overflow(m.streams[0], someday, 200)
		if got, limit := m.buf.Balance().Bytes.Pending, m.buf.State().Limit; got < limit/2 {
			t.Errorf("%d bytes are held by a limit of %d", got, limit)
		}
		m.finish()
	})
}
