package forward

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// guarded is a server with a shared key, which takes one message on each
// connection. It counts records.
func guarded(t *testing.T) (string, *atomic.Int64) {
	t.Helper()
	records := new(atomic.Int64)
	s, err := forward.NewServer(forward.ServerConfig{
		DenyKeepalive: true, Security: &forward.Security{Hostname: "server", SharedKey: "key"},
		Receiver: forward.ReceiverFunc(func(r *forward.Received, done func(bool)) {
			records.Add(int64(r.Count))
			done(true)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, forward.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String(), records
}

// TestAServerThatTakesOneMessage on each connection gets each of a request on one
// of its own.
func TestAServerThatTakesOneMessage(t *testing.T) {
	address, records := guarded(t)
	v := Server{Weight: 1, Dial: forward.DialOptions{Address: address, Auth: &forward.Credentials{Hostname: "client", SharedKey: "key"}}}
	for _, noAck := range []bool{false, true} {
		o := logOptions()
		o.Servers, o.NoAck = []Server{v}, noAck
		s := open(t, o)
		for range 3 {
			send(t, s, sinktest.NewRequest(events...))
		}
		if n := len(s.servers[0].conns); n != 0 {
			t.Errorf("%d connections are kept", n)
		}
		if n := records.Load(); n != 12 && !noAck {
			t.Errorf("%d records, want 12", n)
		}
	}
}

// TestAServerThatDoesNotTrustUs needs somebody.
func TestAServerThatDoesNotTrustUs(t *testing.T) {
	address, records := guarded(t)
	for name, auth := range map[string]*forward.Credentials{
		"another key": {Hostname: "client", SharedKey: "other"}, "its own name": {Hostname: "server", SharedKey: "key"}, "no key": nil,
	} {
		o := logOptions()
		o.Servers = []Server{{Weight: 1, Dial: forward.DialOptions{Address: address, Auth: auth}}}
		out := open(t, o).Send(t.Context(), sinktest.NewRequest(events...))
		if out.Verdict != sink.Retry || !out.Config || out.Err == nil {
			t.Errorf("%s: %+v", name, out)
		}
	}
	if n := records.Load(); n != 0 {
		t.Errorf("%d records", n)
	}
}
