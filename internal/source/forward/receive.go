package forward

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"sync/atomic"
	"time"

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
	// Durable reports whether the chunks of a tag go to disks only.
	Durable(tag string) bool
}

// receiver turns messages into chunks. Its methods may be called by several
// goroutines at once.
type receiver struct {
	name   string
	router Router
	level  record.Level
	chunks *seen.Chunks // nil where no resend is recognised
	parts  *parts       // nil where parts stay parts
	fields *fields      // of every record
	rename func(tag string) string

	counts counts
}

// counts are what a source has seen.
type counts struct {
	messages, records, bytes           atomic.Int64
	resends, invalid, refused, answers atomic.Int64
}

// receive takes a message whose entries were checked and are not compressed. The
// memory behind it is read during the call only. add are the fields of this
// connection. answer is called once, where the message asks for an ack: true
// means that it is to be sent, false that the connection is to be closed.
func (r *receiver) receive(m *protocol.Message, add *fields, answer func(ok bool)) error {
	r.counts.messages.Add(1)
	now := time.Now().UnixNano()
	c := record.Chunk{Tag: r.rename(m.Tag), Time: now, Encoding: record.EncodingEntry, Bodies: m.Entries, Count: m.Count, Level: r.level}
	if m.WantsAck {
		c.Done = func(ok bool) { r.answer(answer, ok) }
		if r.chunks != nil && !r.first(m, &c) {
			return nil
		}
	}
	if m.InvalidCount > 0 {
		r.invalid(m, &c)
	}
	if m.Count == 0 {
		if m.InvalidCount == 0 && c.Done != nil {
			c.Done(true) // There is nothing in it.
		}
		return nil
	}
	if err := r.prepare(m, add, &c); err != nil {
		return err
	}
	if c.Count > 0 {
		r.admit(&c)
	}
	return nil
}

// first finds out whether a chunk was seen before, and makes it known. It reports
// whether it is to be admitted.
func (r *receiver) first(m *protocol.Message, c *record.Chunk) bool {
	key := keyOf(r.name, m)
	answer := c.Done
	switch r.chunks.Begin(key, answer) {
	case seen.Known:
		r.counts.resends.Add(1)
		answer(true)
		return false
	case seen.UnderWay:
		r.counts.resends.Add(1)
		return false
	}
	c.Origin.Key = key
	c.Done = func(ok bool) {
		if ok {
			r.chunks.Reached(key)
		} else {
			r.chunks.Refused(key)
		}
	}
	return true
}

// keyOf identifies a chunk: ids alone are not enough, since some clients count
// from 1, and the id of Fluent Bit is a hash of the content without the tag.
func keyOf(source string, m *protocol.Message) seen.Key {
	h := sha256.New()
	var n [8]byte
	for _, text := range []string{"spillway chunk 1", source, m.Tag, m.Chunk} {
		binary.LittleEndian.PutUint64(n[:], uint64(len(text)))
		h.Write(n[:])
		io.WriteString(h, text) //nolint:errcheck // A hash takes everything.
	}
	binary.LittleEndian.PutUint64(n[:], uint64(len(m.Payload)))
	h.Write(n[:])
	binary.LittleEndian.PutUint64(n[:], xxhash.Sum64(m.Payload))
	h.Write(n[:])
	return seen.Key(h.Sum(nil)[:16])
}

// prepare changes the entries where the source is to: it adds fields, and joins
// parts of lines.
func (r *receiver) prepare(m *protocol.Message, add *fields, c *record.Chunk) error {
	var err error
	if all := r.fields.join(add); len(all.keys) > 0 {
		if c.Bodies, err = all.appendTo(make([]byte, 0, len(c.Bodies)+all.growth(c.Count)), c.Bodies); err != nil {
			return err
		}
	}
	// Docker's daemon sends part 2 after the ack of part 1.
	if r.parts != nil && !m.WantsAck && maybe(c.Bodies) {
		c.Bodies, c.Count, err = r.parts.take(c.Tag, c.Bodies)
	}
	return err
}

func (r *receiver) admit(c *record.Chunk) {
	r.counts.records.Add(int64(c.Count))
	r.counts.bytes.Add(int64(len(c.Bodies)))
	r.router.Admit(c)
}

// joined takes a line that parts has put together.
func (r *receiver) joined(tag string, entry []byte) {
	r.admit(&record.Chunk{
		Tag: tag, Time: time.Now().UnixNano(), Encoding: record.EncodingEntry, Bodies: entry, Count: 1, Level: r.level,
	})
}

// invalid makes dead letters of what is no entry. The chunk is not vouched for
// before they are durable.
func (r *receiver) invalid(m *protocol.Message, c *record.Chunk) {
	r.counts.invalid.Add(int64(m.InvalidCount))
	r.reject(m.Invalid, c)
}

// rejectPiece is the most of what is no record that becomes one dead letter.
const rejectPiece = 32 << 10

// reject hands over bytes that are no record. Where there are records beside them
// in the chunk, its Done waits for both.
func (r *receiver) reject(b []byte, c *record.Chunk) {
	out := record.Chunk{Tag: c.Tag, Time: c.Time, Encoding: record.EncodingText, Level: record.LevelDelivered}
	for len(b) > 0 {
		n := min(len(b), rejectPiece)
		body := make([]byte, 0, record.FrameSize+n)
		body, _ = record.AppendBody(body, b[:n])
		out.Bodies = append(out.Bodies, body...)
		out.Count++
		b = b[n:]
	}
	if done := c.Done; done != nil {
		out.Done = done
		if c.Count > 0 {
			both := &both{done: done}
			both.left.Store(2)
			out.Done, c.Done = both.told, both.told
		}
	}
	r.counts.records.Add(int64(out.Count))
	r.router.Reject(&out)
}

// both waits for two.
type both struct {
	left   atomic.Int32
	failed atomic.Bool
	done   func(ok bool)
}

func (b *both) told(ok bool) {
	if !ok {
		b.failed.Store(true)
	}
	if b.left.Add(-1) == 0 {
		b.done(!b.failed.Load())
	}
}

func (r *receiver) answer(answer func(ok bool), ok bool) {
	if ok {
		r.counts.answers.Add(1)
	} else {
		r.counts.refused.Add(1)
	}
	answer(ok)
}
