package timepattern

import (
	"strconv"
	"time"
)

// AppendFormat appends the time of so many nanoseconds since 1970 as the pattern has
// it, in its zone.
func (p *Pattern) AppendFormat(dst []byte, ns int64) []byte {
	t := time.Unix(0, ns).In(p.zone)
	for i := range p.elements {
		dst = p.elements[i].append(dst, t)
	}
	return dst
}

func (e *element) append(dst []byte, t time.Time) []byte {
	switch e.field {
	case literal, blank:
		return append(dst, e.text...)
	case monthName:
		return e.appendName(dst, t.Month().String())
	case weekdayName:
		return e.appendName(dst, t.Weekday().String())
	case halfDay:
		return e.appendHalf(dst, t)
	case zone:
		return appendZone(dst, t, e.width)
	case fraction:
		return appendFraction(dst, t.Nanosecond(), int(e.width))
	case epoch:
		return strconv.AppendInt(dst, t.Unix(), 10)
	case epochMillis:
		return strconv.AppendInt(dst, t.UnixMilli(), 10)
	case epochMicros:
		return strconv.AppendInt(dst, t.UnixMicro(), 10)
	case epochNanos:
		return strconv.AppendInt(dst, t.UnixNano(), 10)
	}
	return appendNumber(dst, e.number(t), int(e.width), e.pad)
}

// number is what a field that is written as a number has at a time.
func (e *element) number(t time.Time) int {
	switch e.field {
	case year:
		return t.Year()
	case shortYear:
		if e.width == 1 {
			return t.Year() // the single y of a Java pattern
		}
		return t.Year() % 100
	case month:
		return int(t.Month())
	case day:
		return t.Day()
	case yearDay:
		return t.YearDay()
	case hour:
		return t.Hour()
	case hour24:
		return (t.Hour()+23)%24 + 1
	case hour11:
		return t.Hour() % 12
	case hour12:
		return (t.Hour()+11)%12 + 1
	case minute:
		return t.Minute()
	case second:
		return t.Second()
	case weekday:
		return (int(t.Weekday())+6)%7 + 1
	default: // weekday0
		return int(t.Weekday())
	}
}

func (e *element) appendName(dst []byte, name string) []byte {
	if e.width == 3 {
		name = name[:3]
	}
	return append(dst, name...)
}

func (e *element) appendHalf(dst []byte, t time.Time) []byte {
	half := "AM"
	if t.Hour() >= 12 {
		half = "PM"
	}
	if e.small {
		return append(dst, half[0]|0x20, 'm')
	}
	return append(dst, half...)
}

// appendFraction appends so many digits of a fraction of a second, cut off.
func appendFraction(dst []byte, ns, digits int) []byte {
	var nine [9]byte
	for i := len(nine) - 1; i >= 0; i-- {
		nine[i] = byte('0' + ns%10)
		ns /= 10
	}
	dst = append(dst, nine[:min(digits, 9)]...)
	for range digits - 9 {
		dst = append(dst, '0')
	}
	return dst
}

// appendNumber appends n, which is not negative, in at least width characters.
func appendNumber(dst []byte, n, width int, pad byte) []byte {
	digits := 1
	for m := n; m >= 10; m /= 10 {
		digits++
	}
	if pad != 0 {
		for range width - digits {
			dst = append(dst, pad)
		}
	}
	return strconv.AppendInt(dst, int64(n), 10)
}
