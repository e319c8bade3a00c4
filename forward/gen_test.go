package forward_test

import (
	"math"

	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"
)

// value appends any msgpack value, nested at most depth deep.
func value(t *rapid.T, dst []byte, depth int) []byte {
	kinds := 13
	if depth > 0 {
		kinds = 15
	}
	switch rapid.IntRange(0, kinds).Draw(t, "kind") {
	case 0:
		return msgp.AppendNil(dst)
	case 1:
		return msgp.AppendBool(dst, rapid.Bool().Draw(t, "bool"))
	case 2, 3:
		return msgp.AppendInt64(dst, rapid.Int64().Draw(t, "int"))
	case 4:
		return msgp.AppendUint64(dst, rapid.Uint64().Draw(t, "uint"))
	case 5:
		return msgp.AppendFloat64(dst, rapid.Float64().Draw(t, "float"))
	case 6:
		return msgp.AppendFloat32(dst, rapid.Float32().Draw(t, "float32"))
	case 7:
		return msgp.AppendBytes(dst, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bin"))
	case 8:
		size := rapid.SampledFrom([]int{1, 2, 4, 8, 16}).Draw(t, "fixext")
		dst = append(dst, map[int]byte{1: 0xd4, 2: 0xd5, 4: 0xd6, 8: 0xd7, 16: 0xd8}[size], rapid.Byte().Draw(t, "type"))
		return append(dst, make([]byte, size)...)
	case 9:
		size := rapid.IntRange(0, 300).Draw(t, "ext")
		if size < 256 && rapid.Bool().Draw(t, "short") {
			dst = append(dst, 0xc7, byte(size), 5)
		} else {
			dst = append(dst, 0xc8, byte(size>>8), byte(size), 5)
		}
		return append(dst, make([]byte, size)...)
	case 14:
		return container(t, dst, depth, 0x90, 0xdc, 1)
	case 15:
		return container(t, dst, depth, 0x80, 0xde, 2)
	default:
		return str(t, dst)
	}
}

// str appends a string, with any head that it may have.
func str(t *rapid.T, dst []byte) []byte {
	s := rapid.StringN(0, 40, 300).Draw(t, "str")
	switch n := len(s); rapid.IntRange(0, 3).Draw(t, "head") {
	case 1:
		if n < 256 {
			return append(append(dst, 0xd9, byte(n)), s...)
		}
	case 2:
		return append(append(dst, 0xda, byte(n>>8), byte(n)), s...)
	case 3:
		return append(append(dst, 0xdb, 0, 0, byte(n>>8), byte(n)), s...)
	}
	return msgp.AppendString(dst, s)
}

// container appends an array or map, with any head that it may have.
func container(t *rapid.T, dst []byte, depth int, fix, wide byte, each int) []byte {
	n := rapid.IntRange(0, 5).Draw(t, "elements")
	switch rapid.IntRange(0, 2).Draw(t, "head") {
	case 0:
		dst = append(dst, fix|byte(n))
	case 1:
		dst = append(dst, wide, 0, byte(n))
	case 2:
		dst = append(dst, wide+1, 0, 0, 0, byte(n))
	}
	for range n * each {
		dst = value(t, dst, depth-1)
	}
	return dst
}

// record appends a map.
func record(t *rapid.T, dst []byte) []byte { return container(t, dst, 3, 0x80, 0xde, 2) }

// eventTime appends a time in any form, and returns what it means.
func eventTime(t *rapid.T, dst []byte) (out []byte, ns int64) {
	seconds := rapid.Uint32().Draw(t, "seconds")
	nanos := rapid.Uint32Range(0, 999_999_999).Draw(t, "nanoseconds")
	ns = int64(seconds)*1e9 + int64(nanos)
	ext := []byte{
		byte(seconds >> 24), byte(seconds >> 16), byte(seconds >> 8), byte(seconds),
		byte(nanos >> 24), byte(nanos >> 16), byte(nanos >> 8), byte(nanos),
	}
	switch rapid.IntRange(0, 5).Draw(t, "form") {
	case 0:
		return append(append(dst, 0xc7, 8, 0), ext...), ns
	case 1:
		return msgp.AppendUint32(dst, seconds), int64(seconds) * 1e9
	case 2:
		s := rapid.Int64Range(math.MinInt64/1_000_000_000, math.MaxInt64/1_000_000_000).Draw(t, "any")
		return msgp.AppendInt64(dst, s), s * 1e9
	case 3:
		inner, ns := eventTime(t, nil)
		if inner[0]&0xf0 == 0x90 { // an array in an array is none
			return append(dst, inner...), ns
		}
		return record(t, append(append(dst, 0x92), inner...)), ns
	case 4:
		return append(dst, 0xc0), 0
	default:
		return append(append(dst, 0xd7, 0), ext...), ns
	}
}

// entry appends a valid entry as the sender should write it.
func entry(t *rapid.T, dst []byte) (out []byte, ns int64) {
	when, ns := eventTime(t, nil)
	return record(t, append(append(dst, 0x92), when...)), ns
}

// invalid appends a msgpack value that is no entry.
func invalid(t *rapid.T, dst []byte) []byte {
	when, _ := eventTime(t, nil)
	switch rapid.IntRange(0, 5).Draw(t, "invalid") {
	case 0:
		return msgp.AppendString(dst, "entry")
	case 1: // no map
		return append(append(append(dst, 0x92), when...), 0xa1, 'x')
	case 2: // a float is no time
		return record(t, msgp.AppendFloat64(append(dst, 0x92), 1.5))
	case 3: // too deep
		dst = append(append(append(dst, 0x92), when...), 0x81, 0xa1, 'k')
		for range 100 {
			dst = append(dst, 0x91)
		}
		return append(dst, 0xc0)
	case 4: // three
		return append(record(t, append(append(dst, 0x93), when...)), 0xc0)
	default:
		return msgp.AppendNil(dst)
	}
}
