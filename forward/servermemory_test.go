package forward_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/spillway/spillway/forward"
)

// TestSlowConnections has many that begin a large message and send no more, and
// one that works. Memory stays within its limit, and that one is served.
func TestSlowConnections(t *testing.T) {
	slow, memory := 300, int64(1<<20)
	if os.Getenv("SPILLWAY_LONG") != "" {
		slow, memory = 5000, 16<<20
	}
	h := newCollector()
	l := listen(t, "tcp")
	s := serve(t, l, forward.ServerConfig{
		Receiver: h, Memory: memory, Limits: forward.Limits{Message: memory / 4}, Report: func(forward.Event) {},
	})
	half := append(forward.AppendHead(nil, "slow", int(memory/8)), make([]byte, 3000)...)
	var senders sync.WaitGroup
	for range slow {
		c := connect(t, l)
		senders.Go(func() { _, _ = c.Write(half) }) // it may be closed
	}
	senders.Wait()
	c := connect(t, l)
	for i := range 200 {
		id := fmt.Sprint("id", i)
		send(t, c, packed(t, id, 500))
		expect(t, c, forward.AppendAck(nil, id))
	}
	st := s.Stats()
	if st.MemoryPeak > memory || st.Messages != 200 {
		t.Errorf("%+v, limit %d", st, memory)
	}
	t.Logf("%+v", st)
}

// TestMemoryIsShared has a budget that others have used up, and give back.
func TestMemoryIsShared(t *testing.T) {
	h, b := newCollector(), &budget{limit: 64 << 20, refused: make(chan struct{}, 1)}
	l := listen(t, "tcp")
	s := serve(t, l, forward.ServerConfig{Receiver: h, Budget: b})
	c := connect(t, l)
	send(t, c, packed(t, "a", 1000))
	expect(t, c, forward.AppendAck(nil, "a"))
	b.mu.Lock()
	b.limit = 0
	b.mu.Unlock()
	other := connect(t, l)
	send(t, other, packed(t, "b", 3000))
	<-b.refused
	if st := s.Stats(); st.Messages != 1 || len(st.Reasons) > 0 {
		t.Errorf("%+v", st)
	}
	b.mu.Lock()
	b.limit = 64 << 20
	b.mu.Unlock()
	expect(t, other, forward.AppendAck(nil, "b"))
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.used != 0 || b.peak == 0 {
		t.Errorf("%d bytes are reserved in the end, %d were at most", b.used, b.peak)
	}
}

// budget counts, and says when it refuses.
type budget struct {
	mu                sync.Mutex
	used, peak, limit int64
	refused           chan struct{}
}

func (b *budget) Reserve(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+n > b.limit {
		select {
		case b.refused <- struct{}{}:
		default:
		}
		return false
	}
	b.used += n
	b.peak = max(b.peak, b.used)
	return true
}

func (b *budget) Release(n int64) {
	b.mu.Lock()
	b.used -= n
	b.mu.Unlock()
}

// TestIdleConnections measures what one costs, with the other end of it in the
// same process.
func TestIdleConnections(t *testing.T) {
	n := 2000
	if os.Getenv("SPILLWAY_LONG") != "" {
		n = 5000
	}
	l := listen(t, "tcp")
	s := serve(t, l, forward.ServerConfig{Receiver: forward.ReceiverFunc(func(_ *forward.Received, done func(bool)) { done(true) })})
	memory := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	before := memory()
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = connect(t, l)
		send(t, conns[i], packed(t, "a", 1))
		expect(t, conns[i], forward.AppendAck(nil, "a"))
	}
	// It becomes less when they have been idle for a while.
	each, most := int64(0), int64(5<<10)
	if runtime.GOOS == "linux" {
		most = 3 << 10 // They have no goroutine then.
	}
	soon(t, "an idle connection costs little", func() bool {
		each = (memory() - before) / int64(n)
		return each <= most
	})
	t.Logf("%d bytes each, for both ends", each)
	for i, c := range conns {
		if i%2 > 0 {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		send(t, c, packed(t, "b", 1))
		expect(t, c, forward.AppendAck(nil, "b"))
	}
	soon(t, fmt.Sprintf("half of %d connections are closed", n), func() bool { return s.Stats().Connections == int64(n-n/2) })
}

// TestParkedConnectionsEnd: those that have been idle for a while end with the server.
func TestParkedConnectionsEnd(t *testing.T) {
	l := listen(t, "unix")
	s := serve(t, l, forward.ServerConfig{Receiver: newCollector()})
	before := runtime.NumGoroutine()
	conns := make([]net.Conn, 50)
	for i := range conns {
		conns[i] = connect(t, l)
	}
	soon(t, "all are accepted", func() bool { return s.Stats().Accepted == 50 })
	if runtime.GOOS == "linux" {
		soon(t, "connections have no goroutines", func() bool { return runtime.NumGoroutine() < before+10 })
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	for _, c := range conns {
		expect(t, c, nil)
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a connection ends with %v", err)
		}
	}
}

// TestWhatWaitsTakesLittle has a connection that has shown that it sends much,
// and then stops in mid-message: the memory goes to others, the bytes stay.
func TestWhatWaitsTakesLittle(t *testing.T) {
	l, h := listen(t, "tcp"), newCollector()
	s := serve(t, l, forward.ServerConfig{Receiver: h})
	c := connect(t, l)
	next := packed(t, "b", 1000)
	for _, half := range []struct {
		sent int
		most int64
	}{{100, 128}, {5000, 8192}, {0, 0}} {
		send(t, c, append(packed(t, "a", 1000), next[:half.sent]...))
		expect(t, c, forward.AppendAck(nil, "a"))
		soon(t, fmt.Sprintf("at most %d bytes of memory are in use", half.most), func() bool { return s.Stats().Memory <= half.most })
		send(t, c, next[half.sent:])
		expect(t, c, forward.AppendAck(nil, "b"))
	}
	for _, g := range h.wait(t, 6) {
		if g.count != 1000 || g.invalidCount > 0 || g.entries != string(typical(1000)) {
			t.Errorf("%s: %d entries, %d invalid", g.chunk, g.count, g.invalidCount)
		}
	}
}
