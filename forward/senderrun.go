package forward

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// run is the goroutine of a sender.
func (s *sender) run(ctx context.Context) {
	defer s.disconnect()
	for ctx.Err() == nil {
		if ch := s.next(); ch != nil {
			s.deliver(ctx, ch)
			continue
		}
		if s.pause(ctx) {
			continue
		}
		select {
		case <-s.signal:
		case <-ctx.Done():
		case <-s.lost():
			s.renew()
		}
	}
}

// lost tells when an idle connection ends.
func (s *sender) lost() <-chan struct{} {
	if s.conn == nil {
		return nil
	}
	return s.conn.Done()
}

// renew forgets a connection that has ended. A server may close one on which
// nothing waits; everything else is a failure.
func (s *sender) renew() {
	if err := s.conn.Err(); !errors.Is(err, ErrPeerClosed) || len(s.conn.Unacked()) > 0 {
		s.failed(err)
		return
	}
	s.disconnect()
}

func (s *sender) next() *bufferedChunk {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.aside || len(s.given) == 0 {
		return nil
	}
	ch := s.given[0]
	s.given[0] = nil
	s.given = s.given[1:]
	return ch
}

// deliver writes one chunk. Whatever becomes of it is told to the client, here
// or by the connection.
func (s *sender) deliver(ctx context.Context, ch *bufferedChunk) {
	err := s.connect(ctx)
	if err == nil {
		err = s.c.pack(ch)
	}
	if err != nil {
		s.c.unsent(s, ch)
		s.failed(err)
		return
	}
	s.pieces = ch.pieces(s.pieces[:0])
	out := OutChunk{Tag: ch.tag, Entries: s.pieces, Records: ch.records, Compression: ch.method}
	if !s.c.o.NoAcks {
		out.ID = ch.id
	}
	before := s.c.sending(ch)
	pending, err := s.conn.write(ctx, &out, func(err error) { s.c.answered(s, ch, err) })
	clear(s.pieces)
	if err != nil {
		var sending *SendError
		if errors.As(err, &sending) && !sending.Unsure {
			s.c.notTried(ch, before)
		}
		s.c.unsent(s, ch)
		s.failed(err)
		return
	}
	if pending == nil {
		s.c.answered(s, ch, nil)
	}
	if !s.conn.KeepAlive() {
		s.single(ctx, pending)
	}
}

// single waits for the end of a connection to a server that takes one message on
// each.
func (s *sender) single(ctx context.Context, pending *Pending) {
	settled := s.conn.Done()
	if pending != nil {
		settled = pending.Done()
	}
	patience := time.NewTimer(s.to.AckTimeout)
	defer patience.Stop()
	select {
	case <-settled:
	case <-patience.C:
	case <-ctx.Done():
	}
	if s.conn.Err() != nil {
		s.renew()
		return
	}
	s.disconnect()
}

// connect makes sure of a connection.
func (s *sender) connect(ctx context.Context) error {
	if s.conn != nil {
		err := s.conn.Err()
		if err == nil {
			s.renewOld(ctx)
			return nil
		}
		if !errors.Is(err, ErrPeerClosed) || len(s.conn.Unacked()) > 0 {
			return err
		}
		s.disconnect()
	}
	conn, err := Dial(ctx, s.to.DialOptions)
	if err != nil {
		return err
	}
	s.use(conn)
	return nil
}

// use makes a connection the one on which chunks are written.
func (s *sender) use(conn *Conn) {
	s.conn, s.born = conn, time.Now()
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.connected, s.hostname = true, conn.Hostname()
}

// disconnect closes the connection; what has no ack comes back by it.
func (s *sender) disconnect() {
	if s.conn == nil {
		return
	}
	// It only waits until all who depend on the connection are told.
	_ = s.conn.Close()
	s.conn = nil
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.connected = false
}

// failed sets the server aside, and takes back what it was given.
func (s *sender) failed(err error) {
	s.disconnect()
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.lastErr == nil || !errors.Is(err, context.Canceled) {
		// What the end of the client cut off says less about the server than what was
		// wrong before.
		s.lastErr = err
	}
	s.failures++
	s.row++
	s.aside = true
	for i, ch := range s.given {
		c.back(s, ch)
		s.given[i] = nil
	}
	s.given = s.given[:0]
	c.dispatch()
}

// pause keeps away from a server that has failed, then connects to it again. It
// returns false if the server has not failed.
func (s *sender) pause(ctx context.Context) bool {
	s.c.mu.Lock()
	aside, row := s.aside, s.row
	s.c.mu.Unlock()
	if !aside {
		return false
	}
	timer := time.NewTimer(s.c.backoff(row))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return true
	}
	if err := s.connect(ctx); err != nil {
		s.failed(err)
		return true
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.aside = false
	s.c.dispatch()
	return true
}

// backoff is how long a server is left alone after so many failures in a row.
func (c *Client) backoff(row int) time.Duration {
	pause := c.o.MaxBackoff
	if row < 32 && c.o.MinBackoff<<(row-1) < pause && c.o.MinBackoff<<(row-1) > 0 {
		pause = c.o.MinBackoff << (row - 1)
	}
	return time.Duration(float64(pause) * (0.7 + 0.6*rand.Float64()))
}
