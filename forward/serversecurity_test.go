package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// serveFor starts a server that takes everything, for Dial to talk to.
func serveFor(t *testing.T, l net.Listener, cfg ServerConfig) *Server {
	t.Helper()
	return serveBy(t, cfg, func(s *Server) error { return s.Serve(l) })
}

// serveTLS is serveFor with TLS.
func serveTLS(t *testing.T, l net.Listener, config *tls.Config, cfg ServerConfig) *Server {
	t.Helper()
	return serveBy(t, cfg, func(s *Server) error { return s.ServeTLS(l, config) })
}

func serveBy(t *testing.T, cfg ServerConfig, serve func(*Server) error) *Server {
	t.Helper()
	if cfg.Receiver == nil {
		cfg.Receiver = ReceiverFunc(func(_ *Received, done func(bool)) { done(true) })
	}
	cfg.Report = func(e Event) { t.Logf("%v: %s: %v", e.Peer, e.Reason, e.Err) }
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- serve(s) }()
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, ErrServerClosed) {
			t.Error(err)
		}
	})
	return s
}

func listenLoopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestServerSecurity has the cases of fluentd's in_forward, and the rules of
// networks; each client is one of this package.
func TestServerSecurity(t *testing.T) {
	local, other := netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")
	users := map[string]string{"ann": "a", "bob": "b"}
	base := Security{Hostname: "server", SharedKey: "key"}
	with := func(change func(*Security)) Security { s := base; change(&s); return s }
	for name, c := range map[string]struct {
		security Security
		auth     *Credentials
		denied   string // what the server says; "" where the client may send
	}{
		"key":               {base, &Credentials{Hostname: "client", SharedKey: "key"}, ""},
		"wrong key":         {base, &Credentials{Hostname: "client", SharedKey: "kez"}, "shared_key mismatch"},
		"user":              {with(func(s *Security) { s.Users = users }), &Credentials{Hostname: "client", SharedKey: "key", Username: "ann", Password: "a"}, ""},
		"wrong password":    {with(func(s *Security) { s.Users = users }), &Credentials{Hostname: "client", SharedKey: "key", Username: "ann", Password: "b"}, "username/password mismatch"},
		"unknown user":      {with(func(s *Security) { s.Users = users }), &Credentials{Hostname: "client", SharedKey: "key", Username: "eve", Password: ""}, "username/password mismatch"},
		"no user":           {with(func(s *Security) { s.Users = users }), &Credentials{Hostname: "client", SharedKey: "key"}, "username/password mismatch"},
		"network":           {with(func(s *Security) { s.Clients, s.DenyOthers = []ClientRule{{Network: local}}, true }), &Credentials{Hostname: "client", SharedKey: "key"}, ""},
		"network's key":     {with(func(s *Security) { s.Clients = []ClientRule{{Network: other}, {Network: local, SharedKey: "own"}} }), &Credentials{Hostname: "client", SharedKey: "own"}, ""},
		"not that key":      {with(func(s *Security) { s.Clients = []ClientRule{{Network: local, SharedKey: "own"}} }), &Credentials{Hostname: "client", SharedKey: "key"}, "shared_key mismatch"},
		"another network":   {with(func(s *Security) { s.Clients = []ClientRule{{Network: other, SharedKey: "own"}} }), &Credentials{Hostname: "client", SharedKey: "key"}, ""},
		"denied network":    {with(func(s *Security) { s.Clients, s.DenyOthers = []ClientRule{{Network: other}}, true }), &Credentials{Hostname: "client", SharedKey: "key"}, "anonymous source host"},
		"user of network":   {with(func(s *Security) { s.Users, s.Clients = users, []ClientRule{{Network: local, Users: []string{"ann"}}} }), &Credentials{Hostname: "client", SharedKey: "key", Username: "ann", Password: "a"}, ""},
		"user of another":   {with(func(s *Security) { s.Users, s.Clients = users, []ClientRule{{Network: local, Users: []string{"ann"}}} }), &Credentials{Hostname: "client", SharedKey: "key", Username: "bob", Password: "b"}, "username/password mismatch"},
		"the server's name": {base, &Credentials{Hostname: "server", SharedKey: "key"}, "hostname"},
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			var peer *Peer
			l := listenLoopback(t)
			s := serveFor(t, l, ServerConfig{Security: &c.security, Receiver: ReceiverFunc(func(r *Received, done func(bool)) {
				peer = r.Peer
				done(true)
			})})
			conn, err := Dial(t.Context(), DialOptions{Address: l.Addr().String(), Auth: c.auth})
			if c.denied != "" {
				if err == nil || !strings.Contains(err.Error(), c.denied) {
					t.Fatalf("%v, want %q", err, c.denied)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.Deliver(t.Context(), chunkOf("id", 3)); err != nil {
				t.Error(err)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			if st := s.Stats(); st.Messages != 1 || peer.Hostname != "client" || peer.Username != c.auth.Username {
				t.Errorf("%+v of %v", st, peer)
			}
		})
	}
}

// TestServerTalksToNobodyElse has clients that do not speak the handshake.
func TestServerTalksToNobodyElse(t *testing.T) {
	for name, b := range map[string][]byte{
		"a message at once": AppendAck(nil, "x"), "no msgpack": {0xc1}, "too much": append([]byte{0xdb, 0, 0, 0xff, 0xff}, make([]byte, 0xffff)...),
		"PONG": (&Pong{OK: true}).Append(nil), "JSON": []byte(`["t",1,{}]`), "HTTP": []byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		noLeaks(t)
		l := listenLoopback(t)
		s := serveFor(t, l, ServerConfig{Security: &Security{Hostname: "server", SharedKey: "key"}})
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(b); err != nil {
			t.Error(err)
		}
		for n := 1; n > 0; {
			n, err = c.Read(make([]byte, 1000))
		}
		if st := s.Stats(); err == nil || st.Messages > 0 || st.Reasons["handshake"] != 1 {
			t.Errorf("%s: %v, %+v", name, err, st)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestServerSecurityIsWhole(t *testing.T) {
	for name, s := range map[string]Security{
		"no name": {SharedKey: "k"}, "no key": {Hostname: "h"}, "no network": {Hostname: "h", SharedKey: "k", Clients: []ClientRule{{}}},
		"nobody": {Hostname: "h", SharedKey: "k", Clients: []ClientRule{{Network: netip.MustParsePrefix("::/0"), Users: []string{"x"}}}},
	} {
		if _, err := NewServer(ServerConfig{Receiver: ReceiverFunc(nil), Security: &s}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := NewServer(ServerConfig{}); err == nil {
		t.Error("no receiver: no error")
	}
}

// TestServerClosesAfterOne has a server that denies keepalive.
func TestServerClosesAfterOne(t *testing.T) {
	noLeaks(t)
	l := listenLoopback(t)
	s := serveFor(t, l, ServerConfig{DenyKeepalive: true, Security: &Security{Hostname: "server", SharedKey: "key"}})
	conn, err := Dial(t.Context(), DialOptions{Address: l.Addr().String(), Auth: &Credentials{Hostname: "client", SharedKey: "key"}})
	if err != nil {
		t.Fatal(err)
	}
	if conn.KeepAlive() {
		t.Error("the client does not know that the connection is for one message")
	}
	if err := conn.Deliver(t.Context(), chunkOf("id", 3)); err != nil {
		t.Error(err)
	}
	<-conn.Done()
	if err := conn.Close(); err != nil {
		t.Log(err)
	}
	if st := s.Stats(); st.Messages != 1 || st.Acks != 1 {
		t.Errorf("%+v", st)
	}
}

// TestServerTLSBesideTCP: connections that can be parked and those that cannot are
// served by one server, whichever come first, and while they are idle.
func TestServerTLSBesideTCP(t *testing.T) {
	noLeaks(t)
	ca := newAuthority(t)
	plain, secure := listenLoopback(t), listenLoopback(t)
	serving := make(chan error, 1)
	t.Cleanup(func() { // Behind Close.
		if err := <-serving; !errors.Is(err, ErrServerClosed) {
			t.Error(err)
		}
	})
	s := serveFor(t, plain, ServerConfig{})
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}
	go func() { serving <- s.ServeTLS(secure, config) }()
	var conns []*Conn
	for n := range 6 {
		o := DialOptions{Address: plain.Addr().String()}
		if n%2 == 1 {
			o = DialOptions{Address: secure.Addr().String(), TLS: &tls.Config{RootCAs: ca.pool}}
		}
		conn, err := Dial(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		for _, conn := range conns {
			if err := conn.Deliver(t.Context(), chunkOf("id", 10)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, conn := range conns {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if st := s.Stats(); st.Messages != 21 {
		t.Errorf("%d messages were received, want 21", st.Messages)
	}
}

// TestServerTLS has a certificate on each side.
func TestServerTLS(t *testing.T) {
	for name, serve := range map[string]func(*Server, net.Listener, *tls.Config) error{
		"parked":          (*Server).ServeTLS,
		"with goroutines": func(s *Server, l net.Listener, config *tls.Config) error { return s.Serve(tls.NewListener(l, config)) },
	} {
		t.Run(name, func(t *testing.T) { testServerTLS(t, serve) })
	}
}

func testServerTLS(t *testing.T, serve func(*Server, net.Listener, *tls.Config) error) {
	noLeaks(t)
	ca := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}, ClientCAs: ca.pool, ClientAuth: tls.RequireAndVerifyClientCert}
	l := listenLoopback(t)
	var peer *Peer
	s := serveBy(t, ServerConfig{Receiver: ReceiverFunc(func(r *Received, done func(bool)) {
		peer = r.Peer
		done(true)
	})}, func(s *Server) error { return serve(s, l, config) })
	conn, err := Dial(t.Context(), DialOptions{Address: l.Addr().String(), TLS: &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{ca.issue(t)}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 10, 100, 10_000, 100_000, 1} {
		if err := conn.Deliver(t.Context(), chunkOf("id", n)); err != nil {
			t.Fatal(err)
		}
	}
	if !peer.Certificate {
		t.Error("the peer's certificate is not known")
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	plain, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Write(AppendAck(nil, "this is no TLS")); err != nil {
		t.Error(err)
	}
	for n := 1; n > 0; {
		n, err = plain.Read(make([]byte, 100))
	}
	if err == nil {
		t.Error("a client without TLS is served")
	}
	if err := plain.Close(); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Messages != 6 || st.Entries != 110_112 || st.Reasons["tls"] != 1 {
		t.Errorf("%+v", st)
	}
}

// TestServerReadsWhatFollowsPing has a client that does not wait for PONG.
func TestServerReadsWhatFollowsPing(t *testing.T) {
	noLeaks(t)
	l := listenLoopback(t)
	s := serveFor(t, l, ServerConfig{Security: &Security{Hostname: "server", SharedKey: "key"}})
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 1000)
	n, err := c.Read(b)
	var hello Hello
	if err = errors.Join(err, hello.Parse(b[:n])); err != nil {
		t.Fatal(err)
	}
	credentials := &Credentials{Hostname: "client", SharedKey: "key"}
	ping := NewPing(&hello, credentials)
	message, err := AppendMessage(ping.Append(nil), "tag", ModePackedForward, entries(100), 100, Option{Chunk: "id"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(message); err != nil {
		t.Fatal(err)
	}
	want := append(NewPong(&hello, ping, &Credentials{Hostname: "server", SharedKey: "key"}).Append(nil), AppendAck(nil, "id")...)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != string(want) {
		t.Errorf("% x, %v; want % x", got, err, want)
	}
	if st := s.Stats(); st.Entries != 100 {
		t.Errorf("%+v", st)
	}
}
