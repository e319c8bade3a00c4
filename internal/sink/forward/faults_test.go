package forward

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// closing is a connection whose peer closes it while a message is written, which
// the kernel takes all the same.
type closing struct {
	net.Conn
	writing, closed chan struct{}
}

func (c *closing) Read([]byte) (int, error) {
	<-c.writing
	return 0, io.EOF
}

func (c *closing) Write(p []byte) (int, error) {
	close(c.writing)
	<-c.closed // The reader has seen the end by now.
	return len(p), nil
}

func (c *closing) Close() error {
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
	return nil
}

func (c *closing) SetWriteDeadline(time.Time) error { return nil }

func TestWithoutAcksAPeerThatCloses(t *testing.T) {
	o := logOptions()
	o.NoAck = true
	v := Server{Weight: 1}
	v.Dial.Address = "nobody:1"
	v.Dial.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return &closing{writing: make(chan struct{}), closed: make(chan struct{})}, nil
	}
	o.Servers = []Server{v}
	out := open(t, o).Send(t.Context(), sinktest.NewRequest(events[0]))
	if out.Verdict != sink.Retry || !out.Unsure || out.Err == nil {
		t.Errorf("%+v", out)
	}
}

// TestAServerThatFailedIsLeftAlone: it is not asked each time while another is
// there, and is when nothing else is.
func TestAServerThatFailedIsLeftAlone(t *testing.T) {
	gone, there := receive(t, nil), receive(t, nil)
	gone.stop()
	var dials atomic.Int32
	v := gone.server()
	v.Weight = 1 << 20
	v.Dial.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	o := logOptions()
	o.Servers, o.RecoverWait = []Server{v, there.server()}, time.Hour
	s := open(t, o)
	s.servers[0].failures = 10 // so that its rest is the longest
	for range 20 {
		send(t, s, sinktest.NewRequest(events[0]))
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
	there.stop()
	for range 4 { // The connection that is there may be tried first.
		s.Send(t.Context(), sinktest.NewRequest(events[0]))
	}
	if n := dials.Load(); n < 2 {
		t.Error("it was not asked though nothing else is there")
	}
}
