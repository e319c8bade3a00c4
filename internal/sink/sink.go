// Package sink is the contract between delivery and the destinations. A sink
// speaks one foreign dialect: it states its limits, sends a request, and says
// what became of each record. It never retries, never counts and never logs a
// loss; internal/deliver does the first, internal/buffer and internal/ledger
// the others.
package sink

import (
	"context"
	"iter"
	"time"

	"github.com/spillway/spillway/internal/record"
)

// Limits are what a destination takes in one request. Zero means no limit.
type Limits struct {
	// RequestBytes bounds the sum, over the events of a request, of the body's
	// bytes after repair to valid UTF-8 and PerEvent.
	RequestBytes int
	PerEvent     int
	Events       int
	// Span is the longest time between the first and the last event.
	Span time.Duration
	// BodyBytes is the largest body after repair; longer lines are cut into
	// parts at intake.
	BodyBytes int
	// OrderedBy is the resolution in which the destination orders events by
	// time. Two requests that share such a moment of one stream are never in
	// flight together, so that readers see the order in which it was written.
	OrderedBy time.Duration
	// InFlight is how many requests may be under way at once; at least 1.
	InFlight int
	// Idempotent: what the destination is sent twice is there once, since it has an
	// id, so nothing counts as a possible duplicate.
	Idempotent bool
	// Keyed: of records that share a key the destination keeps the last that it hears of, or
	// the first. Requests that share a key are never in flight together, and records of
	// one key keep their order; the sink is a Keyed, without which one request is in flight.
	Keyed bool
	// Eager: a request that is not full costs the destination next to nothing, so it
	// leaves as soon as a slot is free. Others of that kind are 200 ms apart at least,
	// unless a sender waits for an acknowledgement while nothing is in flight.
	Eager bool
}

// Request is what one call of Send carries: some events in order. It stays
// readable, by one goroutine at a time, until it is settled.
type Request interface {
	// Events is the number of records and loss markers.
	Events() int
	// Batches yields the batches in the order of admission, in which the times of
	// one stream never go back, each with the index of its first event in the
	// request. A yielded batch is valid until the
	// next. It may be called any number of times.
	Batches() iter.Seq2[int, *record.Batch]
	// Stream returns the stream of a batch by its index; its name is the tag where
	// it came by the forward protocol. It may take a lock: ask once for each batch
	// at most.
	Stream(index uint32) *record.Stream
	// Repeated are the events that an earlier attempt, of this process or of one before
	// it, may have delivered, in order and apart. It may take a lock and look at each
	// batch: ask once for an answer at most.
	Repeated() []Span
}

// Sink is one destination. Send may be called by several goroutines at once,
// each with a request of its own.
type Sink interface {
	Limits() Limits
	// Check asks whether the destination would take records now: it is there,
	// knows us, and has what we write to. Only start-requires-destination asks. An
	// error that says it is Throttled speaks of a destination that is there.
	Check(ctx context.Context) error
	// Send makes one attempt to deliver the request and must end soon after ctx
	// does.
	Send(ctx context.Context, req Request) Outcome
	// Close frees what the sink holds; no Send is under way.
	Close() error
}

// Keyed is a sink whose Limits say so.
type Keyed interface {
	// Keys appends a hash of the key of each event that has one. Equal keys have equal
	// hashes for as long as the process runs; others may have, too, and then wait for each
	// other. Several goroutines may call it at once, each with a request of its own.
	Keys(dst []uint64, req Request) []uint64
}

// Verdict says what became of a request as a whole.
type Verdict uint8

const (
	// Retry: the destination has not taken it, but may yet. It is the zero value,
	// because what is not known to be delivered must be tried again.
	Retry Verdict = iota
	// Delivered: the destination has all of it but the rejected events, and those
	// that are to be tried again.
	Delivered
	// Refuse: the destination will never take it as it stands, for its content or
	// its size. It is cut in half until the culprit stands alone, which is then
	// given up for the reason of the outcome.
	Refuse
)

// Outcome is a sink's answer.
type Outcome struct {
	Verdict Verdict
	// Err is the cause where Verdict is not Delivered, or of Again.
	Err error
	// Reason names, for Refuse, why a single event can never be delivered.
	Reason string
	// Status is the destination's code for a refusal, 0 where there is none.
	Status int
	// Rejected are the events of a delivered request that will never be taken.
	Rejected []Rejection
	// Again are the events of a delivered request that were not taken this time,
	// in order and apart from those rejected. They are tried again, alone: at once
	// where Err is nil, since then the sink sent as much as fits, and else after a
	// pause, as after Retry.
	Again []Span
	// Unsure: the attempt ended without an answer, so the destination may have taken
	// the events all the same: all that are to be tried again. Where it may have some of
	// them alone, these are Doubtful, in order and apart, and Unsure is not set.
	Unsure   bool
	Doubtful []Span
	// Broken: with Retry, the connection ended after the attempt had begun to send, and
	// not for want of time. It may be for the request, which is cut in half where that
	// happens again; the halves keep no order unless the limits are Keyed.
	Broken bool
	// Throttled: the destination asks for fewer requests.
	Throttled bool
	// RetryAfter is the pause that the destination asked for, or 0.
	RetryAfter time.Duration
	// Config: somebody must act before this can succeed: credentials are refused,
	// something is missing that may not be created.
	Config bool
	// AlreadyThere is how many of the delivered events the destination had before, and
	// Replaced how many of their bytes were replaced because they are no UTF-8, where
	// that was not known at intake. Both stand beside the balance.
	AlreadyThere, Replaced int
	// PossibleConflicts is how many of AlreadyThere have an id that another record may
	// have, too: an earlier attempt of ours may have brought them there, or that one.
	PossibleConflicts int
}

// Rejection is a range of events, by their index in the request, that can never
// be delivered, and why.
type Rejection struct {
	First, End int
	Reason     string
	// Status is the destination's code, 0 where it gave none, and Detail its own
	// words: a dead letter keeps both.
	Status int
	Detail string
	// Drop keeps the events from the dead letters: the destination has their like, or
	// its owner wants none of them.
	Drop bool
}

// Span is a range of events, by their index in the request; End is behind the
// last.
type Span struct{ First, End int }
