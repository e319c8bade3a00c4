package route

import (
	"fmt"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// longPiece is how much of a record that is too long for its route becomes one dead
// letter, in bytes.
const longPiece = 32 << 10

// sift hands a chunk to legs of which some cannot hold all of its records, and reports
// false where all can. Those that a leg cannot hold go where invalid ones go, in pieces of
// text, or, where they are messages of a log with offsets, by their place in it, and in
// pieces as well if their source refuses them: their sender would send them again for ever.
//
// What goes to the legs is not the chunk then, and what is too long not a part of it:
// each has a key of its own, so that it is settled, and recognised when it is sent again,
// by itself. All legs have one key, as they have that of a chunk that they can hold.
func (t *Table) sift(legs []Leg, c *record.Chunk, m *moved) bool {
	fit, long := make([]*record.Chunk, len(legs)), make([]*record.Chunk, len(legs))
	var cuts []uint64
	for i, l := range legs {
		most := mostFor(l, c)
		if fit[i], long[i] = divide(c, most); long[i] != nil {
			cuts = append(cuts, uint64(i), uint64(most))
			long[i].Origin = c.Origin.Part("long", uint64(most))
		}
	}
	if cuts == nil {
		return false
	}
	s := sifting{chunk: c, joint: joint{done: c.Done}, several: len(legs) > 1}
	s.left.Store(1)
	for i, part := range long {
		if part == nil || s.known(&part.Origin) {
			continue
		}
		s.give(t.invalid.Legs, part, m.rejects())
		if inPieces(c) {
			eachPieces(c, part, mostFor(legs[i], c), func(kept *record.Chunk) { s.give(t.invalid.Legs, kept, m.rejects()) })
		}
	}
	rest := c.Origin.Part("fit", cuts...)
	known := s.known(&rest)
	for i, l := range legs {
		switch part := fit[i]; {
		case known:
		case part == nil:
			l.Pass(rest)
		default:
			one := *part
			one.Origin = rest
			s.give(legs[i:i+1], &one, m)
		}
	}
	if c.Done != nil {
		s.told(true)
	}
	return true
}

// sifting is a chunk of which parts are handed over. It is told when all are.
type sifting struct {
	joint
	chunk   *record.Chunk
	several bool // legs: one may have taken what is wanted back of another
}

// known reports whether a part was settled when the chunk was sent before.
func (s *sifting) known(o *record.Origin) bool {
	return o.Known() && s.chunk.Known != nil && s.chunk.Known(o.Key)
}

// give hands a part to each leg.
func (s *sifting) give(legs []Leg, part *record.Chunk, m *moved) {
	for _, l := range legs {
		one := *part
		if one.Done = nil; s.chunk.Done != nil {
			s.left.Add(1)
			one.Done = s.told
		}
		if s.several {
			one.Until = nil
		}
		m.admit(l, &one)
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

// messageByPlace adds a message in the place of one with that body, which says where that
// is: a log with offsets has it still. There is one, since a dead letter is known by its
// place: of several pieces with the same the store would keep one.
func messageByPlace(to *record.Chunk, body []byte, most int, refused bool) {
	var m record.Message
	record.ParseMessage(body, &m)
	what := "value"
	if !keepsBeside(&m) {
		m.Key, m.Headers = nil, nil
		what = "envelope, with its key and headers,"
	}
	m.Form, m.Null = record.FormText, false
	m.Value = fmt.Appendf(nil, "a record of %d bytes, more than the %d that a buffer of its route takes; it is at %s",
		len(body), most, to.Partition.Coordinates(m.Offset))
	if refused {
		n := pieces(wholeOf(body))
		first, last := pieceOf(&to.Partition, m.Offset, 0), pieceOf(&to.Partition, m.Offset, n-1)
		m.Value = fmt.Appendf(m.Value, "; its %s is kept in %d letters, from %s to %s", what, n, first.String(), last.String())
	}
	to.Count++
	to.Bodies = record.AppendMessage(to.Bodies, &m)
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
			long = &record.Chunk{Tag: c.Tag, Time: c.Time, Level: c.Level, Source: c.Source, Partition: c.Partition, Refusal: c.Refusal}
			if !c.Refusal.Known() {
				long.Refusal.Reason = string(ledger.TooLarge)
			}
			if c.Encoding == record.EncodingMessage {
				long.Encoding = record.EncodingMessage
			}
			if c.Level != record.LevelMemory {
				long.Level = record.LevelDelivered // To the dead letters.
			}
		}
		kept = append(kept, from[:len(from)-len(rest)]...)
		if long.Encoding == record.EncodingMessage {
			messageByPlace(long, body, most, inPieces(c))
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
