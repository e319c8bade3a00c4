package forward

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// back takes a chunk from a server, and lets it wait again in its old place. The
// lock is held.
func (c *Client) back(s *sender, ch *bufferedChunk) {
	if ch.server != s {
		return // settled, or handed back by Close
	}
	c.flying.remove(ch)
	ch.server = nil
	s.flying--
	c.waiting.insert(ch)
}

// unsent takes back a chunk that was not written, or not wholly. Its server
// fails next.
func (c *Client) unsent(s *sender, ch *bufferedChunk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.back(s, ch)
}

// sending notes that a chunk is about to be written, and returns whether it had
// been before.
func (c *Client) sending(ch *bufferedChunk) (before bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before = ch.tried
	if before {
		c.stats.Retried.add(ch.records, ch.size)
		ch.again = true
	}
	ch.tried = true
	return before
}

// notTried takes that back: nothing of it was written.
func (c *Client) notTried(ch *bufferedChunk, before bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch.tried = before
	if before {
		c.stats.Retried.take(ch.records, ch.size)
	}
}

// answered is told what became of a chunk that was written whole: nil where it is
// acknowledged, or where no ack was asked for.
func (c *Client) answered(s *sender, ch *bufferedChunk, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch.server != s {
		return // handed back by Close
	}
	if err != nil {
		c.back(s, ch)
		c.dispatch()
		return
	}
	c.flying.remove(ch)
	ch.server = nil
	s.flying--
	s.row, s.lastErr = 0, nil
	s.settled.add(ch.records, ch.size)
	to := &c.stats.Acked
	if c.o.NoAcks {
		to = &c.stats.Unacked
	}
	to.add(ch.records, ch.size)
	if ch.again {
		c.stats.PossibleDuplicates.add(ch.records, ch.size)
	}
	if ch.spilled {
		c.stats.InSpill.take(ch.records, ch.size)
		c.spill.settled(ch)
	} else {
		c.stats.Pending.take(ch.records, ch.size)
	}
	c.release(ch, !ch.foreign)
	c.dispatch()
}

// packingRoom is what compressing one chunk needs beside it; one is compressed
// at a time.
func packingRoom(o *ClientOptions) int64 { return 2 * int64(max(o.ChunkBytes, o.RecordBytes)) }

// pack compresses a chunk, once: what is sent again must be the same bytes. One
// that does not become smaller stays as it is.
func (c *Client) pack(ch *bufferedChunk) error {
	if c.o.Compression == CompressionNone || ch.packed != nil || ch.tried || ch.foreign {
		return nil
	}
	c.packing.Lock()
	defer c.packing.Unlock()
	c.joined = c.joined[:0]
	for i := range ch.blocks {
		c.joined = append(c.joined, ch.blocks[i].b...)
	}
	packed, err := Compress(nil, c.joined, c.o.Compression)
	if err != nil {
		return err
	}
	if len(packed) >= len(c.joined) || len(packed) < len(c.joined)/DefaultMaxRatio+1 {
		return nil // nothing gained, or so much that a server would take it for a bomb
	}
	if cap(packed) > len(packed)+len(packed)/8 {
		packed = append(make([]byte, 0, len(packed)), packed...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	freed := ch.held
	ch.packed, ch.method = packed, c.o.Compression
	ch.held = chunkOverhead + int64(len(ch.tag)) + int64(cap(packed))
	c.held += ch.held - freed
	for i := range ch.blocks {
		c.idle.put(ch.blocks[i].b)
	}
	ch.blocks = nil
	c.progress()
	return nil
}

// Verify connects to every server, standbys included, and closes the connections
// again. The error names those that could not be reached, or did not let the
// client in. Where no Auth is set it looks for 200 ms whether a server asks for one, or
// closes the connection, as one does that refuses a certificate of the client.
func (c *Client) Verify(ctx context.Context) error {
	var all []error
	for i := range c.o.Servers {
		if err := verify(ctx, c.o.Servers[i].DialOptions); err != nil {
			all = append(all, fmt.Errorf("server %s: %w", c.o.Servers[i].Address, err))
		}
	}
	return errors.Join(all...)
}

// verifyPatience is how long a server may take for its first word.
const verifyPatience = 200 * time.Millisecond

func verify(ctx context.Context, o DialOptions) error {
	conn, err := Dial(ctx, o)
	if err != nil {
		return err
	}
	if o.Auth == nil {
		patience := time.NewTimer(verifyPatience)
		defer patience.Stop()
		select {
		case <-conn.Done():
		case <-patience.C:
		case <-ctx.Done():
		}
		err = conn.Err()
	}
	return errors.Join(err, conn.Close())
}
