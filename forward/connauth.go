package forward

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// handshake goes through HELO, PING and PONG on a new connection.
func (c *Conn) handshake(ctx context.Context) error {
	if err := c.nc.SetDeadline(time.Now().Add(c.o.HandshakeTimeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		// A connection that refuses a deadline is closed already.
		_ = c.nc.SetDeadline(time.Unix(1, 0))
	})
	err := c.shake()
	if !stop() {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	return c.nc.SetDeadline(time.Time{})
}

func (c *Conn) shake() error {
	hello := new(Hello)
	err := c.reply("HELO", hello.Parse)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w within %v", ErrNoHandshake, c.o.HandshakeTimeout)
	}
	if err != nil {
		return err
	}
	c.once = !hello.Keepalive
	ping := NewPing(hello, c.o.Auth)
	if _, err := c.nc.Write(ping.Append(nil)); err != nil {
		return fmt.Errorf("writing PING: %w", err)
	}
	pong := new(Pong)
	if err := c.reply("PONG", pong.Parse); err != nil {
		return err
	}
	if !pong.OK {
		return fmt.Errorf("%w: it says %.256q", ErrAuthRefused, pong.Reason)
	}
	c.peer = pong.Hostname
	return pong.Check(hello, ping, c.o.Auth)
}

// reply reads one message of the handshake.
func (c *Conn) reply(name string, parse func([]byte) error) error {
	for {
		b := c.in.buf[c.in.start:c.in.end]
		n, err := Skip(b)
		if err == nil {
			if err = parse(b[:n]); err == nil {
				c.in.start += n
				return nil
			}
		}
		if !errors.Is(err, ErrIncomplete) {
			return fmt.Errorf("%w: %s: %w", ErrProtocol, name, err)
		}
		if err := c.in.fill(c.nc); err != nil {
			return fmt.Errorf("waiting for %s: %w", name, errEOF(err))
		}
	}
}
