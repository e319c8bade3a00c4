package forward

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"time"
)

// deniedError is the answer no.
type deniedError struct{ reason string }

func (e *deniedError) Error() string { return "the client is refused: " + e.reason }

// greeting is a handshake that is under way: while nothing comes, its connection may be
// parked.
type greeting struct {
	hello *Hello // nil before it was sent
	ping  []byte // as far as it has come
}

// errNoHandshake is what is wrong with a connection whose peer does not do its part.
var errNoHandshake = errors.New("the client's part of the handshake did not come in time")

// open makes the handshakes. It reports that the connection waits for its peer, where it
// can be parked, or else whether the client may send.
func (c *serverConn) open() (waits, ok bool) {
	if c.isStopped() {
		return false, false
	}
	deadline := c.begin()
	g := c.greeting
	if conn, isTLS := c.nc.(*tls.Conn); isTLS && g == nil {
		if err := c.secure(conn, deadline); err != nil {
			if !c.isKilled() {
				c.complain("", reasonTLS, err)
			}
			return false, false
		}
	}
	if c.s.cfg.Security != nil {
		if g == nil {
			g = &greeting{}
			c.greeting = g
		}
		waits, err := c.handshake(g, deadline)
		if waits {
			return true, false
		}
		if err != nil {
			why := reasonHandshake
			if denied := new(deniedError); errors.As(err, &denied) {
				why = reasonDenied
			}
			if !c.isKilled() {
				c.complain("", why, err)
			}
			return false, false
		}
	}
	c.greeting = nil
	c.mu.Lock()
	c.limit = 0
	c.mu.Unlock()
	c.enter(stateBusy)
	return false, true
}

// late closes a connection whose handshakes are not made in time.
func (c *serverConn) late(err error) {
	why := reasonHandshake
	if c.s.cfg.Security == nil {
		why = reasonTLS
	}
	c.kill(why, err)
}

// begin says that the connection waits for its peer, and returns until when.
func (c *serverConn) begin() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.since = stateShaking, time.Since(c.s.began)
	if c.limit == 0 {
		c.limit = c.since + c.s.cfg.HandshakeTimeout
	}
	return c.s.began.Add(c.limit)
}

// secure makes the handshake of TLS.
func (c *serverConn) secure(conn *tls.Conn, deadline time.Time) error {
	if err := c.setDeadline(deadline); err != nil {
		return err
	}
	if err := conn.Handshake(); err != nil {
		return err
	}
	if err := c.setDeadline(time.Time{}); err != nil {
		return err
	}
	if chain := conn.ConnectionState().PeerCertificates; len(chain) > 0 {
		p := *c.peer.Load()
		p.Certificate, p.CommonName = true, chain[0].Subject.CommonName
		c.peer.Store(&p)
	}
	return nil
}

// handshake is that of the protocol, as far as it goes without waiting.
func (c *serverConn) handshake(g *greeting, deadline time.Time) (waits bool, err error) {
	if err := c.setDeadline(deadline); err != nil {
		return false, err
	}
	security := c.s.cfg.Security
	if g.hello == nil {
		g.hello = NewHello(security.Users != nil, !c.s.cfg.DenyKeepalive)
		if _, err := c.nc.Write(g.hello.Append(nil)); err != nil {
			return false, fmt.Errorf("send HELO: %w", err)
		}
	}
	raw, rest, err := c.readPing(g)
	if err != nil {
		return false, fmt.Errorf("read PING: %w", err)
	}
	if raw == nil {
		return true, nil
	}
	var ping Ping
	if err := ping.Parse(raw); err != nil {
		return false, fmt.Errorf("read PING: %w", err)
	}
	pong := security.decide(g.hello, &ping, c.nc.RemoteAddr())
	if _, err := c.nc.Write(pong.Append(nil)); err != nil {
		return false, fmt.Errorf("send PONG: %w", err)
	}
	if !pong.OK {
		return false, &deniedError{pong.Reason}
	}
	p := *c.peer.Load()
	p.Hostname, p.Username = ping.Hostname, ping.Username
	c.peer.Store(&p)
	c.recv.start(rest)
	return false, c.setDeadline(time.Time{})
}

// readPing reads one message, and what came behind it. It returns nothing where the
// connection is to be parked until more comes.
func (c *serverConn) readPing(g *greeting) (ping, rest []byte, err error) {
	s := Scanner{Limit: MaxHandshake}
	for {
		size, _, err := s.Scan(g.ping)
		if err != nil {
			return nil, nil, err
		}
		if size > 0 {
			return g.ping[:size], g.ping[size:], nil
		}
		if len(g.ping) == cap(g.ping) {
			g.ping = append(make([]byte, 0, 2*cap(g.ping)+512), g.ping...)
		}
		n, again, err := c.readSome(g.ping[len(g.ping):cap(g.ping)])
		if again {
			return nil, nil, c.setDeadline(time.Time{})
		}
		if g.ping = g.ping[:len(g.ping)+n]; err != nil && n == 0 {
			return nil, nil, err
		}
	}
}

// readSome reads into b, and reports that nothing has come where the connection is to be
// parked then.
func (c *serverConn) readSome(b []byte) (n int, again bool, err error) {
	if c.parking == nil || c.stays {
		n, err = c.nc.Read(b)
		return n, false, err
	}
	waited := c.raw.Read(func(fd uintptr) bool {
		n, again, err = c.readNow(fd, b)
		return true
	})
	switch {
	case waited != nil:
		return 0, false, waited
	case err == nil && n == 0 && !again:
		err = io.EOF
	}
	return n, again, err
}
