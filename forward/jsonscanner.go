package forward

import "strconv"

// JSONScanner finds where the JSON messages of a connection end while they
// arrive: it reads each byte once. A connection speaks JSON where its first byte
// is { or [. The zero value is ready.
type JSONScanner struct {
	// Limit is the largest message, in bytes; 0 means DefaultMaxMessage.
	Limit int64

	pos     int64
	depth   int64
	text    bool // inside a string
	escaped bool
	whole   bool
}

// Scan looks at b, which holds the message from its beginning on: the bytes of
// the call before, and more behind them. White space before the message is part
// of it. size is the message's size once all of it is there, and 0 before.
func (s *JSONScanner) Scan(b []byte) (size int64, err error) {
	limit := s.Limit
	if limit <= 0 {
		limit = DefaultMaxMessage
	}
	if s.whole {
		return s.pos, nil
	}
	for ; s.pos < int64(len(b)); s.pos++ {
		if s.pos >= limit {
			return 0, &LimitError{What: "message", Bytes: s.pos + 1, Limit: limit}
		}
		switch c := b[s.pos]; {
		case s.escaped:
			s.escaped = false
		case s.text:
			s.escaped, s.text = c == '\\', c != '"'
		case c == '"':
			s.text = true
		case c == '[' || c == '{':
			s.depth++
		case c == ']' || c == '}':
			s.depth--
		}
		if s.depth > 0 {
			continue
		}
		switch c := b[s.pos]; c {
		case ']', '}':
			if s.depth < 0 {
				return 0, &SyntaxError{Want: "a JSON array", Found: strconv.QuoteRune(rune(c)), Offset: s.pos}
			}
			s.pos, s.whole = s.pos+1, true
			return s.pos, nil
		case ' ', '\t', '\r', '\n':
		default:
			return 0, &SyntaxError{Want: "a JSON array", Found: strconv.QuoteRune(rune(c)), Offset: s.pos}
		}
	}
	return 0, nil
}

// Reset makes the scanner ready for the next message.
func (s *JSONScanner) Reset() { *s = JSONScanner{Limit: s.Limit} }
