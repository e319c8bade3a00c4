package jsonscan

import (
	"bytes"
	"fmt"
)

// object reads the outermost object.
//
// What makes the walk short is that its last byte, but for white space, is known to
// be a brace before it begins: no token but a closing brace can be the last, so
// that there is always a byte behind a string, a number or white space, and only a
// closing brace must be asked whether something follows it.
func (s *Scanner) object() *Error {
	src := s.src
	start, end := 0, len(src)
	for start < end && isSpace(src[start]) {
		start++
	}
	for end > start && isSpace(src[end-1]) {
		end--
	}
	switch {
	case start == end:
		return &Error{start, "nothing", "a JSON object"}
	case src[start] != '{':
		return s.fail(start, "a JSON object, which begins with {")
	case src[end-1] != '}' || end-start < 2:
		return &Error{end, "the end", "the } of the object that begins at byte " + fmt.Sprint(start+1)}
	}
	s.src = src[:end:end]
	s.open, s.shut = start, end-1
	s.mark()
	at := s.topLevel(start + 1)
	if at < 0 {
		return s.err
	}
	if at < end {
		at = s.space(at)
		return s.fail(at, "nothing behind the object")
	}
	return nil
}

// topLevel reads what is behind the brace of the outermost object, and returns what
// is behind the other, or -1.
func (s *Scanner) topLevel(at int) int {
	src := s.src
	if src[at] <= ' ' {
		at = s.space(at)
	}
	if src[at] == '}' {
		return at + 1
	}
	for {
		if at = s.topMember(at); at < 0 {
			return at
		}
		if at == len(src) {
			return s.bad(at, "a comma or }")
		}
		if src[at] <= ' ' {
			at = s.space(at)
		}
		switch src[at] {
		case ',':
			if at++; src[at] <= ' ' {
				at = s.space(at)
			}
		case '}':
			return at + 1
		default:
			return s.bad(at, "a comma or }")
		}
	}
}

// topMember reads a key of the outermost object and its value, and returns what is
// behind that, or -1. A wanted one is noted.
func (s *Scanner) topMember(start int) int {
	src := s.src
	if src[start] != '"' {
		return s.bad(start, `a key, which begins with "`)
	}
	next, seen := s.near(start+1), s.all
	if next == 0 {
		if next, seen = s.text(start + 1); next < 0 {
			return s.badText(start, ^next)
		}
	}
	key := -1
	if s.keys.lengths>>min(next-start-2, 63)&1 != 0 || seen&escaped != 0 {
		key = s.find(src[start+1:next-1], seen)
	}
	s.seen |= seen
	value := next + 1
	if src[next] != ':' || src[value] <= ' ' {
		if value = s.colon(next); value < 0 {
			return value
		}
	}
	at := value
	if src[at] == '"' { // Most are: this spares them a call.
		if at = s.near(at + 1); at == 0 {
			if at, seen = s.text(value + 1); at < 0 {
				return s.badText(value, ^at)
			}
		}
		s.seen |= seen
	} else if at = s.value(at, MaxDepth-1); at < 0 {
		return at
	}
	s.members++
	if key >= 0 && !s.note(member{key, start, at, value}) {
		return -1
	}
	return at
}

// find returns the number of the wanted key that stands between quotes, or -1. A
// key may be written with escapes.
func (s *Scanner) find(key []byte, seen uint64) int {
	if seen&escaped != 0 && bytes.IndexByte(key, '\\') >= 0 {
		s.name = unescape(s.name[:0], key)
		key = s.name
	}
	return s.keys.find(key)
}

// note remembers a member with a wanted key.
func (s *Scanner) note(m member) bool {
	if len(s.found) == maxFound {
		s.err = &Error{m.start, "the key " + fmt.Sprintf("%q", s.keys.names[m.key]) + " again", fmt.Sprintf("at most %d members with the keys looked for", maxFound)}
		return false
	}
	s.found = append(s.found, m)
	s.last[m.key] = len(s.found)
	return true
}
