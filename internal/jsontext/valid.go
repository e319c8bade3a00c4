package jsontext

import (
	"encoding/binary"
	"math/bits"
)

// escapeValid writes the bulk of src for the form Valid: all but what is left
// when src has fewer than eight bytes or dst room for fewer than sixteen. It
// goes on past an escape without leaving its loop, which is a third faster than
// the general way on access logs, with their six quotes a line.
func escapeValid(dst, src []byte) (wrote, read int) {
	d, s := dst, src
	for len(s) >= 8 && len(d) >= 16 {
		w := binary.LittleEndian.Uint64(s)
		binary.LittleEndian.PutUint64(d, w)
		m := special(w, 0)
		if m == 0 {
			s, d = s[8:], d[8:]
			continue
		}
		// The mask tells the compiler what the arithmetic says: at most 7.
		clean := bits.TrailingZeros64(m) / 8 & 7
		c := byte(w >> (8 * clean))
		s = s[clean+1:]
		if c == '"' || c == '\\' {
			d[clean], d[clean+1] = '\\', c
			d = d[clean+2:]
			continue
		}
		d = d[clean:]
		d = d[Valid.putEscape(d, c):]
	}
	return len(dst) - len(d), len(src) - len(s)
}
