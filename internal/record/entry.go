package record

import "encoding/binary"

// Entries of the forward protocol are walked by their msgpack headers alone. The
// walk needs neither recursion nor memory, whatever their depth: it counts how
// many values are still to come.

// skipValue returns the size of the msgpack value at the start of src, or -1 where
// there is no whole one. It takes foreign bytes.
func skipValue(src []byte) int {
	at := 0
	for left := uint64(1); left > 0; left-- {
		if at >= len(src) {
			return -1
		}
		size, children := headOf(src[at:])
		// Each value to come takes a byte at least.
		if size < 0 || size > len(src)-at || children > uint64(len(src)) {
			return -1
		}
		at += size
		left += children
	}
	return at
}

// headOf returns what the value at the start of src takes but for the values
// inside of it, and how many these are; a size of -1 is no value. src is not
// empty. The size may be more than there is.
func headOf(src []byte) (size int, children uint64) {
	c := src[0]
	switch {
	case c < 0x80 || c >= 0xe0:
		return 1, 0
	case c < 0x90: // fixmap
		return 1, 2 * uint64(c&0x0f)
	case c < 0xa0: // fixarray
		return 1, uint64(c & 0x0f)
	case c < 0xc0: // fixstr
		return 1 + int(c&0x1f), 0
	}
	f := &forms[c-0xc0]
	if len(src) < int(f.head) {
		return -1, 0
	}
	n := uint64(0)
	switch f.width {
	case 1:
		n = uint64(src[1])
	case 2:
		n = uint64(binary.BigEndian.Uint16(src[1:]))
	case 4:
		n = uint64(binary.BigEndian.Uint32(src[1:]))
	}
	switch f.what {
	case bytesFollow:
		return int(f.head) + int(n), 0
	case valuesFollow:
		return int(f.head), n
	case pairsFollow:
		return int(f.head), 2 * n
	}
	return -1, 0
}

// form is how a value begins: the size of what always stands there, how many of
// these bytes, behind the first, are a length, and a length of what.
type form struct{ head, width, what uint8 }

const (
	nothing uint8 = iota // it is no value
	bytesFollow
	valuesFollow
	pairsFollow
)

// forms are those of the first bytes 0xc0 to 0xdf.
var forms = [32]form{
	0x00: {1, 0, bytesFollow},                            // nil; 0xc1 is unused
	0x02: {1, 0, bytesFollow}, 0x03: {1, 0, bytesFollow}, // false, true
	0x04: {2, 1, bytesFollow}, 0x05: {3, 2, bytesFollow}, 0x06: {5, 4, bytesFollow}, // bin
	0x07: {3, 1, bytesFollow}, 0x08: {4, 2, bytesFollow}, 0x09: {6, 4, bytesFollow}, // ext
	0x0a: {5, 0, bytesFollow}, 0x0b: {9, 0, bytesFollow}, // float
	0x0c: {2, 0, bytesFollow}, 0x0d: {3, 0, bytesFollow}, 0x0e: {5, 0, bytesFollow}, 0x0f: {9, 0, bytesFollow}, // uint
	0x10: {2, 0, bytesFollow}, 0x11: {3, 0, bytesFollow}, 0x12: {5, 0, bytesFollow}, 0x13: {9, 0, bytesFollow}, // int
	0x14: {3, 0, bytesFollow}, 0x15: {4, 0, bytesFollow}, 0x16: {6, 0, bytesFollow}, // fixext 1, 2, 4
	0x17: {10, 0, bytesFollow}, 0x18: {18, 0, bytesFollow}, // fixext 8, 16
	0x19: {2, 1, bytesFollow}, 0x1a: {3, 2, bytesFollow}, 0x1b: {5, 4, bytesFollow}, // str
	0x1c: {3, 2, valuesFollow}, 0x1d: {5, 4, valuesFollow}, // array
	0x1e: {3, 2, pairsFollow}, 0x1f: {5, 4, pairsFollow}, // map
}

// entries returns the size of the first n entries of frames, which are well made.
func entries(frames []byte, n int) int {
	at := 0
	for range n {
		size := skipValue(frames[at:])
		if size < 0 {
			// It is our own memory, of what was walked when it was received, or checked
			// when it was read.
			panic("BUG: a batch of entries ends within one")
		}
		at += size
	}
	return at
}

// entrySize is the size of the entry at the start of src, or -1 where there is
// none: an array of two, the second of which is a map.
func entrySize(src []byte) int {
	var at int
	switch {
	case len(src) > 0 && src[0] == 0x92:
		at = 1
	case len(src) > 2 && src[0] == 0xdc && src[1] == 0 && src[2] == 2:
		at = 3
	case len(src) > 4 && src[0] == 0xdd && binary.BigEndian.Uint32(src[1:]) == 2:
		at = 5
	default:
		return -1
	}
	n := skipValue(src[at:])
	if n < 0 || at+n >= len(src) {
		return -1
	}
	at += n
	if c := src[at]; c&0xf0 != 0x80 && c != 0xde && c != 0xdf {
		return -1
	}
	if n = skipValue(src[at:]); n < 0 {
		return -1
	}
	return at + n
}

// CheckEntries says whether src is whole entries of the forward protocol, one
// behind the other, and how many. It takes foreign bytes, and no memory.
func CheckEntries(src []byte) (count int, ok bool) {
	for len(src) > 0 {
		n := entrySize(src)
		if n < 0 {
			return count, false
		}
		src = src[n:]
		count++
	}
	return count, true
}
