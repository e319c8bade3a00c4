package forward_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spillway/spillway/forward"
)

// cpu is the processor time that the process has used.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkServerMessages sends single records in mode Message, as Docker's driver
// does, a thousand in one write.
func BenchmarkServerMessages(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s, err := forward.NewServer(forward.ServerConfig{Receiver: forward.ReceiverFunc(func(_ *forward.Received, done func(bool)) { done(true) })})
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	one, err := forward.AppendMessage(nil, "tag", forward.ModeMessage, typical(1), 1, forward.Option{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(one)))
	b.ReportAllocs()
	b.ResetTimer()
	pump(b, l.Addr(), bytes.Repeat(one, 1000), b.N/1000)
	if err := s.Close(context.Background()); err != nil {
		b.Error(err)
	}
	if err := <-served; !errors.Is(err, forward.ErrServerClosed) {
		b.Error(err)
	}
	if n := s.Stats().Messages; n != int64(b.N/1000*1000) {
		b.Errorf("%d messages of %d", n, b.N)
	}
}

// BenchmarkServer sends 250 kB messages over two connections, with
// acknowledgements, to a receiver that copies the entries, as a buffer does. The
// processor time is that of both sides.
func BenchmarkServer(b *testing.B) {
	for _, network := range []string{"tcp", "unix"} {
		b.Run(network, func(b *testing.B) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(b.TempDir(), "s")
			}
			l, err := net.Listen(network, address)
			if err != nil {
				b.Fatal(err)
			}
			s, err := forward.NewServer(forward.ServerConfig{Receiver: forward.ReceiverFunc(func(r *forward.Received, done func(bool)) {
				keep := buffers.Get().(*[]byte)
				*keep = append((*keep)[:0], r.Entries...)
				buffers.Put(keep)
				done(true)
			})})
			if err != nil {
				b.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- s.Serve(l) }()
			message := packed(b, "0123456789abcdef01234567", 1150)
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			start := cpu(b)
			b.ResetTimer()
			var senders sync.WaitGroup
			for i := range 2 {
				senders.Go(func() { pump(b, l.Addr(), message, b.N/2+i*(b.N%2)) })
			}
			senders.Wait()
			b.StopTimer()
			gb := float64(b.N) * float64(len(message)) / 1e9
			b.ReportMetric((cpu(b)-start).Seconds()/gb, "cpu-s/GB")
			if err := s.Close(context.Background()); err != nil {
				b.Error(err)
			}
			if err := <-served; !errors.Is(err, forward.ErrServerClosed) {
				b.Error(err)
			}
			b.ReportMetric(float64(s.Stats().MemoryPeak)/(1<<20), "MiB")
		})
	}
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// pump sends n messages and reads as many acknowledgements.
func pump(b *testing.B, addr net.Addr, message []byte, n int) {
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		b.Error(err)
		return
	}
	defer c.Close()
	acks := make(chan error, 1)
	go func() {
		size := len(forward.AppendAck(nil, "0123456789abcdef01234567"))
		if !bytes.Contains(message, []byte("0123456789abcdef01234567")) {
			size = 0
		}
		_, err := io.CopyN(io.Discard, c, int64(n*size))
		acks <- err
	}()
	for range n {
		if _, err := c.Write(message); err != nil {
			b.Error(err)
			return
		}
	}
	if err := <-acks; err != nil {
		b.Error(fmt.Errorf("acknowledgements: %w", err))
	}
}
