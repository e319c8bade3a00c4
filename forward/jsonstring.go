package forward

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// string appends the string at hand. Bytes that are no UTF-8 stay as they are.
func (r *jsonReader) string() error {
	r.i++
	rest := r.b[r.i:]
	if end := bytes.IndexByte(rest, '"'); end >= 0 && bytes.IndexByte(rest[:end], '\\') < 0 {
		if control(rest[:end]) {
			return r.unexpected("a string without control characters")
		}
		r.dst = msgp.AppendStringFromBytes(r.dst, rest[:end])
		r.i += end + 1
		return nil
	}
	// Unescaped it is no longer than it is now, so the head has room for that.
	at := len(r.dst)
	r.dst = append(r.dst, 0xdb, 0, 0, 0, 0)
	for r.i < len(r.b) {
		switch c := r.b[r.i]; {
		case c == '"':
			r.i++
			n := len(r.dst) - at - 5
			var head [5]byte
			short := appendStringHead(head[:0], n)
			copy(r.dst[at:], short)
			copy(r.dst[at+len(short):], r.dst[at+5:])
			r.dst = r.dst[:at+len(short)+n]
			return nil
		case c < 0x20:
			return r.unexpected("a string without control characters")
		case c == '\\':
			if err := r.escape(); err != nil {
				return err
			}
		default:
			r.dst = append(r.dst, c)
			r.i++
		}
	}
	return r.unexpected("the end of a string")
}

func control(b []byte) bool {
	return bytes.ContainsFunc(b, func(c rune) bool { return c < 0x20 })
}

func appendStringHead(dst []byte, n int) []byte {
	switch {
	case n < 32:
		return append(dst, 0xa0|byte(n))
	case n < 1<<8:
		return append(dst, 0xd9, byte(n))
	case n < 1<<16:
		return append(dst, 0xda, byte(n>>8), byte(n))
	}
	return append(dst, 0xdb, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// escape appends what the escape sequence at hand means. Half a surrogate pair
// becomes U+FFFD.
func (r *jsonReader) escape() error {
	r.i++
	if r.i >= len(r.b) {
		return r.unexpected("an escape sequence")
	}
	c := r.b[r.i]
	switch at := bytes.IndexByte([]byte(`"\/bfnrt`), c); {
	case at >= 0:
		r.dst = append(r.dst, "\"\\/\b\f\n\r\t"[at])
		r.i++
		return nil
	case c != 'u':
		return r.unexpected("an escape sequence")
	}
	first, ok := r.hex(r.i + 1)
	if !ok {
		return r.unexpected("four hexadecimal digits")
	}
	r.i += 5
	if utf16.IsSurrogate(first) {
		second := rune(utf8.RuneError)
		if r.i+1 < len(r.b) && r.b[r.i] == '\\' && r.b[r.i+1] == 'u' {
			second, _ = r.hex(r.i + 2)
		}
		if first = utf16.DecodeRune(first, second); first != utf8.RuneError {
			r.i += 6
		}
	}
	r.dst = utf8.AppendRune(r.dst, first)
	return nil
}

// hex reads four hexadecimal digits.
func (r *jsonReader) hex(at int) (v rune, ok bool) {
	if at+4 > len(r.b) {
		return 0, false
	}
	for _, c := range r.b[at : at+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		v = v<<4 | rune(c)
	}
	return v, true
}
