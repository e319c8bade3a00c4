package forward

import (
	"errors"
	"fmt"
	"time"
)

// Errors of a Client, beside those of AppendRecord and of contexts.
var (
	// ErrBufferFull: there was no room, and the record was not taken. It is the
	// caller's still.
	ErrBufferFull = errors.New("forward: the buffer is full")
	// ErrDropped: Flush waited for records that were dropped meanwhile.
	ErrDropped = errors.New("forward: records were dropped")
)

// Count counts records, and the bytes of their entries before compression.
type Count struct {
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"`
}

func (c *Count) add(records int, bytes int64) {
	c.Records += int64(records)
	c.Bytes += bytes
}

// take is add with the sign changed.
func (c *Count) take(records int, bytes int64) { c.add(-records, -bytes) }

// Stats is a cut in time of a client's numbers. Every record that was accepted
// is in exactly one place:
//
//	Accepted + Recovered = Acked + Unacked + DroppedOverflow + Returned + Pending + InSpill
//
// It can be published as it is:
//
//	expvar.Publish("forward", expvar.Func(func() any { return client.Stats() }))
type Stats struct {
	// Accepted records are those for which Post returned nil.
	Accepted Count `json:"accepted"`
	// Recovered is what the spill held when the client was made.
	Recovered Count `json:"recovered"`
	// Acked records are in chunks that a server has acknowledged.
	Acked Count `json:"acked"`
	// Unacked records were sent, and no ack was asked for.
	Unacked Count `json:"unacked"`
	// DroppedOverflow counts what DropOldest dropped.
	DroppedOverflow Count `json:"dropped_overflow"`
	// Returned is what Close handed back.
	Returned Count `json:"returned"`
	// Pending records wait or are in flight.
	Pending Count `json:"pending"`
	// InSpill records are the spill's, those in flight from there included.
	InSpill Count `json:"in_spill"`

	// Refused records were not accepted: the caller has the error. By reason: no
	// room; the context ended while waiting for it; too large, or not a record; the
	// client was closed.
	RefusedFull    Count `json:"refused_full"`
	RefusedContext Count `json:"refused_context"`
	RefusedInvalid Count `json:"refused_invalid"`
	RefusedClosed  Count `json:"refused_closed"`

	// Retried counts records each time they are sent again after they may have
	// arrived, with the same chunk id.
	Retried Count `json:"retried"`
	// PossibleDuplicates are those of Acked and Unacked that were sent more than once.
	PossibleDuplicates Count `json:"possible_duplicates"`

	// BufferBytes is what the buffer's limit counts now, Limit the limit.
	BufferBytes int64 `json:"buffer_bytes"`
	Limit       int64 `json:"limit"`
	// Waiting and InFlight count chunks.
	Waiting  int `json:"waiting"`
	InFlight int `json:"in_flight"`
	// Oldest is how long ago the first record of the oldest chunk in the buffer was
	// accepted; 0 if there is none.
	Oldest time.Duration `json:"oldest"`
	// SpillError is the last error of the spill; nil after a success.
	SpillError error `json:"-"`
	// Servers are in the order of ClientOptions.
	Servers []ServerStats `json:"servers"`
}

// Unaccounted is the difference of the two sides of the balance. It is 0.
func (s *Stats) Unaccounted() Count {
	sum := s.Accepted
	sum.add(int(s.Recovered.Records), s.Recovered.Bytes)
	for _, c := range []Count{s.Acked, s.Unacked, s.DroppedOverflow, s.Returned, s.Pending, s.InSpill} {
		sum.take(int(c.Records), c.Bytes)
	}
	return sum
}

// ServerStats is how one server does.
type ServerStats struct {
	Address string `json:"address"`
	// Hostname is what it called itself in the handshake.
	Hostname  string `json:"hostname,omitempty"`
	Connected bool   `json:"connected"`
	// Aside is true while it is given nothing because it has failed.
	Aside bool `json:"aside"`
	// Failures counts connections and attempts that failed, all in all.
	Failures int64 `json:"failures"`
	// Error is the cause of the last one; nil since the next success. Cause is its
	// text.
	Error error  `json:"-"`
	Cause string `json:"error,omitempty"`
	// InFlight is how many chunks it was given and has not settled.
	InFlight int `json:"in_flight"`
	// Settled records were acknowledged by it, or sent to it without acks.
	Settled Count `json:"settled"`
}

// Returned is a chunk that Close hands back.
type Returned struct {
	// OutChunk can be given to Resend of another client, or to a Conn. With its id,
	// a server that has seen it already can tell.
	OutChunk
	// Unsure is true if it may have arrived: some of it was written, and no ack came.
	Unsure bool
}

// UndeliveredError is what Close returns if not everything was delivered.
type UndeliveredError struct {
	// Chunks are what was left in memory, in the order in which they were begun.
	// Their memory is the caller's.
	Chunks []Returned
	// Left counts their records.
	Left Count
	// InSpill is what the spill still has, for the next client.
	InSpill Count
	// Cause is why: the end of the context, and the last error of a server.
	Cause error
}

func (e *UndeliveredError) Error() string {
	text := fmt.Sprintf("forward: closed with %d records (%d bytes) not delivered", e.Left.Records, e.Left.Bytes)
	if e.InSpill.Records > 0 {
		text += fmt.Sprintf(" and %d in the spill", e.InSpill.Records)
	}
	return text + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *UndeliveredError) Unwrap() error { return e.Cause }
