package entry

import (
	"encoding/binary"
	"fmt"
)

// kind is the family of a MessagePack value.
type kind uint8

const (
	kindNil kind = iota
	kindBool
	kindUint
	kindInt
	kindFloat32
	kindFloat64
	kindString
	kindBinary
	kindExtension
	kindArray
	kindMap
)

// head is the beginning of a value, which says all about it but what is in it.
type head struct {
	kind kind
	// size is the length of the head: the whole value, but for the bytes of
	// strings, binaries and extensions, and the elements of arrays and maps.
	size int
	// n is the length of the bytes that follow, the number of elements or pairs, or
	// the value itself: a bool as 0 or 1, an int in two's complement, a float by
	// its bits.
	n uint64
	// ext is the type of an extension.
	ext int8
}

// body is the bytes of a string, a binary or an extension, or nil where they end
// before they should. It is not nil for those of length 0.
func (h *head) body(value []byte) []byte {
	if h.n > uint64(len(value)-h.size) {
		return nil
	}
	end := h.size + int(h.n)
	return value[h.size:end:end]
}

// parse reads the head of the value at the start of src.
func parse(src []byte) (head, error) {
	if len(src) == 0 {
		return head{}, errCut
	}
	switch c := src[0]; {
	case c <= 0x7f:
		return head{kind: kindUint, size: 1, n: uint64(c)}, nil
	case c >= 0xe0:
		return head{kind: kindInt, size: 1, n: uint64(int64(int8(c)))}, nil
	case c <= 0x8f:
		return head{kind: kindMap, size: 1, n: uint64(c & 0x0f)}, nil
	case c <= 0x9f:
		return head{kind: kindArray, size: 1, n: uint64(c & 0x0f)}, nil
	case c <= 0xbf:
		return head{kind: kindString, size: 1, n: uint64(c & 0x1f)}, nil
	}
	return parseLong(src)
}

// form says how a head from 0xc0 to 0xdf goes on.
type form struct {
	kind  kind
	width uint8 // of the number behind the first byte: 0, 1, 2, 4 or 8 bytes
	fixed uint8 // the number itself, where width is 0
}

// forms are indexed by the first byte less 0xc0. The one that no value begins
// with, 0xc1, is a nil here and refused before.
var forms = [32]form{
	{kindNil, 0, 0}, {}, {kindBool, 0, 0}, {kindBool, 0, 1},
	{kindBinary, 1, 0}, {kindBinary, 2, 0}, {kindBinary, 4, 0},
	{kindExtension, 1, 0}, {kindExtension, 2, 0}, {kindExtension, 4, 0},
	{kindFloat32, 4, 0}, {kindFloat64, 8, 0},
	{kindUint, 1, 0}, {kindUint, 2, 0}, {kindUint, 4, 0}, {kindUint, 8, 0},
	{kindInt, 1, 0}, {kindInt, 2, 0}, {kindInt, 4, 0}, {kindInt, 8, 0},
	{kindExtension, 0, 1}, {kindExtension, 0, 2}, {kindExtension, 0, 4}, {kindExtension, 0, 8}, {kindExtension, 0, 16},
	{kindString, 1, 0}, {kindString, 2, 0}, {kindString, 4, 0},
	{kindArray, 2, 0}, {kindArray, 4, 0}, {kindMap, 2, 0}, {kindMap, 4, 0},
}

const neverUsed = 0xc1

func parseLong(src []byte) (head, error) {
	if src[0] == neverUsed {
		return head{}, fmt.Errorf("found the byte %#02x where a value begins; MessagePack never uses it", neverUsed)
	}
	f := &forms[src[0]-0xc0]
	h := head{kind: f.kind, size: 1 + int(f.width), n: uint64(f.fixed)}
	if len(src) < h.size {
		return head{}, errCut
	}
	be := binary.BigEndian
	switch f.width {
	case 1:
		h.n = uint64(src[1])
	case 2:
		h.n = uint64(be.Uint16(src[1:]))
	case 4:
		h.n = uint64(be.Uint32(src[1:]))
	case 8:
		h.n = be.Uint64(src[1:])
	}
	switch f.kind {
	case kindInt:
		shift := 64 - 8*uint(f.width)
		h.n = uint64(int64(h.n<<shift) >> shift)
	case kindExtension:
		if len(src) == h.size {
			return head{}, errCut
		}
		h.ext = int8(src[h.size])
		h.size++
	}
	return h, nil
}

// Skip returns what follows the value at the start of src. It bounds no depth,
// since it needs no stack for it.
func Skip(src []byte) (rest []byte, err error) {
	for left := uint64(1); left > 0; left-- {
		if len(src) > 0 && src[0]&^0x1f == 0xa0 {
			// Most values are short strings.
			if n := 1 + int(src[0]&0x1f); n <= len(src) {
				src = src[n:]
				continue
			}
		}
		h, err := parse(src)
		if err != nil {
			return nil, err
		}
		src = src[h.size:]
		switch h.kind {
		case kindString, kindBinary, kindExtension:
			if h.n > uint64(len(src)) {
				return nil, errCut
			}
			src = src[h.n:]
		case kindArray:
			left += h.n
		case kindMap:
			left += 2 * h.n
		}
	}
	return src, nil
}

// skipWithin is Skip of a value that is nested no deeper than so many levels.
func skipWithin(src []byte, depth int) (rest []byte, err error) {
	h, err := parse(src)
	if err != nil {
		return nil, err
	}
	n := h.n
	switch h.kind {
	case kindArray:
	case kindMap:
		n *= 2
	default:
		return Skip(src)
	}
	if depth == 0 {
		return nil, errTooDeep
	}
	rest = src[h.size:]
	for range n {
		if rest, err = skipWithin(rest, depth-1); err != nil {
			return nil, err
		}
	}
	return rest, nil
}
