package local

import (
	"encoding/base64"
	"strconv"
	"time"

	"github.com/spillway/spillway/internal/jsontext"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink/appendfile"
)

// The lines of a segment are objects with these keys, in this order and without
// spaces:
//
//	time    when it was read, RFC 3339 in UTC
//	sort    its place in time among the lines of other writers, where that is
//	        later than time, since a writer's lines are read in the order in
//	        which they were written, and a marker is older than what it follows
//	run     the name of the writer
//	stream  the name of the stream
//	seq     the sequence number; of a marker, of the first record lost
//	part    the ordinal of the part, of a line that was cut
//	last    whether it is the last part, where part is
//	text    the text, if it is valid UTF-8; otherwise
//	base64  its bytes; or
//	loss    the object of a loss marker
//
// With a constant sort key a store can be merged from either end.
const (
	timeKey   = `{"time":"`
	sortKey   = `","sort":"`
	runKey    = `","run":"`
	streamKey = `","stream":"`
	seqKey    = `","seq":`
	partKey   = `,"part":`
	lastKey   = `,"last":`
	textKey   = `,"text":"`
	base64Key = `,"base64":"`
	lossKey   = `,"loss":`
)

// mostPerEvent is what a line takes at most beside its text, the run and the
// stream; mostPerLoss is the same for a marker.
const (
	mostPerEvent = 200
	mostPerLoss  = 600
)

// encoder writes lines.
type encoder struct {
	run    []byte // escaped
	latest int64  // the place in time of the last line

	head    []byte // of the present batch, up to the sequence number
	tail    []byte // between that and the text
	scratch []byte
}

func newEncoder(run string) *encoder {
	return &encoder{run: jsontext.Repair.AppendString(nil, []byte(run))}
}

// most is how many bytes the lines of a batch of a stream take at most.
func (e *encoder) most(stream string, b *record.Batch) int64 {
	each := mostPerEvent + len(e.run) + jsontext.MaxEscape*len(stream)
	if b.Kind == record.KindLoss {
		return int64(each + mostPerLoss)
	}
	return int64(jsontext.MaxEscape*b.Bytes) + int64(b.Count)*int64(each)
}

// batch writes the lines of a batch of a stream, and adds to c what they hold.
func (e *encoder) batch(w *appendfile.Writer, stream string, b *record.Batch, c *counts) {
	e.latest = max(e.latest, b.Time)
	e.setHead(stream, b)
	added, before := counts{min: b.Time, last: e.latest}, w.Size()
	if b.Kind == record.KindLoss {
		e.loss(w, b)
	} else {
		e.records(w, b)
		added.records, added.bytes = int64(b.Count), int64(b.Bytes)
	}
	added.size = w.Size() - before
	c.add(added)
}

func (e *encoder) loss(w *appendfile.Writer, b *record.Batch) {
	e.scratch = strconv.AppendUint(append(e.scratch[:0], e.head...), b.FirstSeq, 10)
	e.scratch = append(e.scratch, lossKey...)
	e.scratch = append(b.Loss().AppendJSON(e.scratch), "}\n"...)
	w.Put(e.scratch)
	w.End()
}

func (e *encoder) records(w *appendfile.Writer, b *record.Batch) {
	seq := b.FirstSeq
	for frames := b.Frames; len(frames) > 0; seq++ {
		var body []byte
		var invalid bool
		body, invalid, frames = record.Next(frames)
		e.line(w, seq, body, invalid)
	}
}

// setHead makes what the lines of the batch have in common.
func (e *encoder) setHead(stream string, b *record.Batch) {
	head := appendTime(append(e.head[:0], timeKey...), b.Time)
	if e.latest > b.Time {
		head = appendTime(append(head, sortKey...), e.latest)
	}
	head = append(append(head, runKey...), e.run...)
	head = append(head, streamKey...)
	head = jsontext.Repair.AppendString(head, []byte(stream))
	e.head = append(head, seqKey...)
	e.tail = e.tail[:0]
	if b.Part.Ordinal > 0 {
		e.tail = strconv.AppendUint(append(e.tail, partKey...), uint64(b.Part.Ordinal), 10)
		e.tail = strconv.AppendBool(append(e.tail, lastKey...), b.Part.Last)
	}
}

func (e *encoder) line(w *appendfile.Writer, seq uint64, body []byte, invalid bool) {
	e.scratch = strconv.AppendUint(append(e.scratch[:0], e.head...), seq, 10)
	e.scratch = append(e.scratch, e.tail...)
	if invalid {
		w.Put(append(e.scratch, base64Key...))
		e.base64(w, body)
	} else {
		w.Put(append(e.scratch, textKey...))
		w.PutText(jsontext.Valid, body)
	}
	w.Put(lineEnd)
	w.End()
}

var lineEnd = []byte("\"}\n")

// base64 writes bytes that are not valid UTF-8, in pieces of whole groups.
func (e *encoder) base64(w *appendfile.Writer, body []byte) {
	for len(body) > 0 {
		piece := body[:min(len(body), 3*1024)]
		body = body[len(piece):]
		e.scratch = base64.StdEncoding.AppendEncode(e.scratch[:0], piece)
		w.Put(e.scratch)
	}
}

func appendTime(dst []byte, t int64) []byte {
	return time.Unix(0, t).UTC().AppendFormat(dst, time.RFC3339Nano)
}
