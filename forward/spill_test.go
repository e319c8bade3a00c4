package forward

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memorySpill is a Spill that loses nothing, and fails when it is told to.
type memorySpill struct {
	mu     sync.Mutex
	chunks []*OutChunk
	next   int
	fail   bool
	puts   int
}

var errDisk = errors.New("disk full")

func (m *memorySpill) Put(_ context.Context, chunk *OutChunk) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail {
		return errDisk
	}
	kept := *chunk
	kept.Entries = [][]byte{slices.Concat(chunk.Entries...)}
	m.chunks = append(m.chunks, &kept)
	m.puts++
	return nil
}

func (m *memorySpill) Next(context.Context) (*OutChunk, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.next == len(m.chunks) {
		return nil, nil
	}
	m.next++
	return m.chunks[m.next-1], nil
}

func (m *memorySpill) Settled(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.chunks, func(c *OutChunk) bool { return c.ID == id })
	if i < 0 || i >= m.next {
		return errors.New("settled what was not returned")
	}
	m.chunks = slices.Delete(m.chunks, i, i+1)
	m.next--
	return nil
}

func (m *memorySpill) Held() (int, Count) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var held Count
	for _, c := range m.chunks {
		held.add(c.Records, int64(c.size()))
	}
	return len(m.chunks), held
}

// reopen is what a crash leaves: everything that is not settled.
func (m *memorySpill) reopen() { m.next = 0 }

// What memory cannot hold goes into the spill and comes back, in order.
func TestSpill(t *testing.T) {
	for _, compression := range []Compression{CompressionNone, CompressionGzip} {
		synctest.Test(t, func(t *testing.T) {
			sp := new(memorySpill)
			c, w := away(t, ClientOptions{Spill: sp, Compression: compression})
			const n = 20_000
			for i := range n {
				post(t, c, "t", i)
			}
			synctest.Wait()
			balance(t, c)
			s := c.Stats()
			if s.InSpill.Records < n/2 || s.InSpill.Records+s.Pending.Records != n || s.BufferBytes > MinBufferBytes {
				t.Errorf("%+v", s)
			}
			server := new(counting)
			w.serve("a:1", server.serve)
			if err := c.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			deliverAll(t, c, time.Minute)
			got := server.records()
			hasAll(t, got, n)
			for i, r := range got {
				if r != recordOf(i) {
					t.Errorf("record %d is at place %d", i, slices.Index(got, recordOf(i)))
					break
				}
			}
			if len(sp.chunks) != 0 {
				t.Errorf("the spill has %d chunks", len(sp.chunks))
			}
			w.group.Wait()
		})
	}
}

// What a spill still has is delivered by the next client, and counted as
// recovered.
func TestSpillRecovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := new(memorySpill)
		c, w := away(t, ClientOptions{Spill: sp})
		for i := range 5000 {
			post(t, c, "t", i)
		}
		synctest.Wait()
		left := finish(t, c, time.Second)
		if left == nil || left.InSpill.Records != 5000 || len(left.Chunks) != 0 {
			t.Fatalf("%+v", left)
		}
		sp.reopen()
		server := new(counting)
		w.serve("a:1", server.serve)
		second := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("a:1")}, Spill: sp})
		deliverAll(t, second, time.Minute)
		if s := second.Stats(); s.Recovered != left.InSpill || s.Acked.Records != 5000 || s.InSpill != (Count{}) {
			t.Errorf("%+v", s)
		}
		hasAll(t, server.records(), 5000)
		w.group.Wait()
	})
}

// What a spill refuses when its client closes is handed back.
func TestSpillRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := &memorySpill{fail: true}
		c, _ := away(t, ClientOptions{Spill: sp})
		for i := range 100 {
			post(t, c, "t", i)
		}
		left := finish(t, c, time.Second)
		if left == nil || left.Left.Records != 100 || left.InSpill.Records != 0 || !errors.Is(left, errDisk) {
			t.Errorf("%+v", left)
		}
	})
}

// A spill that fails makes the client block; nothing is lost, the error is
// shown, and it goes on when the spill does.
func TestSpillFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := &memorySpill{fail: true}
		c, w := away(t, ClientOptions{Spill: sp})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 5000 {
				post(t, c, "t", i)
			}
		}()
		time.Sleep(10 * time.Second)
		if s := c.Stats(); !errors.Is(s.SpillError, errDisk) || s.Accepted.Records == 5000 || s.InSpill.Records != 0 {
			t.Errorf("%+v", s)
		}
		sp.mu.Lock()
		sp.fail = false
		sp.mu.Unlock()
		<-done
		synctest.Wait()
		if s := c.Stats(); s.SpillError != nil || s.InSpill.Records == 0 {
			t.Errorf("%+v", s)
		}
		server := new(counting)
		w.serve("a:1", server.serve)
		if left := finish(t, c, time.Minute); left != nil {
			t.Error(left)
		}
		hasAll(t, server.records(), 5000)
		w.group.Wait()
	})
}

// While a server hangs, Post goes on into the spill: what is in flight is a part of the
// buffer only.
func TestSpillWhileTheServerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp, w, server := new(memorySpill), newWorld(), new(counting)
		loose := make(chan struct{})
		w.serve("a:1", func(nc net.Conn) {
			p := newPeer(nc)
			for {
				m, err := p.receive()
				if err != nil {
					return
				}
				server.note(m)
				w.group.Go(func() {
					<-loose
					if err := p.ack(m.ID); err != nil {
						t.Error(err)
					}
				})
			}
		})
		e := w.endpoint("a:1")
		e.AckTimeout = time.Hour
		c := newClient(t, ClientOptions{Servers: []Endpoint{e, e}, Spill: sp, BufferBytes: MinBufferBytes})
		const n = 20_000
		began := time.Now()
		for i := range n {
			post(t, c, "t", i)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("Post waited %v for a server that hangs", took)
		}
		synctest.Wait()
		balance(t, c)
		if s := c.Stats(); s.InSpill.Records < n/2 || s.InFlight == 0 {
			t.Errorf("%+v", s)
		}
		close(loose)
		deliverAll(t, c, time.Minute)
		hasAll(t, server.records(), n)
		w.group.Wait()
	})
}
