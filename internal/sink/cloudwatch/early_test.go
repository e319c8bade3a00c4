package cloudwatch

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// earlyServer answers the first request of each connection as soon as its header
// is there, and reads the body after that, if at all, so that the transport goes
// on with it while the sink has its answer already.
func earlyServer(t *testing.T, answer string, reads bool) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // The test has ended.
			}
			all.Go(func() {
				defer conn.Close()
				if answerEarly(conn, answer, reads) != nil {
					return // The client has gone.
				}
				if !reads {
					<-ended
				}
			})
		}
	})
	t.Cleanup(func() {
		close(ended)
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
	return "http://" + ln.Addr().String() + "/"
}

// answerEarly serves one request. What it reads of the body it reads in small
// pieces.
func answerEarly(conn net.Conn, answer string, reads bool) error {
	req, err := http.ReadRequest(bufio.NewReaderSize(conn, 1024))
	if err != nil {
		return err
	}
	if _, err := io.WriteString(conn, answer); err != nil || !reads {
		return err
	}
	_, err = io.CopyBuffer(onlyWriter{io.Discard}, req.Body, make([]byte, 2048))
	return err
}

// onlyWriter hides what else a writer can do.
type onlyWriter struct{ io.Writer }

func httpAnswer(status int, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

// vanishing is a request whose memory goes as soon as it is settled, as that of
// the buffer may: whoever reads it then, dies of it.
type vanishing struct {
	mem    []byte
	mapped bool // else on the heap, where the race detector sees the overwriting
}

func newVanishing(t *testing.T, mapped bool) *vanishing {
	t.Helper()
	const size = 1 << 20
	v := &vanishing{mem: make([]byte, size), mapped: mapped}
	if mapped {
		var err error
		if v.mem, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE); err != nil {
			t.Fatal(err)
		}
	}
	head := record.Batch{Kind: record.KindRecords, Time: time.Now().UnixNano(), FirstSeq: 1}
	frames := v.mem[record.HeaderSize:record.HeaderSize]
	for range 900 {
		var added record.Added
		frames, added = record.AppendBody(frames, []byte(strings.Repeat("line ", 200)))
		head.Count += added.Count
		head.Bytes += added.Bytes
	}
	record.PutHeader(v.mem, &head, len(frames))
	return v
}

// settle takes the memory away.
func (v *vanishing) settle() error {
	if v.mapped {
		return unix.Mprotect(v.mem, unix.PROT_NONE)
	}
	for i := range v.mem {
		v.mem[i] = 0xff
	}
	return nil
}

func (v *vanishing) free() error {
	if v.mapped {
		return unix.Munmap(v.mem)
	}
	return nil
}

func (v *vanishing) Events() int {
	var b record.Batch
	record.Parse(v.mem, &b)
	return b.Count
}

func (v *vanishing) Repeated() []sink.Span { return nil }

func (v *vanishing) Stream(index uint32) *record.Stream { return &record.Stream{Index: index} }

func (v *vanishing) Batches() iter.Seq2[int, *record.Batch] {
	return func(yield func(int, *record.Batch) bool) {
		var b record.Batch
		record.Parse(v.mem, &b)
		yield(0, &b)
	}
}

// TestMemoryIsNotReadAfterSend: the answer may come while the transport still
// reads the body, and what the request consists of goes when it is settled.
func TestMemoryIsNotReadAfterSend(t *testing.T) {
	for name, answer := range map[string]string{
		"200":   httpAnswer(200, "{}"),
		"400":   httpAnswer(400, `{"__type":"InvalidParameterException"}`),
		"503":   httpAnswer(503, page),
		"cut":   "HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{}",
		"close": "HTTP/1.1 503 X\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t, earlyServer(t, answer, true), createsNothing)
			var gone []*vanishing
			for i := range 24 {
				v := newVanishing(t, i%2 == 0)
				ctx, cancel := context.WithCancel(t.Context())
				if i%4 >= 2 {
					// A sender that is no longer waited for must let go, too.
					stop := time.AfterFunc(time.Duration(i)*20*time.Microsecond, cancel)
					defer stop.Stop()
				}
				s.Send(ctx, v)
				if err := v.settle(); err != nil {
					t.Fatal(err)
				}
				cancel()
				gone = append(gone, v)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for _, v := range gone {
				if err := v.free(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestAnAnswerToHalfARequestIsNone: who says yes before all was sent has not got
// it. What it refuses, it has judged by the header.
func TestAnAnswerToHalfARequestIsNone(t *testing.T) {
	for answer, want := range map[string]sink.Verdict{
		httpAnswer(200, "{}"): sink.Retry, httpAnswer(413, page): sink.Refuse, httpAnswer(503, page): sink.Retry,
	} {
		s := newSink(t, earlyServer(t, answer, false), createsNothing)
		out := s.Send(t.Context(), newVanishing(t, false))
		if out.Verdict != want || out.Unsure || out.Err == nil {
			t.Errorf("after %.20q the outcome is %+v, want the verdict %v without doubt", answer, out, want)
		}
	}
}
