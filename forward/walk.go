package forward

import "encoding/binary"

// What skip returns instead of an end.
const (
	faultShort  = -1 // the bytes end before the value does
	faultSyntax = -2 // not msgpack
	faultDepth  = -3 // nested too deep
)

// sizes holds the whole size of every value whose first byte tells it, and 0
// for those that have a length, or values of their own, behind it.
var sizes = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c < 0x80, c >= 0xe0:
			t[c] = 1
		case c >= 0xa0 && c < 0xc0:
			t[c] = uint8(1 + c&0x1f)
		}
	}
	for c, size := range map[int]uint8{
		0x80: 1, 0x90: 1, // empty map, empty array
		0xc0: 1, 0xc2: 1, 0xc3: 1, 0xca: 5, 0xcb: 9,
		0xcc: 2, 0xcd: 3, 0xce: 5, 0xcf: 9, 0xd0: 2, 0xd1: 3, 0xd2: 5, 0xd3: 9,
		0xd4: 3, 0xd5: 4, 0xd6: 6, 0xd7: 10, 0xd8: 18,
	} {
		t[c] = size
	}
	return t
}()

// head reads the head of the value at b[i], which is there: size is what the
// value takes without the values inside it, children how many those are. A
// fault comes as a negative size.
func head(b []byte, i int) (size, children int64) {
	c := b[i]
	if s := sizes[c]; s != 0 {
		return int64(s), 0
	}
	rest := uint64(len(b) - i)
	switch {
	case c < 0x90:
		return 1, 2 * int64(c&0xf)
	case c < 0xa0:
		return 1, int64(c & 0xf)
	case c == 0xc4 || c == 0xd9: // bin8, str8
		if rest < 2 {
			return faultShort, 0
		}
		return 2 + int64(b[i+1]), 0
	case c == 0xc5 || c == 0xda: // bin16, str16
		if rest < 3 {
			return faultShort, 0
		}
		return 3 + int64(binary.BigEndian.Uint16(b[i+1:])), 0
	case c == 0xc6 || c == 0xdb: // bin32, str32
		if rest < 5 {
			return faultShort, 0
		}
		return 5 + int64(binary.BigEndian.Uint32(b[i+1:])), 0
	case c == 0xc7: // ext8
		if rest < 2 {
			return faultShort, 0
		}
		return 3 + int64(b[i+1]), 0
	case c == 0xc8: // ext16
		if rest < 3 {
			return faultShort, 0
		}
		return 4 + int64(binary.BigEndian.Uint16(b[i+1:])), 0
	case c == 0xc9: // ext32
		if rest < 5 {
			return faultShort, 0
		}
		return 6 + int64(binary.BigEndian.Uint32(b[i+1:])), 0
	case c == 0xdc || c == 0xde: // array16, map16
		if rest < 3 {
			return faultShort, 0
		}
		return 3, int64(binary.BigEndian.Uint16(b[i+1:])) << (c >> 1 & 1)
	case c == 0xdd || c == 0xdf: // array32, map32
		if rest < 5 {
			return faultShort, 0
		}
		return 5, int64(binary.BigEndian.Uint32(b[i+1:])) << (c >> 1 & 1)
	default: // 0xc1
		return faultSyntax, 0
	}
}

// skip returns where n values end that begin at b[i], or a fault. Of the
// nesting it goes depth levels down.
func skip(b []byte, i int, n int64, depth int) int {
	if n > int64(len(b)-i) {
		return faultShort // each takes a byte at least
	}
	for ; n > 0; n-- {
		if uint(i) >= uint(len(b)) {
			return faultShort
		}
		c := b[i]
		if s := int(sizes[c]); s != 0 {
			i += s // whether it is all there shows at the next value, or at the end
			continue
		}
		if c == 0xd9 && i+1 < len(b) { // str8, the most common of the others
			i += 2 + int(b[i+1])
			continue
		}
		size, children := head(b, i)
		if size < 0 {
			return int(size)
		}
		if size > int64(len(b)-i) {
			return faultShort
		}
		i += int(size)
		if children > 0 {
			if depth == 0 {
				return faultDepth
			}
			if i = skip(b, i, children, depth-1); i < 0 {
				return i
			}
		}
	}
	if i > len(b) {
		return faultShort
	}
	return i
}

// skipFlat is skip for one value nested to any depth.
func skipFlat(b []byte, i int) int {
	for left := int64(1); left > 0; left-- {
		if left > int64(len(b)-i) {
			return faultShort
		}
		size, children := head(b, i)
		if size < 0 {
			return int(size)
		}
		if size > int64(len(b)-i) {
			return faultShort
		}
		i += int(size)
		left += children
	}
	return i
}

// Skip returns the size of the msgpack value at the beginning of b, in bytes:
// ErrIncomplete where b ends before it does, a *SyntaxError where it is none,
// and a *LimitError where it is nested deeper than MaxDepth. It allocates
// nothing, and reads each head once.
func Skip(b []byte) (int, error) {
	n := skip(b, 0, 1, MaxDepth)
	switch n {
	case faultShort:
		return 0, ErrIncomplete
	case faultDepth:
		return 0, &LimitError{What: "nesting", Bytes: MaxDepth + 1, Limit: MaxDepth}
	case faultSyntax:
		return 0, &SyntaxError{Want: "a msgpack value", Found: foundUnused}
	}
	return n, nil
}

// textHead is the size of the head of a str or bin with this first byte, and 0
// for other values.
func textHead(c byte) int {
	switch {
	case c >= 0xa0 && c < 0xc0:
		return 1
	case c == 0xc4 || c == 0xd9:
		return 2
	case c == 0xc5 || c == 0xda:
		return 3
	case c == 0xc6 || c == 0xdb:
		return 5
	}
	return 0
}

// text returns the content of the str or bin at b[i] and where it ends; ok is
// false where there is none, or not all of it.
func text(b []byte, i int) (content []byte, end int, ok bool) {
	if i < 0 || i >= len(b) {
		return nil, 0, false
	}
	at := textHead(b[i])
	if at == 0 {
		return nil, 0, false
	}
	size, _ := head(b, i)
	if size < 0 || size > int64(len(b)-i) {
		return nil, 0, false
	}
	end = i + int(size)
	return b[i+at : end : end], end, true
}

// integer reads the integer at b[i]; ok is false where there is none, or none
// that an int64 holds.
func integer(b []byte, i int) (v int64, end int, ok bool) {
	if i < 0 || i >= len(b) {
		return 0, 0, false
	}
	c, be := b[i], binary.BigEndian
	end = i + int(sizes[c])
	if end > len(b) {
		return 0, 0, false
	}
	switch {
	case c < 0x80 || c >= 0xe0:
		v = int64(int8(c))
	case c == 0xcc:
		v = int64(b[i+1])
	case c == 0xcd:
		v = int64(be.Uint16(b[i+1:]))
	case c == 0xce:
		v = int64(be.Uint32(b[i+1:]))
	case c == 0xcf:
		v = int64(be.Uint64(b[i+1:]))
		if v < 0 {
			return 0, 0, false
		}
	case c == 0xd0:
		v = int64(int8(b[i+1]))
	case c == 0xd1:
		v = int64(int16(be.Uint16(b[i+1:])))
	case c == 0xd2:
		v = int64(int32(be.Uint32(b[i+1:])))
	case c == 0xd3:
		v = int64(be.Uint64(b[i+1:]))
	default:
		return 0, 0, false
	}
	return v, end, true
}

// container returns how many elements the array, or pairs the map, at b[i] has,
// and where they begin.
func container(b []byte, i int, isMap bool) (n int64, first int, ok bool) {
	if i < 0 || i >= len(b) {
		return 0, 0, false
	}
	c := b[i]
	fix, wide := byte(0x90), byte(0xdc)
	if isMap {
		fix, wide = 0x80, 0xde
	}
	if c&0xf0 != fix && c != wide && c != wide+1 {
		return 0, 0, false
	}
	size, children := head(b, i)
	if size < 0 {
		return 0, 0, false
	}
	if isMap {
		children /= 2
	}
	return children, i + int(size), true
}
