package forward

import (
	"context"
	"net"
	"time"
)

// send writes one message, and returns how many bytes of it the kernel took.
func (c *Conn) send(ctx context.Context, chunk *OutChunk) (int64, error) {
	size := chunk.size()
	c.head = AppendHead(c.head[:0], chunk.Tag, size)
	c.tail = AppendOption(c.tail[:0], Option{Chunk: chunk.ID, Size: chunk.Records, Compression: chunk.Compression})
	c.vector = append(append(append(c.vector[:0], c.head), chunk.Entries...), c.tail)
	if ctx.Done() != nil {
		interrupted := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			defer close(interrupted)
			c.interrupt()
		})
		defer func() {
			if !stop() {
				<-interrupted // else it could hit the next write
			}
		}()
	}
	var total int64
	rest := c.vector
	for len(rest) > 0 {
		var part net.Buffers
		part, rest = cutVector(rest, writeStep)
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.o.WriteTimeout)); err != nil {
			return total, err
		}
		if err := ctx.Err(); err != nil { // else the deadline would hide that ctx has ended
			return total, context.Cause(ctx)
		}
		n, err := c.writePart(part)
		total += n
		if err != nil && ctx.Err() != nil {
			return total, context.Cause(ctx)
		}
		if err != nil {
			return total, err
		}
	}
	clear(c.vector) // the entries are the caller's again
	return total, nil
}

// interrupt makes a write under way return.
func (c *Conn) interrupt() {
	// A connection that refuses a deadline is closed already.
	_ = c.nc.SetWriteDeadline(time.Unix(1, 0))
}

// writeStep is how much is written under one deadline.
const writeStep = 1 << 20

// joinBelow is up to which size a message is copied into one piece, where a
// connection cannot write several pieces at once: a TLS record or a call for
// each would cost more than the copy.
const joinBelow = 32 << 10

// writePart writes pieces at once where the system can (writev), which uses them
// up.
func (c *Conn) writePart(part net.Buffers) (int64, error) {
	switch c.nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		return part.WriteTo(c.nc)
	}
	size := 0
	for _, piece := range part {
		size += len(piece)
	}
	if size > joinBelow {
		return part.WriteTo(c.nc)
	}
	c.joined = c.joined[:0]
	for _, piece := range part {
		c.joined = append(c.joined, piece...)
	}
	n, err := c.nc.Write(c.joined)
	return int64(n), err
}

// cutVector divides pieces into at most size bytes and the rest. It uses the
// given slice for both.
func cutVector(all net.Buffers, size int) (part, rest net.Buffers) {
	for i, piece := range all {
		if len(piece) <= size {
			size -= len(piece)
			continue
		}
		if size == 0 {
			return all[:i:i], all[i:]
		}
		part = append(append(make(net.Buffers, 0, i+1), all[:i]...), piece[:size])
		all[i] = piece[size:]
		return part, all[i:]
	}
	return all, nil
}
