package forward

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/tinylib/msgp/msgp"
)

const nanosPerSecond = int64(time.Second)

// AppendTime appends t as an EventTime, which keeps its nanoseconds. An
// EventTime holds 1970 to 2106; a time beyond is appended as an integer of
// seconds.
func AppendTime(dst []byte, t time.Time) []byte {
	return appendTime(dst, t.Unix(), int64(t.Nanosecond()))
}

// AppendNanoseconds is AppendTime for nanoseconds since 1970.
func AppendNanoseconds(dst []byte, ns int64) []byte {
	seconds, rest := ns/nanosPerSecond, ns%nanosPerSecond
	if rest < 0 {
		seconds, rest = seconds-1, rest+nanosPerSecond
	}
	return appendTime(dst, seconds, rest)
}

func appendTime(dst []byte, seconds, nanoseconds int64) []byte {
	if seconds < 0 || seconds > math.MaxUint32 {
		return msgp.AppendInt64(dst, seconds)
	}
	dst = append(dst, 0xd7, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(seconds))
	return binary.BigEndian.AppendUint32(dst, uint32(nanoseconds))
}

// ReadTime reads the time of an entry or message at the beginning of b, in
// every form that is seen in the wild: EventTime as fixext 8 or ext 8, an
// integer of seconds, either as the first element of an array with metadata
// behind it (Fluent Bit since version 2), and nil. It returns the time in
// nanoseconds since 1970 and what is behind it. known is false where the sender
// says zero or nil; the time is then that of the arrival, which the caller
// knows. A float is no time, as in fluentd.
func ReadTime(b []byte) (ns int64, known bool, rest []byte, err error) {
	ns, end := readTime(b, 0)
	switch end {
	case faultShort:
		return 0, false, nil, ErrIncomplete
	case faultSyntax:
		return 0, false, nil, unexpected("a time: an integer of seconds or an EventTime", b, 0)
	case faultDepth:
		return 0, false, nil, &LimitError{What: "nesting", Bytes: MaxDepth + 1, Limit: MaxDepth}
	}
	return ns, ns != 0, b[end:], nil
}

// readTime reads the time at b[i] and returns where it ends, or a fault. It is
// 0 where the sender does not know.
func readTime(b []byte, i int) (ns int64, end int) {
	if i >= len(b) {
		return 0, faultShort
	}
	switch c := b[i]; {
	case c == 0xd7 || c == 0xc7:
		return readEventTime(b, i)
	case c == 0xc0:
		return 0, i + 1
	case c > 0x90 && c < 0xa0 || c == 0xdc || c == 0xdd:
		return readTimeWithMetadata(b, i)
	}
	return readSeconds(b, i)
}

func readEventTime(b []byte, i int) (ns int64, end int) {
	at := i + 2 // fixext 8: type, then eight bytes
	if b[i] == 0xc7 {
		if i+1 >= len(b) {
			return 0, faultShort
		}
		if b[i+1] != 8 {
			return 0, faultSyntax
		}
		at = i + 3
	}
	if at+8 > len(b) {
		return 0, faultShort
	}
	if b[at-1] != 0 {
		return 0, faultSyntax
	}
	seconds, nanoseconds := binary.BigEndian.Uint32(b[at:]), binary.BigEndian.Uint32(b[at+4:])
	return int64(seconds)*nanosPerSecond + int64(nanoseconds), at + 8
}

func readSeconds(b []byte, i int) (ns int64, end int) {
	c := b[i]
	if c >= 0x80 && c < 0xe0 && (c < 0xcc || c > 0xd3) {
		return 0, faultSyntax
	}
	if i+int(sizes[c]) > len(b) {
		return 0, faultShort
	}
	seconds, end, ok := integer(b, i)
	if !ok || seconds > math.MaxInt64/nanosPerSecond || seconds < math.MinInt64/nanosPerSecond {
		return 0, faultSyntax
	}
	return seconds * nanosPerSecond, end
}

// readTimeWithMetadata reads [time, …]; what is behind the time is metadata.
func readTimeWithMetadata(b []byte, i int) (ns int64, end int) {
	n, first, ok := container(b, i, false)
	if !ok {
		return 0, faultShort
	}
	if n == 0 {
		return 0, faultSyntax
	}
	if first < len(b) && (b[first]&0xf0 == 0x90 || b[first] == 0xdc || b[first] == 0xdd) {
		return 0, faultSyntax // once is enough
	}
	ns, end = readTime(b, first)
	if end < 0 {
		return 0, end
	}
	return ns, skip(b, end, n-1, MaxDepth)
}
