package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

// Constants of the arithmetic on eight bytes at once: a byte of x - low*n has its
// high bit set where that byte of x is less than n, if x has no high bit there. A
// borrow can make the bytes above such a hit wrong, but never those below, and only
// the lowest hit is used.
const (
	low      uint64 = 0x0101010101010101
	highBits uint64 = 0x8080808080808080
)

// escaped is the bit of what was seen in a string that there are escapes; its
// highBits say that there are bytes which are not ASCII, in it or soon behind it.
const escaped = 1

// special has the high bit of each byte of w set that is a control character, a
// quote or a backslash; only its lowest bit is exact.
func special(w uint64) uint64 {
	// The exclusive or with 2 swaps the quote with the space below it, which lets
	// one comparison find it together with the controls.
	controlOrQuote := (w ^ low*2) - low*0x21
	backslash := (w ^ low*'\\') - low
	return (controlOrQuote | backslash) &^ w & highBits
}

// text returns what is behind the string whose inside begins at a place, and what
// was seen in it. A negative number is the complement of the place where it is bad.
func text(src []byte, at int) (next int, seen uint64) {
	for {
		for len(src)-at >= 16 {
			a, b := binary.LittleEndian.Uint64(src[at:]), binary.LittleEndian.Uint64(src[at+8:])
			seen |= (a | b) & highBits
			first, second := special(a), special(b)
			if first|second == 0 {
				at += 16
				continue
			}
			// Which word has the end is not asked by a branch: where short strings end
			// cannot be foretold.
			n := bits.TrailingZeros64(first)
			if first == 0 {
				n += bits.TrailingZeros64(second)
			}
			at += n / 8
			break
		}
		if len(src)-at < 16 {
			var more uint64
			at, more = textEnd(src, at)
			seen |= more
			if at == len(src) {
				return ^at, seen
			}
		}
		switch src[at] {
		case '"':
			return at + 1, seen
		case '\\':
			n := escape(src[at:])
			if n == 0 {
				return ^at, seen
			}
			at += n
			seen |= escaped
		default:
			return ^at, seen
		}
	}
}

// textEnd goes on with a string that has fewer than sixteen bytes to go, up to what
// does not stand in strings as it is.
func textEnd(src []byte, at int) (end int, seen uint64) {
	if len(src) >= 16 {
		for at < len(src) {
			// The last words are shifted, so that zeros, which end a string, stand behind
			// the last byte.
			from := min(at, len(src)-8)
			w := binary.LittleEndian.Uint64(src[from:]) >> (8 * (at - from))
			seen |= w & highBits
			n := bits.TrailingZeros64(special(w)) / 8
			at += n
			if n < 8 {
				break
			}
		}
		return at, seen
	}
	for at < len(src) && plain[src[at]] {
		seen |= uint64(src[at]) & highBits
		at++
	}
	return at, seen
}

// plain are the bytes that stand in strings as they are.
var plain = func() (is [256]bool) {
	for c := ' '; c < 256; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

// escape is the length of the escape that src begins with, or 0.
func escape(src []byte) int {
	if len(src) < 2 {
		return 0
	}
	switch src[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(src[2:]); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads four hexadecimal digits.
func hex4(src []byte) (r rune, ok bool) {
	if len(src) < 4 {
		return 0, false
	}
	for _, c := range src[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number returns what is behind the number at a place, behind which there always is
// something; a negative number is the complement of where it is bad.
func number(src []byte, at int) int {
	if src[at] == '-' {
		at++
	}
	if src[at] == '0' {
		at++
	} else if at = digits(src, at); at < 0 {
		return at
	}
	if src[at] == '.' {
		if at = digits(src, at+1); at < 0 {
			return at
		}
	}
	if src[at]|0x20 == 'e' {
		at++
		if src[at] == '+' || src[at] == '-' {
			at++
		}
		return digits(src, at)
	}
	return at
}

// digits returns what is behind at least one digit.
func digits(src []byte, at int) int {
	if src[at]-'0' > 9 {
		return ^at
	}
	for len(src)-at >= 8 {
		// What is more than nine is no digit, and the sum carries it into the high bit.
		w := binary.LittleEndian.Uint64(src[at:]) ^ low*'0'
		n := bits.TrailingZeros64((w&^highBits+low*(0x80-10)|w)&highBits) / 8
		at += n
		if n < 8 {
			return at
		}
	}
	for src[at]-'0' <= 9 {
		at++
	}
	return at
}
