package elasticsearch

import (
	"strconv"
	"time"
)

// TimeFormat is how the event time is written.
type TimeFormat string

// The formats of times.
const (
	TimeRFC3339 TimeFormat = "rfc3339"      // with nanoseconds, in UTC
	TimeMillis  TimeFormat = "rfc3339-ms"   // with milliseconds, in UTC
	EpochMillis TimeFormat = "epoch-millis" // a number
	EpochSecond TimeFormat = "epoch-second" // a number
)

// clock writes times. Neighbours share their second, so its text is kept.
type clock struct {
	format TimeFormat
	second int64
	text   [len("2006-01-02T15:04:05.")]byte
	known  bool
}

// append appends the time of ns nanoseconds since 1970 as a JSON value.
func (c *clock) append(dst []byte, ns int64) []byte {
	switch c.format {
	case EpochMillis:
		return strconv.AppendInt(dst, floorDiv(ns, int64(time.Millisecond)), 10)
	case EpochSecond:
		return strconv.AppendInt(dst, floorDiv(ns, int64(time.Second)), 10)
	}
	second := floorDiv(ns, int64(time.Second))
	if !c.known || second != c.second {
		c.second, c.known = second, true
		time.Unix(second, 0).UTC().AppendFormat(c.text[:0], "2006-01-02T15:04:05.")
	}
	fraction, digits := uint32(ns-second*int64(time.Second)), 9
	if c.format == TimeMillis {
		fraction, digits = fraction/1e6, 3
	}
	dst = append(dst, '"')
	dst = append(dst, c.text[:]...)
	var d [9]byte
	for i := digits - 1; i >= 0; i-- {
		d[i] = '0' + byte(fraction%10)
		fraction /= 10
	}
	dst = append(dst, d[:digits]...)
	return append(dst, 'Z', '"')
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
