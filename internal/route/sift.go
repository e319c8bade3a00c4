package route

import (
	"slices"

	"github.com/spillway/spillway/internal/record"
)

// longPiece is how much of a record that is too long for its route becomes one dead
// letter, in bytes.
const longPiece = 32 << 10

// sift hands a chunk to a leg. Records of it that the leg cannot hold go, in pieces of
// text, where invalid ones go: their sender would send them again for ever.
func (t *Table) sift(l Leg, c *record.Chunk, most int) {
	fit, long := divide(c, most)
	if long == nil {
		l.Admit(c)
		return
	}
	// The chunk is taken when both are. Each alone must not pass for it when it is
	// sent again.
	j := &joint{done: c.Done}
	j.left.Store(1)
	for _, part := range []struct {
		legs []Leg
		*record.Chunk
	}{{t.invalid.Legs, long}, {[]Leg{l}, fit}} {
		if part.Chunk == nil {
			continue
		}
		for _, to := range part.legs {
			one := *part.Chunk
			one.Origin = record.Origin{}
			if one.Done = nil; c.Done != nil {
				j.left.Add(1)
				one.Done = j.told
			}
			to.Admit(&one)
		}
	}
	if c.Done != nil {
		j.told(true)
	}
}

// textInPieces adds what is too long to a chunk of text, in pieces.
func textInPieces(to *record.Chunk, body []byte) {
	grow(to, len(body)+record.FrameSize*pieces(body))
	to.Count += pieces(body)
	for range pieces(body) {
		n := min(len(body), longPiece)
		to.Bodies, _ = record.AppendBody(to.Bodies, body[:n])
		body = body[n:]
	}
}

// messageInPieces adds the message with that body to a chunk, its value cut into texts:
// each piece still says where it came from. Where what stands beside the value is too
// long itself it is cut with it.
func messageInPieces(to *record.Chunk, body []byte) {
	var m record.Message
	record.ParseMessage(body, &m)
	value := m.Value
	if len(m.Key)+len(m.Headers) > longPiece {
		value, m.Key, m.Headers = slices.Concat(m.Key, m.Headers, m.Value), nil, nil
	}
	m.Form, m.Null, m.Value = record.FormText, false, nil
	grow(to, len(value)+m.Size()*pieces(value))
	to.Count += pieces(value)
	for range pieces(value) {
		n := min(len(value), longPiece)
		m.Value = value[:n]
		to.Bodies = record.AppendMessage(to.Bodies, &m)
		value = value[n:]
	}
}

// pieces is into how many a body is cut.
func pieces(body []byte) int { return max(1, (len(body)+longPiece-1)/longPiece) }

// grow makes room for as many pieces as go into a chunk now, and no more.
func grow(to *record.Chunk, size int) {
	to.Bodies = append(make([]byte, 0, len(to.Bodies)+size), to.Bodies...)
}

// divide returns those records of a chunk that have at most so many bytes, and the
// others; either is nil where there are none.
func divide(c *record.Chunk, most int) (fit, long *record.Chunk) {
	b := record.Batch{Encoding: c.Encoding}
	kept, from := []byte(nil), c.Bodies
	count := 0
	for rest := c.Bodies; len(rest) > 0; {
		body, _, next := b.Next(rest)
		if size := len(rest) - len(next); size <= most {
			rest = next
			count++
			continue
		}
		if long == nil {
			long = &record.Chunk{Tag: c.Tag, Time: c.Time, Level: c.Level, Partition: c.Partition}
			if c.Encoding == record.EncodingMessage {
				long.Encoding = record.EncodingMessage
			}
			if c.Level != record.LevelMemory {
				long.Level = record.LevelDelivered // To the dead letters.
			}
		}
		kept = append(kept, from[:len(from)-len(rest)]...)
		if long.Encoding == record.EncodingMessage {
			messageInPieces(long, body)
		} else {
			textInPieces(long, body)
		}
		rest, from = next, next
	}
	if long == nil {
		return c, nil
	}
	if count > 0 {
		part := *c
		part.Bodies, part.Count = append(kept, from...), count
		fit = &part
	}
	return fit, long
}
