package jsontext

import (
	"slices"
	"unicode/utf8"
)

// AppendASCII appends src to dst, which grows where it must, in the form Valid,
// up to the first byte that is not ASCII. It returns dst and how many bytes of
// src it took. With it a caller need not know beforehand whether text is valid:
// most is taken whole, and the rest is looked at only where there is one.
func AppendASCII(dst, src []byte) ([]byte, int) {
	for from := 0; ; {
		dst = slices.Grow(dst, len(src)-from+MaxEscape)
		wrote, read, stop := escapeASCII(dst[len(dst):cap(dst)], src[from:])
		dst, from = dst[:len(dst)+wrote], from+read
		if stop || from == len(src) {
			return dst, from
		}
	}
}

// escapeASCII appends to dst up to a byte that is not ASCII, at which it stops; it
// ends, too, where dst has no room for an escape.
func escapeASCII(dst, src []byte) (wrote, read int, stop bool) {
	d, s := dst, src
	for {
		n := copyPlain(d, s, highBits)
		d, s = d[n:], s[n:]
		if len(s) == 0 || len(d) < MaxEscape {
			return len(dst) - len(d), len(src) - len(s), false
		}
		c := s[0]
		if c >= utf8.RuneSelf {
			return len(dst) - len(d), len(src) - len(s), true
		}
		s = s[1:]
		if c == '"' || c == '\\' {
			d[0], d[1] = '\\', c
			d = d[2:]
			continue
		}
		d = d[Valid.putEscape(d, c):]
	}
}
