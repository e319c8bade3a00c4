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
	for at := 0; at < len(text); {
		size, err := n.next(text[at:])
		if err != nil {
			return nil, err
		}
		at += size
	}
	if len(n.parts) == 0 {
		return nil, errors.New("found nothing; expected a name")
	}
	return n, nil
}

// next adds what a text begins with, and returns how long that is.
func (n *Name) next(text string) (size int, err error) {
	switch c := text[0]; {
	case c == '%':
		return 2, n.date(text)
	case c == '{':
		end := strings.IndexByte(text, '}')
		if end < 0 {
			return 0, fmt.Errorf("found %q without its end; expected %s", "{", Forms)
		}
		p, err := n.placeholder(text[1:end])
		n.parts = append(n.parts, p)
		return end + 1, err
	case c == '}':
		return 0, fmt.Errorf("found %q without a { before it; expected %s", "}", Forms)
	case c < ' ' || c == 0x7f || c == '"' || c == '\\':
		return 0, fmt.Errorf("found %q; expected %s", text[:1], Forms)
	}
	n.literal(text[:1])
	return 1, nil
}

// literal adds text that stands in the name as it is.
func (n *Name) literal(text string) {
	if last := len(n.parts) - 1; last >= 0 && n.parts[last].what == 0 {
		n.parts[last].text += text
		return
	}
	n.parts = append(n.parts, part{text: text})
}

// date adds the letter of strftime, or the percent sign, that a text begins with.
func (n *Name) date(text string) error {
	if len(text) == 1 {
		return fmt.Errorf("found %q at its end; expected %s", "%", Forms)
	}
	letter := text[1]
	if letter == '%' {
		n.literal("%")
		return nil
	}
	grain, known := dateLetters[letter]
	if !known {
		return fmt.Errorf("found %q; expected %s", "%"+string(rune(letter)), "%Y %y %m %d %j %H %M %G %V or %u, or %% for a percent sign")
	}
	if n.grain == 0 || grain < n.grain {
		n.grain = grain
	}
	n.parts = append(n.parts, part{what: letter})
	return nil
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
	return part{}, fmt.Errorf("found %q; expected {tag}, {tag[N]} or {record[FIELD]}, or a date such as %%Y.%%m.%%d", "{"+name+"}")
}

// String returns the text that was parsed.
func (n *Name) String() string { return n.text }

// Fixed reports whether the name is always the same.
func (n *Name) Fixed() bool { return len(n.parts) == 1 && n.parts[0].what == 0 }

// Dated reports whether the time is in it.
func (n *Name) Dated() bool { return n.grain > 0 }

// Fields are the fields that it is made of.
func (n *Name) Fields() []string { return n.fields }
