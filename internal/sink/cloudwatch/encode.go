package cloudwatch

import (
	"io"
	"iter"
	"strconv"

	"github.com/spillway/spillway/internal/jsontext"
	"github.com/spillway/spillway/internal/record"
)

// body is the JSON of one PutLogEvents request, made while it is read, so that
// a request in flight is held once, as its batches. It is read twice: to be
// hashed, which the signature needs before the first byte is sent, and to be
// sent.
//
// What it yields is
//
//	{"logGroupName":"G","logStreamName":"S","logEvents":[
//	  {"timestamp":1700000000000,"message":"…"},…]}
type body struct {
	next func() (*record.Batch, bool)
	stop func()

	frames []byte // of the present batch, from the record after the present one
	prefix []byte // what comes before each message of the present batch
	loss   []byte // the text of a marker, which has no frames of its own
	text   []byte // what is left of the present message
	bad    bool   // the present message is not valid UTF-8
	state  state
	events int    // begun so far
	out    []byte // made, and not yet read because the reader's slice was too small
	small  [minWindow]byte
}

type state uint8

const (
	atBatch state = iota
	atRecord
	inMessage
	atEnd
)

// minWindow is the smallest slice into which events are encoded directly. It
// holds the longest piece that is written without a look at the room left: what
// comes before a message, or the end.
const minWindow = 1024

const (
	messageEnd  = `"}`
	requestEnd  = `]}`
	eventPrefix = `{"timestamp":`
	textPrefix  = `,"message":"`
)

// newBody starts reading the batches. head is the request up to the array of
// events and must be shorter than minWindow, or be read as a whole.
func newBody(head []byte, batches iter.Seq[*record.Batch]) *body {
	b := &body{out: head}
	b.next, b.stop = iter.Pull(batches)
	return b
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if len(b.out) > 0 {
		n := copy(p, b.out)
		b.out = b.out[n:]
		return n, nil
	}
	if len(p) >= minWindow {
		return b.encode(p)
	}
	n, err := b.encode(b.small[:])
	b.out = b.small[:n]
	n = copy(p, b.out)
	b.out = b.out[n:]
	return n, err
}

// encode writes as much as fits into p, which has room for at least minWindow
// bytes.
func (b *body) encode(p []byte) (int, error) {
	n := 0
	for {
		switch b.state {
		case atBatch:
			batch, ok := b.next()
			if !ok {
				if len(p)-n < len(requestEnd) {
					return n, nil
				}
				b.state = atEnd
				return n + copy(p[n:], requestEnd), nil
			}
			b.enter(batch)
		case atRecord:
			if len(b.frames) == 0 && b.loss == nil {
				b.state = atBatch
				continue
			}
			if len(p)-n < len(b.prefix)+1 {
				return n, nil
			}
			if b.events > 0 {
				p[n] = ','
				n++
			}
			n += copy(p[n:], b.prefix)
			b.begin()
		case inMessage:
			var room bool
			if n, room = b.message(p, n); !room {
				return n, nil
			}
		default:
			return n, io.EOF
		}
	}
}

// enter makes batch the present one.
func (b *body) enter(batch *record.Batch) {
	b.prefix = append(b.prefix[:0], eventPrefix...)
	b.prefix = strconv.AppendInt(b.prefix, batch.Millisecond(), 10)
	b.prefix = append(b.prefix, textPrefix...)
	b.frames, b.loss = batch.Frames, nil
	if batch.Kind == record.KindLoss {
		b.frames, b.loss = nil, batch.Loss().AppendText(nil)
	}
	b.state = atRecord
}

// begin makes the next record's body the present message. CloudWatch takes no
// empty message, so an empty line is one space.
func (b *body) begin() {
	if b.loss != nil {
		b.text, b.bad, b.loss = b.loss, false, nil
	} else {
		b.text, b.bad, b.frames = record.Next(b.frames)
	}
	if len(b.text) == 0 {
		b.text = space
	}
	b.events++
	b.state = inMessage
}

var space = []byte{' '}

// message writes the present message on, and its end where there is room for
// all of it.
func (b *body) message(p []byte, n int) (int, bool) {
	form := jsontext.Valid
	if b.bad {
		form = jsontext.Repair
	}
	out, read := form.Append(p[:n:len(p)], b.text)
	n = len(out)
	b.text = b.text[read:]
	if len(b.text) > 0 || len(p)-n < len(messageEnd) {
		return n, false
	}
	n += copy(p[n:], messageEnd)
	b.state = atRecord
	return n, true
}
