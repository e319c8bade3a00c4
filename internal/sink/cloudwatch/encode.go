package cloudwatch

import (
	"encoding/binary"
	"io"
	"iter"
	"math/bits"
	"strconv"
	"unicode/utf8"

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
	var read, wrote int
	if b.bad {
		wrote, read = escapeRepairing(p[n:], b.text)
	} else {
		wrote, read = escape(p[n:], b.text)
	}
	n += wrote
	b.text = b.text[read:]
	if len(b.text) > 0 || len(p)-n < len(messageEnd) {
		return n, false
	}
	n += copy(p[n:], messageEnd)
	b.state = atRecord
	return n, true
}

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// escape writes src, which is valid UTF-8, as the inside of a JSON string, as
// far as dst has room, and returns the bytes written and read. Eight bytes are
// looked at and copied at a time; in access logs most groups of eight hold
// nothing to escape.
func escape(dst, src []byte) (wrote, read int) {
	for len(src)-read >= 8 && len(dst)-wrote >= 8 {
		word := binary.LittleEndian.Uint64(src[read:])
		binary.LittleEndian.PutUint64(dst[wrote:], word)
		quote, slash := word^(lows*'"'), word^(lows*'\\')
		special := ((word - lows*0x20) &^ word) | ((quote - lows) &^ quote) | ((slash - lows) &^ slash)
		special &= highs
		if special == 0 {
			wrote += 8
			read += 8
			continue
		}
		clean := bits.TrailingZeros64(special) / 8
		wrote += clean
		read += clean
		n := escapeByte(dst[wrote:], src[read])
		if n == 0 {
			return wrote, read
		}
		wrote += n
		read++
	}
	for read < len(src) {
		c := src[read]
		if c >= 0x20 && c != '"' && c != '\\' {
			if wrote == len(dst) {
				return wrote, read
			}
			dst[wrote] = c
			wrote++
			read++
			continue
		}
		n := escapeByte(dst[wrote:], c)
		if n == 0 {
			return wrote, read
		}
		wrote += n
		read++
	}
	return wrote, read
}

// escapeByte writes the escape of c, which needs one, or nothing where dst has
// no room for it.
func escapeByte(dst []byte, c byte) int {
	short := byte(0)
	switch c {
	case '"', '\\':
		short = c
	case '\n':
		short = 'n'
	case '\t':
		short = 't'
	case '\r':
		short = 'r'
	}
	if short != 0 {
		if len(dst) < 2 {
			return 0
		}
		dst[0], dst[1] = '\\', short
		return 2
	}
	if len(dst) < 6 {
		return 0
	}
	const hex = "0123456789abcdef"
	dst[0], dst[1], dst[2], dst[3], dst[4], dst[5] = '\\', 'u', '0', '0', hex[c>>4], hex[c&15]
	return 6
}

// escapeRepairing is escape for a body that is not valid UTF-8: each bad byte
// becomes U+FFFD.
func escapeRepairing(dst, src []byte) (wrote, read int) {
	for read < len(src) {
		if src[read] < utf8.RuneSelf {
			end := read + 1
			for end < len(src) && src[end] < utf8.RuneSelf {
				end++
			}
			w, r := escape(dst[wrote:], src[read:end])
			wrote += w
			if read += r; read < end {
				return wrote, read
			}
			continue
		}
		r, size := utf8.DecodeRune(src[read:])
		if len(dst)-wrote < utf8.UTFMax {
			return wrote, read
		}
		wrote += utf8.EncodeRune(dst[wrote:], r)
		read += size
	}
	return wrote, read
}
