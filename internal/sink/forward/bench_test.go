package forward

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"iter"
	"net"
	"strings"
	"testing"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// held is a request as the buffer holds it: nothing of it is copied.
type held struct {
	batches []record.Batch
	events  int
}

func (h *held) Events() int { return h.events }

func (h *held) Repeated() []sink.Span { return nil }

var benchStream = record.Stream{Name: "app.access", Incarnation: [12]byte{1}}

func (h *held) Stream(uint32) *record.Stream { return &benchStream }

func (h *held) Batches() iter.Seq2[int, *record.Batch] {
	return func(yield func(int, *record.Batch) bool) {
		index := 0
		for i := range h.batches {
			b := h.batches[i]
			if !yield(index, &b) {
				return
			}
			index += b.Count
		}
	}
}

// chunks makes a request of so many chunks of 1,000 records of 250 bytes.
func chunks(n int, text bool) (*held, int) {
	h := &held{}
	size := 0
	line := strings.Repeat("x", 250-len(sinktest.Packed(second, "")))
	for i := range n {
		b := record.Batch{Kind: record.KindRecords, Count: 1000, Time: second.UnixNano(), FirstSeq: uint64(1 + 1000*i)}
		for range 1000 {
			if text {
				b.Frames, _ = record.AppendBody(b.Frames, []byte(line))
			} else {
				b.Encoding = record.EncodingEntry
				b.Frames = append(b.Frames, sinktest.Packed(second, line)...)
			}
		}
		b.Bytes = len(b.Frames)
		size += b.Bytes
		h.batches = append(h.batches, b)
		h.events += b.Count
	}
	return h, size
}

// drain is a receiver that looks at nothing but where messages end, and answers.
func drain(b *testing.B) string {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	b.Cleanup(func() {
		l.Close()
		<-done
	})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReaderSize(c, 1<<20)
		tail := make([]byte, 256)
		for {
			// An array of three, the tag, a binary of 32 bits, the option map.
			head, err := r.Peek(1 + 1 + len(benchStream.Name) + 5)
			if err != nil {
				return
			}
			size := len(head) + int(binary.BigEndian.Uint32(head[len(head)-4:]))
			if _, err := r.Discard(size); err != nil {
				return
			}
			// {"size": 1000, "chunk": id of 32}
			if _, err := io.ReadFull(r, tail[:1+1+5+2+32+1+4+3]); err != nil {
				return
			}
			ack := append([]byte("\x81\xa3ack\xd9\x20"), tail[17:49]...)
			if _, err := c.Write(ack); err != nil {
				return
			}
		}
	}()
	return l.Addr().String()
}

func benchmark(b *testing.B, text bool, compression forward.Compression) {
	h, size := chunks(16, text)
	o := Options{Servers: []Server{{Dial: forward.DialOptions{Address: drain(b)}, Weight: 1}}, Compression: compression}
	s, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if out := s.Send(context.Background(), h); out.Verdict != sink.Delivered {
			b.Fatal(out.Err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkEntries(b *testing.B) { benchmark(b, false, forward.CompressionNone) }

func BenchmarkLines(b *testing.B) { benchmark(b, true, forward.CompressionNone) }
