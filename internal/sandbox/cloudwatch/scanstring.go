package cloudwatch

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// text is a JSON string inside a body: where it stands and how long its unescaped form is.
type text struct {
	off, raw uint32 // The bytes between the quotes, as written.
	length   uint32 // UTF-8 bytes once unescaped.
	escaped  bool   // Whether raw and unescaped form differ.
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// specials sets the top bit of each byte of x that ends a run of plain string bytes: quote, backslash, control. Bytes
// above the lowest one marked may be marked wrongly (by a borrow), so only the lowest counts.
func specials(x uint64) uint64 {
	flipped := x ^ 0x02*ones // Below 0x21 for controls and the quote, and for nothing else.
	slash := x ^ 0x5c*ones
	return ((flipped-0x21*ones)&^flipped | (slash-ones)&^slash) & highs
}

// scanString reads the JSON string whose opening quote stands just before body[at]. It returns the string and the
// index behind its closing quote, or ok false for anything that is no valid JSON string in valid UTF-8.
func scanString(body []byte, at int) (t text, next int, ok bool) {
	start, shrink := at, 0
	var high uint64
	for {
		at, high = plainRun(body, at, high)
		if at >= len(body) {
			return t, at, false
		}
		if body[at] == '"' {
			break
		}
		if body[at] != '\\' {
			return t, at, false // A raw control character.
		}
		written, means, good := escape(body[at:])
		if !good {
			return t, at, false
		}
		at += written
		shrink += written - means
	}
	raw := body[start:at]
	if high != 0 && !utf8.Valid(raw) {
		return t, at, false
	}
	t = text{off: uint32(start), raw: uint32(len(raw)), length: uint32(len(raw) - shrink), escaped: shrink != 0}
	return t, at + 1, true
}

// plainRun returns the index of the next quote, backslash or control character, or len(body), and high with a top bit
// set if a byte above 0x7f was passed. Thirty-two bytes are tested at a time: this loop is nearly all that a request
// costs.
func plainRun(body []byte, at int, high uint64) (int, uint64) {
	for at+32 <= len(body) {
		b := body[at : at+32 : at+32]
		w0, w1 := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		w2, w3 := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
		if (specials(w0) | specials(w1) | specials(w2) | specials(w3)) != 0 {
			break
		}
		high |= (w0 | w1 | w2 | w3) & highs
		at += 32
	}
	for at+8 <= len(body) {
		w := binary.LittleEndian.Uint64(body[at:])
		if m := specials(w); m != 0 {
			n := bits.TrailingZeros64(m) &^ 7 // Bits before the special byte.
			return at + n>>3, high | w&highs&(1<<n-1)
		}
		high |= w & highs
		at += 8
	}
	for ; at < len(body); at++ {
		c := body[at]
		if c == '"' || c == '\\' || c < 0x20 {
			break
		}
		high |= uint64(c) & 0x80
	}
	return at, high
}

// escape measures the escape sequence at the start of b: how many bytes it takes and how many UTF-8 bytes it means. A
// surrogate without its partner means U+FFFD, as encoding/json has it.
func escape(b []byte) (written, means int, ok bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, 1, true
	case 'u':
		r, n, ok := unicodeEscape(b)
		return n, utf8.RuneLen(r), ok
	}
	return 0, 0, false
}

// unicodeEscape decodes \uXXXX, or a pair of them, at the start of b.
func unicodeEscape(b []byte) (r rune, n int, ok bool) {
	r, ok = hex4(b)
	if !ok {
		return utf8.RuneError, 0, false
	}
	if !utf16.IsSurrogate(r) {
		return r, 6, true
	}
	if low, ok := hex4(b[6:]); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12, true
		}
	}
	return utf8.RuneError, 6, true
}

// hex4 reads \uXXXX at the start of b as one UTF-16 unit.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// appendUnescaped appends the unescaped form of raw, which scanString has found good, to dst. It stops once dst has
// grown by at least limit bytes; a negative limit means no limit.
func appendUnescaped(dst, raw []byte, limit int) []byte {
	start := len(dst)
	for len(raw) > 0 && (limit < 0 || len(dst)-start < limit) {
		plain := bytes.IndexByte(raw, '\\')
		if plain < 0 {
			plain = len(raw)
		}
		if limit >= 0 {
			plain = min(plain, max(limit-(len(dst)-start), 0))
		}
		dst = append(dst, raw[:plain]...)
		raw = raw[plain:]
		if len(raw) == 0 || raw[0] != '\\' {
			continue
		}
		n := 2
		switch c := raw[1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			var r rune
			r, n, _ = unicodeEscape(raw) // Found good by scanString.
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
		raw = raw[n:]
	}
	return dst
}
