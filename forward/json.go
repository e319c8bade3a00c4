package forward

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/tinylib/msgp/msgp"
)

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

// ParseJSON reads one whole JSON message, in Message or Forward mode, and appends
// its entries to dst, as msgpack. They take at most three times the bytes of b.
// Keys that an object of up to 4,096 has twice keep their last value, numbers with a fraction
// become floats (as a time, an EventTime), and integers that no 64 bits hold
// become strings. See Parse for the rest; the acknowledgement is JSON then.
func ParseJSON(dst, b []byte, m *Message) ([]byte, error) {
	r := jsonReader{b: b, dst: dst}
	*m = Message{Size: -1, ack: ackID{json: true}}
	start := len(dst)
	err := r.message(m)
	if err == nil && m.Mode != 0 {
		m.Payload = r.dst[start:r.payload:r.payload]
		if r.option > 0 {
			err = m.parseOption(r.dst[r.option:])
		}
	}
	return r.dst, err
}

func (a ackID) appendJSON(dst []byte) []byte {
	raw := []byte(a.raw)
	dst = append(dst, `{"ack":`...)
	if v, _, ok := integer(raw, 0); ok {
		return append(strconv.AppendInt(dst, v, 10), '}')
	}
	id, _, _ := text(raw, 0)
	quoted, err := json.Marshal(string(id))
	if err != nil {
		panic(err) // a string is always JSON
	}
	return append(append(dst, quoted...), '}')
}

// jsonReader turns JSON into msgpack.
type jsonReader struct {
	b, dst  []byte
	i       int
	payload int // where the entries end in dst
	option  int // where the option map begins in dst; 0 where there is none
}

func (r *jsonReader) unexpected(want string) error {
	found := "the end"
	if r.i < len(r.b) {
		found = strconv.QuoteRune(rune(r.b[r.i]))
	}
	return &SyntaxError{Want: want, Found: found, Offset: int64(r.i)}
}

// peek skips white space and returns the next byte, or 0 at the end.
func (r *jsonReader) peek() byte {
	for ; r.i < len(r.b); r.i++ {
		switch c := r.b[r.i]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (r *jsonReader) take(c byte, want string) error {
	if r.peek() != c {
		return r.unexpected(want)
	}
	r.i++
	return nil
}

// message reads [tag, time, record, option] or [tag, entries, option].
func (r *jsonReader) message(m *Message) error {
	if err := r.take('[', "a message: an array of a tag and entries"); err != nil {
		return err
	}
	before := len(r.dst)
	if r.peek() != '"' {
		return r.unexpected("a tag: a string")
	}
	if err := r.value(0); err != nil {
		return err
	}
	tag, _, _ := text(r.dst, before)
	if len(tag) > MaxTag {
		return &LimitError{What: "tag", Bytes: int64(len(tag)), Limit: MaxTag}
	}
	m.Tag = string(tag)
	r.dst = r.dst[:before]
	if err := r.take(',', "a comma"); err != nil {
		return err
	}
	if r.peek() == '[' {
		m.Mode = ModeForward
		if err := r.entries(); err != nil {
			return err
		}
	} else {
		m.Mode = ModeMessage
		if err := r.entry(','); err != nil {
			return err
		}
	}
	r.payload = len(r.dst)
	if r.peek() == ',' {
		r.i++
		r.option = len(r.dst)
		if err := r.value(MaxDepth); err != nil {
			return err
		}
	}
	if err := r.take(']', "the end of the message"); err != nil {
		return err
	}
	if r.peek() != 0 {
		return r.unexpected("the end")
	}
	return nil
}

// entries reads an array of entries. What is no array of two stays as it is, an
// invalid entry.
func (r *jsonReader) entries() error {
	r.i++
	if r.peek() == ']' {
		r.i++
		return nil
	}
	for {
		start, mark := r.i, len(r.dst)
		ok := false
		if r.peek() == '[' {
			r.i++
			ok = r.entry(',') == nil && r.take(']', "") == nil
		}
		if !ok {
			r.i, r.dst = start, r.dst[:mark]
			if err := r.value(MaxDepth + 2); err != nil {
				return err
			}
		}
		if r.peek() != ',' {
			return r.take(']', "a comma or the end of the entries")
		}
		r.i++
	}
}

// entry reads a time and a record.
func (r *jsonReader) entry(between byte) error {
	r.dst = append(r.dst, 0x92)
	if err := r.time(); err != nil {
		return err
	}
	if err := r.take(between, "a comma"); err != nil {
		return err
	}
	return r.value(MaxDepth + 1)
}

// time reads a time: a number with a fraction becomes an EventTime.
func (r *jsonReader) time() error {
	at := len(r.dst)
	if err := r.value(MaxDepth); err != nil {
		return err
	}
	if r.dst[at] != 0xcb {
		return nil
	}
	// The bytes behind the head are the float that was just read from the text.
	seconds, _, err := msgp.ReadFloat64Bytes(r.dst[at:])
	if err != nil {
		return r.unexpected("a time")
	}
	if math.Abs(seconds) > 1<<33 {
		return nil // stays as it is, an invalid entry
	}
	whole, part := math.Modf(seconds)
	ns := int64(math.Round(part*1e6)) * int64(time.Microsecond) // a float of today's time has no more digits
	r.dst = AppendNanoseconds(r.dst[:at], int64(whole)*nanosPerSecond+ns)
	return nil
}

// value appends the next value, nested at most depth deep.
func (r *jsonReader) value(depth int) error {
	switch c := r.peek(); {
	case c == '"':
		return r.string()
	case c == '{':
		return r.object(depth)
	case c == '[':
		return r.array(depth)
	case c == '-' || c >= '0' && c <= '9':
		return r.number()
	}
	for _, word := range [...]struct {
		text string
		code byte
	}{{"null", 0xc0}, {"true", 0xc3}, {"false", 0xc2}} {
		if end := r.i + len(word.text); end <= len(r.b) && string(r.b[r.i:end]) == word.text {
			r.i = end
			r.dst = append(r.dst, word.code)
			return nil
		}
	}
	return r.unexpected("a JSON value")
}

func (r *jsonReader) array(depth int) error {
	if depth <= 0 {
		return &LimitError{What: "nesting", Bytes: MaxDepth + 1, Limit: MaxDepth}
	}
	at, n := len(r.dst), 0
	r.dst = append(r.dst, 0x90)
	r.i++
	if r.peek() == ']' {
		r.i++
		return nil
	}
	for {
		if err := r.value(depth - 1); err != nil {
			return err
		}
		n++
		if r.peek() != ',' {
			r.dst = putHead(r.dst, at, n, 0x90, 0xdc)
			return r.take(']', "a comma or the end of an array")
		}
		r.i++
	}
}

func (r *jsonReader) object(depth int) error {
	if depth <= 0 {
		return &LimitError{What: "nesting", Bytes: MaxDepth + 1, Limit: MaxDepth}
	}
	at := len(r.dst)
	r.dst = append(r.dst, 0x80)
	r.i++
	if r.peek() == '}' {
		r.i++
		return nil
	}
	n := 0
	for {
		if r.peek() != '"' {
			return r.unexpected("a key: a string")
		}
		if err := r.string(); err != nil {
			return err
		}
		if err := r.take(':', "a colon"); err != nil {
			return err
		}
		if err := r.value(depth - 1); err != nil {
			return err
		}
		n++
		if r.peek() != ',' {
			break
		}
		r.i++
	}
	r.dst, n = withoutRepeated(r.dst, at+1, n)
	r.dst = putHead(r.dst, at, n, 0x80, 0xde)
	return r.take('}', "a comma or the end of an object")
}

// maxDistinct is the largest object whose keys are compared, since that takes
// memory for each of them.
const maxDistinct = 4096

// withoutRepeated removes from the n pairs at dst[at] those whose key comes
// again.
func withoutRepeated(dst []byte, at, n int) ([]byte, int) {
	if n < 2 || n > maxDistinct {
		return dst, n
	}
	last := make(map[string]int, n)
	pairs := make([][3]int, n)
	for i, pos := 0, at; i < n; i++ {
		_, value, _ := text(dst, pos)
		pairs[i] = [3]int{pos, value, skipFlat(dst, value)}
		last[string(dst[pos:value])] = i
		pos = pairs[i][2]
	}
	if len(last) == n {
		return dst, n
	}
	end := at
	for i, p := range pairs {
		if last[string(dst[p[0]:p[1]])] == i {
			end += copy(dst[end:], dst[p[0]:p[2]])
		}
	}
	return dst[:end], len(last)
}

// putHead writes the head of an array or map of n elements at dst[at], where one
// byte is free for it.
func putHead(dst []byte, at, n int, fix, wide byte) []byte {
	switch {
	case n < 16:
		dst[at] = fix | byte(n)
	case n <= math.MaxUint16:
		dst = append(dst, 0, 0)
		copy(dst[at+3:], dst[at+1:])
		copy(dst[at:], []byte{wide, byte(n >> 8), byte(n)})
	default:
		dst = append(dst, 0, 0, 0, 0)
		copy(dst[at+5:], dst[at+1:])
		copy(dst[at:], []byte{wide + 1, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	}
	return dst
}

// number appends an integer, or else a float.
func (r *jsonReader) number() error {
	from := r.i
	for r.i < len(r.b) {
		if c := r.b[r.i]; (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c|0x20 != 'e' {
			break
		}
		r.i++
	}
	text := string(r.b[from:r.i])
	if !json.Valid([]byte(text)) {
		r.i = from
		return r.unexpected("a number")
	}
	if v, err := strconv.ParseInt(text, 10, 64); err == nil {
		r.dst = msgp.AppendInt64(r.dst, v)
	} else if v, err := strconv.ParseUint(text, 10, 64); err == nil {
		r.dst = msgp.AppendUint64(r.dst, v)
	} else if v, err := strconv.ParseFloat(text, 64); err == nil && !isInteger(text) {
		r.dst = msgp.AppendFloat64(r.dst, v)
	} else {
		r.dst = msgp.AppendString(r.dst, text)
	}
	return nil
}

func isInteger(number string) bool {
	for _, c := range []byte(number) {
		if c != '-' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
