package forward_test

import (
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/forward"
)

// soon waits until something is so. What it waits for may take a while where others use
// the machine, too.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%s: not in two minutes", what)
			return
		}
	}
}

// TestTurns has more connections with a message each than may be at work at once, and
// a Receiver that does not return: they take no more goroutines than there are turns,
// and all are served in the end.
func TestTurns(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("not run: connections cannot be parked here")
	}
	for name, security := range map[string]*forward.Security{"open": nil, "with a key": {Hostname: "server", SharedKey: "secret"}} {
		t.Run(name, func(t *testing.T) {
			const n, most = 200, 50
			var inside atomic.Int64
			goOn := make(chan struct{})
			l := listen(t, "tcp")
			s := serve(t, l, forward.ServerConfig{
				Memory: 1 << 20, Limits: forward.Limits{Message: 256 << 10}, Security: security,
				Receiver: forward.ReceiverFunc(func(_ *forward.Received, done func(bool)) {
					inside.Add(1)
					<-goOn
					done(true)
				}),
			})
			before := runtime.NumGoroutine()
			conns := make([]net.Conn, n)
			for i := range conns {
				conns[i] = connect(t, l)
				if security != nil {
					shakeHands(t, conns[i])
				}
				send(t, conns[i], packed(t, fmt.Sprint("id", i), 1))
			}
			soon(t, "the first are at work", func() bool { return s.Stats().Accepted == n && inside.Load() >= 16 })
			soon(t, "no more than there are turns", func() bool { return runtime.NumGoroutine() < before+most })
			if got := inside.Load(); got > most {
				t.Errorf("%d are at work at once", got)
			}
			close(goOn)
			for i, c := range conns {
				expect(t, c, forward.AppendAck(nil, fmt.Sprint("id", i)))
			}
		})
	}
}

// shakeHands is a client's part of the handshake.
func shakeHands(t *testing.T, c net.Conn) {
	t.Helper()
	b := make([]byte, 512)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	var hello forward.Hello
	if err := hello.Parse(b[:n]); err != nil {
		t.Fatal(err)
	}
	send(t, c, forward.NewPing(&hello, &forward.Credentials{Hostname: "test", SharedKey: "secret"}).Append(nil))
	if _, err := c.Read(b); err != nil {
		t.Fatal(err)
	}
}

// TestDrip sends messages that are slow from the middle on, byte by byte. They take no
// goroutine, arrive as they are, and what is no message is told as ever.
func TestDrip(t *testing.T) {
	h := newCollector()
	l := listen(t, "tcp")
	s := serve(t, l, forward.ServerConfig{Receiver: h})
	before := runtime.NumGoroutine()
	whole := [][]byte{
		packed(t, "a", 1), packed(t, "b", 3),
		[]byte(`["tag",1,{"k":"a value that is long enough"},{"chunk":"c"}]`),
		append(msgp.AppendString([]byte{0x92}, "a tag that is as long as two twenties"), 0xc1),
	}
	acks := [][]byte{forward.AppendAck(nil, "a"), forward.AppendAck(nil, "b"), []byte(`{"ack":"c"}`), nil}
	conns := make([]net.Conn, len(whole))
	for i, m := range whole {
		conns[i] = connect(t, l)
		send(t, conns[i], m[:20])
	}
	if runtime.GOOS == "linux" {
		soon(t, "all are parked", func() bool { return s.Stats().Accepted == int64(len(whole)) && runtime.NumGoroutine() <= before+1 })
	}
	for at := 20; ; at++ {
		rest := false
		for i, m := range whole {
			if at < len(m) {
				rest = true
				if _, err := conns[i].Write(m[at : at+1]); err != nil && i < 3 {
					t.Fatal(err)
				}
			}
		}
		if !rest {
			break
		}
	}
	for i, want := range acks {
		expect(t, conns[i], want)
	}
	if _, err := conns[3].Read(make([]byte, 1)); err == nil {
		t.Error("what is no message was acknowledged")
	}
	for _, g := range h.wait(t, 3) {
		want := map[string]string{"a": string(typical(1)), "b": string(typical(3))}[g.chunk]
		if g.chunk != "c" && g.entries != want || g.invalidCount > 0 || g.count == 0 {
			t.Errorf("%s: %d entries, %d invalid: % x", g.chunk, g.count, g.invalidCount, g.entries)
		}
	}
}

// TestAcksThatAreNotRead has a peer that reads no acknowledgements. Others get theirs,
// and it is closed after WriteTimeout.
func TestAcksThatAreNotRead(t *testing.T) {
	l := listen(t, "unix") // Its buffers are small.
	var dones []func(bool)
	held := make(chan struct{}, 1)
	s := serve(t, l, forward.ServerConfig{
		WriteTimeout: time.Second, MaxDue: 1 << 20,
		Receiver: forward.ReceiverFunc(func(r *forward.Received, done func(bool)) {
			if r.Tag != "many" {
				done(true)
				return
			}
			if dones = append(dones, done); len(dones) == 20_000 {
				held <- struct{}{}
			}
		}),
	})
	mute, c := connect(t, l), connect(t, l)
	one, err := forward.AppendMessage(nil, "many", forward.ModePackedForward, typical(1), 1, forward.Option{Chunk: "0123456789abcdef0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	for range 20_000 {
		send(t, mute, one)
	}
	<-held
	for _, done := range dones {
		done(true)
	}
	for i := range 10 {
		id := fmt.Sprint("id", i)
		send(t, c, packed(t, id, 1))
		expect(t, c, forward.AppendAck(nil, id))
	}
	soon(t, "who reads no acks is closed", func() bool { return s.Stats().Reasons["write"] == 1 && s.Stats().Connections == 1 })
	send(t, c, packed(t, "last", 1))
	expect(t, c, forward.AppendAck(nil, "last"))
}
