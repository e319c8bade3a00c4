package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// world is servers for clients to find, by address, through DialContext.
type world struct {
	mu     sync.Mutex
	accept map[string]func(net.Conn) // what answers at an address; it runs in a goroutine of its own
	dials  map[string]int
	group  sync.WaitGroup
}

func newWorld() *world {
	return &world{accept: make(map[string]func(net.Conn)), dials: make(map[string]int)}
}

func (w *world) serve(address string, f func(net.Conn)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accept[address] = f
}

func (w *world) dialed(address string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials[address]
}

func (w *world) dial(_ context.Context, _, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials[address]++
	f := w.accept[address]
	if f == nil {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	w.group.Go(func() {
		f(theirs)
		theirs.Close()
	})
	return ours, nil
}

func (w *world) endpoint(address string) Endpoint {
	return Endpoint{DialOptions: DialOptions{Address: address, DialContext: w.dial}}
}

// counting is a server that acknowledges all, and remembers what it has received.
type counting struct {
	mu       sync.Mutex
	messages []*message
	ids      map[string]int
}

func (k *counting) serve(nc net.Conn) { k.serveOn(newPeer(nc)) }

func (k *counting) serveOn(p *peer) {
	for {
		m, err := p.receive()
		if err != nil {
			return
		}
		k.note(m)
		if m.ID == "" {
			continue
		}
		if p.ack(m.ID) != nil {
			return
		}
	}
}

func (k *counting) note(m *message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.messages = append(k.messages, m)
	if k.ids == nil {
		k.ids = make(map[string]int)
	}
	k.ids[m.ID]++
}

// records are those of all messages, without the repeated ones.
func (k *counting) records() (all []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := make(map[string]string)
	for _, m := range k.messages {
		if m.ID != "" {
			if before, again := seen[m.ID]; again {
				if before != string(m.Entries) {
					panic("one id, two contents")
				}
				continue
			}
			seen[m.ID] = string(m.Entries)
		}
		all = append(all, m.Records...)
	}
	return all
}

func (k *counting) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.messages)
}

func newClient(t *testing.T, o ClientOptions) *Client {
	t.Helper()
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// finish closes a client, and asserts the balance.
func finish(t *testing.T, c *Client, patience time.Duration) *UndeliveredError {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return finishBy(ctx, t, c)
}

// finishBy is finish with a context.
func finishBy(ctx context.Context, t *testing.T, c *Client) *UndeliveredError {
	t.Helper()
	err := c.Close(ctx)
	var left *UndeliveredError
	if err != nil && !errors.As(err, &left) {
		t.Fatalf("Close: %v", err)
	}
	balance(t, c)
	s := c.Stats()
	if s.Pending != (Count{}) || s.Waiting != 0 || s.InFlight != 0 || c.held != 0 {
		t.Errorf("after Close: %+v; expected nothing to be pending", s)
	}
	if left != nil {
		var sum Count
		for _, r := range left.Chunks {
			sum.Records += int64(r.Records)
		}
		if sum.Records != left.Left.Records || s.Returned != left.Left {
			t.Errorf("Close returned %d records, said %d, counted %d", sum.Records, left.Left.Records, s.Returned.Records)
		}
	}
	return left
}

// deliverAll is finish where nothing may be left.
func deliverAll(t *testing.T, c *Client, patience time.Duration) {
	t.Helper()
	if left := finish(t, c, patience); left != nil {
		t.Error(left)
	}
}

func balance(t *testing.T, c *Client) {
	t.Helper()
	s := c.Stats()
	if got := s.Unaccounted(); got != (Count{}) {
		t.Errorf("unaccounted %+v of %+v", got, s)
	}
	if s.BufferBytes > s.Limit {
		t.Errorf("the buffer has %d bytes; the limit is %d", s.BufferBytes, s.Limit)
	}
}

func post(t *testing.T, c *Client, tag string, n int) {
	t.Helper()
	if err := c.Post(t.Context(), tag, time.Unix(1_700_000_000, 7), map[string]any{"n": n}); err != nil {
		t.Fatal(err)
	}
}

func recordOf(n int) string {
	b, err := AppendRecord(nil, map[string]any{"n": n})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// hasAll asserts that every record from 0 to n-1 is there once.
func hasAll(t *testing.T, got []string, n int) {
	t.Helper()
	count := make(map[string]int)
	for _, r := range got {
		count[r]++
	}
	wrong := 0
	for i := range n {
		if count[recordOf(i)] != 1 {
			wrong++
		}
	}
	if wrong > 0 || len(got) != n {
		t.Errorf("received %d records of %d; %d are missing or there more than once", len(got), n, wrong)
	}
}

// Records come out in chunks of their tags: when a chunk is full, when it is
// old, when Flush is called.
func TestChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, server := newWorld(), new(counting)
		w.serve("a:1", server.serve)
		c := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("a:1")}, ChunkRecords: 10, ChunkAge: time.Second})
		for i := range 25 {
			post(t, c, fmt.Sprint("tag", i%2), i)
		}
		synctest.Wait()
		if got := server.count(); got != 2 {
			t.Errorf("%d chunks when two were full", got)
		}
		time.Sleep(999 * time.Millisecond)
		if got := server.count(); got != 2 {
			t.Errorf("%d chunks before the others are old", got)
		}
		time.Sleep(2 * time.Millisecond)
		if got := server.count(); got != 4 {
			t.Errorf("%d chunks when the others are old; expected 4", got)
		}
		post(t, c, "late", 25)
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if got := server.count(); got != 5 {
			t.Errorf("%d chunks after Flush; expected 5", got)
		}
		hasAll(t, server.records(), 26)
		for _, m := range server.messages {
			if m.Size != len(m.Records) || m.ID == "" {
				t.Errorf("message of %d records says %d, id %q", len(m.Records), m.Size, m.ID)
			}
		}
		if s := c.Stats(); s.Acked.Records != 26 || s.Accepted != s.Acked || s.Retried.Records != 0 {
			t.Errorf("%+v", s)
		}
		if left := finish(t, c, time.Second); left != nil {
			t.Error(left)
		}
		w.group.Wait()
	})
}

// A chunk never exceeds its limit in bytes, except for one record that does
// alone.
func TestChunkBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, server := newWorld(), new(counting)
		w.serve("a:1", server.serve)
		c := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("a:1")}, ChunkBytes: 1000, RecordBytes: 5000})
		for i, size := range []int{400, 400, 400, 4000, 10, 10, 985, 1, 4900} {
			if err := c.Post(t.Context(), "t", time.Now(), map[string]any{"n": i, "pad": strings.Repeat("x", size)}); err != nil {
				t.Fatal(err)
			}
		}
		var limit *LimitError
		if err := c.Post(t.Context(), "t", time.Now(), map[string]string{"pad": strings.Repeat("x", 5000)}); !errors.As(err, &limit) {
			t.Errorf("a record that is too large: %v; expected a LimitError", err)
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		for _, m := range server.messages {
			if len(m.Entries) > 1000 && len(m.Records) > 1 {
				t.Errorf("a chunk of %d bytes with %d records", len(m.Entries), len(m.Records))
			}
		}
		if s := c.Stats(); s.RefusedInvalid.Records != 1 || s.Acked.Records != 9 {
			t.Errorf("%+v", s)
		}
		deliverAll(t, c, time.Second)
		w.group.Wait()
	})
}

// 10,000 tags with one record each cost little more than their records.
func TestManyTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, server := newWorld(), new(counting)
		w.serve("a:1", server.serve)
		c := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("a:1")}, BufferBytes: 10 << 20, ChunkAge: time.Hour})
		for i := range 10_000 {
			post(t, c, fmt.Sprint("tag", i), i)
		}
		if s := c.Stats(); s.BufferBytes > 10_000*(1<<10) || s.Waiting != 10_000 {
			t.Errorf("%d bytes in %d chunks", s.BufferBytes, s.Waiting)
		}
		deliverAll(t, c, time.Minute)
		hasAll(t, server.records(), 10_000)
		if len(c.open) != 0 {
			t.Errorf("%d tags are remembered", len(c.open))
		}
		w.group.Wait()
	})
}

// A server that restarts in mid-stream, and loses what it has not acknowledged,
// loses nothing of the client's.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, server := newWorld(), new(counting)
		n := 0
		w.serve("a:1", func(nc net.Conn) {
			n++
			p := newPeer(nc)
			for i := 0; ; i++ {
				m, err := p.receive()
				if err != nil {
					return
				}
				if i == n%5 {
					if n%2 == 0 {
						server.note(m) // received, but the ack is lost
					}
					return
				}
				server.note(m)
				if p.ack(m.ID) != nil {
					return
				}
			}
		})
		c := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("a:1")}, ChunkRecords: 7})
		for i := range 1000 {
			post(t, c, "t", i)
			if i%100 == 0 {
				time.Sleep(time.Second)
			}
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		hasAll(t, server.records(), 1000)
		s := c.Stats()
		if s.Retried.Records == 0 || s.PossibleDuplicates.Records == 0 || s.Servers[0].Failures == 0 {
			t.Errorf("%+v; expected retries", s)
		}
		deliverAll(t, c, time.Second)
		w.group.Wait()
	})
}

// While the server is away nothing is lost, and Close hands everything back: what
// may have arrived as such, with the ids under which another client delivers it.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, server := newWorld(), new(counting)
		w.serve("a:1", func(nc net.Conn) {
			p := newPeer(nc)
			for { // receives, never acknowledges
				m, err := p.receive()
				if err != nil {
					return
				}
				server.note(m)
			}
		})
		o := ClientOptions{Servers: []Endpoint{w.endpoint("a:1")}, ChunkRecords: 10}
		o.Servers[0].Window = 2
		c := newClient(t, o)
		for i := range 45 {
			post(t, c, "t", i)
		}
		left := finish(t, c, 10*time.Second)
		if left == nil || left.Left.Records != 45 || len(left.Chunks) != 5 || !errors.Is(left, context.DeadlineExceeded) {
			t.Fatalf("left %+v", left)
		}
		for i, r := range left.Chunks {
			if r.Unsure != (i < 2) {
				t.Errorf("chunk %d unsure: %v", i, r.Unsure)
			}
		}
		if err := c.Post(t.Context(), "t", time.Now(), map[string]string{}); !errors.Is(err, ErrClosed) {
			t.Errorf("Post after Close: %v", err)
		}
		if err := c.Close(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Close after Close: %v", err)
		}
		w.serve("a:1", server.serve)
		second := newClient(t, o)
		for i := range left.Chunks {
			if err := second.Resend(t.Context(), &left.Chunks[i]); err != nil {
				t.Error(err)
			}
		}
		deliverAll(t, second, time.Second)
		hasAll(t, server.records(), 45)
		if s := second.Stats(); s.Acked.Records != 45 || s.PossibleDuplicates.Records != 20 {
			t.Errorf("%+v", s)
		}
		w.group.Wait()
	})
}

// Posts of many goroutines are each whole, and each there once.
func TestConcurrentPosts(t *testing.T) {
	noLeaks(t)
	for _, compression := range []Compression{CompressionNone, CompressionGzip, CompressionZstd} {
		o, conns := loopback(t)
		server := new(counting)
		served := make(chan struct{})
		go func() {
			defer close(served)
			nc := <-conns
			defer nc.Close()
			server.serve(nc)
		}()
		c := newClient(t, ClientOptions{Servers: []Endpoint{{DialOptions: o}}, Compression: compression, BufferBytes: 1 << 20})
		const writers, each = 8, 1000
		var group sync.WaitGroup
		for g := range writers {
			group.Go(func() {
				for i := range each {
					if err := c.Post(t.Context(), fmt.Sprint("tag", i%3), time.Now(), map[string]any{"n": g*each + i}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		deliverAll(t, c, time.Minute)
		<-served
		hasAll(t, server.records(), writers*each)
		if server.messages[0].Compression != map[Compression]string{0: "", 1: "gzip", 2: "zstd"}[compression] {
			t.Errorf("compression %q", server.messages[0].Compression)
		}
	}
}

// Without acks a chunk is counted as sent, never as acknowledged.
func TestNoAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, server := newWorld(), new(counting)
		w.serve("a:1", server.serve)
		c := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("a:1")}, NoAcks: true})
		for i := range 10 {
			post(t, c, "t", i)
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		hasAll(t, server.records(), 10)
		if s := c.Stats(); s.Unacked.Records != 10 || s.Acked.Records != 0 || server.messages[0].ID != "" {
			t.Errorf("%+v", s)
		}
		deliverAll(t, c, time.Second)
		w.group.Wait()
	})
}

// A marshaler of foreign code that makes no record is refused, and spoils nothing.
type badMarshaler string

func (b badMarshaler) MarshalMsg(dst []byte) ([]byte, error) {
	switch b {
	case "string":
		return msgp.AppendString(dst, "no map"), nil
	case "two":
		return append(dst, 0x80, 0x80), nil
	case "half":
		return append(dst, 0x81, 0xa1), nil
	case "nothing":
		return nil, nil
	}
	return nil, errors.New("marshaler fails")
}

func TestNotRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, server := newWorld(), new(counting)
		w.serve("a:1", server.serve)
		c := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("a:1")}})
		cycle := map[string]any{}
		cycle["self"] = cycle
		all := []any{
			nil, 1, "text", []string{"a"}, map[int]string{1: "a"}, map[string]any{"f": func() {}}, cycle, (*struct{})(nil),
			badMarshaler("string"), badMarshaler("two"), badMarshaler("half"), badMarshaler("nothing"), badMarshaler("error"),
		}
		post(t, c, "t", 0)
		for _, v := range all {
			if err := c.Post(t.Context(), "t", time.Now(), v); !errors.Is(err, ErrRecord) {
				t.Errorf("%T: %v; expected ErrRecord", v, err)
			}
		}
		for _, kind := range []string{"string", "two", "half", "nothing", "error"} {
			if err := c.PostFunc(t.Context(), "t", time.Now(), badMarshaler(kind).MarshalMsg); err == nil {
				t.Errorf("PostFunc took %q", kind)
			}
		}
		if err := c.PostEntries(t.Context(), "t", []byte{0x92, 0x00, 0x80, 0x92, 0x00}); !errors.Is(err, ErrRecord) {
			t.Errorf("half an entry: %v", err)
		}
		for _, tag := range []string{"", strings.Repeat("x", MaxTag+1)} {
			if err := c.Post(t.Context(), tag, time.Now(), map[string]string{}); err == nil {
				t.Errorf("a tag of %d bytes was taken", len(tag))
			}
		}
		post(t, c, "t", 1)
		deliverAll(t, c, time.Second)
		hasAll(t, server.records(), 2)
		if s := c.Stats(); s.RefusedInvalid.Records != int64(len(all))+5+1+2 {
			t.Errorf("%+v", s)
		}
		w.group.Wait()
	})
}

// Times are sent to the nanosecond, or as whole seconds for old servers; entries
// of others, with metadata, as they are.
func TestTimes(t *testing.T) {
	for _, whole := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w, server := newWorld(), new(counting)
			w.serve("a:1", server.serve)
			c := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("a:1")}, WholeSeconds: whole})
			at := time.Unix(1_700_000_000, 123_456_789)
			if err := c.Post(t.Context(), "t", at, map[string]string{}); err != nil {
				t.Error(err)
			}
			if err := c.Post(t.Context(), "t", time.Time{}, map[string]string{}); err != nil {
				t.Error(err)
			}
			now := time.Now()
			foreign := msgp.AppendMapStrStr(msgp.AppendMapStrStr(append(AppendTime([]byte{0x92, 0x92}, at), 0x81, 0xa1, 'k'), map[string]string{"m": "v"}), nil)
			if err := c.PostEntries(t.Context(), "t", foreign); err != nil {
				t.Error(err)
			}
			deliverAll(t, c, time.Second)
			want := append(AppendTime([]byte{0x92}, at), 0x80)
			want = append(append(AppendTime(append(want, 0x92), now), 0x80), foreign...)
			if whole {
				want = append(msgp.AppendInt64([]byte{0x92}, at.Unix()), 0x80)
				want = append(append(msgp.AppendInt64(append(want, 0x92), now.Unix()), 0x80), foreign...)
			}
			if got := server.messages[0].Entries; !bytes.Equal(got, want) {
				t.Errorf("sent % x; expected % x", got, want)
			}
			w.group.Wait()
		})
	}
}

// Flush that waits while Close gives up says so.
func TestFlushClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, spill := range []Spill{nil, new(memorySpill)} {
			c, _ := away(t, ClientOptions{Spill: spill})
			post(t, c, "t", 0)
			flushed := make(chan error)
			go func() { flushed <- c.Flush(context.Background()) }()
			synctest.Wait()
			if left := finish(t, c, time.Second); left == nil {
				t.Error("all was delivered without a server")
			}
			if err := <-flushed; !errors.Is(err, ErrClosed) {
				t.Errorf("Flush: %v", err)
			}
		}
	})
}

// A chunk that would fill the buffer alone is refused; so is one without a tag.
func TestResendRefused(t *testing.T) {
	c, _ := away(t, ClientOptions{})
	big := &Returned{OutChunk: OutChunk{Tag: "t", Entries: [][]byte{make([]byte, MinBufferBytes)}, Records: 1}}
	var limit *LimitError
	if err := c.Resend(t.Context(), big); !errors.As(err, &limit) {
		t.Error(err)
	}
	if err := c.Resend(t.Context(), &Returned{}); err == nil {
		t.Error("a chunk without a tag was taken")
	}
	if s := c.Stats(); s.RefusedInvalid.Records != 1 || s.Accepted.Records != 0 {
		t.Errorf("%+v", s)
	}
	deliverAll(t, c, time.Second)
}

// PostFunc posts what a function appends, and PostEntries entries of others;
// both are all or nothing.
func TestPostFunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, server := newWorld(), new(counting)
		w.serve("a:1", server.serve)
		c := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("a:1")}})
		if err := c.PostFunc(t.Context(), "t", time.Now(), func(dst []byte) ([]byte, error) { return append(dst, recordOf(0)...), nil }); err != nil {
			t.Error(err)
		}
		var two []byte
		for i := 1; i <= 2; i++ {
			two = append(AppendTime(append(two, entryHead), time.Now()), recordOf(i)...)
		}
		if err := c.PostEntries(t.Context(), "t", two); err != nil {
			t.Error(err)
		}
		if err := c.PostEntries(t.Context(), "t", nil); err != nil {
			t.Error(err)
		}
		deliverAll(t, c, time.Second)
		hasAll(t, server.records(), 3)
		if server.messages[0].Size != 3 {
			t.Errorf("the message says %d", server.messages[0].Size)
		}
		w.group.Wait()
	})
}
