package forward_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway/spillway/forward"
)

// got is a message as a handler saw it, copied.
type got struct {
	tag, entries, invalid string
	count, invalidCount   int
	chunk                 string
	refused               error
	payload               string
	done                  func(bool)
}

// collector is a handler that keeps what it gets. It settles by itself unless
// later is set.
type collector struct {
	later bool
	mu    sync.Mutex
	got   []got
	came  chan struct{}
}

func newCollector() *collector { return &collector{came: make(chan struct{}, 1<<16)} }

func (c *collector) Receive(r *forward.Received, done func(bool)) {
	g := got{tag: r.Tag, chunk: r.Chunk, refused: r.Refused, payload: string(r.Payload), done: done}
	err := r.Each(func(m *forward.Message) error {
		g.entries += string(m.Entries)
		g.invalid += string(m.Invalid)
		g.count += m.Count
		g.invalidCount += m.InvalidCount
		return nil
	})
	if err != nil {
		g.refused = errors.Join(g.refused, err)
	}
	c.mu.Lock()
	c.got = append(c.got, g)
	c.mu.Unlock()
	if !c.later {
		done(true)
	}
	c.came <- struct{}{}
}

// wait waits for n messages.
func (c *collector) wait(t *testing.T, n int) []got {
	t.Helper()
	for range n {
		select {
		case <-c.came:
		case <-t.Context().Done():
			t.Fatal("the messages did not come")
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

// serve starts a server on a listener, and checks in the end that it leaves
// nothing behind and that its numbers add up.
func serve(t *testing.T, l net.Listener, cfg forward.ServerConfig) *forward.Server {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	if cfg.Report == nil {
		cfg.Report = func(e forward.Event) { t.Logf("%v: %s of tag %q: %v", e.Peer, e.Reason, e.Tag, e.Err) }
	}
	s, err := forward.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-served; !errors.Is(err, forward.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
		st := s.Stats()
		if st.Memory != 0 || st.Due != 0 || st.Connections != 0 || st.Taken+st.NotTaken != st.Messages {
			t.Errorf("in the end: %+v", st)
		}
	})
	return s
}

func listen(t *testing.T, network string) net.Listener {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func connect(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func send(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

// expect reads exactly these bytes.
func expect(t *testing.T, c io.Reader, want []byte) {
	t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(c, b); err != nil || !bytes.Equal(b, want) {
		t.Fatalf("read % x, %v; want % x", b[:n], err, want)
	}
}

// packed is a message of n entries that wants an acknowledgement.
func packed(t testing.TB, id string, n int) []byte {
	t.Helper()
	b, err := forward.AppendMessage(nil, "tag", forward.ModePackedForward, typical(n), n, forward.Option{Chunk: id, Size: n})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestServer takes messages of all modes on one connection, cut anywhere.
func TestServer(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			one, h := typical(1), newCollector()
			l := listen(t, network)
			serve(t, l, forward.ServerConfig{Receiver: h})
			c := connect(t, l)
			var stream []byte
			var want []string
			for i, mode := range []forward.Mode{forward.ModeMessage, forward.ModeForward, forward.ModePackedForward, 3, 3} {
				o := forward.Option{Chunk: fmt.Sprint("id", i), Compression: []forward.Compression{0, 0, 0, forward.CompressionGzip, forward.CompressionZstd}[i]}
				b, err := forward.AppendMessage(stream, fmt.Sprint("tag", i), mode, one, 1, o)
				if err != nil {
					t.Fatal(err)
				}
				stream = append(b, 0xc0) // and a heartbeat
				want = append(want, fmt.Sprintf("tag%d id%d 1 %x", i, i, one))
			}
			for i := range stream {
				send(t, c, stream[i:i+1])
			}
			send(t, c, bytes.Repeat(stream, 100))
			var all []string
			for _, g := range h.wait(t, 5*101) {
				all = append(all, fmt.Sprintf("%s %s %d %x", g.tag, g.chunk, g.count, g.entries))
			}
			for i, g := range all {
				if g != want[i%5] {
					t.Fatalf("message %d: %s, want %s", i, g, want[i%5])
				}
			}
			for i := range 5 * 101 {
				expect(t, c, forward.AppendAck(nil, fmt.Sprint("id", i%5)))
			}
		})
	}
}

// TestAcksInAnyOrderFromAnywhere settles long after the messages came.
func TestAcksInAnyOrderFromAnywhere(t *testing.T) {
	h := newCollector()
	h.later = true
	l := listen(t, "tcp")
	s := serve(t, l, forward.ServerConfig{Receiver: h})
	c := connect(t, l)
	for _, id := range []string{"a", "b", "c", "d"} {
		send(t, c, packed(t, id, 3))
	}
	all := h.wait(t, 4)
	for _, i := range []int{2, 0} {
		var done sync.WaitGroup
		done.Go(func() { all[i].done(true); all[i].done(false) }) // the second has no effect
		done.Wait()
		expect(t, c, forward.AppendAck(nil, all[i].chunk))
	}
	if st := s.Stats(); st.Due != 2 || st.Acks != 2 || st.Entries != 12 {
		t.Errorf("%+v", st)
	}
	// The connection is closed after the acknowledgement that is due.
	all[1].done(false)
	send(t, c, packed(t, "e", 3))
	all[3].done(true)
	expect(t, c, forward.AppendAck(nil, "d"))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes, %v; want the end", n, err)
	}
	if st := s.Stats(); st.Reasons["not-taken"] != 1 || st.NotTaken != 1 {
		t.Errorf("%+v", st)
	}
}

// TestNoAckNoClose has a message that wants none and is not taken.
func TestNoAckNoClose(t *testing.T) {
	h := newCollector()
	h.later = true
	l := listen(t, "tcp")
	serve(t, l, forward.ServerConfig{Receiver: h})
	c := connect(t, l)
	send(t, c, packed(t, "", 1))
	h.wait(t, 1)[0].done(false)
	send(t, c, packed(t, "a", 1))
	h.wait(t, 1)[1].done(true)
	expect(t, c, forward.AppendAck(nil, "a"))
}

// TestBackPressure blocks the handler: the sender must be held up, and go on
// afterwards on the same connection.
func TestBackPressure(t *testing.T) {
	gate, entered := make(chan struct{}), make(chan struct{}, 1000)
	var mu sync.Mutex
	count := 0
	l := listen(t, "tcp")
	serve(t, l, forward.ServerConfig{Receiver: forward.ReceiverFunc(func(r *forward.Received, done func(bool)) {
		entered <- struct{}{}
		<-gate
		mu.Lock()
		count += r.Count
		mu.Unlock()
		done(true)
	})})
	c := connect(t, l)
	const messages = 200
	written := make(chan int, 1)
	go func() {
		b := packed(t, "x", 1000)
		n := 0
		for range messages {
			m, err := c.Write(b)
			if n += m; err != nil {
				break
			}
		}
		written <- n
	}()
	<-entered
	select {
	case n := <-written:
		t.Fatalf("%d bytes were taken while nothing was handled", n)
	default:
	}
	close(gate)
	if n := <-written; n != messages*len(packed(t, "x", 1000)) {
		t.Errorf("%d bytes were written", n)
	}
	for range messages {
		expect(t, c, forward.AppendAck(nil, "x"))
	}
	if count != messages*1000 {
		t.Errorf("%d entries", count)
	}
}

// TestPayloadsThatExpandTooFar are handed over as they were received, and can be
// acknowledged: the sender would send them again for ever.
func TestPayloadsThatExpandTooFar(t *testing.T) {
	h := newCollector()
	l := listen(t, "tcp")
	s := serve(t, l, forward.ServerConfig{Receiver: h, Limits: forward.Limits{Message: 1 << 20}, Memory: 8 << 20, Spool: forward.NewDirSpool(t.TempDir(), 0)})
	c := connect(t, l)
	tenGB := zstdBomb(10<<30/(128<<10), true)
	payloads := map[string][2]string{
		"zstd":    {"zstd", string(tenGB)},
		"zstd?":   {"zstd", string(zstdBomb(10<<30/(128<<10), false))},
		"gzip":    {"gzip", string(gzipBomb(t, 400<<20))},
		"garbage": {"gzip", "no gzip"},
		"cut":     {"zstd", string(tenGB[:100])},
		"lz77":    {"lz77", "who knows"},
	}
	for id, p := range payloads {
		send(t, c, array(text("t"), str32([]byte(p[1])), mapOf(text("compressed"), text(p[0]), text("chunk"), text(id))))
		expect(t, c, forward.AppendAck(nil, id))
		g := h.wait(t, 1)
		last := g[len(g)-1]
		if last.refused == nil || last.payload != p[1] || last.count > 0 || last.chunk != id {
			t.Errorf("%s: %v, %d bytes", id, last.refused, len(last.payload))
		}
	}
	if st := s.Stats(); st.Reasons["payload"] != int64(len(payloads)) || st.MemoryPeak > 8<<20 {
		t.Errorf("%+v", st)
	}
}

// TestLargeMessages goes through a file, in every mode.
func TestLargeMessages(t *testing.T) {
	const n = 40_000
	entries := typical(n) // 8.8 MB
	withWrong := append(append(bytes.Clone(entries), 0xa3, 'b', 'a', 'd'), typical(1)...)
	large := func(o forward.Option, mode forward.Mode, entries []byte, n int) []byte {
		b, err := forward.AppendMessage(nil, "large", mode, entries, n, o)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	gz, zs := forward.CompressionGzip, forward.CompressionZstd
	for name, c := range map[string]struct {
		b              []byte
		count, invalid int
	}{
		"PackedForward":            {large(forward.Option{Chunk: "i"}, 3, entries, n), n, 0},
		"PackedForward, one wrong": {large(forward.Option{Chunk: "i"}, 3, withWrong, n), n + 1, 1},
		"PackedForward, cut off":   {large(forward.Option{Chunk: "i"}, 3, entries[:len(entries)-1], n), n - 1, 1},
		"PackedForward, broken":    {large(forward.Option{Chunk: "i"}, 3, append(bytes.Clone(entries), append([]byte{0xc1}, make([]byte, 3<<20)...)...), n), n, 1},
		"Forward":                  {large(forward.Option{Chunk: "i"}, forward.ModeForward, entries, n), n, 0},
		"gzip":                     {large(forward.Option{Chunk: "i", Compression: gz}, 3, entries, n), n, 0},
		"zstd":                     {large(forward.Option{Chunk: "i", Compression: zs}, 3, entries, n), n, 0},
		"gzip, large itself":       {large(forward.Option{Chunk: "i", Compression: gz}, 3, bytes.Repeat(entries, 6), 6*n), 6 * n, 0},
		"zstd, large itself":       {large(forward.Option{Chunk: "i", Compression: zs}, 3, bytes.Repeat(entries, 6), 6*n), 6 * n, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h, spool := newCollector(), forward.NewDirSpool(t.TempDir(), 0)
			l := listen(t, "tcp")
			s := serve(t, l, forward.ServerConfig{Receiver: h, Memory: 4 << 20, Spool: spool})
			conn := connect(t, l)
			go func() { _, _ = conn.Write(append(append(c.b, c.b...), packed(t, "next", 1)...)) }() // an error shows in what comes
			expect(t, conn, forward.AppendAck(nil, "i"))
			expect(t, conn, forward.AppendAck(nil, "i"))
			expect(t, conn, forward.AppendAck(nil, "next"))
			g := h.wait(t, 3)[1]
			if g.tag != "large" || g.count != c.count || g.invalidCount != c.invalid || g.refused != nil {
				t.Errorf("%q: %d valid, %d invalid, %v", g.tag, g.count, g.invalidCount, g.refused)
			}
			if c.count == n && c.invalid == 0 && g.entries != string(entries) {
				t.Error("the entries are not those that were sent")
			}
			if st := s.Stats(); st.MemoryPeak > 4<<20 || spool.Used() != 0 {
				t.Errorf("%d bytes in the spool, %+v", spool.Used(), st)
			}
		})
	}
}

// TestStalledLargeMessage: a message that is put aside, and whose rest does not come, is
// given up as any other, although its connection is looked at again and again meanwhile.
func TestStalledLargeMessage(t *testing.T) {
	const n = 20_000
	large, err := forward.AppendMessage(nil, "large", forward.ModePackedForward, typical(n), n, forward.Option{})
	if err != nil {
		t.Fatal(err)
	}
	spool, l := forward.NewDirSpool(t.TempDir(), 0), listen(t, "tcp")
	s := serve(t, l, forward.ServerConfig{Receiver: newCollector(), Memory: 1 << 20, Spool: spool, StallTimeout: 2 * time.Second})
	conn := connect(t, l)
	send(t, conn, large[:len(large)/2])
	if err := conn.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection ends with %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Reasons["stalled"] != 1 || spool.Used() != 0 {
		t.Errorf("%d bytes in the spool, %+v", spool.Used(), st)
	}
}

// TestTooLargeMessages are refused by the peer's address and the tag.
func TestTooLargeMessages(t *testing.T) {
	for name, spool := range map[string]forward.Spool{"no spool": nil, "spool": forward.NewDirSpool(t.TempDir(), 0), "full spool": forward.NewDirSpool(t.TempDir(), 1000)} {
		h, events := newCollector(), make(chan forward.Event, 10)
		l := listen(t, "tcp")
		s := serve(t, l, forward.ServerConfig{
			Receiver: h, Limits: forward.Limits{Message: 1 << 20}, Memory: 4 << 20, MaxSpooled: 2 << 20, Spool: spool,
			Report: func(e forward.Event) { events <- e },
		})
		c := connect(t, l)
		send(t, c, packed(t, "first", 1))
		size := 3 << 20
		why := "too-large"
		if name == "full spool" {
			size, why = 3<<19, "spool"
		}
		go func() { _, _ = c.Write(append(forward.AppendHead(nil, "large", size), make([]byte, size)...)) }() // it may be cut off
		expect(t, c, forward.AppendAck(nil, "first"))
		if e := <-events; e.Reason != why || e.Tag != "large" || e.Peer.Addr.String() != c.LocalAddr().String() {
			t.Errorf("%s: %+v", name, e)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: the connection is open", name)
		}
		if st := s.Stats(); st.Messages != 1 || st.Reasons[why] != 1 {
			t.Errorf("%s: %+v", name, st)
		}
	}
}

// TestWhatIsNoMessage closes what cannot be read on, and skips the rest.
func TestWhatIsNoMessage(t *testing.T) {
	h := newCollector()
	l := listen(t, "tcp")
	s := serve(t, l, forward.ServerConfig{Receiver: h})
	c := connect(t, l)
	send(t, c, append(append(text("broken"), 5), packed(t, "a", 1)...))
	expect(t, c, forward.AppendAck(nil, "a"))
	send(t, c, []byte{0xc1})
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end", err)
	}
	cut := connect(t, l)
	send(t, cut, packed(t, "b", 1)[:50])
	if err := cut.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := cut.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end", err)
	}
	want := map[string]int64{"broken": 2, "syntax": 1, "cut-off": 1}
	if st := s.Stats(); !maps.Equal(st.Reasons, want) || st.Messages != 1 {
		t.Errorf("%+v, want %v", st, want)
	}
}

// TestHalfClosed has a client that sends its last message, says that it is the
// last, and waits for the acknowledgement.
func TestHalfClosed(t *testing.T) {
	h := newCollector()
	h.later = true
	l := listen(t, "tcp")
	serve(t, l, forward.ServerConfig{Receiver: h})
	c := connect(t, l)
	send(t, c, packed(t, "last", 1))
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	h.wait(t, 1)[0].done(true)
	expect(t, c, forward.AppendAck(nil, "last"))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the end", err)
	}
}

func TestJSONConnection(t *testing.T) {
	h := newCollector()
	l := listen(t, "tcp")
	serve(t, l, forward.ServerConfig{Receiver: h})
	c := connect(t, l)
	in := "[\"json\",5,{\"a\":1},{\"chunk\":\"i\"}]\n\n[\"json\",[[5,{}],[6,{}]]]  {\"no\":\"message\"} [\"json\",7,{\"b\":\"]\"}]\n"
	for i := range in {
		send(t, c, []byte(in[i:i+1]))
	}
	expect(t, c, []byte(`{"ack":"i"}`))
	all := h.wait(t, 3)
	if all[0].count != 1 || all[1].count != 2 || all[2].entries != string(array([]byte{7}, mapOf(text("b"), text("]")))) {
		t.Errorf("%+v", all)
	}
}

func TestHeartbeatsByUDP(t *testing.T) {
	s, err := forward.NewServer(forward.ServerConfig{Receiver: newCollector()})
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.ServePacket(pc) }()
	c, err := net.Dial("udp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 10)
	for range 2 {
		send(t, c, []byte("anything, and longer than what is looked at"))
		if n, err := c.Read(b); err != nil || n != 1 || b[0] != 0 {
			t.Errorf("% x, %v", b[:n], err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, forward.ErrServerClosed) || s.Stats().Heartbeats != 2 {
		t.Errorf("%v, %+v", err, s.Stats())
	}
}

// TestCloseWaits for what was handed over, and acknowledges it.
func TestCloseWaits(t *testing.T) {
	h := newCollector()
	h.later = true
	l := listen(t, "tcp")
	s := serve(t, l, forward.ServerConfig{Receiver: h})
	c, idle := connect(t, l), connect(t, l)
	send(t, c, packed(t, "a", 1))
	g := h.wait(t, 1)[0]
	closed := make(chan error, 1)
	go func() { closed <- s.Close(t.Context()) }()
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("an idle connection ends by %v", err)
	}
	select {
	case err := <-closed:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	g.done(true)
	expect(t, c, forward.AppendAck(nil, "a"))
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestCloseHandsOverWhatHasCome has a client that wants no acknowledgements, and
// takes for sent what the system has taken.
func TestCloseHandsOverWhatHasCome(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "plain", "late"} {
		gate, entered := make(chan struct{}), make(chan struct{}, 1000)
		l := listen(t, map[bool]string{true: "unix", false: "tcp"}[network == "unix"])
		served := l
		if network == "plain" || network == "late" {
			served = &plainReads{l, network == "late"}
		}
		s := serve(t, served, forward.ServerConfig{Receiver: forward.ReceiverFunc(func(_ *forward.Received, done func(bool)) {
			entered <- struct{}{}
			<-gate
			done(true)
		})})
		c := connect(t, l)
		send(t, c, packed(t, "", 1))
		<-entered
		for range 30 {
			send(t, c, packed(t, "", 10))
		}
		closed := make(chan error, 1)
		go func() { closed <- s.Close(t.Context()) }()
		for !errors.Is(s.Serve(newPipes()), forward.ErrServerClosed) { // it is closing
		}
		close(gate)
		_ = c.Close() // the server may have closed it
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if st := s.Stats(); st.Messages != 31 || st.Entries != 301 || len(st.Reasons) > 0 {
			t.Errorf("%s: %+v", network, st)
		}
	}
}

// plainReads hides what its connections are, so that they are read by their own
// method.
type plainReads struct {
	net.Listener
	late bool
}

func (p *plainReads) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if p.late {
		return &lateReads{Conn: c}, err
	}
	return struct{ net.Conn }{c}, err
}

// lateReads reads behind the first deadline that is near, as on a machine that has more to
// do.
type lateReads struct {
	net.Conn
	late bool
}

func (l *lateReads) SetReadDeadline(at time.Time) error {
	err := l.Conn.SetReadDeadline(at)
	if near := time.Until(at); !l.late && near > 0 && near < time.Second {
		l.late = true
		time.Sleep(3 * near)
	}
	return err
}

// TestCloseGivesUp when its context ends.
func TestCloseGivesUp(t *testing.T) {
	h := newCollector()
	h.later = true
	l := listen(t, "tcp")
	s := serve(t, l, forward.ServerConfig{Receiver: h})
	c := connect(t, l)
	send(t, c, packed(t, "a", 1))
	g := h.wait(t, 1)[0]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open")
	}
	g.done(true)
}

// pipes is a listener whose connections are in memory, so that time can be
// virtual.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.conns <- there
	return here
}

// inVirtualTime runs f with a server on pipes.
func inVirtualTime(t *testing.T, cfg forward.ServerConfig, f func(t *testing.T, s *forward.Server, dial func() net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		if cfg.Receiver == nil {
			cfg.Receiver = newCollector()
		}
		s, err := forward.NewServer(cfg)
		if err != nil {
			t.Fatal(err)
		}
		l := newPipes()
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		f(t, s, l.dial)
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, forward.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// end reads until the other side closes, and says how long that took and what
// came.
func end(t *testing.T, c net.Conn) (time.Duration, []byte) {
	t.Helper()
	start := time.Now()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return time.Since(start), b
}

func TestTimeouts(t *testing.T) {
	security := &forward.Security{Hostname: "server", SharedKey: "key"}
	inVirtualTime(t, forward.ServerConfig{Security: security}, func(t *testing.T, s *forward.Server, dial func() net.Conn) {
		if took, b := end(t, dial()); took != 10*time.Second || !strings.Contains(string(b), "HELO") {
			t.Errorf("a client that says nothing is closed after %v", took)
		}
		if st := s.Stats(); st.Reasons["handshake"] != 1 {
			t.Errorf("%+v", st)
		}
	})
	inVirtualTime(t, forward.ServerConfig{}, func(t *testing.T, s *forward.Server, dial func() net.Conn) {
		idle := dial()
		half := dial()
		send(t, half, packed(t, "a", 1)[:50])
		if took, _ := end(t, half); took < 60*time.Second || took > 61*time.Second {
			t.Errorf("a client that stops in mid-message is closed after %v", took)
		}
		time.Sleep(24 * time.Hour)
		send(t, idle, packed(t, "a", 1))
		expect(t, idle, forward.AppendAck(nil, "a"))
		if st := s.Stats(); st.Reasons["stalled"] != 1 {
			t.Errorf("%+v", st)
		}
		_ = idle.Close()
	})
	h := newCollector()
	h.later = true
	inVirtualTime(t, forward.ServerConfig{Receiver: h}, func(t *testing.T, s *forward.Server, dial func() net.Conn) {
		c := dial()
		send(t, c, packed(t, "a", 1))
		send(t, c, packed(t, "b", 1))
		all := h.wait(t, 2)
		all[0].done(false)
		if took, _ := end(t, c); took != 30*time.Second {
			t.Errorf("a connection that lingers is closed after %v", took)
		}
		all[1].done(true)
		synctest.Wait() // It is closed before that is told.
		if st := s.Stats(); st.Reasons["linger"] != 1 {
			t.Errorf("%+v", st)
		}
	})
	inVirtualTime(t, forward.ServerConfig{}, func(t *testing.T, s *forward.Server, dial func() net.Conn) {
		c := dial()
		send(t, c, packed(t, "a", 1))
		time.Sleep(time.Minute) // it does not read its acknowledgement
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || s.Stats().Reasons["write"] != 1 {
			t.Errorf("%v, %+v", err, s.Stats())
		}
	})
}
