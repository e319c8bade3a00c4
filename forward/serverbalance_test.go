package forward_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/spillway/spillway/forward"
)

// TestEveryMessageIsSettledOnce has many connections in all modes, and a receiver
// that settles from other goroutines, in any order, and takes some not. Exactly
// what it took is acknowledged, and the books hold.
func TestEveryMessageIsSettledOnce(t *testing.T) {
	var mu sync.Mutex
	said := make(map[string]bool) // what the receiver said of each id
	var settling sync.WaitGroup
	l := listen(t, "tcp")
	s := serve(t, l, forward.ServerConfig{MaxDue: 10, Report: func(forward.Event) {}, Receiver: forward.ReceiverFunc(func(r *forward.Received, done func(bool)) {
		id := r.Chunk
		settling.Go(func() {
			ok := rand.IntN(50) > 0
			mu.Lock()
			if _, twice := said[id]; twice {
				t.Errorf("%s was handed over twice", id)
			}
			said[id] = ok
			mu.Unlock()
			done(ok)
		})
	})})
	acked := make([][]string, 20)
	var clients sync.WaitGroup
	for i := range acked {
		clients.Go(func() { acked[i] = talk(t, l.Addr(), i) })
	}
	clients.Wait()
	settling.Wait()
	count := 0
	for _, ids := range acked {
		for _, id := range ids {
			if !said[id] {
				t.Errorf("%s is acknowledged, and was not taken", id)
			}
		}
		count += len(ids)
	}
	taken := 0
	for _, ok := range said {
		if ok {
			taken++
		}
	}
	if st := s.Stats(); count != taken || st.Taken != int64(taken) || st.Acks != int64(taken) || st.Messages != int64(len(said)) {
		t.Errorf("%d acknowledgements came, %d of %d were taken, %+v", count, taken, len(said), st)
	}
}

// talk sends 200 messages over one connection, or as many as are taken, and
// returns the ids that were acknowledged.
func talk(t *testing.T, addr net.Addr, client int) (ids []string) {
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Error(err)
		return nil
	}
	defer c.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		var b []byte
		piece := make([]byte, 1000)
		for {
			n, err := c.Read(piece)
			b = append(b, piece[:n]...)
			for {
				id, size, err := forward.ParseAck(b)
				if err != nil {
					break
				}
				ids = append(ids, string(id))
				b = b[size:]
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Errorf("client %d: %v", client, err)
				}
				return
			}
		}
	}()
	for i := range 200 {
		mode := forward.Mode(1 + i%3)
		o := forward.Option{Chunk: fmt.Sprintf("%d/%d", client, i)}
		if mode == forward.ModePackedForward {
			o.Compression = forward.Compression(i / 3 % 3)
		}
		b, err := forward.AppendMessage(nil, "tag", mode, typical(1), 1, o)
		if err != nil {
			t.Error(err)
		}
		if _, err := c.Write(b); err != nil {
			break // it is closed
		}
	}
	_ = c.(*net.TCPConn).CloseWrite() // it may be closed
	<-read
	return ids
}
