package jsontext

import (
	"encoding/binary"
	"unicode/utf8"
)

// maxOdd is after how many words with runes of other kinds the library takes over.
const maxOdd = 4

// ValidUTF8 tells what utf8.Valid does, eight bytes at a time where text is of runes
// of one, two and most of three bytes: twice as fast where these are letters of
// Europe, while the library is faster for text that is all ASCII.
func ValidUTF8(p []byte) bool {
	carry := uint64(0) // the bytes of the next word that must go on with a rune
	odd := 0
	for len(p) >= 8 {
		w := binary.LittleEndian.Uint64(p)
		high := w & highBits
		if high|carry == 0 {
			p = p[8:]
			continue
		}
		lead := high & (w << 1)
		lead3 := lead & (w << 2)
		if lead3&(w<<3|oddLead(w)) != 0 {
			if odd++; odd > maxOdd {
				break
			}
			if p = validRunes(p, carry); p == nil {
				return false
			}
			carry = 0
			continue
		}
		// 0xc0 and 0xc1 begin no rune; 2 is what all others have at least.
		short := lead &^ lead3 &^ (w&(low*0x1e) + low*0x7e)
		if high&^lead != lead<<8|lead3<<16|carry || short != 0 {
			return false
		}
		carry = lead>>56 | lead3>>48
		p = p[8:]
	}
	if carry != 0 {
		if p = passCarried(p, carry); p == nil {
			return false
		}
	}
	return utf8.Valid(p)
}

// oddLead has the high bit of each byte set whose low half is that of 0xe0 or 0xed,
// behind which not every byte that goes on with a rune may follow.
func oddLead(w uint64) uint64 {
	x := w & (low * 0x0f)
	return ^((x + low*0x7f) & (x ^ low*0x0d + low*0x7f))
}

// passCarried passes the bytes at the start of p that must go on with a rune, and
// returns nil where they do not.
func passCarried(p []byte, carry uint64) []byte {
	for ; carry != 0; carry >>= 8 {
		if len(p) == 0 || p[0]&0xc0 != 0x80 {
			return nil
		}
		p = p[1:]
	}
	return p
}

// validRunes passes the runes that begin in the first eight bytes of p, one by one,
// and returns nil where there is a bad one.
func validRunes(p []byte, carry uint64) []byte {
	end := len(p) - 8
	p = passCarried(p, carry)
	for len(p) > end {
		r, size := utf8.DecodeRune(p)
		if r == utf8.RuneError && size <= 1 {
			return nil
		}
		p = p[size:]
	}
	return p
}

// Cut is how long a beginning of src is that has at most most bytes, at least four, and
// ends where a rune does: what both parts become is what the whole does.
func Cut(src []byte, most int) int {
	if len(src) <= most {
		return len(src)
	}
	for n := most; n > most-utf8.UTFMax; n-- {
		if utf8.RuneStart(src[n]) {
			return n
		}
	}
	return most // Nothing that is so long is a rune.
}
