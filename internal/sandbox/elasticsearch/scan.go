package elasticsearch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// maxDepth is how deep values may nest: the parser of the real nodes stops at 1000.
const maxDepth = 1000

// scanner reads JSON as RFC 8259 has it and nothing else: no other literals, no raw control characters, no invalid
// UTF-8, no key twice in one object.
type scanner struct {
	b    []byte
	i    int
	keys [][]byte // The keys of the objects that are open, one behind the other.
}

// scanError says what is wrong with a JSON text, and where.
type scanError struct {
	at   int
	what string
}

func (e *scanError) Error() string { return fmt.Sprintf("%s at byte %d", e.what, e.at) }

func (s *scanner) fail(format string, args ...any) error {
	return &scanError{s.i, fmt.Sprintf(format, args...)}
}

func (s *scanner) reset(b []byte) { s.b, s.i, s.keys = b, 0, s.keys[:0] }

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

// peek returns the next byte that is no white space, or 0.
func (s *scanner) peek() byte {
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// end fails unless nothing but white space is left.
func (s *scanner) end() error {
	if s.peek() != 0 || s.i < len(s.b) {
		return s.fail("expected nothing behind the value, found %q", s.b[s.i])
	}
	return nil
}

// value passes over one value and returns its text.
func (s *scanner) value(depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, s.fail("nested deeper than %d", maxDepth)
	}
	c := s.peek()
	start := s.i
	var err error
	switch {
	case c == '"':
		_, err = s.str()
	case c == '{':
		err = s.object(depth, nil)
	case c == '[':
		err = s.array(depth)
	case c == '-' || '0' <= c && c <= '9':
		err = s.number()
	case s.literal("true") || s.literal("false") || s.literal("null"):
	default:
		err = s.fail("expected a value, found %q", c)
	}
	return s.b[start:s.i], err
}

func (s *scanner) literal(word string) bool {
	if bytes.HasPrefix(s.b[s.i:], []byte(word)) {
		s.i += len(word)
		return true
	}
	return false
}

// object passes over an object. each, if not nil, is called at each value with its key, and must pass over the value.
func (s *scanner) object(depth int, each func(key []byte) error) error {
	if s.peek() != '{' {
		return s.fail("expected an object, found %q", s.peek())
	}
	s.i++
	mark := len(s.keys)
	defer func() { s.keys = s.keys[:mark] }()
	var many map[string]struct{}
	if s.peek() == '}' {
		s.i++
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.fail("expected a key, found %q", s.peek())
		}
		key, err := s.str()
		if err != nil {
			return err
		}
		if s.twice(mark, key, &many) {
			return s.fail("duplicate field '%s'", key)
		}
		if s.peek() != ':' {
			return s.fail("expected a colon, found %q", s.peek())
		}
		s.i++
		if each != nil {
			err = each(key)
		} else {
			_, err = s.value(depth + 1)
		}
		if err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.i++
		case '}':
			s.i++
			return nil
		default:
			return s.fail("expected a comma or the end of the object, found %q", s.peek())
		}
	}
}

// fewKeys is how many keys of an object are compared one by one.
const fewKeys = 64

// twice notes a key of the object whose keys begin at mark, and reports whether it had come before.
func (s *scanner) twice(mark int, key []byte, many *map[string]struct{}) bool {
	keys := s.keys[mark:]
	if len(keys) < fewKeys {
		for _, other := range keys {
			if bytes.Equal(other, key) {
				return true
			}
		}
		s.keys = append(s.keys, key)
		return false
	}
	if *many == nil {
		*many = make(map[string]struct{}, 4*fewKeys)
		for _, other := range keys {
			(*many)[string(other)] = struct{}{}
		}
	}
	_, known := (*many)[string(key)]
	(*many)[string(key)] = struct{}{}
	return known
}

func (s *scanner) array(depth int) error {
	s.i++
	if s.peek() == ']' {
		s.i++
		return nil
	}
	for {
		if _, err := s.value(depth + 1); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.i++
		case ']':
			s.i++
			return nil
		default:
			return s.fail("expected a comma or the end of the array, found %q", s.peek())
		}
	}
}

// number passes over a number: -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (s *scanner) number() error {
	s.skip('-')
	if !s.skip('0') && !s.digits() {
		return s.fail("expected a digit")
	}
	if s.skip('.') && !s.digits() {
		return s.fail("expected a digit behind the point")
	}
	if s.skip('e') || s.skip('E') {
		if !s.skip('+') {
			s.skip('-')
		}
		if !s.digits() {
			return s.fail("expected a digit in the exponent")
		}
	}
	return nil
}

func (s *scanner) skip(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

// str passes over a string and returns its content: part of the text where it has no escapes.
func (s *scanner) str() ([]byte, error) {
	start := s.i
	s.i++
	plain, ascii := true, true
	for s.i < len(s.b) {
		c := s.b[s.i]
		switch {
		case c == '"':
			s.i++
			return s.content(start, plain, ascii)
		case c == '\\':
			plain = false
			if err := s.escape(); err != nil {
				return nil, err
			}
		case c < 0x20:
			return nil, s.fail("control character %#x in a string", c)
		default:
			ascii = ascii && c < utf8.RuneSelf
			s.i++
		}
	}
	return nil, s.fail("the text ends in a string")
}

func (s *scanner) escape() error {
	if s.i+1 >= len(s.b) {
		return s.fail("the text ends in an escape")
	}
	switch s.b[s.i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i += 2
		return nil
	case 'u':
		if s.i+6 > len(s.b) {
			return s.fail("the text ends in an escape")
		}
		for _, c := range s.b[s.i+2 : s.i+6] {
			if !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f') {
				return s.fail("expected four hexadecimal digits, found %q", c)
			}
		}
		s.i += 6
		return nil
	}
	return s.fail("unknown escape %q", s.b[s.i+1])
}

// content returns what the string from start to the present place says.
func (s *scanner) content(start int, plain, ascii bool) ([]byte, error) {
	inner := s.b[start+1 : s.i-1]
	if !ascii && !utf8.Valid(inner) {
		return nil, &scanError{start, "invalid UTF-8 in a string"}
	}
	if plain {
		return inner, nil
	}
	var text string
	if err := json.Unmarshal(s.b[start:s.i], &text); err != nil {
		return nil, &scanError{start, err.Error()}
	}
	return []byte(text), nil
}
