package local

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/appendfile"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// accessLog is a request of 4,000 lines of 250 bytes.
func accessLog() (*sinktest.Request, int64) {
	line := `203.0.113.195 - - [20/Nov/2026:19:03:15 +0000] "GET /shop/articles/4711?page=3 HTTP/1.1" 200 18231 ` +
		`"https://www.example.org/shop" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" `
	line += strings.Repeat("x", 250-len(line))
	events := make([]sinktest.Event, 4000)
	for i := range events {
		events[i] = sinktest.Event{Time: epoch.Add(time.Duration(i/256) * time.Microsecond), Body: line}
	}
	return sinktest.NewRequest(events...), int64(len(events) * len(line))
}

// nowhere is a file that takes everything.
type nowhere struct{ appendfile.File }

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkEncode(b *testing.B) {
	r, size := accessLog()
	e := newEncoder("bench")
	var w appendfile.Writer
	w.Use(nowhere{}, 0, 0)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		var c counts
		for _, batch := range r.Batches() {
			e.batch(&w, r.Stream(batch.Stream).Name, batch, &c)
		}
		if err := w.Flush(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	r, size := accessLog()
	s := open(b, options(b.TempDir()))
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if out := s.Send(context.Background(), r); out.Verdict != sink.Delivered {
			b.Fatal(out.Err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	r, size := accessLog()
	dir := tempDir(b)
	s := open(b, options(dir))
	for range 50 {
		if out := s.Send(context.Background(), r); out.Verdict != sink.Delivered {
			b.Fatal(out.Err)
		}
	}
	b.SetBytes(50 * size)
	for b.Loop() {
		n := 0
		if err := Read(context.Background(), dir, Query{}, func(Entry) error { n++; return nil }); err != nil || n != 200_000 {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkTail(b *testing.B) {
	r, _ := accessLog()
	dir := tempDir(b)
	s := open(b, options(dir))
	for range 50 {
		if out := s.Send(context.Background(), r); out.Verdict != sink.Delivered {
			b.Fatal(out.Err)
		}
	}
	for b.Loop() {
		if err := Read(context.Background(), dir, Query{Tail: 10}, func(Entry) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
