package multiline

import (
	"fmt"
	"regexp"
	"testing"
	"time"
)

// mustCompile is for patterns that a test writes down, the empty one too.
func mustCompile(pattern string) *regexp.Regexp { return regexp.MustCompile(pattern) }

// BenchmarkLine gives a Joiner the lines of a service that logs a stack trace
// of 19 lines after every request line, and lines that are each an event.
func BenchmarkLine(b *testing.B) {
	datetime, err := FromDatetimeFormat(`^%Y-%m-%d %H:%M:%S`)
	if err != nil {
		b.Fatal(err)
	}
	anywhere, err := FromDatetimeFormat(`%Y-%m-%d %H:%M:%S`)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		start *regexp.Regexp
		trace int
	}{
		{"pattern", mustCompile(`^\S`), 19},
		{"datetime", datetime, 19},
		{"datetime-unanchored", anywhere, 19},
		{"every-line", mustCompile(`^\S`), 0},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkLine(b, c.start, c.trace) })
	}
}

func benchmarkLine(b *testing.B, start *regexp.Regexp, trace int) {
	j, err := New(Options{Start: start, MaxBytes: 1 << 20, FlushInterval: 5 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	first := fmt.Appendf(nil, "2024-01-31 12:00:00.123 ERROR request 4711 failed: %0150d", 1)
	next := fmt.Appendf(nil, "\tat com.example.service.RequestHandler.handle(RequestHandler.java:%d) %0130d", 12, 1)
	size := 0
	emit := func(_ int64, body []byte) { size += len(body) }
	b.SetBytes(int64((len(first) + trace*len(next)) / (1 + trace)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%(1+trace) == 0 {
			j.Line(0, first, emit)
		} else {
			j.Line(0, next, emit)
		}
	}
	if size == 0 && b.N > 100 {
		b.Fatal("got no event out")
	}
}
