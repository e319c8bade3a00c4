package buffer_test

import (
	"slices"
	"testing"

	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// sent is a chunk as its source sees it.
type sent struct {
	flow     *flow
	level    record.Level
	count    int
	settled  int // delivered, or refused by the destination
	lost     int
	answers  []bool
	attached int // resends whose answers are among these
	key      [16]byte
	n        int // of the chunks
	plain    bool
}

func (c *sent) guise() guise {
	if c.plain {
		return entries
	}
	return guiseOf(c.n)
}

// entry makes an entry of the forward protocol.
func entry(text string) string {
	e := msgp.AppendMapHeader([]byte{0x92, 0xd7, 0, 0, 0, 0, 1, 0, 0, 0, 2}, 1)
	return string(msgp.AppendString(msgp.AppendString(e, "m"), text))
}

// chunk hands over a chunk of entries or messages.
func (m *model) chunk(f *flow, at int64, level record.Level, texts ...string) *sent {
	c := &sent{flow: f, level: level, count: len(texts), n: len(m.chunks), plain: m.plain}
	m.chunks = append(m.chunks, c)
	c.key = [16]byte{byte(len(m.chunks)), byte(len(m.chunks) >> 8), 1}
	guise := c.guise()
	bodies := make([]string, len(texts))
	for i, text := range texts {
		bodies[i] = guise.body(c.n, i, text)
		f.hand(bodies[i], at, record.Part{})
		f.handed[len(f.handed)-1].chunk = c
		f.handed[len(f.handed)-1].identity = guise.identity(c.n, i, c.key)
	}
	var s *record.Stream
	if len(m.chunks)%2 == 0 {
		s = f.Stream
	}
	before := m.buf.Balance().ByReason[ledger.OverflowNewest]
	chunk := record.Chunk{Tag: f.Name, Time: at, Level: level, Origin: record.Origin{Key: c.key}, Done: m.answer(c)}
	guise.dress(&chunk, c.n, bodies)
	m.buf.Admit(s, &chunk)
	clear(chunk.Bodies)
	if refused := m.buf.Balance().ByReason[ledger.OverflowNewest] - before; refused != 0 && refused != int64(c.count) {
		m.Fatalf("%s: %d of %d records of a chunk are refused", f.Name, refused, c.count)
	}
	return c
}

// answer takes what the buffer tells of a chunk, and sees to it that nobody holds
// the buffer's lock meanwhile.
func (m *model) answer(c *sent) func(bool) {
	return func(ok bool) {
		c.answers = append(c.answers, ok)
		m.buf.State()
	}
}

// resend hands a chunk over once more, as a sender does that has no answer.
func (m *model) resend(c *sent) {
	if m.buf.Attach(record.Origin{Key: c.key}, c.level, m.answer(c)) {
		c.attached++
	}
}

// mark notes that records from one number to another are lost.
func (f *flow) mark(first, last uint64) {
	for _, h := range f.handed[first-1 : last] {
		if h.chunk != nil {
			h.chunk.lost++
		}
	}
}

// checkChunks holds what sources were told to what became of their chunks.
func (m *model) checkChunks(end bool) {
	m.Helper()
	for i, c := range m.chunks {
		if n := len(c.answers); n != 0 && n != 1+c.attached {
			m.Fatalf("chunk %d is told %d times, asked for %d times", i, n, 1+c.attached)
		}
		for _, a := range c.answers {
			if a != c.answers[0] {
				m.Fatalf("chunk %d is told %v", i, c.answers)
			}
		}
		done := c.settled == c.count
		switch {
		case c.level == record.LevelMemory:
			if len(c.answers) == 0 {
				m.Fatalf("chunk %d is in memory and not told", i)
			}
		case len(c.answers) == 0 && (done || end):
			m.Fatalf("chunk %d is not told: %+v", i, *c)
		case len(c.answers) > 0 && (c.answers[0] && !done || end && c.answers[0] != done):
			m.Fatalf("chunk %d is told %v: %+v", i, c.answers, *c)
		}
	}
	waits := slices.ContainsFunc(m.chunks, func(c *sent) bool { return len(c.answers) == 0 && c.guise() != messages })
	if !waits && m.buf.Stalled() {
		m.Fatalf("a sender is said to wait, and all are told: %d chunks", len(m.chunks))
	}
}

// Chunk hands over a chunk.
func (m *machine) Chunk(t *rapid.T) {
	f, bodies := m.flow(t), m.bodies(t, 300)
	for i, text := range bodies {
		bodies[i] = text[:max(min(len(text), m.buf.MaxBody()-250), 0)]
	}
	level := rapid.SampledFrom([]record.Level{record.LevelMemory, record.LevelKernel, record.LevelPower, record.LevelDelivered}).Draw(t, "level")
	m.admit(func() { m.chunk(f, m.now, level, bodies...) })
}

// Chunks hands over more than there may be room for.
func (m *machine) Chunks(t *rapid.T) {
	for range 5 {
		m.Chunk(t)
	}
}

// Resend hands over a chunk again.
func (m *machine) Resend(t *rapid.T) {
	if len(m.chunks) == 0 {
		t.Skip("none was sent")
	}
	m.resend(m.chunks[rapid.IntRange(0, len(m.chunks)-1).Draw(t, "chunk")])
}

// Divide takes some events out of what is in flight.
func (m *machine) Divide(t *rapid.T) {
	s := m.pick(t)
	m.divide(s, anySpans(t, len(s.events)))
}

// TestDivide takes spans that begin and end anywhere.
func TestDivide(t *testing.T) {
	for _, ends := range [][]int{{}, {0, 6}, {0, 1, 5, 6}, {1, 5}, {2, 3, 3, 4}, {0, 3}, {3, 6}, {1, 2, 4, 5}} {
		var spans []span
		for i := 0; i < len(ends); i += 2 {
			spans = append(spans, span{First: ends[i], End: ends[i+1]})
		}
		m := newModel(t, buffer.Config{Mode: buffer.Blocking, Sink: cloud}, 2)
		m.chunk(m.streams[0], someday, record.LevelDelivered, "a", "bb", "ccc")
		m.lines(m.streams[1], someday, "dddd", "eeeee", "ffffff")
		s := m.take(true)
		m.send(s)
		m.divide(s, spans)
		m.checkBooks()
		m.finish()
	}
}
