package forward

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Receiver takes what a Server receives, and decides what is acknowledged.
type Receiver interface {
	// Receive is called for each message, by one goroutine for each connection, in
	// the order of arrival. While it does not return, nothing more is read from that
	// connection: that is the back-pressure, and it may last as long as it must. r
	// and all that it refers to is valid only until Receive returns.
	//
	// done must be called exactly once for each message, during the call or later,
	// from any goroutine and in any order; it does not block. True says that the
	// message has reached the level at which it may be acknowledged, if the sender
	// asked for that. False says that it never will: the server then reads no more
	// from that connection and closes it after the acknowledgements that are due,
	// which is the only "no" that the protocol has. For a message that wants no
	// acknowledgement false changes nothing but a counter.
	Receive(r *Received, done func(ok bool))
}

// ReceiverFunc is a function as a Receiver.
type ReceiverFunc func(r *Received, done func(ok bool))

// Receive implements Receiver.
func (f ReceiverFunc) Receive(r *Received, done func(ok bool)) { f(r, done) }

// Received is a message as a Server hands it over. Where nothing is wrong, its
// Entries are checked and decompressed.
type Received struct {
	Message
	// Peer is who sent it. It is the same for all messages of a connection, and does
	// not change.
	Peer *Peer
	// Time is when the message was complete; messages that were read at once share
	// one.
	Time time.Time
	// Refused says why the payload could not be taken apart: it does not decompress,
	// or expands beyond the limits. Payload then holds it as it was received, and
	// Entries nothing. The sender would send it again for ever, so it should be
	// kept elsewhere and acknowledged.
	Refused error
	// Spooled holds the entries where they are too large for memory; Entries is nil
	// then. See Each.
	Spooled *Spooled
}

// Peer is the other end of a connection.
type Peer struct {
	// Addr is the sender's address, and Local the one that it connected to.
	Addr, Local net.Addr
	// Hostname and Username are what it said in the handshake, if there was one.
	Hostname, Username string
	// Certificate says that it showed one that the TLS configuration accepts; its
	// subject's common name is CommonName.
	Certificate bool
	CommonName  string
}

// String names the peer for a log.
func (p *Peer) String() string {
	name := "unknown"
	if p.Addr != nil {
		if name = p.Addr.String(); name == "" || name == "@" {
			name = "unix:" + p.Local.String()
		}
	}
	if p.Hostname != "" {
		name = fmt.Sprintf("%q at %s", p.Hostname, name)
	}
	return name
}

// ServerConfig is what a Server is made of. Zero fields mean their defaults.
type ServerConfig struct {
	// Receiver is the only field that must be set.
	Receiver Receiver
	// Limits bound one message. A message that is larger than Limits.Message, or
	// than a quarter of Memory, goes to Spool, and so does a payload that expands to
	// more than a quarter of Memory. A quarter is counted as a power of two.
	Limits Limits
	// Memory bounds what the server holds of messages, in bytes: what is half
	// read, what is decompressed, and what a Receiver has not returned from. By
	// default 64 MiB, at least 1 MiB. It lies outside the Go heap. Connections take
	// 2 KiB each of it, but never the last half; what they hold lies in the heap. On
	// Linux, one on which nothing comes takes no more than that. Others take 8 KiB
	// each for a goroutine, and no more than a third of what is left in all: while
	// that many are at work, what comes on more of them waits in the kernel. Over TLS
	// one takes 10 KiB more, up to 42 KiB where its client sends large records; together
	// they have half of Memory, and more of them wait to be accepted.
	Memory int64
	// HalfRead is the share of Memory that messages may hold whose rest does not
	// come, in bytes; by default half of it. Beyond, and where others wait for
	// memory, the slowest of them are closed.
	HalfRead int64
	// Budget is memory shared with others, of which the server takes its own from
	// and gives it back to; nil means none.
	Budget Budget
	// Spool takes messages too large for memory, up to MaxSpooled bytes each, by
	// default 512 MiB. Without one they are refused: the connection is closed, or a
	// payload that expands too far handed over as Refused.
	Spool      Spool
	MaxSpooled int64
	// Security asks for a handshake; nil means none.
	Security *Security
	// MaxConnections is how many connections are served at once; more wait to be
	// accepted. By default 100,000.
	MaxConnections int
	// MaxDue is how many messages of one connection may wait for done; beyond that,
	// nothing is read from it. By default 10,000.
	MaxDue int
	// HandshakeTimeout bounds TLS and the handshake together; by default 10 s.
	HandshakeTimeout time.Duration
	// StallTimeout is how long the rest of a message may take to send another byte;
	// by default 60 s. A connection that has sent whole messages may be idle for
	// ever.
	StallTimeout time.Duration
	// WriteTimeout is how long an acknowledgement may take to be written; by default
	// 30 s.
	WriteTimeout time.Duration
	// LingerTimeout is how long a connection that is to be closed waits for the
	// acknowledgements that are due; by default 30 s.
	LingerTimeout time.Duration
	// DenyKeepalive closes each connection after its first message.
	DenyKeepalive bool
	// Report is told what goes wrong, for a log; nil means nobody. It is called by
	// the goroutine to which it happens, and may be called by several at once. It is
	// not limited in rate.
	Report func(Event)
}

// Event is something that went wrong with a connection or a message.
type Event struct {
	Peer   *Peer
	Tag    string // of the message, where it is known
	Reason string // one of the reasons of ServerCounters
	Err    error
}

// Defaults of ServerConfig.
const (
	defaultMemory     = 64 << 20
	minMemory         = 1 << 20
	defaultMaxSpooled = 512 << 20
	defaultMaxConns   = 100_000
	defaultMaxDue     = 10_000
	defaultHandshake  = 10 * time.Second
	defaultStall      = 60 * time.Second
	defaultWrite      = 30 * time.Second
	defaultLinger     = 30 * time.Second
)

func orDefault[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

func (c ServerConfig) withDefaults() (ServerConfig, error) {
	if c.Receiver == nil {
		return c, errors.New("make a forward server: expected a Receiver, found none")
	}
	if err := c.Security.check(); err != nil {
		return c, fmt.Errorf("make a forward server: %w", err)
	}
	c.Limits = c.Limits.withDefaults()
	c.MaxSpooled = orDefault(c.MaxSpooled, defaultMaxSpooled)
	c.MaxConnections = orDefault(c.MaxConnections, defaultMaxConns)
	c.MaxDue = orDefault(c.MaxDue, defaultMaxDue)
	c.HandshakeTimeout = orDefault(c.HandshakeTimeout, defaultHandshake)
	c.StallTimeout = orDefault(c.StallTimeout, defaultStall)
	c.WriteTimeout = orDefault(c.WriteTimeout, defaultWrite)
	c.LingerTimeout = orDefault(c.LingerTimeout, defaultLinger)
	c.Memory = c.leastMemory()
	return c, nil
}

// Server receives messages from any number of connections and listeners. Its
// methods may be called by several goroutines at once.
type Server struct {
	cfg      ServerConfig
	memory   atomic.Int64
	pool     *pool
	ackers   ackers // for connections to which is written without waiting
	waiting  ackers // for others
	secure   secureRoom
	stats    counters
	places   chan struct{} // one for each connection that may be served
	stopping chan struct{} // closed by Close
	began    time.Time

	mu        sync.Mutex
	closed    bool
	conns     []*serverConn // in any order
	parking   *parking      // nil before there is a connection that can be parked
	listeners map[interface{ Close() error }]struct{}
	running   sync.WaitGroup // of connections and the keeper
	serving   sync.WaitGroup // of Serve and ServePacket
}

// NewServer makes a server, which listens to nothing yet. Close must be called
// in the end.
func NewServer(cfg ServerConfig) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, pool: &pool{limit: cfg.Memory, budget: cfg.Budget},
		places: make(chan struct{}, cfg.MaxConnections), stopping: make(chan struct{}), began: time.Now(),
		listeners: make(map[interface{ Close() error }]struct{}),
	}
	s.secure.s = s
	s.ackers.do, s.ackers.most = (*ackQueue).writeNow, ackersMost
	s.waiting.do, s.waiting.most = func(q *ackQueue, _ *ackWriter) { q.write(nil) }, waitingMost
	s.memory.Store(cfg.Memory)
	s.running.Go(s.keep)
	return s, nil
}

// SetMemory changes ServerConfig.Memory, at any time. Where that is less than before,
// nothing is taken until what is held is within it, and connections whose messages come
// too slowly for that are closed, and those over TLS that are too many, the longest idle
// first.
func (s *Server) SetMemory(n int64) {
	cfg := s.cfg
	cfg.Memory = n
	n = cfg.leastMemory()
	s.memory.Store(n)
	s.pool.resize(n)
	s.secure.resized()
}

// leastMemory is Memory, or what is needed.
func (c *ServerConfig) leastMemory() int64 {
	n := max(minMemory, orDefault(c.Memory, defaultMemory))
	if c.Spool == nil {
		// What cannot be put aside has to fit, together with what it expands to.
		n = max(n, 4*c.Limits.Message)
	}
	return n
}

// quarter is that of the memory, as a power of two: what one message, or its expansion,
// may take.
func (s *Server) quarter() int64 { return 1 << (bits.Len64(uint64(s.memory.Load())) - 3) }

// inMemory is the largest message that is held in memory.
func (s *Server) inMemory() int64 { return min(s.cfg.Limits.Message, s.quarter()) }

// halfRead is what messages may hold whose rest does not come.
func (s *Server) halfRead() int64 {
	n := s.memory.Load()
	return min(n, orDefault(s.cfg.HalfRead, n/2))
}

// ErrServerClosed is what Serve and ServePacket return after Close.
var ErrServerClosed = errors.New("the forward server is closed")

// enter registers a listener, or reports that the server is closed.
func (s *Server) enter(l interface{ Close() error }) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.listeners[l] = struct{}{}
	s.serving.Add(1)
	return true
}

func (s *Server) leave(l interface{ Close() error }) {
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
	s.serving.Done()
}

// Serve accepts connections from l, which it closes in the end: TCP or unix, or
// TLS where l is made by tls.NewListener; ServeTLS costs less. It returns ErrServerClosed after Close,
// and otherwise the error of l; passing ones, such as too many open files, are
// reported and tried again.
func (s *Server) Serve(l net.Listener) error {
	return s.serve(l, false, func(nc net.Conn) *serverConn { return newServerConn(s, nc) })
}

// serve accepts connections, which secure says are over TLS.
func (s *Server) serve(l net.Listener, secure bool, made func(net.Conn) *serverConn) error {
	if !s.enter(l) {
		return errors.Join(ErrServerClosed, l.Close())
	}
	defer s.leave(l)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		if !s.place(secure) {
			return ErrServerClosed
		}
		nc, err := l.Accept()
		if err == nil {
			c := made(nc)
			isTLS := c.charged > 0
			s.start(c, secure)
			secure = isTLS
			continue
		}
		s.unplace(secure)
		select {
		case <-s.stopping:
			return ErrServerClosed
		default:
		}
		var passing interface{ Temporary() bool }
		if !errors.As(err, &passing) || !passing.Temporary() {
			return errors.Join(fmt.Errorf("accept forward connections: %w", err), l.Close())
		}
		s.report(nil, "", reasonAccept, err)
		pause.Reset(50 * time.Millisecond)
		select {
		case <-pause.C:
		case <-s.stopping:
			return ErrServerClosed
		}
	}
}

// place waits until one more connection may be accepted; false means that the server
// closes.
func (s *Server) place(secure bool) bool {
	select {
	case s.places <- struct{}{}:
	default:
		s.report(nil, "", reasonFull, fmt.Errorf("%d are open, which is the limit; further ones wait to be accepted until some are closed", cap(s.places)))
		select {
		case s.places <- struct{}{}:
		case <-s.stopping:
			return false
		}
	}
	if secure && !s.secure.enter() {
		<-s.places
		return false
	}
	return true
}

// unplace is the opposite, where nothing was accepted.
func (s *Server) unplace(secure bool) {
	<-s.places
	if secure {
		s.secure.leave(secureCost)
	}
}

// start serves a connection, which has a place. For one over TLS secure says whether it
// has its room, too.
func (s *Server) start(c *serverConn, secure bool) {
	c.progress = time.Since(s.began)
	s.secure.charge(c, secure)
	s.mu.Lock()
	closed := s.closed
	var err error
	if !closed {
		c.index = len(s.conns)
		s.conns = append(s.conns, c)
		s.running.Add(1)
		if c.raw != nil {
			if s.parking == nil {
				if s.parking, err = newParking(s); s.parking != nil {
					s.running.Go(s.parking.run)
				}
			}
			c.parking = s.parking
		}
	}
	s.mu.Unlock()
	if closed {
		s.secure.forget(c)
		<-s.places
		_ = c.nc.Close() // nothing was read, and nobody is to be told
		return
	}
	if err != nil {
		s.report(c.peer.Load(), "", reasonMemory, err)
	}
	s.pool.beside(connectionCost)
	s.stats.accepted.Add(1)
	if c.parking != nil && c.parking.take(c) {
		return // Until it says something it takes no goroutine.
	}
	go c.serve()
}

// ended takes a connection that is closed off the books.
func (s *Server) ended(c *serverConn) {
	s.mu.Lock()
	last := len(s.conns) - 1
	s.conns[c.index], s.conns[last].index = s.conns[last], c.index
	s.conns[last] = nil
	s.conns = s.conns[:last]
	s.mu.Unlock()
	s.pool.beside(-connectionCost)
	s.secure.forget(c)
	<-s.places
	s.running.Done()
}

// closeParking ends the goroutine that waits for idle connections.
func (s *Server) closeParking() error {
	s.mu.Lock()
	p := s.parking
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.close()
}

// ServePacket answers heartbeats on pc, which it closes in the end: each
// datagram gets one byte, 0x00, as from fluentd, whose clients ask the port
// number of the TCP listener. It returns as Serve does.
func (s *Server) ServePacket(pc net.PacketConn) error {
	if !s.enter(pc) {
		return errors.Join(ErrServerClosed, pc.Close())
	}
	defer s.leave(pc)
	var b [16]byte
	for {
		_, from, err := pc.ReadFrom(b[:])
		select {
		case <-s.stopping:
			return ErrServerClosed
		default:
		}
		if err != nil {
			return errors.Join(fmt.Errorf("read forward heartbeats: %w", err), pc.Close())
		}
		s.stats.heartbeats.Add(1)
		if _, err := pc.WriteTo([]byte{0}, from); err != nil {
			s.report(&Peer{Addr: from, Local: pc.LocalAddr()}, "", reasonWrite, err)
		}
	}
}

// Close stops the server: listeners are closed, connections read no further than
// what has come already, messages that are handed over are waited for until their done is called, and
// acknowledged. It returns when all of that is done and all goroutines have
// ended. When ctx ends first, all connections are closed at once, and it returns
// the error of ctx; goroutines whose Receiver does not return live on until it
// does.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	var errs []error
	if first {
		close(s.stopping)
		for l := range s.listeners {
			if err := l.Close(); err != nil {
				errs = append(errs, fmt.Errorf("close a forward listener: %w", err))
			}
		}
		for _, c := range s.conns {
			c.stop()
		}
	}
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		s.serving.Wait()
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		for _, c := range s.open(nil) {
			c.kill(reasonShutdown, context.Cause(ctx))
		}
		return errors.Join(append(errs, fmt.Errorf("close the forward server: %w", context.Cause(ctx)))...)
	}
	s.pool.trim()
	return errors.Join(errs...)
}

// open returns the connections that there are, in the memory of into.
func (s *Server) open(into []*serverConn) []*serverConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(into[:0], s.conns...)
}

// report counts and tells what went wrong.
func (s *Server) report(p *Peer, tag string, why reason, err error) {
	s.stats.reasons[why].Add(1)
	if s.cfg.Report != nil {
		s.cfg.Report(Event{Peer: p, Tag: tag, Reason: why.String(), Err: err})
	}
}
