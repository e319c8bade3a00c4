package kafka

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"

	"github.com/spillway/spillway/internal/rawconn"
	"github.com/spillway/spillway/internal/source/kafka/wire"
)

// conn is a connection of the library's on which answers to fetches are taken apart
// before the library sees them: batches go into blocks, and the library reads an answer
// with tokens in their place. It would hold each answer whole, in memory of its own,
// whatever its size.
//
// The library writes a request at once and reads answers in the order of requests; on
// a connection for fetches it reads nothing before it has asked.
type conn struct {
	net.Conn
	memory *memory
	room   int64 // what was taken for an answer, in bytes

	rest []byte // of an answer that was taken apart

	mu     sync.Mutex
	asked  []asked  // what is not answered yet
	tokens []uint64 // of the last answer
	closed bool
}

// asked is a fetch that was asked for.
type asked struct {
	id      uint32
	version int16
}

const (
	fetchKey = 1
	// answerHead is the size of an answer and the number of its request.
	answerHead = 4 + 4
)

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	if len(b) >= 12 && binary.BigEndian.Uint16(b[4:]) == fetchKey {
		c.mu.Lock()
		c.asked = append(c.asked, asked{binary.BigEndian.Uint32(b[8:]), int16(binary.BigEndian.Uint16(b[6:]))})
		c.mu.Unlock()
	}
	return c.Conn.Write(b)
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		a, ok := c.next()
		if !ok {
			return c.Conn.Read(p)
		}
		if err := c.answer(a); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *conn) next() (a asked, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.asked) == 0 {
		return a, false
	}
	a = c.asked[0]
	c.asked = c.asked[1:]
	return a, true
}

// answer takes an answer apart.
func (c *conn) answer(a asked) error {
	c.drop()
	head := make([]byte, answerHead, 1024)
	if _, err := io.ReadFull(c.Conn, head); err != nil {
		return err
	}
	size := int(int32(binary.BigEndian.Uint32(head)))
	if size < 4 || size > maxAnswer || binary.BigEndian.Uint32(head[4:]) != a.id || a.version > wire.MaxAnswerVersion {
		c.rest = head // The library says what is wrong with it.
		return nil
	}
	room := c.room
	out, err := wire.TakeApart(head, c.Conn, a.version, size-4, func(in io.Reader, n int) (uint64, error) {
		b, err := c.memory.put(in, n, room)
		if err != nil {
			return 0, err
		}
		if !b.aside {
			room -= int64(class(n)) // It may count more, which is there.
		}
		return c.place(b)
	})
	if err != nil {
		return err // It will be closed.
	}
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	c.rest = out
	return nil
}

// place notes a block of an answer.
func (c *conn) place(b *block) (token uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		b.release()
		return 0, net.ErrClosed
	}
	token = c.memory.place(b)
	c.tokens = append(c.tokens, token)
	return token, nil
}

// drop gives back the blocks of an answer that nobody has read.
func (c *conn) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, token := range c.tokens {
		c.memory.redeem(token).release()
	}
	c.tokens = c.tokens[:0]
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.drop()
	return c.Conn.Close()
}

// Dial connects to a broker as the library would, over TLS where that is configured.
func Dial(secure *tls.Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: dialTimeout}
	if secure == nil {
		return dialer.DialContext
	}
	return (&tls.Dialer{NetDialer: dialer, Config: secure}).DialContext
}

const dialTimeout = 10 * time.Second

// dial connects for the library.
func (s *Source) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dial := s.cfg.Dial
	if dial == nil {
		dial = Dial(nil)
	}
	c, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: rawconn.Wrap(c), memory: s.memory, room: s.room}, nil
}
