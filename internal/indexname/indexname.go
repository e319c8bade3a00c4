// Package indexname makes the names of indices, data streams and ingest pipelines
// of the tag, the time and fields of a record.
//
// It knows what may stand in the name of an index of Elasticsearch and OpenSearch,
// and neither destinations nor records: how a field is found is its caller's
// business.
package indexname

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Name is a template of a name: it is made of the tag, the time and fields
// of a record. It does not change, and may be used by several goroutines at once.
//
// It is text with {tag}, {tag[0]} (the first part between dots; [-1] is the last),
// {record[FIELD]}, and the letters of strftime that make dates: %Y %y %m %d %j %H
// %M %G %V %u; %% is a percent sign. What the tag and fields give is changed so
// that it can stand in the name of an index: small letters, and a hyphen for what
// may not be there.
type Name struct {
	text  string
	parts []part
	// grain is how long a name can stay the same: a day, an hour or a minute, or 0
	// where there is no time in it.
	grain  time.Duration
	fields []string
	in     *time.Location
}

type part struct {
	text  string // of a literal
	what  byte   // 0 for a literal, t for the tag, p for a part of it, r for a field, or the letter of strftime
	index int
}

// MaxSize is the longest name of an index, in bytes.
const MaxSize = 255

// Forms are all that may stand in a name, as errors and pages name them.
const Forms = "text with {tag}, {tag[N]}, {record[FIELD]} and letters of strftime such as %Y.%m.%d"

// dateLetters are those of strftime that a name may have, with how long each stays
// the same.
var dateLetters = map[byte]time.Duration{
	'Y': 24 * time.Hour, 'y': 24 * time.Hour, 'm': 24 * time.Hour, 'd': 24 * time.Hour, 'j': 24 * time.Hour, 'G': 24 * time.Hour,
	'V': 24 * time.Hour, 'u': 24 * time.Hour, 'H': time.Hour, 'M': time.Minute,
}

// Parse reads a name. In is the zone of its dates; nil is UTC.
func Parse(text string, in *time.Location) (*Name, error) {
	if in == nil {
		in = time.UTC
	}
	n := &Name{text: text, in: in}
	literal := ""
	flush := func() {
		if literal != "" {
			n.parts = append(n.parts, part{text: literal})
			literal = ""
		}
	}
	for at := 0; at < len(text); {
		switch c := text[at]; c {
		case '%':
			if at+1 == len(text) {
				return nil, fmt.Errorf("found %q at its end; expected %s", "%", Forms)
			}
			letter := text[at+1]
			at += 2
			if letter == '%' {
				literal += "%"
				continue
			}
			grain, known := dateLetters[letter]
			if !known {
				return nil, fmt.Errorf("found %q; expected %s", "%"+string(rune(letter)), "%Y %y %m %d %j %H %M %G %V or %u, or %% for a percent sign")
			}
			if n.grain == 0 || grain < n.grain {
				n.grain = grain
			}
			flush()
			n.parts = append(n.parts, part{what: letter})
		case '{':
			end := strings.IndexByte(text[at:], '}')
			if end < 0 {
				return nil, fmt.Errorf("found %q without its end; expected %s", "{", Forms)
			}
			part, err := n.placeholder(text[at+1 : at+end])
			if err != nil {
				return nil, err
			}
			flush()
			n.parts = append(n.parts, part)
			at += end + 1
		case '}':
			return nil, fmt.Errorf("found %q without a { before it; expected %s", "}", Forms)
		default:
			if c < ' ' || c == 0x7f || c == '"' || c == '\\' {
				return nil, fmt.Errorf("found %q; expected %s", text[at:at+1], Forms)
			}
			literal += text[at : at+1]
			at++
		}
	}
	flush()
	if len(n.parts) == 0 {
		return nil, errors.New("found nothing; expected a name")
	}
	return n, nil
}

func (n *Name) placeholder(name string) (part, error) {
	if name == "tag" {
		return part{what: 't'}, nil
	}
	if number, ok := strings.CutPrefix(name, "tag["); ok {
		number, closed := strings.CutSuffix(number, "]")
		i, err := strconv.Atoi(number)
		if closed && err == nil && i > -100 && i < 100 {
			return part{what: 'p', index: i}, nil
		}
	}
	if field, ok := strings.CutPrefix(name, "record["); ok {
		field, closed := strings.CutSuffix(field, "]")
		if closed && field != "" {
			n.fields = append(n.fields, field)
			return part{what: 'r', index: len(n.fields) - 1}, nil
		}
	}
	return part{}, fmt.Errorf("found %q; expected {tag}, {tag[N]} or {record[FIELD]}", "{"+name+"}")
}

// String returns the text that was parsed.
func (n *Name) String() string { return n.text }

// Fixed reports whether the name is always the same.
func (n *Name) Fixed() bool { return len(n.parts) == 1 && n.parts[0].what == 0 }

// Dated reports whether the time is in it.
func (n *Name) Dated() bool { return n.grain > 0 }

// Fields are the fields that it is made of.
func (n *Name) Fields() []string { return n.fields }

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

// Clean changes dst[start:], which is foreign, so that it can stand in the name
// of an index: no capital letters, none of \ / * ? " < > | , # : and space, and no
// control characters. Other letters stay as they are.
func Clean(dst []byte, start int) []byte {
	ascii := true
	for i := start; i < len(dst); i++ {
		switch c := dst[i]; {
		case c >= 'A' && c <= 'Z':
			dst[i] = c + 'a' - 'A'
		case c <= ' ' || c == 0x7f || strings.IndexByte(`\/*?"<>|,#:`, c) >= 0:
			dst[i] = '-'
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	if ascii {
		return dst
	}
	return append(dst[:start], strings.ToLower(strings.ToValidUTF8(string(dst[start:]), "-"))...)
}

// Check says what is wrong with the name of an index, or returns "".
func Check(name []byte) string {
	switch {
	case len(name) == 0:
		return "the name of the index is empty"
	case len(name) > MaxSize:
		return fmt.Sprintf("the name of the index has %d bytes; expected at most %d", len(name), MaxSize)
	case name[0] == '-' || name[0] == '_' || name[0] == '+':
		return fmt.Sprintf("the name of the index begins with %q; expected none of - _ +", name[:1])
	case string(name) == "." || string(name) == "..":
		return "the name of the index is dots alone"
	}
	return ""
}

// Wrong says what is wrong with the name as that of an index, or returns "": of one
// that is made of the tag and fields, the text between them alone is looked at.
func (n *Name) Wrong() string {
	for i := range n.parts {
		text := n.parts[i].text
		if clean := Clean([]byte(text), 0); string(clean) != text {
			return fmt.Sprintf("%q, which has capital letters or characters that no name of an index may have; expected such as %q", text, clean)
		}
	}
	first := []byte(n.parts[0].text)
	if n.Fixed() {
		return Check(first)
	}
	if len(first) > 0 && (first[0] == '-' || first[0] == '_' || first[0] == '+') {
		return Check(first)
	}
	return ""
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
