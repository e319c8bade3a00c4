// Package forward is the source of the fluentd forward protocol: it listens, takes
// messages from any number of connections, and acknowledges each at the level that
// is asked for, whatever becomes of the connection meanwhile.
//
// A message becomes one chunk, with its entries as they arrived. A chunk that is
// sent again is not handed over again: see receive.go. What a message has beside
// valid entries becomes dead letters before it is acknowledged.
//
// The protocol is that of the package forward beside internal; what is decided
// here is what a message means. The source refuses to hold records, to drop any,
// and to acknowledge what nobody vouches for.
package forward

import (
	"errors"
	"io/fs"
	"net"
	"sync"

	protocol "github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source/seen"
)

// Config says how a source is made.
type Config struct {
	Name string
	// Listen is where it listens, and SocketMode the mode of unix sockets.
	Listen     []Address
	SocketMode fs.FileMode
	// Tag replaces every tag, and AddTagPrefix is put in front, with a dot between;
	// empty ones do nothing.
	Tag, AddTagPrefix string
	// JoinPartials joins Docker's partial messages that ask for no ack.
	JoinPartials bool
	// RememberChunks is how many chunks are remembered; 0 recognises no resend.
	RememberChunks int
	// Router is where it hands over.
	Router Router
	// Level is what a chunk must reach to be acknowledged.
	Level record.Level
	// Memory is what it may hold, in bytes.
	Memory int64
	// ChunksFile is where the chunks are remembered; empty remembers them until the
	// end of the process.
	ChunksFile string
	// Fields are keys that each record gets.
	Fields [][2]string
	// Instead is a source whose addresses are taken over, where they are the same,
	// when this one starts.
	Instead *Source
}

// Source is one source at work.
type Source struct {
	cfg Config
	receiver
	ports  []*port
	leases []*lease

	mu      sync.Mutex
	conns   map[net.Conn]bool
	stopped bool
	all     sync.WaitGroup
}

// New makes a source and opens what it listens on. It takes nothing before Start.
// note is for the log.
func New(cfg Config) (s *Source, note string, err error) {
	s = &Source{cfg: cfg, conns: make(map[net.Conn]bool)}
	s.receiver = receiver{name: cfg.Name, router: cfg.Router, level: cfg.Level, fields: &fields{}, rename: renamer(cfg.Tag, cfg.AddTagPrefix)}
	for _, f := range cfg.Fields {
		s.fields.add(f[0], f[1])
	}
	if cfg.JoinPartials {
		s.parts = newParts(s.joined)
	}
	if err := s.remember(&note); err != nil {
		return nil, "", err
	}
	for _, a := range cfg.Listen {
		p := s.inherit(a)
		if p == nil {
			if p, err = openPort(a, cfg.SocketMode); err != nil {
				return nil, "", errors.Join(err, s.Close())
			}
		}
		s.ports = append(s.ports, p)
	}
	return s, note, nil
}

// remember opens the memory of chunks, or goes on with that of the source before.
func (s *Source) remember(note *string) (err error) {
	if s.cfg.RememberChunks <= 0 {
		return nil
	}
	if before := s.cfg.Instead; before != nil && before.chunks != nil && before.cfg.RememberChunks == s.cfg.RememberChunks {
		s.chunks = before.chunks
		return nil
	}
	s.chunks, *note, err = seen.Open(s.cfg.ChunksFile, s.cfg.RememberChunks)
	return err
}

// inherit is the port of the source before that listens on the same address.
func (s *Source) inherit(a Address) *port {
	if s.cfg.Instead == nil {
		return nil
	}
	for _, p := range s.cfg.Instead.ports {
		if p.address == a {
			return p
		}
	}
	return nil
}

// renamer is how the tags of a source are changed.
func renamer(instead, prefix string) func(string) string {
	switch {
	case instead != "":
		return func(string) string { return instead }
	case prefix != "":
		return func(tag string) string { return prefix + "." + tag }
	}
	return func(tag string) string { return tag }
}

// Addrs are the addresses on which it listens.
func (s *Source) Addrs() (all []net.Addr) {
	for _, p := range s.ports {
		all = append(all, p.Addr())
	}
	return all
}

// Start begins to take messages.
func (s *Source) Start() {
	for _, p := range s.ports {
		l := p.lease()
		s.leases = append(s.leases, l)
		s.all.Go(func() { s.accept(l) })
	}
}

func (s *Source) accept(l *lease) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.stopped {
			s.mu.Unlock()
			_ = conn.Close() // Nothing was read from it.
			return
		}
		s.conns[conn] = true
		s.all.Go(func() { s.serve(conn) })
		s.mu.Unlock()
	}
}

// serve reads one connection.
func (s *Source) serve(conn net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
		conn.Close()
	}()
	var writing sync.Mutex
	buf := make([]byte, 0, 512<<10)
	var scan protocol.Scanner
	var m protocol.Message
	for {
		size, need, err := scan.Scan(buf)
		if err != nil {
			return
		}
		if size == 0 {
			if need > int64(cap(buf)) {
				buf = append(make([]byte, 0, need), buf...)
			}
			n, err := conn.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
			if err != nil {
				return
			}
			continue
		}
		if err := scan.Parse(buf[:size], &m); err != nil {
			return
		}
		m.Check()
		ack := m.AppendAck(nil)
		if err := s.receive(&m, &fields{}, func(ok bool) {
			if !ok {
				conn.Close()
				return
			}
			writing.Lock()
			defer writing.Unlock()
			if _, err := conn.Write(ack); err != nil {
				conn.Close()
			}
		}); err != nil {
			return
		}
		buf = buf[:copy(buf[:cap(buf)], buf[size:])]
	}
}

// Stop takes nothing more.
func (s *Source) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for _, l := range s.leases {
		l.end()
	}
}

// Wait returns when nothing more is handed over.
func (s *Source) Wait() {}

// Close ends it.
func (s *Source) Close() error {
	s.Stop()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
	return nil
}
