package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tinylib/msgp/msgp"
)

func dial(t *testing.T, o DialOptions) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func write(t *testing.T, c *Conn, chunk *OutChunk) *Pending {
	t.Helper()
	p, err := c.Write(t.Context(), chunk)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// An acknowledged chunk is told as delivered, whatever the order of the acks and
// whether they are str or bin.
func TestAcksInAnyOrder(t *testing.T) {
	noLeaks(t)
	o, conns := loopback(t)
	o.SendBuffer = 64 << 10
	c := dial(t, o)
	server := newPeer(<-conns)
	defer server.Close()
	if c.RemoteAddr().String() != o.Address || c.LocalAddr().String() != server.RemoteAddr().String() {
		t.Errorf("from %v to %v; expected %s", c.LocalAddr(), c.RemoteAddr(), o.Address)
	}
	var pending []*Pending
	for i := range 5 {
		pending = append(pending, write(t, c, chunkOf(fmt.Sprint("id-", i), i+1)))
	}
	for i := range 5 {
		m, err := server.receive()
		if err != nil {
			t.Fatal(err)
		}
		if m.Tag != "app.log" || m.ID != fmt.Sprint("id-", i) || m.Size != i+1 || len(m.Records) != i+1 || m.Compression != "" {
			t.Errorf("received %+v as message %d", m, i)
		}
	}
	if got := c.InFlight(); got != 5 {
		t.Errorf("%d in flight; expected 5", got)
	}
	for _, i := range []int{3, 0, 4, 1, 2} {
		ack := server.ack
		if i%2 == 0 {
			ack = server.ackBin
		}
		if err := ack(pending[i].ID()); err != nil {
			t.Fatal(err)
		}
		<-pending[i].Done()
		if err := pending[i].Err(); err != nil {
			t.Errorf("chunk %d: %v", i, err)
		}
	}
	if err := c.Err(); err != nil {
		t.Errorf("the connection has ended: %v", err)
	}
	c.Close()
	if left := c.Unacked(); len(left) != 0 || !errors.Is(c.Err(), ErrClosed) {
		t.Errorf("unacked %v, ended by %v; expected none, and ErrClosed", left, c.Err())
	}
}

// Whatever a server does instead of acknowledging, no chunk is told as
// delivered, and the connection says which are without an ack.
func TestHostileServer(t *testing.T) {
	reply := func(build func([]byte) []byte) func(*peer) {
		return func(p *peer) {
			if _, err := p.Write(build(nil)); err != nil {
				return // the client has closed the connection already
			}
			<-time.After(time.Minute)
		}
	}
	text := func(s string) func(*peer) { return reply(func([]byte) []byte { return []byte(s) }) }
	for _, tt := range []struct {
		name string
		do   func(*peer)
		want error
	}{
		{"another chunk's ack", reply(func(b []byte) []byte { return ackOf("other") }), ErrUnknownAck},
		{"the ack twice", reply(func(b []byte) []byte { return append(ackOf("first"), ackOf("first")...) }), ErrUnknownAck},
		{"silence", func(*peer) { <-time.After(time.Hour) }, ErrAckTimeout},
		{"closed", func(*peer) {}, ErrPeerClosed},
		{"not msgpack", text("\xc1\xc1\xc1"), ErrProtocol},
		{"HTTP", text("HTTP/1.1 400 Bad Request\r\n\r\n"), ErrProtocol},
		{"an ack without an id", text("\x81\xa3ack\xc0"), ErrProtocol},
		{"an ack that is a number", text("\x81\xa3ack\x01"), ErrProtocol},
		{"a map without ack", text("\x81\xa3nak\xa5first"), ErrProtocol},
		{"an answer without end", text("\x81\xa3ack\xdb\xff\xff\xff\xff" + strings.Repeat("x", 64<<10)), ErrProtocol},
		{"deep nesting", text(strings.Repeat("\x91", 64<<10)), ErrProtocol},
		{"a greeting to a client without a key", reply(func(b []byte) []byte { return heloOf("", true) }), ErrAuthRequired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, peers := pipe()
				c := dial(t, o)
				server := newPeer(<-peers)
				served := make(chan struct{})
				go func() {
					defer close(served)
					defer server.Close()
					for range 2 {
						if _, err := server.receive(); err != nil {
							return
						}
					}
					tt.do(server)
				}()
				first := write(t, c, chunkOf("first", 3))
				second, err := c.Write(t.Context(), chunkOf("second", 3))
				if err == nil {
					<-second.Done()
					err = second.Err()
				}
				<-first.Done()
				<-c.Done()
				if !errors.Is(err, tt.want) || !errors.Is(c.Err(), tt.want) {
					t.Errorf("chunk ended with %v, connection with %v; expected %v", err, c.Err(), tt.want)
				}
				var sending *SendError
				if !errors.As(err, &sending) || !sending.Unsure || sending.ID != "second" {
					t.Errorf("chunk ended with %#v; expected a SendError that is unsure", err)
				}
				want := []string{"first", "second"}
				if tt.name == "the ack twice" {
					want = want[1:]
				}
				if got := c.Unacked(); !slices.Equal(got, want) {
					t.Errorf("without ack: %v; expected %v", got, want)
				}
				if _, err := c.Write(t.Context(), chunkOf("third", 1)); !errors.As(err, &sending) || sending.Unsure || !errors.Is(err, tt.want) {
					t.Errorf("writing to the ended connection: %v; expected %v, not unsure", err, tt.want)
				}
				c.Close()
				server.Close()
				<-served
			})
		})
	}
}

func ackOf(id string) []byte {
	return msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(nil, 1), "ack"), id)
}

// A server that closes after any number of bytes has acknowledged nothing.
func TestClosedAfterEachByte(t *testing.T) {
	noLeaks(t)
	whole := 0
	for n := 0; ; n++ {
		o, peers := pipe()
		c := dial(t, o)
		server := <-peers
		go func() {
			// How much of the message is there to be read is what the test is about.
			_, _ = io.CopyN(io.Discard, server, int64(n))
			server.Close()
		}()
		p, err := c.Write(t.Context(), chunkOf("x", 2))
		if err == nil {
			whole++
			<-p.Done()
			err = p.Err()
		}
		var sending *SendError
		if !errors.As(err, &sending) || sending.Unsure != (n > 0) {
			t.Fatalf("after %d bytes: %v; expected a SendError, unsure after the first byte", n, err)
		}
		want := []string{"x"}
		if n == 0 {
			want = nil
		}
		if got := c.Unacked(); !slices.Equal(got, want) {
			t.Fatalf("after %d bytes without ack: %v; expected %v", n, got, want)
		}
		c.Close()
		if whole > 0 {
			return
		}
		if n > 1000 {
			t.Fatal("the message has no end")
		}
	}
}

// A half-closed connection is noticed while nothing is sent, and also where no
// acks are asked for: what is written afterwards is known not to have arrived.
func TestHalfClosed(t *testing.T) {
	noLeaks(t)
	o, conns := loopback(t)
	c := dial(t, o)
	server := (<-conns).(*net.TCPConn)
	defer server.Close()
	write(t, c, chunkOf("", 1))
	if err := server.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if !errors.Is(c.Err(), ErrPeerClosed) {
		t.Errorf("ended by %v; expected ErrPeerClosed", c.Err())
	}
	var sending *SendError
	if _, err := c.Write(t.Context(), chunkOf("", 1)); !errors.As(err, &sending) || sending.Unsure {
		t.Errorf("writing afterwards: %v; expected a SendError that is sure", err)
	}
}

// A server that does not read is left after WriteTimeout; one that reads slowly
// is not, however long it takes.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, peers := pipe()
		o.WriteTimeout = 10 * time.Second
		c := dial(t, o)
		server := <-peers
		big := &OutChunk{Tag: "t", Entries: [][]byte{make([]byte, 3<<20), make([]byte, 5<<19)}, ID: "big"}
		whole := len(AppendOption(AppendHead(nil, "t", 11<<19), Option{Chunk: "big"})) + 11<<19
		var received int
		go func() {
			buf := make([]byte, 128<<10)
			for {
				<-time.After(time.Second) // the whole takes 44 s, a MiB 8 s
				n, err := server.Read(buf)
				received += n
				if err != nil {
					return
				}
				if received == whole {
					return
				}
			}
		}()
		began := time.Now()
		write(t, c, big)
		if took := time.Since(began); took < 40*time.Second {
			t.Errorf("took %v; expected a slow reader", took)
		}
		began = time.Now()
		_, err := c.Write(t.Context(), chunkOf("next", 1))
		var sending *SendError
		if !errors.As(err, &sending) || time.Since(began) != 10*time.Second {
			t.Errorf("after %v: %v; expected an error after WriteTimeout", time.Since(began), err)
		}
		server.Close()
	})
}

// A context ends the wait for the window without harm, and a write under way
// with the connection.
func TestWriteContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, peers := pipe()
		o.Window = 1
		o.AckTimeout = time.Hour
		c := dial(t, o)
		server := newPeer(<-peers)
		defer server.Close()
		go func() {
			if _, err := server.receive(); err != nil {
				t.Error(err)
			}
		}()
		first := write(t, c, chunkOf("first", 1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var sending *SendError
		_, err := c.Write(ctx, chunkOf("second", 1))
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &sending) || sending.Unsure {
			t.Errorf("window full: %v; expected the end of the context, sure", err)
		}
		if err := server.ack("first"); err != nil {
			t.Fatal(err)
		}
		<-first.Done()
		if first.Err() != nil || c.Err() != nil {
			t.Errorf("the first chunk ended with %v, the connection with %v", first.Err(), c.Err())
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.Write(ctx, chunkOf("third", 1)) // nobody reads
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody reads: %v; expected the end of the context", err)
		}
		<-c.Done()
	})
}

// late is a connection whose deadlines in the past come late; cancel is called
// when the first message is written.
type late struct {
	net.Conn
	cancel context.CancelFunc
}

func (l *late) SetWriteDeadline(t time.Time) error {
	if t.Before(time.Now()) {
		time.Sleep(time.Second)
	}
	return l.Conn.SetWriteDeadline(t)
}

func (l *late) Write(b []byte) (int, error) {
	n, err := l.Conn.Write(b)
	l.cancel()
	return n, err
}

// A context that ends when its message is written does not cut off the next one.
func TestWriteContextEndsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		o, peers := pipe()
		connect := o.DialContext
		o.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := connect(ctx, network, address)
			return &late{nc, cancel}, err
		}
		c := dial(t, o)
		server := newPeer(<-peers)
		go func() {
			for range 2 {
				if _, err := server.receive(); err != nil {
					t.Error(err)
				}
				time.Sleep(3 * time.Second)
			}
			server.Close()
		}()
		if _, err := c.Write(ctx, chunkOf("", 1)); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if _, err := c.Write(t.Context(), chunkOf("", 1)); err != nil {
			t.Error(err)
		}
		if _, err := c.Write(ctx, chunkOf("", 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
		<-c.Done()
	})
}

// Deliver returns nil for an ack alone, and not after the end of its context.
func TestDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, peers := pipe()
		c := dial(t, o)
		server := newPeer(<-peers)
		go func() {
			for range 2 {
				m, err := server.receive()
				if err != nil {
					t.Error(err)
				} else if m.ID == "good" {
					if err := server.ack(m.ID); err != nil {
						t.Error(err)
					}
				}
			}
		}()
		if err := c.Deliver(t.Context(), chunkOf("good", 1)); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var sending *SendError
		if err := c.Deliver(ctx, chunkOf("lost", 1)); !errors.As(err, &sending) || !sending.Unsure || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no ack: %v; expected the end of the context, unsure", err)
		}
		if err := c.Deliver(t.Context(), chunkOf("", 1)); err == nil {
			t.Error("a chunk without an id was delivered")
		}
		if err := c.Deliver(t.Context(), chunkOf("lost", 1)); !errors.As(err, &sending) || sending.Unsure {
			t.Errorf("an id in flight twice: %v; expected a refusal", err)
		}
		server.Close()
	})
}

// An ack that comes before the message was written is no proof that it arrived.
func TestAckBeforeTheEnd(t *testing.T) {
	for _, whole := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			o, peers := pipe()
			c := dial(t, o)
			server := <-peers
			go func() {
				buf := make([]byte, 16)
				if _, err := io.ReadFull(server, buf); err != nil {
					t.Error(err)
				}
				if _, err := server.Write(ackOf("x")); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if whole {
					// Until the client closes.
					if _, err := io.Copy(io.Discard, server); err != nil {
						t.Error(err)
					}
				}
				server.Close()
			}()
			p, err := c.Write(t.Context(), chunkOf("x", 100))
			if whole {
				if err != nil {
					t.Fatal(err)
				}
				<-p.Done()
				if p.Err() != nil {
					t.Error(p.Err())
				}
			} else if err == nil || !slices.Equal(c.Unacked(), []string{"x"}) {
				t.Errorf("half a message: error %v, without ack %v", err, c.Unacked())
			}
			c.Close()
		})
	}
}

// An ack that comes twice before the message was written is a lie, too.
func TestEarlyAckTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, peers := pipe()
		c := dial(t, o)
		server := <-peers
		go func() {
			buf := make([]byte, 16)
			if _, err := io.ReadFull(server, buf); err != nil {
				t.Error(err)
			}
			if _, err := server.Write(append(ackOf("x"), ackOf("x")...)); err != nil {
				t.Error(err)
			}
		}()
		if _, err := c.Write(t.Context(), chunkOf("x", 100)); err == nil || !errors.Is(c.Err(), ErrUnknownAck) {
			t.Errorf("error %v, connection %v", err, c.Err())
		}
		server.Close()
	})
}

// Goroutines that write at once do not mix their messages.
func TestConcurrentWrites(t *testing.T) {
	noLeaks(t)
	const writers, each = 8, 200
	for _, secure := range []bool{false, true} {
		o, conns := loopback(t)
		serve := func(nc net.Conn) net.Conn { return nc }
		if secure {
			ca := newAuthority(t)
			o.TLS = &tls.Config{RootCAs: ca.pool}
			config := &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}
			serve = func(nc net.Conn) net.Conn { return tls.Server(nc, config) }
		}
		seen := make(chan int)
		go func() {
			server := newPeer(serve(<-conns))
			defer server.Close()
			n := 0
			for {
				m, err := server.receive()
				if err != nil {
					if !errors.Is(err, io.EOF) {
						t.Errorf("after %d messages: %v", n, err)
					}
					break
				}
				if len(m.Entries) < 10_000 || strings.Trim(m.Tag, "w01234567") != "" {
					t.Errorf("a message with tag %q and %d bytes", m.Tag, len(m.Entries))
				}
				n++
			}
			seen <- n
		}()
		c := dial(t, o)
		payload := entries(1000)
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				for range each {
					chunk := &OutChunk{Tag: fmt.Sprint("w", w), Entries: [][]byte{payload[:5], payload[5:]}, Records: 1000}
					if _, err := c.Write(t.Context(), chunk); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		c.Close()
		if got := <-seen; got != writers*each {
			t.Errorf("received %d messages of %d", got, writers*each)
		}
	}
}

// The transports: TLS with the server's name checked, mutual TLS, unix sockets.
func TestTransports(t *testing.T) {
	noLeaks(t)
	ca, stranger := newAuthority(t), newAuthority(t)
	serverSide := &tls.Config{
		Certificates: []tls.Certificate{ca.issue(t)}, ClientCAs: ca.pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	for _, tt := range []struct {
		name   string
		client *tls.Config
		server *tls.Config
		unix   bool
		fails  bool
	}{
		{name: "unix", unix: true},
		{name: "TLS", client: &tls.Config{RootCAs: ca.pool}, server: &tls.Config{Certificates: serverSide.Certificates}},
		{name: "unknown authority", client: &tls.Config{RootCAs: stranger.pool}, server: &tls.Config{Certificates: serverSide.Certificates}, fails: true},
		{name: "another name", client: &tls.Config{RootCAs: ca.pool, ServerName: "elsewhere"}, server: &tls.Config{Certificates: serverSide.Certificates}, fails: true},
		{name: "mutual TLS", client: &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{ca.issue(t)}}, server: serverSide},
		{name: "TLS on unix", unix: true, client: &tls.Config{RootCAs: ca.pool, ServerName: "localhost"}, server: &tls.Config{Certificates: serverSide.Certificates}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			network, address := "tcp", "127.0.0.1:0"
			if tt.unix {
				network, address = "unix", filepath.Join(t.TempDir(), "s")
			}
			l, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			if tt.server != nil {
				l = tls.NewListener(l, tt.server)
			}
			served := make(chan struct{})
			go func() {
				defer close(served)
				nc, err := l.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				server := newPeer(nc)
				defer server.Close()
				for {
					m, err := server.receive()
					if err != nil {
						return
					}
					if err := server.ack(m.ID); err != nil {
						t.Error(err)
					}
				}
			}()
			c, err := Dial(t.Context(), DialOptions{Network: network, Address: l.Addr().String(), TLS: tt.client})
			if err == nil {
				err = errors.Join(c.Deliver(t.Context(), chunkOf("small", 1)), c.Deliver(t.Context(), chunkOf("large", 100_000)), c.Close())
			}
			if (err != nil) != tt.fails {
				t.Errorf("error %v; expected one: %v", err, tt.fails)
			}
			l.Close()
			<-served
		})
	}
}

// Chunks that no server would understand are refused, and harm nothing.
func TestChunksRefused(t *testing.T) {
	o, conns := loopback(t)
	c := dial(t, o)
	defer (<-conns).Close()
	for _, chunk := range []*OutChunk{
		{}, {Tag: strings.Repeat("x", MaxTag+1)}, {Tag: "t", ID: strings.Repeat("x", MaxChunkID+1)}, {Tag: "t", Compression: CompressionUnknown},
		{Tag: "t", Entries: slices.Repeat([][]byte{make([]byte, 1<<20)}, 4096)},
	} {
		var sending *SendError
		if _, err := c.Write(t.Context(), chunk); !errors.As(err, &sending) || sending.Unsure || c.Err() != nil {
			t.Errorf("%v, and the connection %v", err, c.Err())
		}
	}
	if c.Unacked() != nil {
		t.Error("a connection that lives has chunks without acks")
	}
}

// A dial that is called off in the handshake ends at once.
func TestHandshakeCalledOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, peers := pipe()
		o.Auth = &Credentials{SharedKey: "key"}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := Dial(ctx, o); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		(<-peers).Close()
	})
}

// An address that no attempt could reach is refused at once, with what was meant.
func TestAddresses(t *testing.T) {
	for _, test := range []struct{ network, address, expected string }{
		{"", "", "host:port"},
		{"", "localhost", "host:port"},
		{"", "localhost:", "host:port"},
		{"tcp6", "::1", "[::1]:24224"},
		{"", "localhost:x", "the name of a service"},
		{"", "localhost:65536", "a port up to 65535"},
		{"", "unix:/run/fluent.sock", `Network: "unix"`},
		{"", "tls://localhost:24224", "tls.Config"},
		{"", "tcp://localhost:24224", "without tcp://"},
		{"unix", "unix:///run/fluent.sock", "without unix://"},
		{"", "/run/fluent.sock", `Network: "unix"`},
		{"unix", "/" + strings.Repeat("x", 107), "107 bytes"},
	} {
		_, err := NewClient(ClientOptions{Servers: []Endpoint{{DialOptions: DialOptions{Network: test.network, Address: test.address}}}})
		if err == nil || !strings.Contains(err.Error(), test.expected) {
			t.Errorf("%s %q: %v; expected %q in it", test.network, test.address, err, test.expected)
		}
	}
	for _, o := range []DialOptions{{Address: "localhost:24224"}, {Address: "[::1]:https"}, {Network: "unix", Address: "fluent.sock"}} {
		if _, err := o.withDefaults(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// Options that cannot work are refused before anything is connected.
func TestOptions(t *testing.T) {
	for _, o := range []DialOptions{
		{},
		{Network: "udp", Address: "h:1"},
		{Address: "h:1", AckTimeout: -1},
		{Address: "h:1", Window: -1},
		{Address: "h:1", Auth: &Credentials{Username: "user", Password: "password"}},
	} {
		o.DialContext = func(context.Context, string, string) (net.Conn, error) {
			t.Error("connected")
			return nil, errors.New("no")
		}
		if _, err := Dial(t.Context(), o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

// Endpoints reads the addresses that the configuration of spillway has.
func TestEndpoints(t *testing.T) {
	all := Endpoints("h:1", "tls://h:2", "unix:/run/s", "unix:///run/s", "nonsense")
	for i, want := range []struct {
		network, address string
		tls              bool
	}{{"", "h:1", false}, {"", "h:2", true}, {"unix", "/run/s", false}, {"unix", "/run/s", false}, {"", "nonsense", false}} {
		if got := all[i]; got.Network != want.network || got.Address != want.address || (got.TLS != nil) != want.tls {
			t.Errorf("%+v, want %+v", got.DialOptions, want)
		}
	}
	if _, err := NewClient(ClientOptions{Servers: all}); err == nil || !strings.Contains(err.Error(), `"nonsense"`) {
		t.Errorf("NewClient takes nonsense: %v", err)
	}
}
