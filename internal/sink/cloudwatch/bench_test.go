package cloudwatch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// held is a request whose memory stays, as the buffer holds it: batches of one
// millisecond each, one behind the other.
type held struct {
	mem    []byte
	events int
	bytes  int // of the bodies
}

// newHeld fills a request with lines of 250 bytes, like those of an access log,
// with six quotes in each. Unordered is the second half, of another stream whose
// clock is behind.
func newHeld(ordered bool) *held {
	const lines = 3790 // what the service takes of them at once
	h := &held{mem: make([]byte, 0, 2<<20)}
	at := time.Now().Add(-time.Minute)
	for h.events < lines {
		b := record.Batch{Kind: record.KindRecords, Time: at.UnixNano(), FirstSeq: uint64(h.events + 1)}
		if !ordered && len(h.mem) > cap(h.mem)/4 {
			b.Stream, b.Time = 1, b.Time-int64(time.Second)
		}
		start := len(h.mem)
		h.mem = append(h.mem, make([]byte, record.HeaderSize)...)
		for range min(379, lines-h.events) {
			line := fmt.Sprintf(`10.0.%d.7 - - [20/Nov/2026:12:00:00 +0000] "GET /item/%d HTTP/1.1" 200 5120 "https://shop.example/%d" "Mozilla/5.0`, h.events%250, h.events, h.events)
			line += strings.Repeat(" x", (249-len(line))/2) + `"`
			var added record.Added
			h.mem, added = record.AppendBody(h.mem, []byte(line))
			b.Count += added.Count
			b.Bytes += added.Bytes
			h.events++
		}
		record.PutHeader(h.mem[start:], &b, len(h.mem)-start-record.HeaderSize)
		h.bytes += b.Bytes
		at = at.Add(time.Millisecond)
	}
	return h
}

func (h *held) Events() int { return h.events }

func (h *held) Repeated() []sink.Span { return nil }

func (h *held) Stream(index uint32) *record.Stream { return &record.Stream{Index: index} }

func (h *held) Batches() iter.Seq2[int, *record.Batch] {
	return func(yield func(int, *record.Batch) bool) {
		var b record.Batch
		index := 0
		for off := 0; off < len(h.mem); {
			off += record.Parse(h.mem[off:], &b)
			count := b.Count
			if !yield(index, &b) {
				return
			}
			index += count
		}
	}
}

// perGB reports what a gigabyte of bodies costs, beside what testing reports.
func perGB(b *testing.B, size int) {
	b.ReportMetric(b.Elapsed().Seconds()/(float64(size)*float64(b.N)/1e9), "s/GB")
}

// BenchmarkEncode makes the JSON of a full request once, which happens twice for
// each attempt.
func BenchmarkEncode(b *testing.B) {
	req := newHeld(true)
	s := New(Config{Group: testGroup, Stream: testStream})
	window := make([]byte, 32<<10)
	b.SetBytes(int64(req.bytes))
	b.ReportAllocs()
	for b.Loop() {
		body := newBody(s.head, batches(req))
		for {
			if _, err := body.Read(window); errors.Is(err, io.EOF) {
				break
			}
		}
		body.stop()
	}
	perGB(b, req.bytes)
}

// BenchmarkHash is the pass that hashes, in the order of the request and where two
// streams have to be put in order of time first.
func BenchmarkHash(b *testing.B) {
	s := New(Config{Group: testGroup, Stream: testStream})
	for name, req := range map[string]*held{"ordered": newHeld(true), "unordered": newHeld(false)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(req.bytes))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := s.hash(chronological(req)); err != nil {
					b.Fatal(err)
				}
			}
			perGB(b, req.bytes)
		})
	}
}

// BenchmarkSend delivers full requests to a server on loopback that throws them
// away, one at a time and several at once. The server's part of the work is in
// the figures: it reads, and answers.
func BenchmarkSend(b *testing.B) {
	for _, senders := range []int{1, 4} {
		b.Run(fmt.Sprintf("%d at once", senders), func(b *testing.B) {
			s := newSink(b, discardingServer(b), createsNothing)
			req := newHeld(true)
			b.SetBytes(int64(req.bytes))
			b.ReportAllocs()
			b.ResetTimer()
			turns := make(chan struct{}, b.N)
			for range b.N {
				turns <- struct{}{}
			}
			close(turns)
			var all sync.WaitGroup
			for range senders {
				all.Go(func() {
					for range turns {
						if out := s.Send(b.Context(), req); out.Verdict != sink.Delivered {
							b.Errorf("the outcome is %+v", out)
						}
					}
				})
			}
			all.Wait()
			perGB(b, req.bytes)
		})
	}
}

// discardingServer takes requests at the least cost and answers {}.
func discardingServer(b *testing.B) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				r := bufio.NewReaderSize(conn, 256<<10)
				for {
					req, err := http.ReadRequest(r)
					if err != nil {
						return // The client has gone.
					}
					if _, err := io.Copy(io.Discard, req.Body); err != nil {
						return
					}
					if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
						return
					}
				}
			})
		}
	})
	b.Cleanup(func() {
		if err := ln.Close(); err != nil {
			b.Error(err)
		}
		all.Wait()
	})
	return "http://" + ln.Addr().String() + "/"
}
