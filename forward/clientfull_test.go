package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// away is a client whose server is not there.
func away(t *testing.T, o ClientOptions) (*Client, *world) {
	t.Helper()
	w := newWorld()
	o.Servers = []Endpoint{w.endpoint("a:1")}
	set(&o.BufferBytes, MinBufferBytes)
	return newClient(t, o), w
}

// DropNewest refuses at once what has no room; the caller has it still.
func TestDropNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := away(t, ClientOptions{WhenFull: DropNewest})
		taken, refused := 0, 0
		for i := range 5000 {
			switch err := c.Post(t.Context(), "t", time.Now(), map[string]any{"n": i}); {
			case err == nil && refused == 0:
				taken++
			case errors.Is(err, ErrBufferFull):
				refused++
			default:
				t.Fatalf("record %d: %v after %d refused", i, err, refused)
			}
		}
		balance(t, c)
		s := c.Stats()
		if s.Accepted.Records != int64(taken) || s.RefusedFull.Records != int64(refused) || refused == 0 || s.DroppedOverflow != (Count{}) {
			t.Errorf("taken %d, refused %d, counted %+v", taken, refused, s)
		}
		if s.Accepted.Bytes < MinBufferBytes*3/4 {
			t.Errorf("full with %d bytes of entries; the limit is %d", s.Accepted.Bytes, MinBufferBytes)
		}
		server := new(counting)
		w.serve("a:1", server.serve)
		deliverAll(t, c, time.Minute)
		hasAll(t, server.records(), taken)
		w.group.Wait()
	})
}

// DropOldest makes room for what is new, and counts what it drops.
func TestDropOldest(t *testing.T) {
	for _, tags := range []int{1, 7} {
		synctest.Test(t, func(t *testing.T) {
			c, w := away(t, ClientOptions{WhenFull: DropOldest, ChunkAge: 10 * time.Second})
			const n = 10_000
			for i := range n {
				post(t, c, fmt.Sprint("tag", i%tags), i)
				if i == 1000 { // the client learns that its server is away
					time.Sleep(11 * time.Second)
				}
			}
			balance(t, c)
			s := c.Stats()
			if s.DroppedOverflow.Records == 0 || s.Pending.Records < 1000 || s.RefusedFull.Records != 0 {
				t.Errorf("%+v", s)
			}
			server := new(counting)
			w.serve("a:1", server.serve)
			deliverAll(t, c, time.Minute)
			got := server.records()
			slices.Sort(got)
			if int64(len(slices.Compact(got))) != n-s.DroppedOverflow.Records {
				t.Errorf("received %d; dropped %d of %d", len(got), s.DroppedOverflow.Records, n)
			}
			newest := 0
			for i := n - 500; i < n; i++ {
				if slices.Contains(got, recordOf(i)) {
					newest++
				}
			}
			if newest != 500 {
				t.Errorf("%d of the newest 500 records are there", newest)
			}
			w.group.Wait()
		})
	}
}

// What is under way is not dropped, and is never all of the buffer.
func TestDropOldestUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := away(t, ClientOptions{WhenFull: DropOldest, ChunkAge: time.Second})
		server := new(counting)
		held := make(chan struct{})
		w.serve("a:1", func(nc net.Conn) {
			p := newPeer(nc)
			var ids []string
			for {
				m, err := p.receive()
				if err != nil {
					return
				}
				server.note(m)
				ids = append(ids, m.ID)
				if len(ids) == 3 {
					<-held
					for _, id := range ids {
						if p.ack(id) != nil {
							return
						}
					}
					server.serveOn(p)
					return
				}
			}
		})
		for i := range 10_000 {
			post(t, c, "t", i)
			if i%1000 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		s := c.Stats()
		if s.InFlight == 0 || s.DroppedOverflow.Records == 0 || s.RefusedFull.Records != 0 {
			t.Errorf("%+v", s)
		}
		close(held)
		left := finish(t, c, time.Hour)
		if left != nil {
			t.Error(left)
		}
		if s := c.Stats(); s.Acked.Records+s.DroppedOverflow.Records != 10_000 || s.Retried.Records != 0 {
			t.Errorf("%+v", s)
		}
		w.group.Wait()
	})
}

// Block waits for room, until its context ends or the client closes, and goes on
// when there is room. Nothing is lost, and nothing taken twice.
func TestBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := away(t, ClientOptions{})
		n := 0
		for ; ; n++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := c.Post(ctx, "t", time.Now(), map[string]any{"n": n})
			cancel()
			if err != nil {
				if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrBufferFull) {
					t.Errorf("full: %v", err)
				}
				break
			}
		}
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() { post(t, c, fmt.Sprint("tag", i%5), n+i) })
		}
		synctest.Wait()
		balance(t, c)
		if s := c.Stats(); s.Accepted.Records == int64(n+100) {
			t.Error("all were taken while there was no room")
		}
		server := new(counting)
		w.serve("a:1", server.serve)
		group.Wait()
		deliverAll(t, c, time.Minute)
		hasAll(t, server.records(), n+100)
		w.group.Wait()
	})
}

// Close wakes those who wait for room.
func TestCloseWhileBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := away(t, ClientOptions{})
		blocked := make(chan error)
		go func() {
			var err error
			for err == nil {
				err = c.Post(context.Background(), "t", time.Now(), map[string]string{"pad": strings.Repeat("x", 1000)})
			}
			blocked <- err
		}()
		synctest.Wait()
		left := finish(t, c, time.Second)
		if err := <-blocked; !errors.Is(err, ErrClosed) {
			t.Errorf("Post: %v", err)
		}
		s := c.Stats()
		if left == nil || left.Left != s.Accepted || s.RefusedClosed.Records != 1 {
			t.Errorf("left %+v of %+v", left, s)
		}
	})
}

// Flush tells of what was dropped while it waited.
func TestFlushDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := away(t, ClientOptions{WhenFull: DropOldest})
		post(t, c, "t", 0)
		flushed := make(chan error)
		go func() { flushed <- c.Flush(t.Context()) }()
		synctest.Wait()
		for i := range 5000 {
			post(t, c, "t", i)
		}
		if err := <-flushed; !errors.Is(err, ErrDropped) {
			t.Errorf("Flush: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush without a server: %v", err)
		}
		if left := finish(t, c, time.Second); left == nil {
			t.Error("all was delivered without a server")
		}
		w.group.Wait()
	})
}

// A full buffer with many tags does not fall into chunks of one record each.
func TestBlockManyTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, server := newWorld(), new(counting)
		w.serve("a:1", func(nc net.Conn) {
			p := newPeer(nc)
			for {
				m, err := p.receive()
				if err != nil {
					return
				}
				server.note(m)
				time.Sleep(time.Millisecond)
				if p.ack(m.ID) != nil {
					return
				}
			}
		})
		c := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("a:1")}, BufferBytes: 1 << 20, ChunkAge: time.Minute})
		const n, tags = 20_000, 200
		pad := strings.Repeat("x", 200)
		for i := range n {
			if err := c.Post(t.Context(), fmt.Sprint("tag", i%tags), time.Now(), map[string]any{"n": i, "pad": pad}); err != nil {
				t.Fatal(err)
			}
		}
		deliverAll(t, c, time.Minute)
		if got := server.count(); got > n/8 {
			t.Errorf("%d chunks for %d records of %d tags", got, n, tags)
		}
		w.group.Wait()
	})
}

// A full buffer takes no more of the heap than its limit, descriptors and all,
// with one tag or with one for each record.
func TestMemory(t *testing.T) {
	for _, tags := range []int{1, 100, 1 << 20} {
		for _, size := range []int{1, 100, 3000} {
			t.Run(fmt.Sprintf("%d tags, %d bytes", tags, size), func(t *testing.T) {
				const limit = 8 << 20
				pad := strings.Repeat("x", size)
				heap := func() int64 {
					var m runtime.MemStats
					runtime.GC()
					runtime.ReadMemStats(&m)
					return int64(m.HeapAlloc)
				}
				before := heap()
				c, _ := away(t, ClientOptions{WhenFull: DropNewest, BufferBytes: limit, ChunkAge: time.Hour})
				n := 0
				for ; ; n++ {
					if err := c.Post(t.Context(), fmt.Sprint("a.tag.of.some.length.", n%tags), time.Now(), map[string]string{"pad": pad}); err != nil {
						break
					}
				}
				if taken := heap() - before; taken > limit {
					t.Errorf("%d records take %d bytes of the heap; the limit is %d, counted are %d", n, taken, limit, c.BufferedBytes())
				}
				balance(t, c)
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if err := c.Close(ctx); err == nil {
					t.Error("all was delivered without a server")
				}
			})
		}
	}
}

// A record for which nothing can be dropped, because all is under way, is
// refused.
func TestDropOldestAllUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.serve("a:1", func(nc net.Conn) { // receives, and is silent
			p := newPeer(nc)
			for {
				if _, err := p.receive(); err != nil {
					return
				}
			}
		})
		c := newClient(t, ClientOptions{
			Servers: []Endpoint{w.endpoint("a:1")}, WhenFull: DropOldest, BufferBytes: MinBufferBytes, ChunkAge: time.Millisecond,
		})
		// Half of the buffer, almost, then a quarter more: what is left is too small for
		// another quarter.
		var err error
		sizes := []int{7000, 7000, 7000, 3500, 900, MinBufferBytes/4 - 100, MinBufferBytes/4 - 100}
		for i, size := range sizes {
			if err != nil {
				t.Fatalf("record %d: %v", i-1, err)
			}
			err = c.Post(t.Context(), "t", time.Now(), map[string]string{"pad": strings.Repeat("x", size)})
			time.Sleep(10 * time.Millisecond)
		}
		s := c.Stats()
		if !errors.Is(err, ErrBufferFull) || s.DroppedOverflow.Records != 0 || s.InFlight != len(sizes)-1 || s.RefusedFull.Records != 1 {
			t.Errorf("%v: %+v", err, s)
		}
		if left := finish(t, c, time.Second); left == nil || left.Left.Records != int64(len(sizes)-1) {
			t.Errorf("%+v", left)
		}
		w.group.Wait()
	})
}

// What is open is dropped, too, where nothing waits.
func TestDropOldestOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w := away(t, ClientOptions{WhenFull: DropOldest, ChunkAge: time.Hour})
		const n = 1000
		for i := range n {
			post(t, c, fmt.Sprint("tag", i), i)
			balance(t, c)
		}
		s := c.Stats()
		server := new(counting)
		w.serve("a:1", server.serve)
		deliverAll(t, c, time.Minute)
		got := server.records()
		if s.DroppedOverflow.Records == 0 || int64(len(got)) != n-s.DroppedOverflow.Records || !slices.Contains(got, recordOf(n-1)) {
			t.Errorf("received %d: %+v", len(got), s)
		}
		w.group.Wait()
	})
}
