package entry_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// value is a MessagePack value in one of its forms, and what its JSON must read
// back as: the reference that the package is held to.
type value struct {
	packed   []byte
	json     any // as encoding/json decodes it, with numbers as json.Number
	replaced int
}

var be = binary.BigEndian

// sized draws one of the heads in which a length can be written.
func sized(t *rapid.T, n int, fix byte, fixMax int, codes ...byte) []byte {
	forms := [][]byte{}
	if fixMax > 0 && n <= fixMax {
		forms = append(forms, []byte{fix | byte(n)})
	}
	for i, code := range codes {
		width := 1 << (i + 3 - len(codes)) // the last has 4 bytes
		b := be.AppendUint64(nil, uint64(n))[8-width:]
		if width == 4 || n < 1<<(8*width) {
			forms = append(forms, append([]byte{code}, b...))
		}
	}
	return rapid.SampledFrom(forms).Draw(t, "head")
}

var anyString = rapid.Custom(func(t *rapid.T) string {
	pieces := rapid.SliceOfN(rapid.SampledFrom([]string{
		"a", "log", "é", "€", "😀", "\ufffd", "\xff", "\x80", "\xe2\x82", "\"", "\\", "\n", "\x00", "\x7f", strings.Repeat("x", 40),
	}), 0, 5).Draw(t, "pieces")
	return strings.Join(pieces, "")
})

// replaced is how many bytes of s are no UTF-8.
func replaced(s string) int { return (len(string([]rune(s))) - len(s)) / 2 }

func drawString(t *rapid.T) value {
	s := anyString.Draw(t, "string")
	return value{append(sized(t, len(s), 0xa0, 31, 0xd9, 0xda, 0xdb), s...), string([]rune(s)), replaced(s)}
}

func drawBinary(t *rapid.T) value {
	s := anyString.Draw(t, "binary")
	v := value{packed: append(sized(t, len(s), 0, 0, 0xc4, 0xc5, 0xc6), s...), json: s}
	if !utf8.ValidString(s) {
		v.json = base64.StdEncoding.EncodeToString([]byte(s))
	}
	return v
}

// drawNumber draws a whole number in one of the forms that can hold it.
func drawNumber(t *rapid.T) value {
	if rapid.Bool().Draw(t, "unsigned") {
		n := rapid.Uint64().Draw(t, "number")
		forms := [][]byte{be.AppendUint64([]byte{0xcf}, n)}
		if n < 1<<32 {
			forms = append(forms, be.AppendUint32([]byte{0xce}, uint32(n)))
		}
		if n < 1<<16 {
			forms = append(forms, be.AppendUint16([]byte{0xcd}, uint16(n)))
		}
		if n < 1<<8 {
			forms = append(forms, []byte{0xcc, byte(n)})
		}
		if n < 1<<7 {
			forms = append(forms, []byte{byte(n)})
		}
		return value{packed: rapid.SampledFrom(forms).Draw(t, "form"), json: json.Number(strconv.FormatUint(n, 10))}
	}
	n := rapid.Int64().Draw(t, "number")
	forms := [][]byte{be.AppendUint64([]byte{0xd3}, uint64(n))}
	if n == int64(int32(n)) {
		forms = append(forms, be.AppendUint32([]byte{0xd2}, uint32(n)))
	}
	if n == int64(int16(n)) {
		forms = append(forms, be.AppendUint16([]byte{0xd1}, uint16(n)))
	}
	if n == int64(int8(n)) {
		forms = append(forms, []byte{0xd0, byte(n)})
	}
	if n >= -32 && n < 128 {
		forms = append(forms, []byte{byte(n)})
	}
	return value{packed: rapid.SampledFrom(forms).Draw(t, "form"), json: json.Number(strconv.FormatInt(n, 10))}
}

// float is a float in JSON, by its value.
type float struct {
	f    float64
	bits int
}

func drawFloat(t *rapid.T) value {
	f := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 1, -3, 1e20, 1e21, 1e-6, 1e-7, math.Inf(1), math.Inf(-1), math.NaN(), 1e300})).
		Draw(t, "float")
	v := value{packed: be.AppendUint64([]byte{0xcb}, math.Float64bits(f)), json: float{f, 64}}
	if rapid.Bool().Draw(t, "short") {
		f = float64(float32(f))
		v = value{packed: be.AppendUint32([]byte{0xca}, math.Float32bits(float32(f))), json: float{f, 32}}
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		v.json = nil
	}
	return v
}

// drawExtension draws a time or something that nobody knows.
func drawExtension(t *rapid.T) value {
	s, ns := rapid.Uint32().Draw(t, "seconds"), rapid.Uint32Range(0, 999_999_999).Draw(t, "ns")
	at := time.Unix(int64(s), int64(ns)).UTC().Format(time.RFC3339Nano)
	stamp := be.AppendUint32(be.AppendUint32(nil, s), ns)
	switch rapid.IntRange(0, 5).Draw(t, "extension") {
	case 0:
		return value{packed: append([]byte{0xd7, 0}, stamp...), json: at}
	case 1:
		return value{packed: append([]byte{0xc7, 8, 0}, stamp...), json: at}
	case 2:
		return value{packed: append([]byte{0xd6, 0xff}, stamp[:4]...), json: time.Unix(int64(s), 0).UTC().Format(time.RFC3339)}
	case 3:
		return value{packed: be.AppendUint64([]byte{0xd7, 0xff}, uint64(ns)<<34|uint64(s)), json: at}
	case 4:
		long := be.AppendUint64(be.AppendUint32([]byte{0xc7, 12, 0xff}, ns), uint64(s))
		return value{packed: long, json: at}
	}
	body := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytes")
	code := rapid.Int8Range(1, 127).Draw(t, "type")
	head := append(sized(t, len(body), 0, 0, 0xc7, 0xc8, 0xc9), byte(code))
	for i, n := range []int{1, 2, 4, 8, 16} {
		if len(body) == n && rapid.Bool().Draw(t, "fixed") {
			head = []byte{0xd4 + byte(i), byte(code)}
		}
	}
	return value{packed: append(head, body...), json: map[string]any{
		"type": json.Number(strconv.Itoa(int(code))), "data": base64.StdEncoding.EncodeToString(body),
	}}
}

// draw draws any value, nested at most depth deep.
func draw(t *rapid.T, depth int) value {
	kinds := []func(*rapid.T) value{
		drawString, drawString, drawBinary, drawNumber, drawNumber, drawFloat, drawExtension,
		func(*rapid.T) value { return value{packed: []byte{0xc0}} },
		func(*rapid.T) value { return value{packed: []byte{0xc2}, json: false} },
		func(*rapid.T) value { return value{packed: []byte{0xc3}, json: true} },
	}
	if depth > 0 {
		kinds = append(kinds, func(t *rapid.T) value { return drawArray(t, depth-1) },
			func(t *rapid.T) value { return drawMap(t, depth-1) }, func(t *rapid.T) value { return drawMap(t, depth-1) })
	}
	return rapid.SampledFrom(kinds).Draw(t, "kind")(t)
}

func drawArray(t *rapid.T, depth int) value {
	n := rapid.SampledFrom([]int{0, 1, 2, 3, 17}).Draw(t, "elements")
	v := value{packed: sized(t, n, 0x90, 15, 0xdc, 0xdd)}
	list := make([]any, 0, n)
	for range n {
		e := draw(t, min(depth, 1))
		v.packed = append(v.packed, e.packed...)
		v.replaced += e.replaced
		list = append(list, e.json)
	}
	v.json = list
	return v
}

func drawMap(t *rapid.T, depth int) value {
	n := rapid.SampledFrom([]int{0, 1, 2, 3, 17}).Draw(t, "pairs")
	v := value{packed: sized(t, n, 0x80, 15, 0xde, 0xdf)}
	object := make(map[string]any)
	for i := range n {
		k := drawKey(t, i)
		e := draw(t, min(depth, 1))
		v.packed = append(append(v.packed, k.packed...), e.packed...)
		v.replaced += k.replaced + e.replaced
		object[k.json.(string)] = e.json
	}
	v.json = object
	return v
}

// drawKey draws a key that no other of the map has.
func drawKey(t *rapid.T, i int) value {
	switch rapid.IntRange(0, 5).Draw(t, "key") {
	case 0:
		return value{packed: be.AppendUint32([]byte{0xce}, uint32(i)), json: strconv.Itoa(i)}
	case 1:
		return value{packed: []byte{0x92, 0xc3, 0xd1, 0, byte(i)}, json: fmt.Sprintf("[true,%d]", i)}
	case 2:
		text := fmt.Sprintf(`say "%d"`, i)
		return value{packed: append([]byte{0x91, 0xd9, byte(len(text))}, text...), json: fmt.Sprintf(`["say \"%d\""]`, i)}
	}
	s := fmt.Sprint("key", i, anyString.Draw(t, "key"))
	return value{append(sized(t, len(s), 0xa0, 31, 0xd9, 0xda, 0xdb), s...), string([]rune(s)), replaced(s)}
}
