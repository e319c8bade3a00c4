package forward

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"sync"
	"time"
)

// Client sends records to one or more servers. Post puts a record into a buffer
// that is bounded in bytes; from there it goes out in chunks, one tag in each,
// and stays until a server has acknowledged its chunk. A chunk whose connection
// is lost is sent again, with the same id, to whichever server is available.
// No number of failures ends in a loss: a client drops only what DropOldest
// says, and what Close could not deliver it hands back.
//
// Delivery is at least once. Within a tag, chunks leave in the order of their
// first records; a repeated chunk comes later than its successors, and several servers
// keep no order between them.
//
// All methods may be called from many goroutines at once. A client has one
// goroutine for each server and two for each connection, and one with a Spill;
// Close ends them all.
type Client struct {
	o       ClientOptions
	stop    context.CancelFunc // ends the senders
	running sync.WaitGroup
	scratch sync.Pool // *[]byte, in which records are encoded

	packing sync.Mutex // taken before the other
	joined  []byte     // a chunk that is being compressed

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when room or progress was made; nil if nobody waits
	closed  bool          // nothing is accepted any more
	ended   bool          // Close has done all that it does
	// Every chunk of the buffer is in one of these.
	open     map[string]*bufferedChunk
	opens    chunkList // the same
	openMost int       // how many tags were open at once
	waiting  chunkList
	flying   chunkList
	behind   chunkList // complete, but younger than what is in the spill
	seq      uint64    // the last sequence number
	limit    int64     // for held and idle
	held     int64     // bytes, of all chunks
	opening  int64     // of those, the open chunks'
	idle     blockPool
	aging    *time.Timer
	senders  []*sender
	spill    *spilling // nil without a Spill
	stats    Stats
}

// NewClient makes a client. It connects when there is something to send, so
// servers may come later than their clients; Verify asks them all.
func NewClient(options ClientOptions) (*Client, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{o: o, stop: stop, open: make(map[string]*bufferedChunk), limit: o.BufferBytes}
	if o.Compression != CompressionNone {
		c.limit -= packingRoom(&o)
	}
	c.idle.most = c.limit / 8
	c.scratch.New = func() any { return new([]byte) }
	c.aging = time.AfterFunc(time.Hour, c.age)
	c.aging.Stop()
	for i := range o.Servers {
		c.senders = append(c.senders, newSender(c, &c.o.Servers[i]))
	}
	if o.Spill != nil {
		if c.spill, err = newSpilling(c, o.Spill); err != nil {
			stop()
			return nil, err
		}
		c.running.Go(func() { c.spill.run(ctx) })
	}
	for _, s := range c.senders {
		c.running.Go(func() { s.run(ctx) })
	}
	return c, nil
}

// progress wakes all who wait for room or for the end of chunks. The lock is
// held.
func (c *Client) progress() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// wait returns a channel that the next progress closes. The lock is held.
func (c *Client) wait() <-chan struct{} {
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.changed
}

// newID makes an id as fluentd's is: 16 random bytes in base64.
func newID() string {
	var b [16]byte
	// It never fails: the program is ended where there is no randomness.
	_, _ = rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}

// age closes the chunks that are old enough. It is the timer's function.
func (c *Client) age() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.opens.first != nil {
		left := c.o.ChunkAge - time.Since(c.opens.first.opened)
		if left > 0 {
			c.aging.Reset(left)
			break
		}
		c.complete(c.opens.first)
	}
	c.dispatch()
}

// complete ends an open chunk: from now on it waits to be sent. The lock is held.
func (c *Client) complete(ch *bufferedChunk) {
	c.openMost = max(c.openMost, len(c.open))
	delete(c.open, ch.tag)
	if len(c.open) == 0 && c.openMost > 1024 { // a map never becomes smaller
		c.open, c.openMost = make(map[string]*bufferedChunk), 0
	}
	c.opens.remove(ch)
	c.opening -= ch.held
	c.seq++
	ch.seq = c.seq
	if !c.o.NoAcks || c.spill != nil {
		ch.id = newID()
	}
	if c.spill != nil && (c.spill.holds() || c.behind.n > 0) {
		c.behind.push(ch)
		c.spill.wake()
		return
	}
	c.waiting.push(ch)
}

// completeSome makes sure that there is something under way that will leave room.
// It completes no more than needed: with many tags, chunks of one record each
// would fill the buffer, and make ever more of them.
func (c *Client) completeSome() {
	for c.opens.first != nil && c.held-c.opening < c.limit/4 {
		c.complete(c.opens.first)
	}
	c.dispatch()
}

func (c *Client) completeAll() {
	for c.opens.first != nil {
		c.complete(c.opens.first)
	}
	c.dispatch()
}

// release forgets a chunk that is settled, dropped or handed to the spill. The
// lock is held.
func (c *Client) release(ch *bufferedChunk, reuse bool) {
	c.held -= ch.held
	ch.held = 0
	if reuse {
		for i := range ch.blocks {
			c.idle.put(ch.blocks[i].b)
		}
	}
	ch.blocks, ch.packed = nil, nil
	c.progress()
}

// oldest is the smallest sequence number of what is in the buffer, or one more
// than was ever used, and when about the oldest chunk was begun. The lock is held.
func (c *Client) oldest() (seq uint64, opened time.Time) {
	seq = c.seq + 1
	for _, l := range []*chunkList{&c.opens, &c.waiting, &c.flying, &c.behind} {
		if l.first == nil {
			continue
		}
		seq = min(seq, l.first.seq)
		if opened.IsZero() || l.first.opened.Before(opened) {
			opened = l.first.opened
		}
	}
	return seq, opened
}

// Flush sends everything that was accepted before the call, and waits until it
// is settled or ctx ends; the error is then the context's, with the last one of each
// server. Nil means that all of it is delivered; ErrDropped that some was dropped while
// it waited; ErrClosed that Close left some undelivered.
// What is in a spill is waited for, too.
func (c *Client) Flush(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	dropped := c.stats.DroppedOverflow
	c.completeAll()
	last := c.seq
	for {
		seq, _ := c.oldest()
		if c.ended || seq > last && (c.spill == nil || c.spill.settledUpTo(last)) {
			break
		}
		if err := c.sleep(ctx); err != nil {
			return c.because(err)
		}
	}
	switch {
	case c.stats.DroppedOverflow != dropped:
		return ErrDropped
	case c.ended && c.stats.Returned.Records+c.stats.InSpill.Records > 0:
		return ErrClosed
	}
	return nil
}

// sleep waits for progress without the lock, which is held before and after.
func (c *Client) sleep(ctx context.Context) error {
	changed := c.wait()
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Stats returns the client's numbers, which balance.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.BufferBytes, s.Limit = c.held+c.idle.bytes, c.o.BufferBytes
	s.Waiting, s.InFlight = c.opens.n+c.waiting.n+c.behind.n, c.flying.n
	if _, opened := c.oldest(); !opened.IsZero() {
		s.Oldest = time.Since(opened)
	}
	if c.spill != nil {
		s.SpillError = c.spill.err
	}
	for _, n := range c.senders {
		s.Servers = append(s.Servers, n.report())
	}
	return s
}

// BufferedBytes is what the buffer's limit counts now.
func (c *Client) BufferedBytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held + c.idle.bytes
}
