package jsonfile

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

func BenchmarkSend(b *testing.B) {
	o := options(filepath.Join(b.TempDir(), "c.log"))
	o.MaxSize, o.MaxFile = 64<<20, 2
	s := open(b, o, osDisk{})
	line := `203.0.113.195 - - [20/Nov/2026:19:03:15 +0000] "GET /shop/articles/4711?page=3 HTTP/1.1" 200 18231 ` +
		`"https://www.example.org/shop" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" `
	line += strings.Repeat("x", 250-len(line))
	events := make([]sinktest.Event, 4000)
	for i := range events {
		events[i] = sinktest.Event{Time: time.Unix(0, int64(i/256)), Body: line}
	}
	r := sinktest.NewRequest(events...)
	b.SetBytes(int64(len(events) * len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if out := s.Send(context.Background(), r); out.Verdict != sink.Delivered {
			b.Fatal(out.Err)
		}
	}
}
