// Package forward is the source of the fluentd forward protocol: it listens, takes
// messages from any number of connections, and acknowledges each at the level that
// is asked for, whatever becomes of the connection meanwhile.
//
// A message becomes one chunk, with its entries as they arrived. A chunk that is
// sent again is not handed over again: see receive.go. What a message has beside
// valid entries becomes dead letters before it is acknowledged.
//
// The protocol is that of the package forward at the root of the module; what is
// decided here is what a message means. The source refuses to hold records, but for
// parts of lines (kept.go), to drop any, and to acknowledge what nobody vouches for.
package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"sync"

	protocol "github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source/seen"
)

// Config says how a source is made.
type Config struct {
	Name string
	// Listen is where it listens, SocketMode the mode of unix sockets, and TLS what
	// the addresses of the network tls have. Allow are the networks whose peers are
	// taken; none takes all. A peer on a unix socket is always taken.
	Listen       []Address
	SocketMode   fs.FileMode
	TLS          *tls.Config
	Allow        []netip.Prefix
	UDPHeartbeat bool
	// Server says how messages are received; its Receiver and Report are the source's.
	Server protocol.ServerConfig

	// Tag replaces every tag, and AddTagPrefix is put in front, with a dot between;
	// empty ones do nothing.
	Tag, AddTagPrefix string
	// Fields are keys that each record gets, AddressKey and HostnameKey those of the
	// sender's address and name; empty ones add none.
	Fields                  [][2]string
	AddressKey, HostnameKey string
	// JoinPartials joins Docker's partial messages: those that ask for no ack in
	// memory, and those that do in files in PartsDir, where Durable says that the
	// route of a tag writes to the disk, kernel or power, before it vouches. Without
	// either they are passed on as parts.
	JoinPartials bool
	PartsDir     string
	Durable      func(tag string) record.Level

	// Router is where it hands over.
	Router Router
	// Level is what a chunk must reach to be acknowledged.
	Level record.Level
	// RememberChunks is how many chunks are remembered; 0 recognises no resend.
	// ChunksFile is where; empty remembers them until the end of the process.
	RememberChunks int
	ChunksFile     string
	// Instead is a source that this one takes the place of, when it starts: its
	// addresses, where they are the same, and what it remembers.
	Instead *Source
	// Report hears of what goes wrong with connections; it may be nil.
	Report func(protocol.Event)
}

// Source is one source at work.
type Source struct {
	cfg Config
	receiver
	ports     []*port
	server    *protocol.Server
	hostnames hostnames
	lineage   *lineage

	// handing is held for reading while something is handed over.
	handing sync.RWMutex
	stopped bool

	serving  sync.WaitGroup
	cut      context.CancelFunc // ends the wait for the last answers
	closed   chan struct{}
	closeErr error
	once     sync.Once
}

// New makes a source and opens what it listens on, but for what it takes over. It
// takes nothing before Start. note is for the log.
func New(cfg Config) (s *Source, note string, err error) {
	s = &Source{cfg: cfg, closed: make(chan struct{}), hostnames: hostnames{lookup: net.DefaultResolver.LookupAddr}}
	s.lineage = &lineage{}
	if cfg.Instead != nil {
		s.lineage = cfg.Instead.lineage
	}
	s.receiver = receiver{name: cfg.Name, counts: &s.lineage.counts, router: cfg.Router, level: cfg.Level,
		rename: renamer(cfg.Tag, cfg.AddTagPrefix), mark: markOf(cfg.Name), report: cfg.Report}
	s.SetFields(cfg.Fields)
	if cfg.JoinPartials {
		s.parts = newParts(s.joined)
	}
	if cfg.PartsDir != "" && cfg.Durable != nil {
		s.kept = &keptParts{dir: cfg.PartsDir, level: cfg.Level, admit: s.admit, during: s.during, report: s.partsTrouble}
		s.kept.heir = func() *keptParts { return s.lineage.heir(s) }
		s.join, s.durable = cfg.JoinPartials, cfg.Durable
	}
	server := cfg.Server
	server.Receiver, server.Report = protocol.ReceiverFunc(s.handle), cfg.Report
	if s.server, err = protocol.NewServer(server); err != nil {
		return nil, "", err
	}
	s.lineage.join(s)
	if note, err = s.remember(); err != nil {
		return nil, "", errors.Join(err, s.Close())
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
	// What a source has that this one takes the place of is its own.
	if s.kept != nil && cfg.Instead == nil {
		if err := s.kept.recover(); err != nil {
			note = strings.TrimPrefix(note+"; "+err.Error(), "; ")
		}
	}
	s.cfg.Instead = nil // What is over is not to be held.
	return s, note, nil
}

// Resize changes what its server may hold, in bytes. It may be called at any time.
func (s *Source) Resize(memory int64) { s.server.SetMemory(memory) }

// SetFields says from now on what each record gets beside the fields of its connection,
// as Config.Fields does. It may be called at any time.
func (s *Source) SetFields(all [][2]string) {
	f := &fields{}
	for _, one := range all {
		f.add(one[0], one[1])
	}
	s.fields.Store(f)
}

// during runs what hands over, unless the source hands over nothing any more.
func (s *Source) during(hand func()) {
	s.handing.RLock()
	defer s.handing.RUnlock()
	if !s.stopped {
		hand()
	}
}

func (s *Source) partsTrouble(err error) {
	if s.cfg.Report != nil {
		s.cfg.Report(protocol.Event{Reason: "parts", Err: err})
	}
}

// remember opens the memory of chunks, or goes on with that of the source before.
func (s *Source) remember() (note string, err error) {
	if s.cfg.RememberChunks <= 0 {
		return "", nil
	}
	if before := s.cfg.Instead; before != nil && before.chunks != nil {
		s.chunks = before.chunks.Share()
		return "", nil
	}
	s.chunks, note, err = seen.Open(s.cfg.ChunksFile, s.cfg.RememberChunks)
	return note, err
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

// Start begins to take messages.
func (s *Source) Start() {
	if s.kept != nil {
		s.kept.start()
	}
	for _, p := range s.ports {
		l := p.lease(s.allowed)
		s.serve(func() error {
			if p.address.Network == "tls" {
				return s.server.ServeTLS(l, s.cfg.TLS)
			}
			return s.server.Serve(l)
		})
		if pc := s.heartbeats(p); pc != nil {
			s.serve(func() error { return s.server.ServePacket(pc) })
		}
	}
}

func (s *Source) serve(serve func() error) {
	s.serving.Go(func() {
		if err := serve(); err != nil && !errors.Is(err, protocol.ErrServerClosed) && !errors.Is(err, net.ErrClosed) && s.cfg.Report != nil {
			s.cfg.Report(protocol.Event{Reason: "accept", Err: err})
		}
	})
}

// handle takes what the server received.
func (s *Source) handle(r *protocol.Received, done func(ok bool)) {
	s.handing.RLock()
	defer s.handing.RUnlock()
	if s.stopped {
		s.counts.refused.Add(1)
		done(false)
		return
	}
	var add fields
	add.add(s.cfg.AddressKey, addressOf(r.Peer))
	if s.cfg.HostnameKey != "" {
		add.add(s.cfg.HostnameKey, s.hostnames.of(r.Peer))
	}
	s.receive(r, &add, done)
}

// Settled is told the keys of chunks that no leg holds any more. Those that are
// not this source's are passed over.
func (s *Source) Settled(keys [][16]byte) {
	if s.chunks == nil {
		return
	}
	ours := keys[:0:0]
	for i, k := range keys {
		if [2]byte(k[:2]) != s.mark {
			continue
		}
		if len(ours) == i {
			ours = keys[: i+1 : i+1] // All of them so far.
		} else {
			ours = append(ours, k)
		}
	}
	s.chunks.Settled(ours...)
}

// Stop takes nothing more, without waiting. What is held is still answered.
func (s *Source) Stop() {
	s.once.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		s.cut = cancel
		go func() {
			defer close(s.closed)
			s.closeErr = s.server.Close(ctx)
		}()
	})
}

// Wait returns when nothing more is handed over. What the server has read and not
// handed over by then is not taken.
func (s *Source) Wait() {
	s.handing.Lock()
	s.stopped = true
	s.handing.Unlock()
	if s.parts != nil {
		s.parts.end()
	}
	if s.kept != nil {
		s.kept.end()
	}
}

// Close ends the source, once everything that was taken is answered.
func (s *Source) Close() error {
	s.Stop()
	s.Wait()
	<-s.closed
	s.cut()
	s.serving.Wait()
	err := s.closeErr
	for _, p := range s.ports {
		err = errors.Join(err, p.abandon())
	}
	if s.chunks != nil {
		err = errors.Join(err, s.chunks.Close())
	}
	s.lineage.leave(s)
	return err
}

// Counts are what the source has seen, and those that it took the place of.
func (s *Source) Counts() Counts {
	c := s.counts
	out := Counts{
		Messages: c.messages.Load(), Records: c.records.Load(), Bytes: c.bytes.Load(), Resends: c.resends.Load(), Invalid: c.invalid.Load(),
		Taken: c.answers.Load(), Refused: c.refused.Load(), Denied: c.denied.Load(),
	}
	out.Server, out.Parts = s.lineage.state()
	own := s.partCounts()
	out.Parts.Trouble = own.Trouble
	if s.chunks == nil {
		return out
	}
	var trouble error
	if out.UnderWay, out.Chunks, trouble = s.chunks.State(); trouble != nil {
		out.Trouble = trouble.Error()
	}
	return out
}
