package forward

import (
	"errors"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	protocol "github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source/seen"
)

// Router is where a source hands over what it receives; internal/route has one.
type Router interface {
	// Admit hands over a chunk, and waits where a leg makes the source wait.
	Admit(c *record.Chunk)
	// Reject hands over what is no record, for the dead letters.
	Reject(c *record.Chunk)
}

// receiver turns messages into chunks. Its methods may be called by several
// goroutines at once.
type receiver struct {
	name   string
	mark   [2]byte // begins the keys of its chunks
	router Router
	level  record.Level
	chunks *seen.Chunks           // nil where no resend is recognised
	parts  *parts                 // nil where parts stay parts
	kept   *keptParts             // nil where there is no place for files of parts
	join   bool                   // parts that ask for an ack
	fields atomic.Pointer[fields] // of every record
	rename func(tag string) string
	report func(protocol.Event) // nil where nobody listens
	// durable is what the route of a tag vouches for by itself.
	durable func(tag string) record.Level

	counts *counts
}

// counts are what a source has seen.
type counts struct {
	messages, records, bytes                   atomic.Int64
	resends, invalid, refused, answers, denied atomic.Int64
}

// receive takes a message. The memory behind it is read during the call only. add
// are the fields of its connection. done is told once: true means that it may be
// acknowledged, false that it never will be.
func (r *receiver) receive(m *protocol.Received, add *fields, done func(ok bool)) {
	r.counts.messages.Add(1)
	c := record.Chunk{
		Tag: r.rename(m.Tag), Time: m.Time.UnixNano(), Encoding: record.EncodingEntry, Level: r.level,
		Done: func(ok bool) { r.answer(done, ok) },
	}
	if !m.WantsAck {
		// Nobody waits for more, and the connection should not either.
		c.Level = record.LevelMemory
	} else if r.chunks != nil && !r.first(m, &c) {
		return
	}
	out := &all{done: c.Done}
	out.left.Store(1)
	c.Done = out.told
	out.told(r.pieces(m, add, &c, out))
}

// pieces hands over all that is in a message; out waits for one more with each. It
// reports whether that is everything.
//
// What comes in several pieces, or goes several ways, is not one chunk for the buffers.
// Each piece has a key of its own then: it is settled, and recognised when it is sent
// again, by itself.
func (r *receiver) pieces(m *protocol.Received, add *fields, c *record.Chunk, out *all) bool {
	if m.Refused != nil {
		return r.refuse(m, c, out, m.Refused)
	}
	at := uint64(0)
	err := m.Each(func(p *protocol.Message) error {
		whole := m.Spooled == nil && p.InvalidCount == 0
		if p.InvalidCount > 0 {
			r.counts.invalid.Add(int64(p.InvalidCount))
			if piece, ok := r.piece(c, out, "invalid", at, p.Invalid); ok {
				r.reject(p.Invalid, piece, invalidFor(p.InvalidErr))
			}
		}
		if p.Count > 0 {
			piece, ok := *c, whole
			if whole {
				out.left.Add(1)
			} else {
				piece, ok = r.piece(c, out, "valid", at, p.Entries)
			}
			if ok {
				piece.Bodies, piece.Count = p.Entries, p.Count
				r.take(p, add, piece)
			}
		}
		at += uint64(p.Count + p.InvalidCount)
		return nil
	})
	var large *protocol.LimitError
	if errors.As(err, &large) {
		// Its sender would send it again for ever.
		return r.refuse(m, c, out, large)
	}
	return r.told(m, err)
}

// piece begins a piece of a chunk, which stands at a place in it, and reports whether it
// is to be handed over: one that was taken before is not.
func (r *receiver) piece(c *record.Chunk, out *all, what string, at uint64, content []byte) (piece record.Chunk, ok bool) {
	piece = *c
	if c.Origin.Known() {
		piece.Origin = c.Origin.Part(what, at, uint64(len(content)), xxhash.Sum64(content))
		key := piece.Origin.Key
		if r.chunks.Has(key) {
			return piece, false
		}
		piece.Done = func(ok bool) {
			if ok {
				r.chunks.Took(key)
			}
			out.told(ok)
		}
	}
	out.left.Add(1)
	return piece, true
}

// take hands over the records of a message, after changing them where the source
// is to: it adds fields, and joins parts of lines.
func (r *receiver) take(m *protocol.Message, add *fields, c record.Chunk) {
	var err error
	if f := r.fields.Load().join(add); len(f.keys) > 0 {
		c.Bodies, err = f.appendTo(make([]byte, 0, len(c.Bodies)+f.growth(c.Count)), c.Bodies)
	}
	switch {
	case err != nil:
	case !m.WantsAck && r.parts != nil:
		if maybe(c.Bodies) {
			c.Bodies, c.Count, err = r.parts.take(c.Tag, c.Bodies)
		}
	case m.WantsAck && r.join && c.Count == 1 && maybe(c.Bodies):
		// Docker's daemon sends each part alone, and part 2 after the ack of part 1.
		level := r.durable(c.Tag)
		if (level == record.LevelKernel || level == record.LevelPower) && r.kept.take(&c, level == record.LevelPower) {
			return
		}
	}
	switch {
	case err != nil:
		// The server has checked the entries.
		panic("BUG: a checked entry cannot be read: " + err.Error())
	case c.Count == 0:
		c.Done(true) // All of it waits for its other parts.
	default:
		r.admit(&c)
	}
}

func (r *receiver) admit(c *record.Chunk) {
	r.counts.records.Add(int64(c.Count))
	r.counts.bytes.Add(int64(len(c.Bodies)))
	r.router.Admit(c)
}

// joined takes a line that parts has put together.
func (r *receiver) joined(tag string, t int64, entry []byte) {
	r.admit(&record.Chunk{Tag: tag, Time: t, Encoding: record.EncodingEntry, Bodies: entry, Count: 1, Level: record.LevelMemory})
}

// all waits for several.
type all struct {
	left   atomic.Int32
	failed atomic.Bool
	done   func(ok bool)
}

func (a *all) told(ok bool) {
	if !ok {
		a.failed.Store(true)
	}
	if a.left.Add(-1) == 0 {
		a.done(!a.failed.Load())
	}
}

func (r *receiver) answer(done func(ok bool), ok bool) {
	if ok {
		r.counts.answers.Add(1)
	} else {
		r.counts.refused.Add(1)
	}
	done(ok)
}

// Counts are what a source has seen since it was made.
type Counts struct {
	Messages int64 `json:"messages"`
	Records  int64 `json:"records"`
	Bytes    int64 `json:"-"`
	// Resends were seen before, and not taken again.
	Resends int64 `json:"resends"`
	// Invalid are entries, and payloads, that are none; they become dead letters.
	Invalid int64 `json:"invalid"`
	// Taken were told to be taken, and Refused that they are not.
	Taken   int64 `json:"taken"`
	Refused int64 `json:"refused"`
	// Denied are connections from networks that are not allowed.
	Denied int64 `json:"denied"`
	// Parts are those of Docker's lines that ask for an ack.
	Parts PartCounts `json:"parts"`
	// Chunks are remembered; UnderWay are not answered yet.
	Chunks   int `json:"chunks"`
	UnderWay int `json:"chunks_under_way"`
	// Trouble is why chunks cannot be remembered across a restart.
	Trouble string `json:"trouble,omitempty"`

	Server protocol.ServerCounters `json:"server"`
}
