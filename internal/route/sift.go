package route

import "github.com/spillway/spillway/internal/record"

// longPiece is how much of a record that is too long for its route becomes one dead
// letter, in bytes.
const longPiece = 32 << 10

// sift hands a chunk to a leg. Records of it that the leg cannot hold go, as text in
// pieces, where invalid ones go: their sender would send them again for ever.
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
			long = &record.Chunk{Tag: c.Tag, Time: c.Time, Encoding: record.EncodingText, Level: c.Level}
			if c.Level != record.LevelMemory {
				long.Level = record.LevelDelivered // To the dead letters.
			}
		}
		kept = append(kept, from[:len(from)-len(rest)]...)
		long.Bodies = append(make([]byte, 0, len(long.Bodies)+len(body)+record.FrameSize*(1+len(body)/longPiece)), long.Bodies...)
		for first := true; first || len(body) > 0; first = false {
			n := min(len(body), longPiece)
			long.Bodies, _ = record.AppendBody(long.Bodies, body[:n])
			long.Count++
			body = body[n:]
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
