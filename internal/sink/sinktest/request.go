// Package sinktest tests sinks: it makes requests out of a simple description,
// and holds the one conformance suite that every sink has to pass. Only tests
// import it.
package sinktest

import (
	"fmt"
	"iter"
	"time"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// Event describes one event of a request: a record, or the loss marker where
// Loss is set.
type Event struct {
	Stream uint32
	Time   time.Time
	Body   string
	Part   record.Part
	// Packed, if not empty, makes the event an entry of the forward protocol, whose
	// bytes it is. Body is what a reader of text sees of it then, and Time the
	// entry's own.
	Packed string
	// Message, if not nil, makes the event a message of a log with offsets. Body is
	// what a reader of text sees of it then, and Time the message's own.
	Message *record.Message
	// Loss needs Lost, Bytes and Reason only; the rest follows from the event.
	Loss *record.Loss
	// Seq is the sequence number, or 0 for the next of the stream.
	Seq uint64
}

// Numbering gives sequence numbers to the events of several requests, from 1
// for each stream. The zero value is ready.
type Numbering struct {
	last map[uint32]uint64
}

// NewRequest returns a request of the given events, whose numbering begins anew.
func NewRequest(events ...Event) *Request {
	var n Numbering
	return n.NewRequest(events...)
}

// NewRequest returns a request of the given events, numbered on.
func (n *Numbering) NewRequest(events ...Event) *Request {
	r := &Request{events: len(events)}
	var open batch
	for i, e := range events {
		n.number(&e)
		if i > 0 && open.takes(e) {
			open.add(e)
			continue
		}
		if i > 0 {
			r.batches = append(r.batches, open.close())
		}
		if e.Loss != nil {
			r.batches = append(r.batches, record.AppendLoss(nil, *e.Loss))
			open = batch{}
			continue
		}
		open = begin(e)
	}
	r.batches = append(r.batches, open.close())
	return r
}

// number completes an event.
func (n *Numbering) number(e *Event) {
	if n.last == nil {
		n.last = make(map[uint32]uint64)
	}
	if e.Seq == 0 {
		e.Seq = n.last[e.Stream] + 1
	}
	n.last[e.Stream] = e.Seq
	if e.Loss == nil {
		return
	}
	l := *e.Loss
	l.Stream = e.Stream
	l.FirstSeq, l.LastSeq = e.Seq, e.Seq+uint64(l.Lost)-1
	l.FirstTime, l.LastTime = e.Time.UnixNano(), e.Time.UnixNano()
	n.last[e.Stream] = l.LastSeq
	e.Loss = &l
}

// batch is one batch in the making; nothing, if it holds no event.
type batch struct {
	head   record.Batch
	frames []byte
}

func begin(e Event) batch {
	b := batch{head: record.Batch{
		Stream: e.Stream, Kind: record.KindRecords, Time: e.Time.UnixNano(), FirstSeq: e.Seq, Part: e.Part,
	}}
	b.head.Encoding = e.encoding()
	if e.Message != nil {
		b.head.Partition = partition
	}
	b.add(e)
	return b
}

// partition is where the suite's messages come from.
var partition = (&record.Partition{Topic: "topic", ID: [16]byte{1, 2, 3}, Number: 4}).Append(nil)

// encoding is that of a record.
func (e *Event) encoding() record.Encoding {
	switch {
	case e.Packed != "":
		return record.EncodingEntry
	case e.Message != nil:
		return record.EncodingMessage
	}
	return record.EncodingText
}

// takes tells whether the event may stand in the batch: a part, like a marker,
// has one of its own. Entries and messages have times of their own.
func (b *batch) takes(e Event) bool {
	own := b.head.Encoding != record.EncodingText
	return b.head.Encoding == e.encoding() && b.head.Count > 0 && e.Loss == nil && e.Part == record.Part{} && b.head.Part == record.Part{} &&
		e.Stream == b.head.Stream && (own || e.Time.UnixNano() == b.head.Time) && e.Seq == b.head.FirstSeq+uint64(b.head.Count)
}

func (b *batch) add(e Event) {
	if e.Packed != "" {
		b.frames = append(b.frames, e.Packed...)
		b.head.Count++
		b.head.Bytes += len(e.Packed)
		return
	}
	if e.Message != nil {
		before := len(b.frames)
		b.frames = record.AppendMessage(b.frames, e.Message)
		b.head.Count++
		b.head.Bytes += len(b.frames) - before - record.FrameSize
		return
	}
	var added record.Added
	b.frames, added = record.AppendBody(b.frames, []byte(e.Body))
	b.head.Count += added.Count
	b.head.Bytes += added.Bytes
	b.head.Repair += added.Repair
}

func (b *batch) close() []byte {
	if b.head.Count == 0 {
		return nil
	}
	mem := make([]byte, b.head.Head(), b.head.Head()+len(b.frames))
	record.PutHeader(mem, &b.head, len(b.frames))
	return append(mem, b.frames...)
}

// Stream implements sink.Request. The streams are those of the suite; others are
// called after their number.
func (r *Request) Stream(index uint32) *record.Stream {
	if int(index) < len(known) {
		return known[index]
	}
	return newStream(index, fmt.Sprintf("stream%d", index))
}

// known are the streams of the suite, made once: sinks are held to few allocations.
var known = func() (all [len(Streams)]*record.Stream) {
	for i, name := range Streams {
		all[i] = newStream(uint32(i), name)
	}
	return all
}()

func newStream(index uint32, name string) *record.Stream {
	s := &record.Stream{Index: index, Name: name}
	copy(s.Incarnation[:], name)
	return s
}

// Request is a sink.Request for tests. A batch that it has yielded is
// overwritten as soon as the next is asked for, so that a sink which keeps a
// view of it is found out.
type Request struct {
	batches [][]byte
	events  int
	// Again are the events of which an earlier attempt may have arrived.
	Again []sink.Span
}

// Events implements sink.Request.
func (r *Request) Events() int { return r.events }

// Repeated implements sink.Request.
func (r *Request) Repeated() []sink.Span { return r.Again }

// Batches implements sink.Request.
func (r *Request) Batches() iter.Seq2[int, *record.Batch] {
	return func(yield func(int, *record.Batch) bool) {
		var scratch []byte
		var view record.Batch
		index := 0
		for _, mem := range r.batches {
			if len(mem) == 0 {
				continue
			}
			scratch = append(scratch[:0], mem...)
			record.Parse(scratch, &view)
			count := view.Count
			more := yield(index, &view)
			clear(scratch)
			if !more {
				return
			}
			index += count
		}
	}
}
