package forward

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for over := time.Now().Add(2 * time.Minute); time.Now().Before(over); <-time.After(20 * time.Millisecond) {
		if so() {
			return
		}
	}
	t.Errorf("%s: not in two minutes", what)
}

// tlsPeer is the client's side of one connection over TLS, by hand.
type tlsPeer struct {
	*tls.Conn
	t *testing.T
}

func dialTLS(t *testing.T, l net.Listener, ca *authority) tlsPeer {
	t.Helper()
	nc, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: ca.pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return tlsPeer{nc, t}
}

// message is a chunk of n entries.
func (p tlsPeer) message(id string, n int) []byte {
	all := entries(n)
	b := append(AppendHead(nil, "app.log", len(all)), all...)
	return AppendOption(b, Option{Chunk: id, Size: n})
}

func (p tlsPeer) send(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Error(err)
	}
}

// acked waits for the answer.
func (p tlsPeer) acked(id string) bool {
	want := AppendAck(nil, id)
	got := make([]byte, len(want))
	if p.SetReadDeadline(time.Now().Add(2*time.Minute)) != nil {
		return false
	}
	_, err := io.ReadFull(p, got)
	return err == nil && bytes.Equal(got, want)
}

func (p tlsPeer) deliver(id string, n int) {
	p.t.Helper()
	p.send(p.message(id, n))
	if !p.acked(id) {
		p.t.Errorf("%s is not acknowledged", id)
	}
}

// TestTLSIsParked: connections over TLS on which nothing comes have no goroutine, neither
// in the middle of a message, and go on wherever they were.
func TestTLSIsParked(t *testing.T) {
	noLeaks(t)
	ca, l := newAuthority(t), listenLoopback(t)
	s := serveTLS(t, l, &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}, ServerConfig{})
	before := runtime.NumGoroutine()
	few := func() bool { return runtime.GOOS != "linux" || runtime.NumGoroutine() < before+5 }
	conns := make([]tlsPeer, 50)
	for i := range conns {
		conns[i] = dialTLS(t, l, ca)
		conns[i].deliver("first", 1+i*i)
	}
	eventually(t, "they are parked", few)
	sent := make([][]byte, len(conns))
	for i, c := range conns {
		sent[i] = c.message("second", 100)
		c.send(sent[i][:20])
	}
	eventually(t, "they are parked in the middle of messages", few)
	for i, c := range conns { // In two records at once, and the next message in the second.
		c.send(sent[i][20:1000])
		c.send(append(sent[i][1000:], c.message("third", 3000)...))
	}
	for _, c := range conns {
		if !c.acked("second") || !c.acked("third") {
			t.Error("what came after a while is not acknowledged")
		}
	}
	m := conns[0].message("drip", 1)
	for i := range m {
		conns[0].send(m[i : i+1])
	}
	if !conns[0].acked("drip") {
		t.Error("what came byte by byte is not acknowledged")
	}
	if st := s.Stats(); st.Messages != 151 || len(st.Reasons) > 0 {
		t.Errorf("%+v", st)
	}
}

// TestTLSRoom: of many connections over TLS only as many are accepted as there is memory for. The others wait, which is
// told, and come when some are gone.
func TestTLSRoom(t *testing.T) {
	for name, serve := range map[string]func(*Server, net.Listener, *tls.Config) error{
		"parked":          (*Server).ServeTLS,
		"with goroutines": func(s *Server, l net.Listener, config *tls.Config) error { return s.Serve(tls.NewListener(l, config)) },
	} {
		t.Run(name, func(t *testing.T) { testTLSRoom(t, serve) })
	}
}

func testTLSRoom(t *testing.T, serve func(*Server, net.Listener, *tls.Config) error) {
	noLeaks(t)
	const n = 100
	ca, l := newAuthority(t), listenLoopback(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}
	s := serveBy(t, ServerConfig{Memory: 1 << 20, Limits: Limits{Message: 128 << 10}}, func(s *Server) error { return serve(s, l, config) })
	within := func() bool {
		s.secure.mu.Lock()
		defer s.secure.mu.Unlock()
		return s.secure.used <= s.secure.most()
	}
	leave := make(chan struct{})
	var clients sync.WaitGroup
	var again atomic.Int64
	for range n {
		clients.Go(func() {
			// On a busy machine one is slow with its handshake, and closed for others.
			for ; again.Load() < 10*n; again.Add(1) {
				nc, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: ca.pool})
				if err != nil {
					continue
				}
				c := tlsPeer{nc, t}
				if _, err := c.Write(c.message("one", 1)); err != nil || !c.acked("one") {
					c.Close()
					continue
				}
				<-leave
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			t.Error("a client is never served")
		})
	}
	eventually(t, "some have to wait", func() bool { return s.Stats().Reasons["full"] > 0 })
	if open := s.Stats().Connections; open >= n || open < 5 || !within() {
		t.Errorf("%d are open at once, and take %d of %d bytes", open, s.secure.used, s.secure.most())
	}
	close(leave)
	clients.Wait()
	eventually(t, "all are gone, and why is told", func() bool { st := s.Stats(); return st.Connections == 0 && st.Reasons["tls"] == again.Load() })
	if st := s.Stats(); st.Messages != n || st.Accepted != n+again.Load() || st.Reasons["memory"] != 0 {
		t.Errorf("%+v, %d times again", st, again.Load())
	}
}

// either accepts connections of which every second is over TLS, as a listener does that
// serves both at one port.
type either struct {
	net.Listener
	config *tls.Config
	n      int
}

func (l *either) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if l.n++; err == nil && l.n%2 == 1 {
		nc = tls.Server(nc, l.config)
	}
	return nc, err
}

// TestTLSRoomIsGivenBack where what comes after a connection over TLS is none.
func TestTLSRoomIsGivenBack(t *testing.T) {
	noLeaks(t)
	ca, l := newAuthority(t), listenLoopback(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}
	s := serveBy(t, ServerConfig{}, func(s *Server) error { return s.Serve(&either{Listener: l, config: config}) })
	for range 3 {
		secure := dialTLS(t, l, ca)
		secure.deliver("one", 1)
		plain, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := plain.Write(secure.message("two", 1)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(plain, make([]byte, len(AppendAck(nil, "two")))); err != nil {
			t.Fatal(err)
		}
		for _, c := range []io.Closer{secure, plain} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	eventually(t, "all is given back", func() bool {
		s.secure.mu.Lock()
		defer s.secure.mu.Unlock()
		return s.secure.used == 0
	})
}

// TestTLSRecords: what TLS keeps of large records is counted, and where it is too much, connections that are idle are
// closed, as many as it takes.
func TestTLSRecords(t *testing.T) {
	noLeaks(t)
	ca, l := newAuthority(t), listenLoopback(t)
	s := serveTLS(t, l, &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}, ServerConfig{Memory: 1 << 20, Limits: Limits{Message: 128 << 10}})
	const n = 40
	conns := make([]tlsPeer, n)
	for i := range conns {
		conns[i] = dialTLS(t, l, ca)
		conns[i].deliver("small", 1)
	}
	for _, c := range conns[n-15:] {
		for range 20 { // So many until a client fills its records.
			c.deliver("large", 1000)
		}
	}
	_ = conns[0].SetReadDeadline(time.Now().Add(2 * time.Minute)) // A failed one fails the read as well.
	if _, err := conns[0].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the first connection ends with %v", err)
	}
	for _, c := range conns[n-2:] {
		c.deliver("last", 1)
	}
	st := s.Stats()
	s.secure.mu.Lock()
	defer s.secure.mu.Unlock()
	if closed := st.Reasons["memory"]; closed == 0 || closed > n-5 || s.secure.used > s.secure.most() || st.Messages != n+15*20+2 {
		t.Errorf("%d bytes of %d are used: %+v", s.secure.used, s.secure.most(), st)
	}
}

// TestMakingRoomWaitsForNobody: who closes another connection may itself be in the middle
// of a read, as the other may be, and each of them would wait for the other for ever.
func TestMakingRoomWaitsForNobody(t *testing.T) {
	noLeaks(t)
	ca, l := newAuthority(t), listenLoopback(t)
	settle := make(chan func(bool), 1)
	s := serveTLS(t, l, &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}, ServerConfig{
		Receiver: ReceiverFunc(func(_ *Received, done func(bool)) { settle <- done }),
	})
	peer := dialTLS(t, l, ca)
	peer.send(peer.message("due", 1)) // It is cut, and does not linger.
	done := <-settle
	c := s.open(nil)[0]
	if c.raw == nil {
		t.Skip("not run: no connection is read in this way here")
	}
	eventually(t, "it waits for its peer", func() bool {
		h := c.seen()
		return h.waits()
	})
	made, inside := make(chan struct{}), make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		err := c.raw.Control(func(uintptr) { // as in a read, which a close waits for
			close(inside)
			<-made
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-inside
	s.secure.makeRoom(&serverConn{}, 1)
	close(made)
	reading.Wait()
	done(true)
	eventually(t, "it is closed", func() bool { return s.Stats().Connections == 0 })
	if st := s.Stats(); st.Reasons["memory"] != 1 {
		t.Errorf("%+v", st)
	}
}

// TestSetMemory: a server that can have less memory gives it back, also what is half read, and serves on.
func TestSetMemory(t *testing.T) {
	noLeaks(t)
	ca, l, plain := newAuthority(t), listenLoopback(t), listenLoopback(t)
	served := make(chan error, 1)
	t.Cleanup(func() { // Behind Close.
		if err := <-served; !errors.Is(err, ErrServerClosed) {
			t.Error(err)
		}
	})
	s := serveTLS(t, l, &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}, ServerConfig{Memory: 8 << 20, Limits: Limits{Message: 256 << 10}})
	go func() { served <- s.Serve(plain) }()
	idle := make([]tlsPeer, 100)
	for i := range idle {
		idle[i] = dialTLS(t, l, ca)
		idle[i].deliver("one", 1)
	}
	half := append(AppendHead(nil, "half", 200<<10), make([]byte, 150<<10)...)
	for range 20 {
		nc, err := net.Dial("tcp", plain.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		go nc.Write(half) //nolint:errcheck // It may be closed.
	}
	eventually(t, "much is half read", func() bool { return s.Stats().Memory > 2<<20 })
	const less = 1 << 20
	s.SetMemory(less)
	eventually(t, "the memory is given back", func() bool {
		s.secure.mu.Lock()
		defer s.secure.mu.Unlock()
		return s.Stats().Memory <= less && s.secure.used <= less/2
	})
	// They are closed before that is told.
	eventually(t, "it is told", func() bool { return s.Stats().Reasons["memory"] >= 50 })
	if st := s.Stats(); st.Reasons["too-large"] > 0 {
		t.Errorf("%+v", st)
	}
	for _, c := range idle { // Else there may be no room for one more, which would wait.
		_ = c.Close() // It may be closed from the other side.
	}
	eventually(t, "it serves on", func() bool {
		c := dialTLS(t, l, ca)
		_, err := c.Write(c.message("good", 1000)) // While others hold all memory it may be closed for them.
		return err == nil && c.acked("good")
	})
}

// TestHandshakesEnd: clients that do not do their part of a handshake have no goroutine, and are closed in time.
func TestHandshakesEnd(t *testing.T) {
	noLeaks(t)
	ca := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}
	key := &Security{Hostname: "server", SharedKey: "key"}
	for _, c := range []struct {
		name     string
		config   *tls.Config
		security *Security
		reason   string
		says     string
	}{
		{"TLS, nothing", config, nil, "tls", ""},
		{"TLS, the beginning", config, nil, "tls", "\x16\x03\x01\x01\x00\x01"},
		{"key, nothing", nil, key, "handshake", ""},
		{"key, the beginning", nil, key, "handshake", "\x96\xa4PING"},
		{"both", config, key, "handshake", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			l := listenLoopback(t)
			cfg := ServerConfig{HandshakeTimeout: time.Second, Security: c.security}
			s := serveBy(t, cfg, func(s *Server) error {
				if c.config != nil {
					return s.ServeTLS(l, c.config)
				}
				return s.Serve(l)
			})
			before := runtime.NumGoroutine()
			const n = 20
			conns, late := make([]net.Conn, n), 0
			for i := range conns {
				nc, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { nc.Close() })
				if c.config != nil && c.security != nil {
					secured := tls.Client(nc, &tls.Config{RootCAs: ca.pool, ServerName: "127.0.0.1"})
					if err := secured.HandshakeContext(t.Context()); err != nil {
						late++ // The machine is busy: it is closed for the first handshake already.
						t.Log(err)
					}
					conns[i] = secured
					continue
				}
				if _, err := nc.Write([]byte(c.says)); err != nil {
					t.Fatal(err)
				}
				conns[i] = nc
			}
			eventually(t, "all are accepted", func() bool { return s.Stats().Accepted == n })
			if c.says == "" || c.config == nil {
				eventually(t, "they have no goroutine", func() bool { return runtime.GOOS != "linux" || runtime.NumGoroutine() < before+5 })
			}
			eventually(t, "all are closed", func() bool { return s.Stats().Connections == 0 })
			// Of a handshake whose last part is on its way only the client knows that it is made.
			if st := s.Stats(); st.Reasons[c.reason]+st.Reasons["tls"] < n || late == 0 && st.Reasons[c.reason] == 0 {
				t.Errorf("%+v", st)
			}
			for _, nc := range conns {
				if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
			}
		})
	}
}

// TestHandshakesTakeTurns: however many begin a handshake and do not go on, they take a few goroutines, and one that does
// its part is served beside them.
func TestHandshakesTakeTurns(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("not run: connections cannot be parked here")
	}
	noLeaks(t)
	ca, l := newAuthority(t), listenLoopback(t)
	s := serveTLS(t, l, &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}, ServerConfig{
		Memory: 8 << 20, Limits: Limits{Message: 2 << 20}, HandshakeTimeout: time.Hour,
	})
	before := runtime.NumGoroutine()
	const n, most = 60, 30
	for range n {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		if _, err := nc.Write([]byte("\x16\x03\x01\x01\x00\x01")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are accepted", func() bool { return s.Stats().Accepted == n })
	if got := runtime.NumGoroutine() - before; got > most {
		t.Errorf("%d goroutines wait for handshakes", got)
	}
	c := dialTLS(t, l, ca)
	c.deliver("one", 1)
	eventually(t, "some are closed for it", func() bool { return s.Stats().Reasons["tls"] > 0 })
}
