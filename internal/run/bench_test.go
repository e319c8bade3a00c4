package run_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/run"
	"github.com/spillway/spillway/internal/sink"
)

// nowhere is a destination that takes everything at once and looks at nothing.
type nowhere struct{}

func (nowhere) Limits() sink.Limits         { return sink.Limits{InFlight: 4, Eager: true} }
func (nowhere) Check(context.Context) error { return nil }
func (nowhere) Send(context.Context, sink.Request) sink.Outcome {
	return sink.Outcome{Verdict: sink.Delivered}
}
func (nowhere) Close() error { return nil }

// BenchmarkLegs is what handing a chunk of 1,000 records of 250 bytes to routes of
// several legs costs: each leg copies it into a buffer of its own.
func BenchmarkLegs(b *testing.B) {
	for _, legs := range []string{"one", "one two", "one two three"} {
		b.Run(strings.ReplaceAll(legs, " ", "+"), func(b *testing.B) {
			r := newRig(b)
			cfg := r.config()
			cfg.StateDir = ""
			cfg.Log = slog.New(slog.DiscardHandler)
			cfg.OpenSink = func(s *runfile.Sink) (*catalog.Destination, error) {
				return &catalog.Destination{Name: s.Name, Sink: nowhere{}}, nil
			}
			var s *source
			cfg.OpenSource = func(_ *runfile.Source, o run.SourceOptions) (run.Source, error) {
				s = &source{o: o}
				return s, nil
			}
			w, err := run.Start(r.file(16<<20, "**: "+legs), cfg)
			if err != nil {
				b.Fatal(err)
			}
			var c record.Chunk
			body := []byte(strings.Repeat("x", 246))
			for range 1000 {
				c.Bodies, _ = record.AppendBody(append(make([]byte, 0, 250<<10), c.Bodies...), body)
			}
			c.Tag, c.Count, c.Level, c.Time = "app.x", 1000, record.LevelMemory, time.Now().UnixNano()
			b.SetBytes(int64(len(c.Bodies)))
			b.ReportAllocs()
			for b.Loop() {
				one := c
				s.o.Router.Admit(&one)
			}
			b.StopTimer()
			if _, err := w.Stop(time.Now().Add(time.Minute)); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkCopy is what of that is the copy alone, of memory that is in no cache.
func BenchmarkCopy(b *testing.B) {
	from, to := make([]byte, 250<<10), make([]byte, 16<<20)
	b.SetBytes(int64(len(from)))
	at := 0
	for b.Loop() {
		copy(to[at:], from)
		if at += len(from); at+len(from) > len(to) {
			at = 0
		}
	}
}
