package forward

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/spillway/spillway/forward"
)

// conn is a connection, and who uses it.
type conn struct {
	*forward.Conn
	server *server
	born   time.Time

	// Guarded by the server's lock.
	users   int
	retired bool // no new attempt gets it, and the last user closes it
}

func (c *conn) hold() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.users++
}

// release ends the use of a connection.
func (c *conn) release() {
	c.server.mu.Lock()
	defer c.server.unlock()
	if c.users--; c.retired && c.users == 0 {
		c.server.over = append(c.server.over, c)
	}
}

// server is one receiver and the connections to it.
type server struct {
	Server
	o *Options

	dialing chan struct{} // holds one: whoever dials

	mu       sync.Mutex
	conns    []*conn
	over     []*conn // to be closed once the lock is free
	failures int     // in a row
	rests    time.Time
	closed   bool
}

func newServer(s Server, o *Options) *server {
	if s.Name == "" {
		s.Name = s.Dial.Address
	}
	return &server{Server: s, o: o, dialing: make(chan struct{}, 1)}
}

// connect returns a connection to a server that can be reached.
func (s *Sink) connect(ctx context.Context) (*server, *conn, error) {
	var errs []error
	for _, v := range s.candidates() {
		c, err := v.connection(ctx)
		if err == nil {
			return v, c, nil
		}
		if ctx.Err() != nil {
			return nil, nil, errors.Join(append(errs, context.Cause(ctx))...)
		}
		errs = append(errs, fmt.Errorf("server %s: %w", v.Name, err))
	}
	return nil, nil, errors.Join(errs...)
}

// candidates are all servers, those first that are to be tried first: one by
// weight and then the others that are there, those of weight 0, the standby ones,
// and last those that are left alone, since nothing else is there.
func (s *Sink) candidates() []*server {
	if len(s.servers) == 1 {
		return s.servers
	}
	now := time.Now()
	type candidate struct {
		*server
		rank  int
		order float64
	}
	list := make([]candidate, len(s.servers))
	for i, v := range s.servers {
		c := candidate{server: v, order: rand.Float64()}
		v.mu.Lock()
		rests := v.rests.Sub(now)
		v.mu.Unlock()
		switch {
		case rests > 0:
			c.rank, c.order = 3, rests.Seconds()
		case v.Standby:
			c.rank = 2
		case v.Weight == 0:
			c.rank = 1
		default:
			// The least of exponentially distributed numbers falls to each with a
			// probability in proportion to its rate.
			c.order = rand.ExpFloat64() / float64(v.Weight)
		}
		list[i] = c
	}
	slices.SortFunc(list, func(a, b candidate) int {
		if a.rank != b.rank || a.order == b.order {
			return a.rank - b.rank
		}
		if a.order < b.order {
			return -1
		}
		return 1
	})
	servers := make([]*server, len(list))
	for i, c := range list {
		servers[i] = c.server
	}
	return servers
}

// connection returns a connection that is there, or dials where there is none, or
// all are busy and there may be more. The caller releases it.
func (v *server) connection(ctx context.Context) (*conn, error) {
	c, enough := v.present()
	if c != nil && enough {
		return c, nil
	}
	if c != nil {
		// Another may be made, but nobody waits for it.
		select {
		case v.dialing <- struct{}{}:
		default:
			return c, nil
		}
		defer func() { <-v.dialing }()
		another, err := v.dial(ctx)
		if err != nil {
			return c, nil // There is one; that no second can be made is no failure.
		}
		c.release()
		return another, nil
	}
	select {
	case v.dialing <- struct{}{}:
		defer func() { <-v.dialing }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c, _ := v.present(); c != nil {
		return c, nil
	}
	c, err := v.dial(ctx)
	if err != nil && ctx.Err() == nil {
		v.failed(nil, err)
	}
	return c, err
}

// present returns the connection with the fewest messages under way, held, or
// nil; enough says that no other is to be made beside it.
func (v *server) present() (best *conn, enough bool) {
	v.mu.Lock()
	defer v.unlock()
	least := 0
	for _, c := range slices.Clone(v.conns) {
		if c.Err() != nil || v.o.MaxConnectionAge > 0 && time.Since(c.born) > v.o.MaxConnectionAge {
			v.retire(c)
			continue
		}
		if n := c.users + c.InFlight(); best == nil || n < least {
			best, least = c, n
		}
	}
	if best == nil {
		return nil, false
	}
	best.users++
	return best, least == 0 || len(v.conns) >= v.o.Connections
}

// retire takes a connection out of use. The lock is held.
func (v *server) retire(c *conn) {
	v.conns = slices.DeleteFunc(v.conns, func(other *conn) bool { return other == c })
	if !c.retired && c.users == 0 {
		v.over = append(v.over, c)
	}
	c.retired = true
}

// unlock gives the lock back and then closes what is over, which may take a
// moment: a connection ends by farewells.
func (v *server) unlock() {
	over := v.over
	v.over = nil
	v.mu.Unlock()
	for _, c := range over {
		_ = c.Close() // Whoever cared for what was on it has been told.
	}
}

var errClosed = errors.New("the destination is closed")

func (v *server) dial(ctx context.Context) (*conn, error) {
	raw, err := forward.Dial(ctx, v.Dial)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, server: v, born: time.Now(), users: 1}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil, errors.Join(errClosed, raw.Close())
	}
	if raw.KeepAlive() {
		v.conns = append(v.conns, c)
	} else {
		c.retired = true // It takes one message, from whoever has it now.
	}
	return c, nil
}

// firstRest is how long a server is left alone after its first failure.
const firstRest = time.Second

// failed notes that a server did not do what it should. Of one connection only
// the first failure counts.
func (v *server) failed(c *conn, err error) {
	v.mu.Lock()
	defer v.unlock()
	if c != nil {
		if c.retired && c.KeepAlive() {
			return
		}
		v.retire(c)
	}
	if errors.Is(err, forward.ErrClosed) {
		return
	}
	v.failures++
	v.rests = time.Now().Add(min(firstRest<<min(v.failures-1, 10), v.o.RecoverWait))
}

// worked notes that a server has acknowledged something.
func (v *server) worked() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failures, v.rests = 0, time.Time{}
}

func (v *server) close() error {
	v.mu.Lock()
	v.closed = true
	conns := v.conns
	v.conns = nil
	v.mu.Unlock()
	var errs []error
	for _, c := range conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
