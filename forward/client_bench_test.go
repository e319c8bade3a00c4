package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// sink is a server that acknowledges as fast as it can.
func fastServer(b *testing.B) DialOptions {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		var s Scanner
		buf, have := make([]byte, 4<<20), 0
		for {
			n, err := nc.Read(buf[have:])
			if err != nil {
				if err != io.EOF {
					b.Error(err)
				}
				return
			}
			have += n
			for {
				size, _, err := s.Scan(buf[:have])
				if err != nil {
					b.Error(err)
					return
				}
				if size == 0 {
					break
				}
				var m Message
				if err := s.Parse(buf[:size], &m); err != nil {
					b.Error(err)
					return
				}
				if _, err := nc.Write(m.AppendAck(nil)); err != nil {
					b.Error(err)
					return
				}
				have = copy(buf, buf[size:have])
			}
		}
	}()
	b.Cleanup(func() {
		l.Close()
		<-done
	})
	return DialOptions{Address: l.Addr().String()}
}

// BenchmarkAcked is Post until every record is acknowledged, on one connection.
func BenchmarkAcked(b *testing.B) { benchmarkAcked(b, fastServer(b), 1) }

// BenchmarkAckedTags is the same with records of 200 tags in turn.
func BenchmarkAckedTags(b *testing.B) { benchmarkAcked(b, fastServer(b), 200) }

// BenchmarkAckedManyTags has 10,000.
func BenchmarkAckedManyTags(b *testing.B) { benchmarkAcked(b, fastServer(b), 10_000) }

func benchmarkAcked(b *testing.B, o DialOptions, tags int) {
	c, err := NewClient(ClientOptions{Servers: []Endpoint{{DialOptions: o}}})
	if err != nil {
		b.Fatal(err)
	}
	names := make([]string, tags)
	for i := range names {
		names[i] = fmt.Sprint("app.log.", i)
	}
	record := map[string]string{"log": strings.Repeat("x", 200), "stream": "stdout", "id": "0123456789abcdef"}
	b.ReportAllocs()
	began := time.Now()
	n := 0
	for b.Loop() {
		n++
		if err := c.Post(context.Background(), names[n%tags], time.Time{}, record); err != nil {
			b.Fatal(err)
		}
	}
	if err := c.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	s := c.Stats()
	if int(s.Acked.Records) != n {
		b.Fatalf("%d acknowledged of %d", s.Acked.Records, n)
	}
	took := time.Since(began).Seconds()
	b.ReportMetric(float64(n)/took, "acked/s")
	b.ReportMetric(float64(s.Acked.Bytes)/took/1e6, "MB/s")
}

// BenchmarkAckedByServer is BenchmarkAcked into our own server, which checks each entry.
func BenchmarkAckedByServer(b *testing.B) {
	server, err := NewServer(ServerConfig{Receiver: ReceiverFunc(func(_ *Received, done func(bool)) { done(true) })})
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- server.Serve(l) }()
	benchmarkAcked(b, DialOptions{Address: l.Addr().String()}, 1)
	if err := server.Close(context.Background()); err != nil {
		b.Error(err)
	}
	if err := <-served; !errors.Is(err, ErrServerClosed) {
		b.Error(err)
	}
}

// BenchmarkPost is the cost of one Post alone, in a buffer that drops.
func BenchmarkPost(b *testing.B) {
	fields := new(Fields).String("log", "a line as an application writes it, of usual length").String("stream", "stdout").Int("n", 17)
	for name, record := range map[string]any{
		"map[string]string": map[string]string{"log": "a line as an application writes it, of usual length", "stream": "stdout", "n": "17"},
		"map[string]any":    map[string]any{"log": "a line as an application writes it, of usual length", "stream": "stdout", "n": 17},
		"Fields":            fields,
		"struct": &struct {
			Log    string `msg:"log"`
			Stream string `msg:"stream"`
			N      int    `msg:"n"`
		}{"a line as an application writes it, of usual length", "stdout", 17},
	} {
		b.Run(name, func(b *testing.B) {
			c, err := NewClient(ClientOptions{Servers: []Endpoint{{DialOptions: fastServer(b)}}})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Post(context.Background(), "app.log", time.Time{}, record); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if err := c.Close(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkSlog is one call of log/slog, beside its own JSON handler.
func BenchmarkSlog(b *testing.B) {
	c, err := NewClient(ClientOptions{Servers: []Endpoint{{DialOptions: fastServer(b)}}})
	if err != nil {
		b.Fatal(err)
	}
	for name, h := range map[string]slog.Handler{"forward": NewHandler(c, "app", nil), "json": slog.NewJSONHandler(io.Discard, nil)} {
		b.Run(name, func(b *testing.B) {
			l := slog.New(h).With("service", "shop", "version", 3)
			b.ReportAllocs()
			for b.Loop() {
				l.Info("request served", "path", "/cart", "status", 200, "took", time.Millisecond)
			}
		})
	}
	if err := c.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPostParallel is Post from as many goroutines as there are processors,
// each with a tag of its own.
func BenchmarkPostParallel(b *testing.B) {
	c, err := NewClient(ClientOptions{Servers: []Endpoint{{DialOptions: fastServer(b)}}})
	if err != nil {
		b.Fatal(err)
	}
	var tags atomic.Int32
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		tag := fmt.Sprint("app.", tags.Add(1))
		record := map[string]string{"log": "a line as an application writes it, of usual length", "stream": "stdout", "n": "17"}
		for pb.Next() {
			if err := c.Post(context.Background(), tag, time.Time{}, record); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	if err := c.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
