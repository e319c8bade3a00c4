package jsontext

import (
	"encoding/binary"
	"math/bits"
)

// Limits of AppendShort.
const (
	// MaxShort is the longest text that AppendShort takes, and how many bytes of its
	// source it may read.
	MaxShort = 32
	// ShortRoom is how many bytes must be free behind its destination.
	ShortRoom = MaxShort + 2
)

// AppendShort appends the first n bytes of src, at most MaxShort, as a JSON string
// with its quotes, if they are ASCII that stands there as it is; of any other text it
// appends nothing and says no. src must have MaxShort bytes and dst room for
// ShortRoom: so most keys and short values are written in a few steps, none of which
// depends on where the text ends.
func AppendShort(dst, src []byte, n int) ([]byte, bool) {
	le := binary.LittleEndian
	d, s := dst[len(dst):len(dst)+ShortRoom], src[:MaxShort]
	a, b := le.Uint64(s), le.Uint64(s[8:])
	d[0] = '"'
	le.PutUint64(d[1:], a)
	le.PutUint64(d[9:], b)
	clean := firstOf(special(a, highBits), special(b, highBits))
	if n > 16 {
		a, b = le.Uint64(s[16:]), le.Uint64(s[24:])
		le.PutUint64(d[17:], a)
		le.PutUint64(d[25:], b)
		if clean == 16 {
			clean += firstOf(special(a, highBits), special(b, highBits))
		}
	}
	if clean < n || n > MaxShort {
		return dst, false
	}
	d[1+n] = '"'
	return dst[:len(dst)+n+2], true
}

// firstOf is the number of the first byte of two words of which a bit is set, or 16.
func firstOf(a, b uint64) int {
	n := bits.TrailingZeros64(a)
	if a == 0 {
		n += bits.TrailingZeros64(b)
	}
	return n / 8
}
