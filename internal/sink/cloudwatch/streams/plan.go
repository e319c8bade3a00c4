package streams

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/jsonscan"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// plan is a request as it is sent: its events in the order of log streams and
// time, and the calls that they make.
type plan struct {
	sink *Sink

	names    []name
	events   []event
	frames   []byte // the messages, framed as those of a batch of text
	text     []byte // of the present one
	scan     *jsonscan.Scanner
	calls    []call
	rejected []sink.Rejection
	rest     sink.Span // what there was no room for
	taken    int       // of the sink's room, in bytes
}

// event is one event in the plan.
type event struct {
	index    int   // in the request
	target   int   // whose log stream it goes to, in names
	time     int64 // in nanoseconds since 1970
	from, to int   // its frame
	cost     int   // what the service counts for it
}

// call is one call of PutLogEvents: some of the plan's events, as a request. It
// implements sink.Request.
type call struct {
	plan        *plan
	first, last int // events, last behind the last
}

const (
	// maxKept bounds what is kept of the memory of a plan, in bytes.
	maxKept = 2 << 20
	// perGrowth is by how much a plan grows at least, in bytes.
	perGrowth = 64 << 10
	// frameHead is what stands before a message in a frame, in bytes.
	frameHead = 4
	// eventSize is what an event takes beside its message, in bytes.
	eventSize = 6 * 8
)

// begin waits for the room that a request takes, if it becomes no longer.
func (p *plan) begin(ctx context.Context, req sink.Request) (err error) {
	size := 0
	for _, b := range req.Batches() {
		size += len(b.Frames)
	}
	events := req.Events()
	if p.taken, err = p.sink.room.take(ctx, size+events*eventSize); err != nil {
		return err
	}
	p.frames = sized(p.frames, max(0, p.taken-events*eventSize))
	p.events = sized(p.events, events)
	p.rest = sink.Span{First: events, End: events}
	return nil
}

// sized is an empty slice with that capacity, and not many times as much.
func sized[T any](kept []T, n int) []T {
	if cap(kept) < n || cap(kept) > n+n/4+perGrowth {
		return make([]T, 0, n)
	}
	return kept[:0]
}

// grow makes room for n bytes more of messages, where there is any. The first event
// has it in any case.
func (p *plan) grow(n int) bool {
	if len(p.frames)+n <= cap(p.frames) {
		return true
	}
	n = max(n, perGrowth, cap(p.frames)/4)
	switch {
	case p.sink.room.more(n):
	case len(p.events) == 0:
		p.sink.room.force(n)
	default:
		return false
	}
	p.taken += n
	p.frames = append(make([]byte, 0, cap(p.frames)+n), p.frames...)
	return true
}

// end gives the memory back.
func (p *plan) end() {
	s := p.sink
	s.room.give(p.taken)
	if cap(p.frames)+cap(p.events)*eventSize+cap(p.text) > maxKept {
		return
	}
	clear(p.names)
	*p = plan{names: p.names[:0], events: p.events[:0], frames: p.frames[:0], text: p.text[:0], calls: p.calls[:0], scan: p.scan}
	s.plans.Put(p)
}

// read takes the events of a request in.
func (p *plan) read(req sink.Request) {
	for first, b := range req.Batches() {
		if !p.batch(first, req.Stream(b.Stream), b) {
			break
		}
	}
	slices.SortFunc(p.events, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.target, b.target), cmp.Compare(millisecond(a.time), millisecond(b.time)), cmp.Compare(a.index, b.index))
	})
}

// batch takes the events of a batch in, as far as there is room.
func (p *plan) batch(first int, stream *record.Stream, b *record.Batch) bool {
	target, hour := p.target(stream, b.Time), p.sink.hour(b.Time)
	if b.Kind == record.KindLoss {
		p.text = b.Loss().AppendText(p.text[:0])
		return p.add(first, target, b.Time, p.text)
	}
	rest := b.Frames
	for i := first; len(rest) > 0; i++ {
		var body []byte
		body, _, rest = b.Next(rest)
		at := b.Time
		var err error
		switch b.Encoding {
		case record.EncodingEntry:
			at = entry.Time(body, at)
			body, err = p.entry(body)
		case record.EncodingMessage:
			at, body, err = p.message(body)
		}
		if err != nil {
			p.reject(i, ledger.RejectedInvalid, err.Error())
			continue
		}
		if h := p.sink.hour(at); h != hour {
			target, hour = p.target(stream, at), h
		}
		if !p.add(i, target, at, body) {
			return false
		}
	}
	return true
}

// add takes one event in, if there is room.
func (p *plan) add(index, target int, at int64, message []byte) bool {
	if len(message) > p.sink.limits.RequestBytes {
		p.reject(index, ledger.RejectedTooLong, tooLong)
		return true
	}
	if !p.grow(frameHead + len(message)) {
		p.rest.First = index
		return false
	}
	from := len(p.frames)
	var added record.Added
	p.frames, added = record.AppendBody(p.frames, message)
	cost := added.Bytes + added.Repair + p.sink.limits.PerEvent
	if cost > p.sink.limits.RequestBytes {
		p.frames = p.frames[:from]
		p.reject(index, ledger.RejectedTooLong, tooLong)
		return true
	}
	p.events = append(p.events, event{index: index, target: target, time: at, from: from, to: len(p.frames), cost: cost})
	return true
}

const tooLong = "the event takes more than the service takes at once"

func (p *plan) reject(i int, why ledger.Reason, detail string) {
	p.rejected = append(p.rejected, sink.Rejection{First: i, End: i + 1, Reason: string(why), Detail: detail})
}

// target is the number of the log stream for a record. The last ones are the
// likeliest.
func (p *plan) target(stream *record.Stream, at int64) int {
	n := p.sink.names(stream, at)
	for i, known := range slices.Backward(p.names) {
		if known == n {
			return i
		}
	}
	p.names = append(p.names, n)
	return len(p.names) - 1
}

// cut divides the events into calls, each for one log stream and within the
// limits of the service.
func (p *plan) cut() {
	l := &p.sink.limits
	cost := 0
	for i := range p.events {
		e := &p.events[i]
		if n := len(p.calls); n > 0 {
			c := &p.calls[n-1]
			first := &p.events[c.first]
			if first.target == e.target && i-c.first < l.Events && cost+e.cost <= l.RequestBytes &&
				time.Duration(millisecond(e.time)-millisecond(first.time))*time.Millisecond < l.Span {
				c.last = i + 1
				cost += e.cost
				continue
			}
		}
		p.calls = append(p.calls, call{plan: p, first: i, last: i + 1})
		cost = e.cost
	}
}

func millisecond(ns int64) int64 {
	b := record.Batch{Time: ns}
	return b.Millisecond()
}

// Events implements sink.Request.
func (c *call) Events() int { return c.last - c.first }

// Repeated implements sink.Request; the sink of one log stream does not ask.
func (c *call) Repeated() []sink.Span { return nil }

// Stream implements sink.Request.
func (c *call) Stream(uint32) *record.Stream { return &record.Stream{} }

// Batches implements sink.Request. A batch is a run of events of one millisecond
// that lie one behind the other, as those do that came in the order of time.
func (c *call) Batches() iter.Seq2[int, *record.Batch] {
	return func(yield func(int, *record.Batch) bool) {
		var b record.Batch
		for first := c.first; first < c.last; {
			events := c.plan.events[first:c.last]
			n := 1
			for n < len(events) && events[n].from == events[n-1].to && millisecond(events[n].time) == millisecond(events[0].time) {
				n++
			}
			b = record.Batch{Kind: record.KindRecords, Count: n, Time: events[0].time, Frames: c.plan.frames[events[0].from:events[n-1].to]}
			if !yield(first-c.first, &b) {
				return
			}
			first += n
		}
	}
}

// indexes calls f with each run of neighbours in the request among some events of
// the call, in the order of the request.
func (c *call) indexes(first, last int, f func(sink.Span)) {
	all := make([]int, 0, last-first)
	for i := first; i < last; i++ {
		all = append(all, c.plan.events[c.first+i].index)
	}
	slices.Sort(all)
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n] == all[n-1]+1 {
			n++
		}
		f(sink.Span{First: all[0], End: all[n-1] + 1})
		all = all[n:]
	}
}
