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
	if digits == 3 {
		return append(dst, '0'+byte(fraction/100), '0'+byte(fraction/10%10), '0'+byte(fraction%10), 'Z', '"')
	}
	// Nine digits are one and four pairs.
	top := fraction / 1e8
	high, low := fraction/1e4%1e4, fraction%1e4
	dst = append(dst, '0'+byte(top))
	dst = append(append(dst, pair(high/100)...), pair(high%100)...)
	dst = append(append(dst, pair(low/100)...), pair(low%100)...)
	return append(dst, 'Z', '"')
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// pairs are the numbers below a hundred, in two digits each.
var pairs = func() (all [200]byte) {
	for i := range 100 {
		all[2*i], all[2*i+1] = '0'+byte(i/10), '0'+byte(i%10)
	}
	return all
}()

func pair(n uint32) []byte { return pairs[2*n : 2*n+2] }
