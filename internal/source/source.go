// Package source is the contract between the places where records come from
// and the buffer. A source never sees a buffer: it is handed an Intake.
package source

import (
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// Intake takes what a source has read. Every record that is handed over is
// counted as received and is from then on either kept or dropped under a
// reason; nothing is returned because there is nothing left for the source to
// decide. A call waits where the buffer's mode makes the source wait. Calls for
// different streams may overlap.
type Intake interface {
	// Turn keeps together what was read together: until the returned function is
	// called, no other caller of Turn goes on. A destination that orders by time
	// can take two requests at once only where the records of one moment are in
	// one of them.
	Turn() (end func())
	// Lines admits newline-ended lines, each at most MaxBody long, all read at t
	// (nanoseconds since 1970). valid promises valid UTF-8.
	Lines(s *record.Stream, t int64, lines []byte, valid bool)
	// Body admits one record, which may contain newlines, or a part of one.
	Body(s *record.Stream, t int64, body []byte, part record.Part)
	// Count adds to the numbers beside the balance what only the source knows:
	// lines that became part of a Body. Lines counts its own.
	Count(s *record.Stream, l ledger.Lines)
	// MaxBody is the largest body, in bytes after repair to valid UTF-8.
	MaxBody() int
}

// Chunks takes what a source received as one and vouches for as one, such as a
// chunk of the forward protocol.
type Chunks interface {
	// Admit admits a chunk, whole or not at all, and waits where the buffer's mode
	// makes the source wait. Without a stream that of the chunk's tag is meant,
	// which begins where there is none. What became of the chunk is told by its Done.
	// Calls may overlap. What is returned, which may be nil, is to go elsewhere.
	Admit(s *record.Stream, c *record.Chunk) (rest *record.Chunk)
	// Attach has done told of a chunk that is held already, as Chunk.Done would be,
	// and reports whether one of that key is: then it is a resend, and is not to be
	// admitted again.
	Attach(origin record.Origin, level record.Level, done func(ok bool)) bool
}
