package indexname

import (
	"strconv"
	"strings"
	"time"
)

// Append appends the name for a record with that tag and time. Field appends what the i-th of Fields has,
// and says whether there is any.
func (n *Name) Append(dst []byte, tag string, ns int64, field func(dst []byte, i int) ([]byte, bool)) []byte {
	at := time.Time{}
	if n.grain > 0 {
		at = time.Unix(0, ns).In(n.in)
	}
	for i := range n.parts {
		switch p := &n.parts[i]; p.what {
		case 0:
			dst = append(dst, p.text...)
		case 't':
			start := len(dst)
			dst = append(dst, tag...)
			dst = Clean(dst, start)
		case 'p':
			start := len(dst)
			dst = append(dst, tagPart(tag, p.index)...)
			dst = Clean(dst, start)
		case 'r':
			start := len(dst)
			var ok bool
			if dst, ok = field(dst, p.index); !ok {
				dst = append(dst[:start], missingField...)
			}
			dst = Clean(dst, start)
		default:
			dst = appendDate(dst, p.what, at)
		}
	}
	return dst
}

// missingField stands in a name for a field that a record does not have.
const missingField = "none"

func appendDate(dst []byte, letter byte, at time.Time) []byte {
	switch letter {
	case 'Y':
		return appendPadded(dst, at.Year(), 4)
	case 'y':
		return appendPadded(dst, at.Year()%100, 2)
	case 'm':
		return appendPadded(dst, int(at.Month()), 2)
	case 'd':
		return appendPadded(dst, at.Day(), 2)
	case 'j':
		return appendPadded(dst, at.YearDay(), 3)
	case 'H':
		return appendPadded(dst, at.Hour(), 2)
	case 'M':
		return appendPadded(dst, at.Minute(), 2)
	case 'u':
		return append(dst, '0'+byte((at.Weekday()+6)%7+1))
	}
	year, week := at.ISOWeek()
	if letter == 'G' {
		return appendPadded(dst, year, 4)
	}
	return appendPadded(dst, week, 2)
}

func appendPadded(dst []byte, n, width int) []byte {
	var digits [20]byte
	text := strconv.AppendInt(digits[:0], int64(n), 10)
	for range width - len(text) {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}

// tagPart returns the n-th part between dots, from the end if n is negative, or
// "" where there is none.
func tagPart(tag string, n int) string {
	parts := strings.Count(tag, ".") + 1
	if n < 0 {
		n += parts
	}
	if n < 0 || n >= parts {
		return ""
	}
	for ; n > 0; n-- {
		tag = tag[strings.IndexByte(tag, '.')+1:]
	}
	before, _, _ := strings.Cut(tag, ".")
	return before
}
