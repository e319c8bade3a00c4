package jsontext

import (
	"encoding/binary"
	"math/bits"
)

// Constants of the arithmetic on eight bytes at once. A byte of the difference
// x - low*n has its high bit set where that byte of x is less than n, if x has
// no high bit there; a borrow can make the bytes above such a hit wrong, but
// never those below, and only the lowest hit is used.
const (
	low      uint64 = 0x0101010101010101
	highBits uint64 = 0x8080808080808080
)

// special has the high bit of each byte of w set that is a control character, a
// quote or a backslash, or has a bit of stop set; only its lowest bit is exact.
func special(w, stop uint64) uint64 {
	// The exclusive or with 2 swaps the quote with the space below it, which lets
	// one comparison find it together with the controls.
	controlOrQuote := (w ^ low*2) - low*0x21
	backslash := (w ^ low*'\\') - low
	return ((controlOrQuote|backslash)&^w | w&stop) & highBits
}

// specialHTML finds <, > and & beside those, and the byte 0xe2 with which
// U+2028 and U+2029 begin.
func specialHTML(w, stop uint64) uint64 {
	controlOrQuote := (w ^ low*2) - low*0x21
	backslash := (w ^ low*'\\') - low
	ampersand := (w ^ low*'&') - low
	angle := ((w | low*2) ^ low*'>') - low // < and > differ in that bit.
	e2 := w ^ low*0xe2
	return ((controlOrQuote|backslash|ampersand|angle)&^w | (e2-low)&^e2 | w&stop) & highBits
}

// copyPlainWords is copyPlain eight bytes at a time, for processors and lengths that
// have no quicker way.
func copyPlainWords(dst, src []byte, stop uint64) int {
	n := min(len(dst), len(src))
	dst, src = dst[:n], src[:n]
	i := 0
	for ; len(src)-i >= 32; i += 32 {
		s, d := src[i:i+32], dst[i:i+32]
		a, b := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint64(s[8:])
		c, e := binary.LittleEndian.Uint64(s[16:]), binary.LittleEndian.Uint64(s[24:])
		if special(a, stop)|special(b, stop)|special(c, stop)|special(e, stop) != 0 {
			break
		}
		binary.LittleEndian.PutUint64(d, a)
		binary.LittleEndian.PutUint64(d[8:], b)
		binary.LittleEndian.PutUint64(d[16:], c)
		binary.LittleEndian.PutUint64(d[24:], e)
	}
	for ; len(src)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(src[i:])
		binary.LittleEndian.PutUint64(dst[i:], w)
		if m := special(w, stop); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	if i < n && n >= 8 {
		// The last word overlaps what is copied already, which holds no hit.
		w := binary.LittleEndian.Uint64(src[n-8:])
		binary.LittleEndian.PutUint64(dst[n-8:], w)
		if m := special(w, stop); m != 0 {
			return n - 8 + bits.TrailingZeros64(m)/8
		}
		return n
	}
	for ; i < n; i++ {
		if special(uint64(src[i])|low*' '&^0xff, stop)&0x80 != 0 {
			return i
		}
		dst[i] = src[i]
	}
	return n
}

// copyPlainHTML copies bytes from src to dst up to the first that specialHTML finds, or
// as far as both go, and returns how many.
func copyPlainHTML(dst, src []byte, stop uint64) int {
	n := min(len(dst), len(src))
	dst, src = dst[:n], src[:n]
	i := 0
	for ; len(src)-i >= 32; i += 32 {
		s, d := src[i:i+32], dst[i:i+32]
		a, b := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint64(s[8:])
		c, e := binary.LittleEndian.Uint64(s[16:]), binary.LittleEndian.Uint64(s[24:])
		if specialHTML(a, stop)|specialHTML(b, stop)|specialHTML(c, stop)|specialHTML(e, stop) != 0 {
			break
		}
		binary.LittleEndian.PutUint64(d, a)
		binary.LittleEndian.PutUint64(d[8:], b)
		binary.LittleEndian.PutUint64(d[16:], c)
		binary.LittleEndian.PutUint64(d[24:], e)
	}
	for ; len(src)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(src[i:])
		binary.LittleEndian.PutUint64(dst[i:], w)
		if m := specialHTML(w, stop); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	if i < n && n >= 8 {
		// The last word overlaps what is copied already, which holds no hit.
		w := binary.LittleEndian.Uint64(src[n-8:])
		binary.LittleEndian.PutUint64(dst[n-8:], w)
		if m := specialHTML(w, stop); m != 0 {
			return n - 8 + bits.TrailingZeros64(m)/8
		}
		return n
	}
	for ; i < n; i++ {
		if specialHTML(uint64(src[i])|low*' '&^0xff, stop)&0x80 != 0 {
			return i
		}
		dst[i] = src[i]
	}
	return n
}
