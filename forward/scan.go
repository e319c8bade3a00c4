package forward

import "math"

// Scanner finds where the messages of a connection end while they arrive. It
// reads each head once, however small the pieces, and says as early as can be
// how much a message will need: for PackedForward, and for any long string, as
// soon as the length is there. Memory is the caller's. The zero value is ready
// and stands at the beginning of a message, which may be any msgpack value.
type Scanner struct {
	// Limit is the largest message, in bytes; 0 means DefaultMaxMessage.
	Limit int64

	begun bool
	pos   int64 // where the next head stands, from the beginning of the message
	base  int64 // what of the message the caller has put away
	top   int64 // elements of the message still to come
	inner int64 // values still to come inside the present one
	elems [4]int64
	n     int // elements begun
}

// Scan looks at b, which holds the message from its beginning, or from what
// Discard left on: the bytes of the call before, and more behind them. size is
// the message's whole size once all of it is there, and 0 before; need is then
// the size that it will have at least. Both count from the message's beginning.
//
// It returns a *LimitError as soon as the message needs more than the limit, and
// a *SyntaxError for a byte that msgpack does not use. Nesting is not limited
// here: it costs nothing.
func (s *Scanner) Scan(b []byte) (size, need int64, err error) {
	limit := s.Limit
	if limit <= 0 {
		limit = DefaultMaxMessage
	}
	if !s.begun {
		if len(b) == 0 {
			return 0, 1, nil
		}
		s.begun, s.top = true, 1
		if c := b[0]; c&0xf0 == 0x90 || c == 0xdc || c == 0xdd {
			n, first, ok := container(b, 0, false)
			if !ok {
				s.begun = false
				return 0, int64(len(b)) + 1, nil
			}
			s.top, s.pos = n, int64(first)
		}
	}
	for s.top+s.inner > 0 {
		need := s.pos + s.top + s.inner
		if need > limit {
			return 0, need, &LimitError{What: "message", Bytes: need, Limit: limit}
		}
		at := s.pos - s.base
		if at >= int64(len(b)) {
			return 0, need, nil
		}
		size, children := head(b, int(at))
		if size == faultSyntax {
			return 0, need, &SyntaxError{Want: "a msgpack value", Found: describe(b, int(at)), Offset: s.pos}
		}
		if size < 0 {
			return 0, max(need, s.base+int64(len(b))+1), nil
		}
		if s.inner == 0 {
			if s.n < len(s.elems) {
				s.elems[s.n] = s.pos
			}
			s.n++
			s.top--
			s.inner = children
		} else {
			s.inner += children - 1
		}
		s.pos += size
	}
	if s.pos > limit {
		return 0, s.pos, &LimitError{What: "message", Bytes: s.pos, Limit: limit}
	}
	if s.pos > s.base+int64(len(b)) {
		return 0, s.pos, nil
	}
	return s.pos, s.pos, nil
}

// Discard says that the next Scan will begin n bytes later: the caller has put
// the first n bytes elsewhere. They must not reach beyond Kept.
func (s *Scanner) Discard(n int) { s.base += int64(n) }

// Kept is where the next Scan must be able to read from on, from the
// message's beginning: nothing before it is looked at again.
func (s *Scanner) Kept() int64 { return s.pos }

// Reset makes the scanner ready for the next message.
func (s *Scanner) Reset() { *s = Scanner{Limit: s.Limit} }

// element returns where element i of the scanned message begins, and where it
// ends.
func (s *Scanner) element(i int) (from, end int64) {
	end = s.pos
	if i+1 < min(s.n, len(s.elems)) {
		end = s.elems[i+1]
	}
	return s.elems[i], end
}

// peekTag returns the tag of a message that is not whole, if it is in b, which
// holds the message from its beginning on.
func (s *Scanner) peekTag(b []byte) string {
	if s.n == 0 || s.base > 0 {
		return ""
	}
	tag, _, _ := text(b, int(s.elems[0]))
	return string(tag[:min(len(tag), MaxTag)])
}

// Parse reads the message that Scan found to be whole; b is all of it. It
// resets the scanner. See Parse for what m holds then.
func (s *Scanner) Parse(b []byte, m *Message) error {
	defer s.Reset()
	if s.n > math.MaxInt32 {
		return unexpected("a message", b, 0)
	}
	return m.parse(b, s)
}
