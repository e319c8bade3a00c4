package forward

import (
	"errors"
	"io"

	protocol "github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// refuse makes dead letters of a payload that cannot be taken apart, as it was
// received.
func (r *receiver) refuse(m *protocol.Received, c *record.Chunk, out *all, err error) bool {
	why := refusedFor(err)
	r.counts.invalid.Add(1)
	if m.Spooled == nil {
		if piece, ok := r.piece(c, out, "refused", 0, m.Payload); ok {
			r.reject(m.Payload, piece, why)
		}
		return true
	}
	content := make([]byte, refusedPiece)
	at := uint64(0)
	for in := m.Spooled.Reader(); ; {
		n, err := io.ReadFull(in, content)
		if n > 0 {
			if piece, ok := r.piece(c, out, "refused", at, content[:n]); ok {
				r.reject(content[:n], piece, why)
			}
			at += uint64(n)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return true
		}
		if err != nil {
			return r.told(m, err)
		}
	}
}

// told tells of a message that could not be read back, and reports whether there is
// nothing to tell.
func (r *receiver) told(m *protocol.Received, err error) bool {
	if err != nil && r.report != nil {
		r.report(protocol.Event{Peer: m.Peer, Tag: m.Tag, Reason: "spool", Err: err})
	}
	return err == nil
}

// refusedPiece is how much of a large payload that is refused is in memory at
// once, in bytes.
const refusedPiece = 256 << 10

// reject hands over bytes that are no record, and why they are none. The chunk is not
// vouched for before they are durable.
func (r *receiver) reject(b []byte, c record.Chunk, why ledger.Reason) {
	c.Encoding, c.Refusal.Reason = record.EncodingText, string(why)
	if c.Level != record.LevelMemory {
		c.Level = record.LevelDelivered
	}
	c.Bodies = make([]byte, 0, len(b)+record.FrameSize*(1+len(b)/rejectPiece))
	for {
		n := min(len(b), rejectPiece)
		c.Bodies, _ = record.AppendBody(c.Bodies, b[:n])
		c.Count++
		if b = b[n:]; len(b) == 0 {
			break
		}
	}
	r.counts.records.Add(int64(c.Count))
	r.counts.bytes.Add(int64(len(c.Bodies)))
	r.router.Reject(&c)
}

// rejectPiece is the most of what is no record that becomes one dead letter, in
// bytes.
const rejectPiece = 32 << 10
