package forward

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// got is one message as it was received.
type got struct {
	tag, chunk  string
	entries     []byte
	size        int64
	compression forward.Compression
	conn        int // which connection it came by
}

// receiver is a server of the forward protocol on loopback.
type receiver struct {
	net.Listener
	serving sync.WaitGroup

	// before is asked about each message before it is kept, in turn; an error closes
	// its connection without keeping or acknowledging it. It may be nil.
	before func(n int, m *got) error
	// silent keeps the message and sends no ack.
	silent func(n int) bool

	accepted chan int // the number of each connection
	kept     chan int // and of messages

	mu       sync.Mutex
	messages []got
	conns    []net.Conn
	seen     int
}

var errHangUp = errors.New("hang up")

func receive(t testing.TB, r *receiver) *receiver {
	t.Helper()
	if r == nil {
		r = &receiver{}
	}
	var err error
	if r.Listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	r.accepted, r.kept = make(chan int, 1000), make(chan int, 100_000)
	r.serving.Go(func() {
		for {
			c, err := r.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, c)
			n := len(r.conns)
			r.mu.Unlock()
			r.accepted <- n
			r.serving.Go(func() { r.serve(c, n) })
		}
	})
	t.Cleanup(r.stop)
	return r
}

// stop closes everything, as a server does that dies.
func (r *receiver) stop() {
	_ = r.Close()
	r.mu.Lock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.serving.Wait()
}

func (r *receiver) serve(c net.Conn, number int) {
	defer c.Close()
	var buf []byte
	scanner := forward.Scanner{Limit: 64 << 20}
	piece := make([]byte, 64<<10)
	for {
		size, _, err := scanner.Scan(buf)
		if err != nil {
			return
		}
		if size == 0 {
			n, err := c.Read(piece)
			if err != nil {
				return
			}
			buf = append(buf, piece[:n]...)
			continue
		}
		var m forward.Message
		if err := scanner.Parse(buf[:size], &m); err != nil {
			return
		}
		if !r.take(c, number, &m) {
			return
		}
		buf = append([]byte(nil), buf[size:]...)
		scanner.Reset()
	}
}

func (r *receiver) take(c net.Conn, number int, m *forward.Message) bool {
	g := got{tag: m.Tag, chunk: m.Chunk, size: m.Size, compression: m.Compression, conn: number}
	g.entries = slices.Clone(m.Payload)
	if m.Compression != forward.CompressionNone {
		var err error
		if g.entries, err = forward.Decompress(nil, m.Payload, m.Compression, forward.Limits{}, nil); err != nil {
			return false
		}
	}
	r.mu.Lock()
	r.seen++
	n := r.seen
	r.mu.Unlock()
	if r.before != nil {
		if err := r.before(n, &g); err != nil {
			return false
		}
	}
	r.mu.Lock()
	r.messages = append(r.messages, g)
	r.mu.Unlock()
	r.kept <- n
	if m.WantsAck && (r.silent == nil || !r.silent(n)) {
		_, err := c.Write(m.AppendAck(nil))
		return err == nil
	}
	return true
}

// all are the messages that were kept.
func (r *receiver) all() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages)
}

// server is the receiver as the options name it.
func (r *receiver) server() Server {
	return Server{Dial: forward.DialOptions{Address: r.Addr().String()}, Weight: 1}
}

// open returns a sink to the receivers, which is closed when the test ends.
func open(t testing.TB, o Options, to ...*receiver) *Sink {
	t.Helper()
	for _, r := range to {
		o.Servers = append(o.Servers, r.server())
	}
	s, err := New(o)
	return sinktest.Opened(t, s, err)
}

// send delivers a request.
func send(t testing.TB, s *Sink, r sink.Request) {
	t.Helper()
	if out := s.Send(t.Context(), r); out.Verdict != sink.Delivered || len(out.Again)+len(out.Rejected) > 0 {
		t.Fatalf("%+v", out)
	}
}

// readBack reads the entries of messages as the conformance suite sees them.
func readBack(messages []got) ([]sinktest.Entry, error) {
	var all []sinktest.Entry
	for _, m := range messages {
		rest := m.entries
		count := int64(0)
		for len(rest) > 0 {
			next, err := entry.Skip(rest)
			if err != nil {
				return nil, err
			}
			one := rest[:len(rest)-len(next)]
			rest = next
			count++
			_, rec, err := entry.Split(one)
			if err != nil {
				return nil, err
			}
			value, found := entry.Lookup(rec, "log")
			if !found {
				return nil, errors.New("an entry without its text")
			}
			text, err := entry.AppendText(nil, value)
			if err != nil {
				return nil, err
			}
			all = append(all, sinktest.Entry{Stream: m.tag, Time: timeOf(one), Text: string(text)})
		}
		if count != m.size {
			return nil, errors.New("a message has another number of entries than it says")
		}
	}
	return all, nil
}

// incarnation and number are those that the id of a message is made of.
func number(chunk string) uint64 {
	raw, err := decodeID(chunk)
	if err != nil {
		return 0
	}
	return binary.BigEndian.Uint64(raw[12:])
}
