package entry

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/spillway/spillway/internal/record"
)

// Field is a key and its value in a record; both are strings there.
type Field struct{ Key, Value string }

// Keys beside the text of a line. Docker's fluentd driver has them.
const (
	keyPartial        = "partial_message"
	keyPartialID      = "partial_id"
	keyPartialOrdinal = "partial_ordinal"
	keyPartialLast    = "partial_last"
)

// KeyLoss is the key under which the record of a loss marker has the object.
const KeyLoss = "spillway_loss"

// Lines says how lines of text become entries: the form of Docker's fluentd
// driver, where the fields are those of the container. It does not change, and
// may be used by several goroutines at once.
type Lines struct {
	textKey    []byte // encoded
	fields     []byte // encoded
	count      int    // of fields
	wholeTimes bool
}

// NewLines returns lines whose text stands under textKey, with the fields beside
// it. wholeTimes cuts times to whole seconds, as receivers of before 2016 want
// them; otherwise they have nanoseconds.
func NewLines(textKey string, wholeTimes bool, fields ...Field) *Lines {
	l := &Lines{textKey: appendString(nil, textKey), count: len(fields), wholeTimes: wholeTimes}
	for _, f := range fields {
		l.fields = appendString(appendString(l.fields, f.Key), f.Value)
	}
	return l
}

// Overhead is the most that an entry takes beyond the bytes of its line.
func (l *Lines) Overhead() int {
	const parts = len(keyPartial) + len("true") + len(keyPartialID) + partialIDSize + len(keyPartialOrdinal) + 10 +
		len(keyPartialLast) + len("false") + 8*2
	return 1 + timeSize + 5 + len(l.fields) + len(l.textKey) + 5 + parts
}

// partialIDSize is the length of the id of a line in parts: its stream's
// incarnation and the number of its first part, in hexadecimal.
const partialIDSize = 2 * (12 + 8)

// AppendLineID appends what all parts of a line have in common, in hexadecimal:
// the incarnation of its stream and the number of its first part. b is one of the
// parts, which have consecutive numbers.
func AppendLineID(dst []byte, stream *record.Stream, b *record.Batch) []byte {
	var id [partialIDSize / 2]byte
	binary.BigEndian.PutUint64(id[copy(id[:], stream.Incarnation[:]):], b.FirstSeq-uint64(b.Part.Ordinal)+1)
	return hex.AppendEncode(dst, id[:])
}

// AppendPart appends what a part of a line says of itself, as members of a JSON object
// with a comma before each; their values are strings, as in entries.
func AppendPart(dst []byte, stream *record.Stream, b *record.Batch) []byte {
	dst = AppendLineID(append(dst, `,"`+keyPartial+`":"true","`+keyPartialID+`":"`...), stream, b)
	dst = strconv.AppendUint(append(dst, `","`+keyPartialOrdinal+`":"`...), uint64(b.Part.Ordinal), 10)
	dst = strconv.AppendBool(append(dst, `","`+keyPartialLast+`":"`...), b.Part.Last)
	return append(dst, '"')
}

// AppendHead appends what the entries of a batch of text begin with, which is all
// but the line. The stream gives parts their id.
func (l *Lines) AppendHead(dst []byte, stream *record.Stream, b *record.Batch) []byte {
	n := l.count + 1
	if b.Part.Ordinal > 0 {
		n += 4
	}
	dst = l.appendTime(append(dst, 0x92), b.Time)
	dst = append(appendMap(dst, n), l.fields...)
	if b.Part.Ordinal > 0 {
		var id [partialIDSize]byte
		dst = appendString(appendString(dst, keyPartial), "true")
		dst = appendString(appendString(dst, keyPartialID), AppendLineID(id[:0], stream, b))
		var digits [10]byte
		ordinal := strconv.AppendUint(digits[:0], uint64(b.Part.Ordinal), 10)
		dst = appendString(appendString(dst, keyPartialOrdinal), ordinal)
		last := "false"
		if b.Part.Last {
			last = "true"
		}
		dst = appendString(appendString(dst, keyPartialLast), last)
	}
	return append(dst, l.textKey...)
}

// AppendLine appends a whole entry: what AppendHead made for the batch, and the
// line. Its bytes are kept as they are, in a string.
func AppendLine(dst, head, line []byte) []byte {
	return appendString(append(dst, head...), line)
}

// AppendLoss appends a loss marker as an entry: the text of the marker where a
// line would stand, and the object under KeyLoss.
func (l *Lines) AppendLoss(dst []byte, loss *record.Loss) []byte {
	dst = l.appendTime(append(dst, 0x92), loss.FirstTime)
	dst = append(appendMap(dst, l.count+2), l.fields...)
	dst = append(dst, l.textKey...)
	var text [record.LossTextSize]byte
	dst = appendString(dst, loss.AppendText(text[:0]))
	return appendLossObject(appendString(dst, KeyLoss), loss)
}

// appendLossObject appends the object of record.Loss.AppendJSON.
func appendLossObject(dst []byte, loss *record.Loss) []byte {
	dst = append(dst, 0x87)
	dst = appendUint(appendString(dst, "lost"), uint64(loss.Lost))
	dst = appendUint(appendString(dst, "bytes"), uint64(loss.Bytes))
	dst = appendUint(appendString(dst, "first_seq"), loss.FirstSeq)
	dst = appendUint(appendString(dst, "last_seq"), loss.LastSeq)
	var text [len(time.RFC3339Nano)]byte
	stamp := func(ns int64) []byte { return time.Unix(0, ns).UTC().AppendFormat(text[:0], time.RFC3339Nano) }
	dst = appendString(appendString(dst, "first_time"), stamp(loss.FirstTime))
	dst = appendString(appendString(dst, "last_time"), stamp(loss.LastTime))
	return appendString(appendString(dst, "reason"), loss.Reason)
}

// timeSize is the length of an EventTime, which is longer than a whole number of
// seconds is within its range.
const timeSize = 10

// appendTime appends a time of nanoseconds since 1970. The forward protocol has
// no nanoseconds before 1970 or after 2106; there a time is whole seconds.
func appendTime(dst []byte, ns int64) []byte {
	at := time.Unix(0, ns)
	s := at.Unix()
	if s < 0 || s > 1<<32-1 {
		return appendSeconds(dst, s)
	}
	dst = append(dst, 0xd7, extEventTime)
	dst = binary.BigEndian.AppendUint32(dst, uint32(s))
	return binary.BigEndian.AppendUint32(dst, uint32(at.Nanosecond()))
}

func appendSeconds(dst []byte, s int64) []byte {
	if s < 0 {
		return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(s))
	}
	return appendUint(dst, uint64(s))
}

func (l *Lines) appendTime(dst []byte, ns int64) []byte {
	if l.wholeTimes {
		return appendSeconds(dst, time.Unix(0, ns).Unix())
	}
	return appendTime(dst, ns)
}

func appendMap(dst []byte, n int) []byte {
	switch {
	case n < 16:
		return append(dst, 0x80|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 0xde), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, 0xdf), uint32(n))
}

func appendString[T string | []byte](dst []byte, s T) []byte {
	switch n := len(s); {
	case n < 32:
		dst = append(dst, 0xa0|byte(n))
	case n < 1<<8:
		dst = append(dst, 0xd9, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0xda), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xdb), uint32(n))
	}
	return append(dst, s...)
}

func appendUint(dst []byte, n uint64) []byte {
	switch {
	case n < 1<<7:
		return append(dst, byte(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcf), n)
}
