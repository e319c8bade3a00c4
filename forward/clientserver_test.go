package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// running is our own server with what it received; it stands in for fluentd in
// what tests of both sides ask.
type running struct {
	t      *testing.T
	server *Server
	addr   net.Addr
	served chan error

	mu      sync.Mutex
	seen    map[string]bool // chunk ids
	records []string
	peers   map[string]string // hostnames and users
	fail    int               // so many messages are refused first
}

// start serves on an address; an empty one means a free port.
func (k *running) start(t *testing.T, network, address string, security *Security, config *tls.Config) {
	t.Helper()
	server, err := NewServer(ServerConfig{Receiver: ReceiverFunc(k.receive), Security: security, LingerTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	k.t, k.server, k.addr, k.served = t, server, l.Addr(), make(chan error, 1)
	go func() {
		if config != nil {
			k.served <- server.ServeTLS(l, config)
			return
		}
		k.served <- server.Serve(l)
	}()
}

func (k *running) stop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // at once, whatever is under way
	// What a server says that is stopped in mid-stream is not what is tested.
	_ = k.server.Close(ctx)
	if err := <-k.served; !errors.Is(err, ErrServerClosed) {
		k.t.Error(err)
	}
}

func (k *running) receive(r *Received, done func(bool)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail > 0 {
		k.fail--
		done(false)
		return
	}
	if k.seen == nil {
		k.seen, k.peers = make(map[string]bool), make(map[string]string)
	}
	k.peers[r.Peer.Hostname] = r.Peer.Username
	if r.Chunk == "" || !k.seen[r.Chunk] {
		k.seen[r.Chunk] = true
		for rest := r.Entries; len(rest) > 0; {
			e, next, err := NextEntry(rest)
			if err != nil {
				k.t.Error(err)
				break
			}
			k.records = append(k.records, string(e.Record))
			rest = next
		}
	}
	done(true)
}

// The cases of fluentd's out_forward with a server: every transport, with a
// shared key, a user or both, with and without acks, plain and compressed.
func TestClientAndServer(t *testing.T) {
	noLeaks(t)
	ca := newAuthority(t)
	secure := &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}, ClientCAs: ca.pool, ClientAuth: tls.RequireAndVerifyClientCert}
	key := &Security{Hostname: "server", SharedKey: "key"}
	users := &Security{Hostname: "server", SharedKey: "key", Users: map[string]string{"ada": "secret"}}
	user := &Security{Hostname: "server", Users: users.Users}
	for _, transport := range []string{"tcp", "tls", "unix"} {
		for _, auth := range []string{"", "key", "user", "user alone"} {
			for _, noAcks := range []bool{false, true} {
				for _, compression := range []Compression{CompressionNone, CompressionGzip, CompressionZstd} {
					t.Run(fmt.Sprintf("%s/%s/noacks=%v/%v", transport, auth, noAcks, compression), func(t *testing.T) {
						var server running
						o := DialOptions{Network: "tcp"}
						address, config := "127.0.0.1:0", (*tls.Config)(nil)
						switch transport {
						case "tls":
							config = secure
							o.TLS = &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{ca.issue(t)}}
						case "unix":
							o.Network, address = "unix", filepath.Join(t.TempDir(), "s")
						}
						security := map[string]*Security{"key": key, "user": users, "user alone": user}[auth]
						server.start(t, o.Network, address, security, config)
						defer server.stop()
						o.Address = server.addr.String()
						if security != nil {
							o.Auth = &Credentials{Hostname: "client", SharedKey: "key", Username: "ada", Password: "secret"}
							if o.AllowEmptyKey = security.SharedKey == ""; o.AllowEmptyKey {
								o.Auth.SharedKey = ""
							}
						}
						c := newClient(t, ClientOptions{Servers: []Endpoint{{DialOptions: o}}, ChunkRecords: 100, NoAcks: noAcks, Compression: compression})
						for i := range 1000 {
							post(t, c, fmt.Sprint("tag", i%3), i)
						}
						if left := finish(t, c, 30*time.Second); left != nil {
							t.Error(left)
						}
						if noAcks { // the kernel has it; the server reads until the end
							server.await(1000)
						}
						server.mu.Lock()
						defer server.mu.Unlock()
						hasAll(t, server.records, 1000)
						want := map[string]string{"": "", "key": "", "user": "ada", "user alone": "ada"}[auth]
						if user, ok := server.peers[map[string]string{"": "", "key": "client", "user": "client", "user alone": "client"}[auth]]; !ok || user != want {
							t.Errorf("the server saw %v", server.peers)
						}
					})
				}
			}
		}
	}
}

// await waits until so many records are there, or the test's time is over.
func (k *running) await(n int) {
	for {
		k.mu.Lock()
		have := len(k.records)
		k.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-k.t.Context().Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// A server that knows another key, or not the user, gets nothing, and the error
// says so.
func TestClientRefused(t *testing.T) {
	noLeaks(t)
	var server running
	server.start(t, "tcp", "127.0.0.1:0", &Security{Hostname: "server", SharedKey: "key", Users: map[string]string{"ada": "secret"}}, nil)
	defer server.stop()
	for name, tt := range map[string]struct {
		auth *Credentials
		want error
	}{
		"wrong key":      {&Credentials{Hostname: "client", SharedKey: "other", Username: "ada", Password: "secret"}, ErrAuthRefused},
		"wrong password": {&Credentials{Hostname: "client", SharedKey: "key", Username: "ada", Password: "guess"}, ErrAuthRefused},
		"no user":        {&Credentials{Hostname: "client", SharedKey: "key"}, ErrAuthRefused},
		"own hostname":   {&Credentials{Hostname: "server", SharedKey: "key", Username: "ada", Password: "secret"}, nil},
		"no key":         {nil, ErrAuthRequired},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, ClientOptions{Servers: []Endpoint{{DialOptions: DialOptions{Address: server.addr.String(), Auth: tt.auth}}}})
			post(t, c, "t", 0)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var watching sync.WaitGroup
			watching.Go(func() { // Close ends when the server has answered, however long that takes.
				for ctx.Err() == nil && c.Stats().Servers[0].Failures == 0 {
					<-time.After(time.Millisecond)
				}
				cancel()
			})
			left := finishBy(ctx, t, c)
			cancel()
			watching.Wait()
			if left == nil || left.Left.Records != 1 || tt.want != nil && !errors.Is(left, tt.want) {
				t.Errorf("%v; expected %v", left, tt.want)
			}
		})
	}
	if len(server.records) != 0 {
		t.Errorf("the server has %d records", len(server.records))
	}
}

// A server that is stopped in mid-stream, several times, and comes back on the
// same address: with acks nothing is lost, and nothing is there twice once
// repeated ids are put aside.
func TestServerRestarts(t *testing.T) {
	noLeaks(t)
	var server running
	server.start(t, "tcp", "127.0.0.1:0", nil, nil)
	address := server.addr.String()
	c := newClient(t, ClientOptions{
		Servers:      []Endpoint{{DialOptions: DialOptions{Address: address}}},
		ChunkRecords: 500, ChunkAge: 10 * time.Millisecond, MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond,
	})
	const n = 200_000
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			for i := w; i < n; i += 4 {
				if err := c.Post(t.Context(), fmt.Sprint("tag", w), time.Now(), map[string]any{"n": i}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 5 {
		server.await((i + 1) * n / 20)
		server.stop()
		server.mu.Lock()
		server.fail = i // the next one begins with chunks that it does not acknowledge
		server.mu.Unlock()
		server.start(t, "tcp", address, nil, nil)
	}
	group.Wait()
	if left := finish(t, c, time.Minute); left != nil {
		t.Error(left)
	}
	server.stop()
	hasAll(t, server.records, n)
	if s := c.Stats(); s.Acked.Records != n || s.Servers[0].Failures == 0 {
		t.Errorf("%+v", s)
	}
}

// A server behind a name is found under its new address after it has moved.
func TestMoved(t *testing.T) {
	noLeaks(t)
	var first, second running
	first.start(t, "tcp", "127.0.0.1:0", nil, nil)
	second.start(t, "tcp", "127.0.0.1:0", nil, nil)
	defer second.stop()
	var mu sync.Mutex
	dns := first.addr.String()
	c := newClient(t, ClientOptions{Servers: []Endpoint{{DialOptions: DialOptions{
		Address: "logs.example.org:24224",
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if !strings.HasPrefix(address, "logs.example.org:") {
				t.Errorf("dialled %q; expected the name", address)
			}
			mu.Lock()
			defer mu.Unlock()
			return new(net.Dialer).DialContext(ctx, network, dns)
		},
	}}}})
	post(t, c, "t", 0)
	if err := c.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	mu.Lock()
	dns = second.addr.String()
	mu.Unlock()
	first.stop()
	post(t, c, "t", 1)
	if err := c.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	deliverAll(t, c, time.Minute)
	hasAll(t, append(first.records, second.records...), 2)
	if len(second.records) != 1 {
		t.Errorf("the new place has %d records", len(second.records))
	}
}

// Several clients shake hands with one server at once, and Verify says which
// servers let the client in.
func TestHandshakesAtOnce(t *testing.T) {
	noLeaks(t)
	ca := newAuthority(t)
	for _, config := range []*tls.Config{nil, {Certificates: []tls.Certificate{ca.issue(t)}}} {
		var server running
		server.start(t, "tcp", "127.0.0.1:0", &Security{Hostname: "server", SharedKey: "key"}, config)
		o := DialOptions{Address: server.addr.String()}
		if config != nil {
			o.TLS = &tls.Config{RootCAs: ca.pool}
		}
		var group sync.WaitGroup
		for i := range 16 {
			group.Go(func() {
				o := o
				o.Auth = &Credentials{Hostname: "client", SharedKey: "key"}
				right := i%4 != 0
				if !right {
					o.Auth.SharedKey = "another"
				}
				c, err := NewClient(ClientOptions{Servers: []Endpoint{{DialOptions: o}}})
				if err != nil {
					t.Error(err)
					return
				}
				if err := c.Verify(t.Context()); right != (err == nil) || !right && !errors.Is(err, ErrAuthRefused) {
					t.Errorf("right key %v: %v", right, err)
				}
				if right {
					post(t, c, "t", i)
				}
				deliverAll(t, c, time.Minute)
			})
		}
		group.Wait()
		server.stop()
		if len(server.records) != 12 {
			t.Errorf("%d records of 12", len(server.records))
		}
	}
}

// A client without a key connects to a server that asks for one; Verify says so all the
// same, and so does the error of a Flush that waits in vain.
func TestVerifyWithoutAuth(t *testing.T) {
	noLeaks(t)
	var server running
	server.start(t, "tcp", "127.0.0.1:0", &Security{Hostname: "server", SharedKey: "key"}, nil)
	defer server.stop()
	c, err := NewClient(ClientOptions{Servers: Endpoints(server.addr.String())})
	if err != nil {
		t.Fatal(err)
	}
	// Verify waits for the server's first word, but not for ever: a busy machine may be late.
	err = c.Verify(t.Context())
	for tries := 1; err == nil && tries < 300; tries++ {
		err = c.Verify(t.Context())
	}
	if !errors.Is(err, ErrAuthRequired) {
		t.Errorf("Verify says %v", err)
	}
	post(t, c, "t", 1)
	// The Flush ends when the server has said what it asks for.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	flushed := make(chan error, 1)
	go func() { flushed <- c.Flush(ctx) }()
	for c.Stats().Servers[0].Failures == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-flushed; !errors.Is(err, context.Canceled) || !errors.Is(err, ErrAuthRequired) {
		t.Errorf("Flush says %v", err)
	}
	if left := new(UndeliveredError); !errors.As(c.Close(ctx), &left) || left.Left.Records != 1 {
		t.Errorf("Close hands back %+v", left)
	}
}
