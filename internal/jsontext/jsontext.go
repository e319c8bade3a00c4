// Package jsontext writes bytes as the inside of JSON strings, without the
// quotes around them: sixteen bytes at a time (eight where the processor is no
// amd64) where nothing has to be escaped, and without allocation. It knows nothing of values, keys or documents; the
// sinks that speak JSON write those around it. It is safe for concurrent use,
// as it keeps nothing.
//
// Any call may overwrite the bytes between the length and the capacity of its
// destination. Source and destination must not overlap.
package jsontext

import (
	"slices"
	"unicode/utf8"
)

// Form says how text is written. Repair and HTML may be combined with |.
type Form uint8

const (
	// Valid, the zero value, is the shortest form that RFC 8259 allows, but for
	// two rare control characters, of text that is known to be valid UTF-8. Given
	// any other text, the result is not valid JSON.
	Valid Form = 0
	// Repair takes any bytes: each that is not part of a valid UTF-8 sequence
	// becomes U+FFFD, as encoding/json has it.
	Repair Form = 1
	// HTML escapes <, > and &, and U+2028 and U+2029, too. Beside newline and
	// carriage return it has no short escapes for control characters, and a bad
	// byte becomes the six characters \ufffd. This is what Docker's json-file log
	// driver writes.
	HTML Form = 2
)

// MaxEscape is the most bytes that one byte or one rune of a source can take.
const MaxEscape = 6

// AppendString appends all of src to dst, which grows where it must, and
// returns it.
func (f Form) AppendString(dst, src []byte) []byte {
	dst = slices.Grow(dst, len(src))
	for {
		var n int
		if dst, n = f.Append(dst, src); n == len(src) {
			return dst
		}
		src = src[n:]
		dst = slices.Grow(dst, len(src)+len(src)/2+MaxEscape)
	}
}

// Append appends as much of src to dst as fits into its capacity, and returns
// dst and how many bytes of src it took. It never splits an escape or a rune,
// so up to five bytes may stay free.
func (f Form) Append(dst, src []byte) ([]byte, int) {
	room := dst[:cap(dst)]
	to, from := len(dst), 0
	for {
		n := f.copyPlain(room[to:], src[from:])
		to, from = to+n, from+n
		if from == len(src) {
			return room[:to], from
		}
		if to == len(room) {
			back := f.splitRune(src, from)
			return room[:to-back], from - back
		}
		var wrote, read int
		if src[from] < utf8.RuneSelf {
			wrote, read = f.putEscape(room[to:], src[from]), 1
		} else {
			wrote, read = f.putRune(room[to:], src[from:])
		}
		if wrote == 0 {
			return room[:to], from
		}
		to, from = to+wrote, from+read
	}
}

// copyPlain copies the bytes at the start of src that need no second look, as
// far as dst has room, and returns how many.
func (f Form) copyPlain(dst, src []byte) int {
	stop := uint64(0)
	if f&Repair != 0 {
		stop = highBits
	}
	if f&HTML != 0 {
		return copyPlainHTML(dst, src, stop)
	}
	return copyPlain(dst, src, stop)
}

// splitRune tells how many bytes of a rune have been copied when the room ended
// before src[from]. Only forms that trust their text copy a rune piecemeal.
func (f Form) splitRune(src []byte, from int) int {
	back := 0
	if f&Repair == 0 {
		for back < min(from, utf8.UTFMax-1) && !utf8.RuneStart(src[from-back]) {
			back++
		}
	}
	return back
}

const hexDigits = "0123456789abcdef"

// putEscape writes the escape of c, an ASCII character that needs one, and
// returns its length, or 0 where there is no room for it.
func (f Form) putEscape(dst []byte, c byte) int {
	short := byte(0)
	switch c {
	case '"', '\\':
		short = c
	case '\n':
		short = 'n'
	case '\r':
		short = 'r'
	case '\t':
		if f&HTML == 0 {
			short = 't'
		}
	}
	if short == 0 {
		return put(dst, `\u00`, hexDigits[c>>4], hexDigits[c&0xf])
	}
	if len(dst) < 2 {
		return 0
	}
	dst[0], dst[1] = '\\', short
	return 2
}

// putRune writes the non-ASCII rune, or the bad byte, that src begins with, and
// returns how many bytes that took of dst and of src; 0 of dst means that there
// is no room for it.
func (f Form) putRune(dst, src []byte) (int, int) {
	r, size := utf8.DecodeRune(src)
	bad := r == utf8.RuneError && size == 1
	switch {
	case bad && f&HTML != 0:
		return put(dst, `\uff`, 'f', 'd'), size
	case f&HTML != 0 && r&^1 == '\u2028':
		return put(dst, `\u20`, '2', hexDigits[r&0xf]), size
	case utf8.RuneLen(r) > len(dst):
		return 0, size
	}
	return utf8.EncodeRune(dst, r), size
}

// put writes an escape of six characters.
func put(dst []byte, head string, a, b byte) int {
	if len(dst) < MaxEscape {
		return 0
	}
	copy(dst, head)
	dst[4], dst[5] = a, b
	return MaxEscape
}
