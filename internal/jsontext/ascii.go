package jsontext

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// AppendASCII appends src to dst, which grows where it must, in the form Valid,
// up to the first byte that is not ASCII. It returns dst and how many bytes of
// src it took. With it a caller need not know beforehand whether text is valid:
// most is taken whole, and the rest is looked at only where there is one.
func AppendASCII(dst, src []byte) ([]byte, int) {
	for from := 0; ; {
		dst = slices.Grow(dst, len(src)-from+2*8)
		wrote, read, stop := escapeASCII(dst[len(dst):cap(dst)], src[from:])
		dst, from = dst[:len(dst)+wrote], from+read
		if stop || from == len(src) {
			return dst, from
		}
	}
}

// escapeASCII is escapeValid up to a byte that is not ASCII, at which it stops;
// it ends, too, where dst has no room for a word and an escape. It takes the last
// bytes as well.
func escapeASCII(dst, src []byte) (wrote, read int, stop bool) {
	d, s := dst, src
	for len(s) >= 8 && len(d) >= 16 {
		w := binary.LittleEndian.Uint64(s)
		binary.LittleEndian.PutUint64(d, w)
		m := special(w, highBits)
		if m == 0 {
			s, d = s[8:], d[8:]
			continue
		}
		clean := bits.TrailingZeros64(m) / 8 & 7
		c := byte(w >> (8 * clean))
		if c >= utf8.RuneSelf {
			s, d = s[clean:], d[clean:]
			return len(dst) - len(d), len(src) - len(s), true
		}
		s = s[clean+1:]
		if c == '"' || c == '\\' {
			d[clean], d[clean+1] = '\\', c
			d = d[clean+2:]
			continue
		}
		d = d[clean:]
		d = d[Valid.putEscape(d, c):]
	}
	for len(s) > 0 && len(s) < 8 && len(d) >= MaxEscape {
		c := s[0]
		if c >= utf8.RuneSelf {
			stop = true
			break
		}
		if c >= ' ' && c != '"' && c != '\\' {
			d[0] = c
			s, d = s[1:], d[1:]
			continue
		}
		s, d = s[1:], d[Valid.putEscape(d, c):]
	}
	return len(dst) - len(d), len(src) - len(s), stop
}
