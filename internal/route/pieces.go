package route

import "github.com/spillway/spillway/internal/record"

// inPieces reports whether what of a chunk is too long is kept in pieces beside the letter
// that says where it is: messages that their source refuses. What is wrong with them can
// be seen in their bytes alone. The others have nothing wrong with them but a buffer that
// is too small, and their log has them still.
func inPieces(c *record.Chunk) bool { return c.Encoding == record.EncodingMessage && c.Refusal.Known() }

// fewPieces bounds the pieces that are copied at a time.
const fewPieces = 8

// eachPieces makes chunks of pieces of all messages of c that have more than most bytes,
// and hands over one after the other; to is what goes by its place. The pieces are text,
// and known by what identifies their message and by their number, so that they are the
// same letters when the message is read again.
func eachPieces(c, to *record.Chunk, most int, give func(*record.Chunk)) {
	b := record.Batch{Encoding: c.Encoding}
	for rest := c.Bodies; len(rest) > 0; {
		body, _, next := b.Next(rest)
		size := len(rest) - len(next)
		if rest = next; size <= most {
			continue
		}
		whole, offset := wholeOf(body), record.MessageOffset(body)
		for at := 0; at < len(whole) || at == 0; at += fewPieces * longPiece {
			part := record.Chunk{
				Tag: to.Tag, Time: to.Time, Level: to.Level, Source: to.Source, Refusal: to.Refusal,
				Identity: pieceOf(&c.Partition, offset, at/longPiece),
			}
			textInPieces(&part, whole[at:min(at+fewPieces*longPiece, len(whole))])
			give(&part)
		}
	}
}

// pieceOf identifies a piece of a message.
func pieceOf(p *record.Partition, offset int64, n int) record.Identity {
	of := record.Origin{Key: p.Key()}
	part := of.Part("piece", uint64(offset))
	return record.Identity{Key: part.Key, Number: uint64(n)}
}

// wholeOf is what of a message is kept in pieces: its value, and what stands before it
// where that does not go into the letter that says where it is.
func wholeOf(body []byte) []byte {
	var m record.Message
	record.ParseMessage(body, &m)
	if keepsBeside(&m) {
		return m.Value
	}
	return body
}

// keepsBeside reports whether key and headers go into the letter that says where a
// message is.
func keepsBeside(m *record.Message) bool { return len(m.Key)+len(m.Headers) <= longPiece }
