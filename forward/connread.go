package forward

import (
	"errors"
	"fmt"
	"io"
)

// msgpackNil is the byte of a nil.
const msgpackNil = 0xc0

// replies takes what a server sends apart. It holds at most one message.
type replies struct {
	buf        []byte
	start, end int
}

// fill reads more behind what is there.
func (r *replies) fill(nc io.Reader) error {
	if r.start == r.end {
		r.start, r.end = 0, 0
	}
	if r.end == len(r.buf) && r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	if r.end == len(r.buf) {
		if len(r.buf) >= MaxHandshake {
			return fmt.Errorf("%w: %w", ErrProtocol, &LimitError{What: "answer", Bytes: int64(len(r.buf)) + 1, Limit: MaxHandshake})
		}
		r.buf = append(r.buf, make([]byte, max(512, len(r.buf)))...)
	}
	n, err := nc.Read(r.buf[r.end:])
	r.end += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// read is the goroutine of a connection.
func (c *Conn) read() {
	defer c.reading.Done()
	for {
		if err := c.takeAcks(); err != nil {
			c.fail(err)
			return
		}
		if err := c.in.fill(c.nc); err != nil {
			c.fail(fmt.Errorf("reading from %s: %w", c.o.Address, errEOF(err)))
			return
		}
	}
}

// takeAcks settles what the acks that are complete name.
func (c *Conn) takeAcks() error {
	for {
		rest := c.in.buf[c.in.start:c.in.end]
		if len(rest) == 0 {
			return nil
		}
		if rest[0] == msgpackNil { // a heartbeat
			c.in.start++
			continue
		}
		id, n, err := ParseAck(rest)
		switch {
		case errors.Is(err, ErrIncomplete):
			return nil
		case err != nil && new(Hello).Parse(rest) == nil:
			return fmt.Errorf("%w (%s)", ErrAuthRequired, c.o.Address)
		case err != nil:
			return fmt.Errorf("%w: answer of %s: %w", ErrProtocol, c.o.Address, err)
		}
		c.in.start += n
		if err := c.acknowledge(id); err != nil {
			return err
		}
	}
}

// errEOF is what an ended stream is told as.
func errEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrPeerClosed
	}
	return err
}
