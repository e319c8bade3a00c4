// Package stdin is the source that reads standard input until it ends: lines of
// text, each a record, or lines of JSON, each an object that becomes an entry of
// the forward protocol. All have one tag.
//
// Nobody waits for an ack, but reading waits where a leg makes the source wait.
// What is no JSON object becomes a dead letter. The reading itself is that of
// internal/source/pipe.
package stdin

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	protocol "github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source/pipe"
)

// Router is where a source hands over; internal/route has one.
type Router interface {
	Admit(c *record.Chunk)
	Reject(c *record.Chunk)
	Lines(tag string, t int64, lines []byte, valid bool)
	Body(tag string, t int64, body []byte, part record.Part)
	MaxBody(tag string) int
}

// Config says what is read.
type Config struct {
	Tag string
	// JSON: a line is an object; else it is text.
	JSON   bool
	Router Router
	// Instead is a source that this one takes the place of: its numbers go on.
	Instead *Source
}

// Source reads one file, pipe or terminal.
type Source struct {
	cfg    Config
	fd     *pipe.Descriptor
	reader *pipe.Reader
	done   chan struct{}
	once   sync.Once
	err    error

	started atomic.Bool

	*counts
	scratch, entries []byte
}

// counts are what a source has read, and those that it took the place of.
type counts struct{ records, bytes, invalid atomic.Int64 }

// New returns a source of fd, which is its own from then on.
func New(fd int, cfg Config) (*Source, error) {
	d, err := pipe.Open(fd, "standard input")
	if err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, fd: d, done: make(chan struct{}), counts: new(counts)}
	if cfg.Instead != nil {
		s.counts, s.cfg.Instead = cfg.Instead.counts, nil
	}
	s.reader = pipe.New(d, &record.Stream{Name: cfg.Tag}, s, pipe.Options{})
	return s, nil
}

// Open returns a descriptor of standard input that nobody else's flags depend on,
// where there is such a thing: of a file it is the same, since the place in it is.
func Open() (int, error) {
	var st unix.Stat_t
	if err := unix.Fstat(0, &st); err != nil {
		return -1, fmt.Errorf("look at standard input: %w", err)
	}
	if kind := st.Mode & unix.S_IFMT; kind == unix.S_IFIFO || kind == unix.S_IFCHR {
		if fd, err := unix.Open("/proc/self/fd/0", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err == nil {
			return fd, nil
		}
	}
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1, fmt.Errorf("take over standard input: %w", err)
	}
	return fd, nil
}

// Start begins to read.
func (s *Source) Start() {
	s.started.Store(true)
	go func() {
		s.err = s.reader.Run()
		s.end()
	}()
}

func (s *Source) end() { s.once.Do(func() { close(s.done) }) }

// Stop ends the reading once nothing is there at the moment.
func (s *Source) Stop() {
	if !s.started.Load() {
		s.end()
	}
	if err := s.reader.Stop(); err != nil {
		s.err = err
	}
}

// Wait returns when nothing more is handed over.
func (s *Source) Wait() { <-s.done }

// Settled is told of chunks, of which there are none.
func (s *Source) Settled([][16]byte) {}

// Done is closed when the input has ended.
func (s *Source) Done() <-chan struct{} { return s.done }

// Close ends the source. One that was not started has nothing to end.
func (s *Source) Close() error {
	s.end()
	if err := s.fd.Close(); err != nil {
		return fmt.Errorf("close standard input: %w", err)
	}
	return s.err
}

// Counts are what was read: records, their bytes, and lines that are none.
func (s *Source) Counts() (records, bytes, invalid int64) {
	return s.records.Load(), s.bytes.Load(), s.invalid.Load()
}

// Turn implements source.Intake; there is one reader.
func (s *Source) Turn() (end func()) { return func() {} }

// Count implements source.Intake; what stands beside the balance is counted by
// each leg.
func (s *Source) Count(*record.Stream, ledger.Lines) {}

// maxJSON bounds a line of JSON, in bytes.
const maxJSON = 1 << 20

// MaxBody implements source.Intake.
func (s *Source) MaxBody() int {
	if s.cfg.JSON {
		return maxJSON
	}
	return s.cfg.Router.MaxBody(s.cfg.Tag)
}

// Body implements source.Intake: a part of a line that is too long.
func (s *Source) Body(_ *record.Stream, t int64, body []byte, part record.Part) {
	s.records.Add(1)
	s.bytes.Add(int64(len(body)))
	if s.cfg.JSON {
		s.reject(t, body, ledger.TooLarge)
		return
	}
	s.cfg.Router.Body(s.cfg.Tag, t, body, part)
}

// Lines implements source.Intake.
func (s *Source) Lines(_ *record.Stream, t int64, lines []byte, valid bool) {
	s.records.Add(int64(bytes.Count(lines, []byte{'\n'})))
	s.bytes.Add(int64(len(lines)))
	if !s.cfg.JSON {
		s.cfg.Router.Lines(s.cfg.Tag, t, lines, valid)
		return
	}
	s.entries = s.entries[:0]
	count := 0
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			s.records.Add(-1)
			continue
		}
		if !s.appendEntry(t, line) {
			s.reject(t, line, ledger.NotJSON)
			continue
		}
		count++
	}
	if count > 0 {
		s.cfg.Router.Admit(&record.Chunk{Tag: s.cfg.Tag, Time: t, Encoding: record.EncodingEntry, Bodies: s.entries, Count: count})
	}
}

// appendEntry appends a line of JSON as an entry, or reports that it is no object.
func (s *Source) appendEntry(t int64, line []byte) bool {
	if line[0] != '{' {
		return false
	}
	// It is read as what it would be in a message of the protocol.
	message := append(append(append(make([]byte, 0, len(line)+8), `["",1,`...), line...), ']')
	var m protocol.Message
	var err error
	if s.scratch, err = protocol.ParseJSON(s.scratch[:0], message, &m); err != nil {
		return false
	}
	if m.Entries == nil {
		m.Check()
	}
	if m.Count != 1 || m.InvalidCount > 0 {
		return false
	}
	e, _, err := protocol.NextEntry(m.Entries)
	if err != nil {
		return false
	}
	s.entries = append(protocol.AppendEntry(s.entries, t), e.Record...)
	return true
}

// rejectPiece is the most of a line that becomes one dead letter, in bytes.
const rejectPiece = 32 << 10

func (s *Source) reject(t int64, line []byte, why ledger.Reason) {
	s.invalid.Add(1)
	c := record.Chunk{Tag: s.cfg.Tag, Time: t, Encoding: record.EncodingText, Level: record.LevelDelivered, Refusal: record.Refusal{Reason: string(why)}}
	for len(line) > 0 {
		n := min(len(line), rejectPiece)
		body, _ := record.AppendBody(make([]byte, 0, record.FrameSize+n), line[:n])
		c.Bodies = append(c.Bodies, body...)
		c.Count++
		line = line[n:]
	}
	s.cfg.Router.Reject(&c)
}
