package forward

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"
)

// Conn is the client's side of one connection to one server. It writes chunks,
// matches their acks, and reports exactly which of them are without an ack when
// the connection ends. It neither buffers, retries nor reconnects: that is
// Client's business, or the caller's.
//
// All methods may be called from many goroutines at once. Messages are written
// one at a time and whole; acks come in any order. The connection is read from
// all the time, so that a peer that has closed it, or half of it, is noticed
// also while nothing is sent and where no acks are asked for.
//
// A Conn fails once and for good: with the first error of reading or writing,
// with an ack that is overdue, and with one that names no chunk in flight. Err
// then has the cause, Done is closed, and every chunk that waits for its ack
// ends with a SendError.
type Conn struct {
	nc   net.Conn
	o    *DialOptions
	peer string // what the server calls itself, known after a handshake
	once bool   // the server takes one message on each connection

	slots chan struct{} // one for each chunk that waits for its ack
	turn  chan struct{} // holds one: whoever writes
	// What follows belongs to whoever has the turn.
	wrote      bool // at least one message
	head, tail []byte
	vector     net.Buffers
	joined     []byte

	in      replies        // belongs to the handshake, then to the reader
	reading sync.WaitGroup // the reader, and who tells that the connection has ended
	done    chan struct{}

	mu      sync.Mutex
	waiting map[string]*Pending
	ending  bool     // it is closed when nothing waits any more
	first   *Pending // in the order of writing
	last    *Pending
	overdue *time.Timer // of the oldest ack; nil while none was due
	unacked []string
	err     error
}

// OutChunk is one message of the mode PackedForward or CompressedPackedForward,
// as a Conn sends it.
type OutChunk struct {
	// Tag says what the records are; no server accepts an empty one.
	Tag string
	// Entries is the message's payload in pieces: entries one behind the other, or
	// their compressed form. The pieces may be cut anywhere. They are not copied,
	// and must not change before Write has returned.
	Entries [][]byte
	// Records is how many entries there are. It becomes the option size, which is
	// left out for 0.
	Records int
	// Compression is that of Entries. Write does not compress.
	Compression Compression
	// ID asks for an ack. It must not be that of another chunk that waits on the
	// same connection. Whoever sends a chunk again, here or to another server, gives
	// it the same id and the same bytes, so that the server can see it. "" asks for none.
	ID string
}

func (o *OutChunk) size() (n int) {
	for _, piece := range o.Entries {
		n += len(piece)
	}
	return n
}

// check refuses what no server would understand.
func (o *OutChunk) check() error {
	switch {
	case o.Tag == "":
		return errors.New("forward: a chunk without a tag; expected one of 1 to 4,096 bytes")
	case len(o.Tag) > MaxTag:
		return &LimitError{What: "tag", Bytes: int64(len(o.Tag)), Limit: MaxTag}
	case len(o.ID) > MaxChunkID:
		return &LimitError{What: "chunk id", Bytes: int64(len(o.ID)), Limit: MaxChunkID}
	case int64(o.size()) > math.MaxUint32:
		return &LimitError{What: "payload", Bytes: int64(o.size()), Limit: math.MaxUint32}
	case o.Compression >= CompressionUnknown:
		return fmt.Errorf("a chunk of %v compression", o.Compression)
	}
	return nil
}

// Pending is a chunk that was written and waits for its ack.
type Pending struct {
	id         string
	due        time.Time // zero until the message is written
	early      bool      // the ack came before that
	notify     func(error)
	prev, next *Pending
	done       chan struct{}
	err        error
}

// ID is the chunk's id.
func (p *Pending) ID() string { return p.id }

// Done is closed when the ack is there, or never will be.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Err is nil if the server has acknowledged the chunk, else a *SendError. It
// must be called only after Done was closed.
func (p *Pending) Err() error { return p.err }

func newConn(nc net.Conn, o *DialOptions) *Conn {
	c := &Conn{
		nc: nc, o: o, slots: make(chan struct{}, o.Window), turn: make(chan struct{}, 1),
		done: make(chan struct{}), waiting: make(map[string]*Pending),
	}
	c.reading.Add(1)
	return c
}

// Write sends one chunk, and returns as soon as the kernel has taken it. It
// waits while as many chunks as the window allows are without their acks, or
// while another goroutine writes, until ctx ends.
//
// For a chunk with an id the Pending tells when its ack is there. For one
// without an id there is no Pending, and nil as an error means only that the kernel took
// it: what a peer never read is lost without a word.
//
// An error is a *SendError. If ctx ends in the middle of a message, the
// connection fails, since what stands behind half a message could not be read.
func (c *Conn) Write(ctx context.Context, chunk *OutChunk) (*Pending, error) {
	return c.write(ctx, chunk, nil)
}

// Deliver writes one chunk, which must have an id, and waits for its ack. Nil
// means that the server has acknowledged it; an error is a *SendError.
func (c *Conn) Deliver(ctx context.Context, chunk *OutChunk) error {
	if chunk.ID == "" {
		return &SendError{Err: errors.New("a chunk without an id cannot be acknowledged; give it one, or use Write")}
	}
	p, err := c.Write(ctx, chunk)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
	}
	select {
	case <-p.done: // both at once
		return p.err
	default:
		return &SendError{ID: chunk.ID, Unsure: true, Err: context.Cause(ctx)}
	}
}

// write is Write with a function that is called once when the chunk is
// acknowledged (with nil) or never will be, if write has returned without an
// error. It may be called before write returns. It is called under no lock, and must not
// wait.
func (c *Conn) write(ctx context.Context, chunk *OutChunk, notify func(error)) (*Pending, error) {
	refuse := func(err error) (*Pending, error) { return nil, &SendError{ID: chunk.ID, Err: err} }
	if err := chunk.check(); err != nil {
		return refuse(err)
	}
	if chunk.ID != "" {
		select {
		case c.slots <- struct{}{}:
		case <-c.done:
			return refuse(c.Err())
		case <-ctx.Done():
			return refuse(context.Cause(ctx))
		}
	}
	select {
	case c.turn <- struct{}{}:
	case <-c.done:
		return refuse(c.Err())
	case <-ctx.Done():
		c.freeSlot(chunk.ID)
		return refuse(context.Cause(ctx))
	}
	defer func() { <-c.turn }()
	if ctx.Err() != nil { // before the first byte it costs nothing
		c.freeSlot(chunk.ID)
		return refuse(context.Cause(ctx))
	}
	p, err := c.expect(chunk.ID, notify)
	if err != nil {
		c.freeSlot(chunk.ID)
		return refuse(err)
	}
	n, err := c.send(ctx, chunk)
	if err != nil {
		c.abandon(p, n)
		c.fail(fmt.Errorf("writing to %s: %w", c.o.Address, err))
		return nil, &SendError{ID: chunk.ID, Unsure: n > 0, Err: c.Err()}
	}
	c.wrote = true
	c.sent(p)
	return p, nil
}

// freeSlot gives back what a chunk that was not written had taken of the window.
func (c *Conn) freeSlot(id string) {
	if id != "" {
		<-c.slots
	}
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the connection has ended; nil while it has not. It is ErrClosed
// after Close, and ErrPeerClosed if the server ended it.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// InFlight is how many chunks wait for their acks.
func (c *Conn) InFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

// Unacked are the ids of the chunks that were written, wholly or in part, and
// not acknowledged when the connection ended, in the order of writing. It is nil
// before the end. Each may have arrived.
func (c *Conn) Unacked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return nil
	}
	return c.unacked
}

// Hostname is what the server called itself in the handshake; "" without one.
func (c *Conn) Hostname() string { return c.peer }

// KeepAlive is false if the server takes one message on each connection. The
// next Write then fails with ErrOneMessage.
func (c *Conn) KeepAlive() bool { return !c.once }

// LocalAddr and RemoteAddr are those of the connection.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// RemoteAddr is the server's address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// closeSettled closes the connection as soon as no chunk waits for its ack. Nothing is
// written on it any more.
func (c *Conn) closeSettled() {
	c.mu.Lock()
	c.ending = true
	settled := len(c.waiting) == 0
	c.mu.Unlock()
	if settled {
		c.fail(ErrClosed)
	}
}

// Close ends the connection at once, whatever waits, and returns when nothing of
// it runs any more. What the kernel has taken, it still sends. Closing twice does no harm.
func (c *Conn) Close() error {
	c.fail(ErrClosed)
	c.reading.Wait()
	return nil
}
