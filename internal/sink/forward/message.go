package forward

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// message makes the messages of one batch.
type message struct {
	attempt *attempt
	stream  *record.Stream
	tag     string
	first   int    // event, by its index in the request
	seq     uint64 // and its number
}

// packed sends entries as they are, cut between entries where they are too many
// for one message.
func (m *message) packed(b *record.Batch) {
	limit := m.attempt.sink.o.MaxChunk
	rest, count := b.Frames, b.Count
	for len(rest) > limit {
		start, n := rest, 0
		for len(rest) > 0 {
			_, _, next := b.Next(rest)
			if n > 0 && len(start)-len(next) > limit {
				break
			}
			rest = next
			n++
		}
		m.send(n, start[:len(start)-len(rest)])
		count -= n
	}
	if count > 0 {
		m.send(count, rest)
	}
}

// lines makes entries of lines.
func (m *message) lines(b *record.Batch) {
	a := m.attempt
	lines := a.sink.o.Lines(m.stream)
	a.head = lines.AppendHead(a.head[:0], m.stream, b)
	a.entries = a.entries[:0]
	n := 0
	for rest := b.Frames; len(rest) > 0; n++ {
		var body []byte
		body, _, rest = b.Next(rest)
		if n > 0 && len(a.entries)+len(a.head)+maxStringHead+len(body) > a.sink.o.MaxChunk {
			m.send(n, a.entries)
			a.entries, n = a.entries[:0], 0
		}
		a.entries = entry.AppendLine(a.entries, a.head, body)
	}
	m.send(n, a.entries)
}

// messages makes entries of messages of a log, each with its own time. One of which
// no entry can be made is given up.
func (m *message) messages(b *record.Batch) {
	a := m.attempt
	if a.convert == nil {
		a.convert = entry.NewConverter(a.sink.o.TextKey)
	}
	a.entries = a.entries[:0]
	n := 0
	for rest := b.Frames; len(rest) > 0; {
		var body []byte
		body, _, rest = b.Next(rest)
		var in record.Message
		record.ParseMessage(body, &in)
		before := len(a.entries)
		var err error
		a.entries, err = a.convert.AppendMessageEntry(a.entries, &in)
		if full := len(a.entries) > a.sink.o.MaxChunk; n > 0 && (full || err != nil) {
			m.send(n, a.entries[:before])
			a.entries, n = a.entries[:copy(a.entries, a.entries[before:])], 0
		}
		if err != nil {
			a.reject(m.first, 1, err)
			m.first++
			m.seq++
			continue
		}
		n++
	}
	if n > 0 {
		m.send(n, a.entries)
	}
}

// maxStringHead is the longest head of a string in MessagePack.
const maxStringHead = 5

// made sends entries that were made in the attempt's own memory.
func (m *message) made(count int, entries []byte) {
	m.attempt.entries = entries
	m.send(count, entries)
}

// send sends the next count events, which are these entries. What fails is noted.
func (m *message) send(count int, entries []byte) {
	a := m.attempt
	c := chunk{Span: sink.Span{First: m.first, End: m.first + count}}
	if a.err == nil {
		if err := a.write(&c, m.tag, a.sink.id(m.stream, m.seq, count), entries); err != nil {
			a.fail(err)
		}
	}
	a.chunks = append(a.chunks, c)
	m.first += count
	m.seq += uint64(count)
}

// write writes one message, unless it was written before and its ack is still to
// come.
func (a *attempt) write(c *chunk, tag, id string, entries []byte) error {
	if a.sink.late.take(id, c) {
		c.conn.hold()
		a.used = append(a.used, c.conn)
		return nil
	}
	out := forward.OutChunk{Tag: tag, Records: c.End - c.First, Compression: a.sink.o.Compression, ID: id}
	if a.sink.o.NoAck {
		out.ID = ""
	}
	if out.Compression != forward.CompressionNone {
		var err error
		if a.packed, err = forward.Compress(a.packed[:0], entries, out.Compression); err != nil {
			return err
		}
		if len(a.packed) > len(entries)/maxRatio || len(entries) <= 1<<20 {
			entries = a.packed
		} else {
			out.Compression = forward.CompressionNone
		}
	}
	a.pieces[0] = entries
	out.Entries = a.pieces[:]
	if err := a.connect(); err != nil {
		return err
	}
	p, err := a.conn.Write(a.ctx, &out)
	if err != nil {
		if a.ctx.Err() == nil {
			a.conn.server.failed(a.conn, err)
		}
		return err
	}
	c.conn, c.pending, c.written = a.conn, p, true
	if !a.conn.KeepAlive() {
		a.conn = nil // It takes no other message.
	}
	return nil
}

// maxRatio is how far a message may shrink. Receivers take what expands further
// for an attack, and would never acknowledge it; ours draws the line at twice as much.
const maxRatio = forward.DefaultMaxRatio / 2

// connect makes sure that there is a connection to write to.
func (a *attempt) connect() error {
	if a.conn != nil {
		return nil
	}
	v, c, err := a.sink.connect(a.ctx)
	if err != nil {
		return err
	}
	a.server, a.conn = v, c
	a.used = append(a.used, c)
	return nil
}

// id is that of the message of count records of a stream from number seq on: 32
// characters, none of which needs care anywhere.
func (s *Sink) id(stream *record.Stream, seq uint64, count int) string {
	var raw [24]byte
	copy(raw[:12], stream.Incarnation[:])
	if stream.Incarnation == [12]byte{} {
		copy(raw[:12], s.unknown[:])
		binary.BigEndian.PutUint32(raw[8:], binary.BigEndian.Uint32(raw[8:])^stream.Index)
	}
	binary.BigEndian.PutUint64(raw[12:], seq)
	binary.BigEndian.PutUint32(raw[20:], uint32(count))
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

func newUnknown() (u [12]byte) {
	rand.Read(u[:])
	return u
}
