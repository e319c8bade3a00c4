package forward

import (
	"fmt"
	"time"
)

// deniedError is the answer no.
type deniedError struct{ reason string }

func (e *deniedError) Error() string { return "the client is refused: " + e.reason }

func (c *serverConn) handshake(deadline time.Time) error {
	if err := c.setDeadline(deadline); err != nil {
		return err
	}
	security := c.s.cfg.Security
	hello := NewHello(security.Users != nil, !c.s.cfg.DenyKeepalive)
	if _, err := c.nc.Write(hello.Append(nil)); err != nil {
		return fmt.Errorf("send HELO: %w", err)
	}
	raw, rest, err := c.readPing()
	if err != nil {
		return fmt.Errorf("read PING: %w", err)
	}
	var ping Ping
	if err := ping.Parse(raw); err != nil {
		return fmt.Errorf("read PING: %w", err)
	}
	pong := security.decide(hello, &ping, c.nc.RemoteAddr())
	if _, err := c.nc.Write(pong.Append(nil)); err != nil {
		return fmt.Errorf("send PONG: %w", err)
	}
	if !pong.OK {
		return &deniedError{pong.Reason}
	}
	p := *c.peer.Load()
	p.Hostname, p.Username = ping.Hostname, ping.Username
	c.peer.Store(&p)
	c.recv.start(rest)
	return c.setDeadline(time.Time{})
}

// readPing reads one message, and what came behind it.
func (c *serverConn) readPing() (ping, rest []byte, err error) {
	s := Scanner{Limit: MaxHandshake}
	b := make([]byte, 0, 512)
	for {
		size, _, err := s.Scan(b)
		if err != nil {
			return nil, nil, err
		}
		if size > 0 {
			return b[:size], b[size:], nil
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := c.nc.Read(b[len(b):cap(b)])
		if b = b[:len(b)+n]; err != nil && n == 0 {
			return nil, nil, err
		}
	}
}
