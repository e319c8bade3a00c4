package cloudwatch

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// fullBatch is a PutLogEvents body as full as the limits allow, of lines like those of an access log, numbered from
// first.
func fullBatch(length int, first int, spaced bool) []byte {
	open, middle := `{"timestamp":`, `,"message":"`
	if spaced {
		open, middle = `{"timestamp": `, `, "message": "`
	}
	var b bytes.Buffer
	b.WriteString(`{"logEvents":[`)
	for i := range min(MaxBatchBytes/(length+EventOverhead), MaxBatchEvents) {
		if i > 0 {
			b.WriteByte(',')
		}
		text := fmt.Sprintf(`line %09d 10.%d.%d.%d - - [20/Nov/2026:12:00:00 +0000] \"GET /api/v1/items/%x HTTP/1.1\" 200 %d `,
			first+i, i%250, i%199, i%251, i*7919, i%5000)
		text += strings.Repeat("Mozilla/5.0 (X11; Linux x86_64) ", 1+length/32)
		quotes := strings.Count(text[:length], `\"`)
		text = text[:length+quotes] // An escaped quote is one byte of the message.
		fmt.Fprintf(&b, `%s%d%s%s"}`, open, now.UnixMilli()+int64(first/1000+i/1000), middle, text)
	}
	b.WriteString(`],"logGroupName":"g","logStreamName":"s"}`)
	return b.Bytes()
}

// nullWriter is a ResponseWriter that remembers the status.
type nullWriter struct {
	header http.Header
	status int
}

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *nullWriter) WriteHeader(status int)      { w.status = status }

// BenchmarkPut runs the handler on a recorded body of 1 MiB. MB/s are bytes of the body.
func BenchmarkPut(b *testing.B) {
	for _, c := range []struct {
		name   string
		length int
		keep   int
		spaced bool
		verify bool
	}{
		{"250B", 250, -1, false, false},
		{"1000B", 1000, -1, false, false},
		{"100B", 100, -1, false, false},
		{"250B/spaces", 250, -1, true, false},
		{"250B/kept", 250, 0, false, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newStream(b, Options{KeepBytes: c.keep})
			body := fullBatch(c.length, 0, c.spaced)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			reader := bytes.NewReader(body)
			r := request(context.Background(), "http://sandbox/", "PutLogEvents", body)
			r.Body = io.NopCloser(reader)
			w := &nullWriter{header: http.Header{}}
			for b.Loop() {
				reader.Reset(body)
				s.Handler().ServeHTTP(w, r)
				if w.status != http.StatusOK {
					b.Fatalf("status %d", w.status)
				}
			}
		})
	}
}

// BenchmarkScan is the scanner alone.
func BenchmarkScan(b *testing.B) {
	body := fullBatch(250, 0, false)
	b.SetBytes(int64(len(body)))
	var p putRequest
	for b.Loop() {
		if err := p.scan(body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCount is the accounting alone, each time of a stream that is new.
func BenchmarkCount(b *testing.B) {
	s := newStream(b, Options{KeepBytes: -1})
	st, err := s.registry.find("g", "s")
	if err != nil {
		b.Fatal(err)
	}
	var p putRequest
	body := fullBatch(250, 0, false)
	if err := p.scan(body); err != nil {
		b.Fatal(err)
	}
	scratch := new([]byte)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		st.account = account{}
		st.count(s.arrivals.Add(1), &p, p.events, scratch)
	}
}

// BenchmarkServe sends recorded requests over two loopback connections, which are the only other work of the process.
// MB/s are bytes of the bodies; cpu-s/GB is the CPU time of the whole process, the sender's writes included.
func BenchmarkServe(b *testing.B) {
	s := newStream(b, Options{KeepBytes: -1})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	body := fullBatch(250, 0, false)
	var wire bytes.Buffer
	must(b, request(context.Background(), "http://sandbox/", "PutLogEvents", body).Write(&wire))
	b.SetBytes(int64(len(body)))
	before := cpuTime(b)
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			conn, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			replies := bufio.NewReader(conn)
			for left.Add(-1) >= 0 {
				if _, err := conn.Write(wire.Bytes()); err != nil {
					b.Error(err)
					return
				}
				resp, err := http.ReadResponse(replies, nil)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
				}
				if err != nil || resp.StatusCode != http.StatusOK {
					b.Errorf("answer %v, %v", resp, err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric((cpuTime(b)-before).Seconds()/(float64(b.N)*float64(len(body))/1e9), "cpu-s/GB")
	cancel()
	must(b, <-served)
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
