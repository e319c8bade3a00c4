// Package template puts the tag and the time of records into names: the path of a
// file, the name of a log stream.
//
// A template is text with placeholders in braces: {tag} is the whole tag, {tag[0]}
// its first part between dots and {tag[-1]} its last, {date} the day as 2006-01-02
// and {hour} the hour as 15, both in UTC. Two braces stand for one.
//
// It knows neither files nor destinations: what may not stand in a name is escaped
// by its callers, the sinks, and what a name may look like is checked by the
// configuration.
package template

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Field is what a placeholder stands for.
type Field uint8

// The fields.
const (
	Literal Field = iota // text of the template itself
	Tag
	TagPart
	Date
	Hour
)

// part is one piece of a template.
type part struct {
	field Field
	text  string // of a Literal
	index int    // of a TagPart; negative counts from the end
}

// Template is a parsed template. It is never changed and may be used by any number
// of goroutines.
type Template struct {
	text  string
	parts []part
}

// Error says where a template cannot be read.
type Error struct {
	Offset   int    // in bytes
	Found    string // quoted where it is text of the template
	Expected string
}

// Error returns "found … at …; expected …".
func (e *Error) Error() string {
	return fmt.Sprintf("found %s at character %d; expected %s", e.Found, e.Offset+1, e.Expected)
}

// Placeholders are all that there are, as errors and pages name them.
const Placeholders = "{tag}, {tag[N]}, {date} or {hour}"

// Parse reads a template. All errors are *Error.
func Parse(text string) (*Template, error) {
	t := &Template{text: text}
	var literal []byte
	flush := func() {
		if len(literal) > 0 {
			t.parts = append(t.parts, part{text: string(literal)})
			literal = nil
		}
	}
	for at := 0; at < len(text); {
		c := text[at]
		switch {
		case c != '{' && c != '}':
			literal = append(literal, c)
			at++
		case at+1 < len(text) && text[at+1] == c:
			literal = append(literal, c)
			at += 2
		case c == '}':
			return nil, &Error{at, `"}"`, "a { before it, or }} for a brace"}
		default:
			length := strings.IndexByte(text[at:], '}')
			if length < 0 {
				return nil, &Error{at, `"{" without its end`, "a } behind it, or {{ for a brace"}
			}
			p, ok := placeholder(text[at+1 : at+length])
			if !ok {
				return nil, &Error{at, strconv.Quote(text[at : at+length+1]), Placeholders}
			}
			flush()
			t.parts = append(t.parts, p)
			at += length + 1
		}
	}
	flush()
	return t, nil
}

// placeholder reads what stands between braces.
func placeholder(name string) (part, bool) {
	switch name {
	case "tag":
		return part{field: Tag}, true
	case "date":
		return part{field: Date}, true
	case "hour":
		return part{field: Hour}, true
	}
	number, ok := strings.CutPrefix(name, "tag[")
	number, closed := strings.CutSuffix(number, "]")
	n, err := strconv.Atoi(number)
	if !ok || !closed || err != nil || n < -99 || n > 99 {
		return part{}, false
	}
	return part{field: TagPart, index: n}, true
}

// String returns the text that was parsed.
func (t *Template) String() string { return t.text }

// Uses reports whether a placeholder of this field is in the template.
func (t *Template) Uses(f Field) bool {
	for i := range t.parts {
		if t.parts[i].field == f {
			return true
		}
	}
	return false
}

// Fixed returns the one text that the template always gives, and whether there is
// one.
func (t *Template) Fixed() (string, bool) {
	var text string
	for i := range t.parts {
		if t.parts[i].field != Literal {
			return "", false
		}
		text += t.parts[i].text
	}
	return text, true
}

// Literals calls f with each text of the template that is no placeholder.
func (t *Template) Literals(f func(text string)) {
	for i := range t.parts {
		if t.parts[i].field == Literal {
			f(t.parts[i].text)
		}
	}
}

// Append appends the text for a tag and a time. Escape appends a piece of the tag,
// changed so that it can stand in the name; nil appends it as it is. A part that
// the tag does not have is empty.
func (t *Template) Append(dst []byte, tag string, at time.Time, escape func(dst []byte, piece string) []byte) []byte {
	if escape == nil {
		escape = func(dst []byte, piece string) []byte { return append(dst, piece...) }
	}
	for i := range t.parts {
		switch p := &t.parts[i]; p.field {
		case Literal:
			dst = append(dst, p.text...)
		case Tag:
			dst = escape(dst, tag)
		case TagPart:
			dst = escape(dst, tagPart(tag, p.index))
		case Date:
			dst = at.UTC().AppendFormat(dst, time.DateOnly)
		case Hour:
			dst = at.UTC().AppendFormat(dst, "15")
		}
	}
	return dst
}

// tagPart returns the n-th part between dots, from the end if n is negative, or
// "" where there is none.
func tagPart(tag string, n int) string {
	for ; n < -1; n++ {
		dot := strings.LastIndexByte(tag, '.')
		if dot < 0 {
			return ""
		}
		tag = tag[:dot]
	}
	if n == -1 {
		return tag[strings.LastIndexByte(tag, '.')+1:]
	}
	for ; n > 0; n-- {
		dot := strings.IndexByte(tag, '.')
		if dot < 0 {
			return ""
		}
		tag = tag[dot+1:]
	}
	if dot := strings.IndexByte(tag, '.'); dot >= 0 {
		tag = tag[:dot]
	}
	return tag
}
