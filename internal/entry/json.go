package entry

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/spillway/spillway/internal/jsontext"
	"github.com/spillway/spillway/internal/record"
)

// AppendJSON appends the value at the start of src, such as a record, to dst as
// JSON, and tells how many bytes were replaced because they are no UTF-8. Where
// it fails, dst has the length that it had.
//
//   - Strings: each byte that is no part of valid UTF-8 becomes U+FFFD.
//   - Binaries: text where they are valid UTF-8, else base64.
//   - Numbers: those of 64 bits are written whole, with or without sign; a float
//     always has a point or an exponent, so that it stays a float. NaN and the
//     infinities, which JSON does not have, are null.
//   - Times (EventTime, MessagePack's timestamp): RFC 3339 in UTC.
//   - Other extensions: {"type":7,"data":"base64"}.
//   - Keys that are no strings: the JSON of the key, as a string.
//
// A key that stands in a map twice stands in the object twice.
func AppendJSON(dst, src []byte) (json []byte, replaced int, err error) {
	w := writer{dst: dst}
	if _, err := w.value(src, MaxDepth); err != nil {
		return dst, 0, err
	}
	return w.dst, w.replaced, nil
}

// AppendPairs appends the pairs of the map at the start of src, such as a record,
// as AppendJSON does, but without the braces around them, and tells how many there
// are: for callers that put pairs of their own beside them.
func AppendPairs(dst, src []byte) (json []byte, pairs, replaced int, err error) {
	json, _, made, err := AppendPairsOf(dst, src, 0)
	return json, made.N, made.Replaced, err
}

// Pairs is what AppendPairsOf has seen of the pairs that it appended.
type Pairs struct {
	N        int  // in the outermost map
	Replaced int  // bytes that are no UTF-8
	Looked   bool // there is a key that begins with the byte looked for, in this map or one in it
}

// AppendPairsOf is AppendPairs for a caller that wants to know what follows the map,
// which spares it a walk, and whether a key may be there, which spares it a search:
// look is how the key begins in JSON.
func AppendPairsOf(dst, src []byte, look byte) (json, rest []byte, made Pairs, err error) {
	h, err := parse(src)
	if err != nil {
		return dst, nil, made, err
	}
	if h.kind != kindMap {
		return dst, nil, made, fmt.Errorf("the record begins with the byte %#02x: expected a map", src[0])
	}
	w := writer{dst: dst, look: look}
	if rest, err = w.pairs(src[h.size:], h.n, MaxDepth-1); err != nil {
		return dst, nil, made, err
	}
	return w.dst, rest, Pairs{int(h.n), w.replaced, w.looked}, nil
}

// AppendText appends the value at the start of src to dst as a destination of
// text has it: strings and binaries byte by byte, all else as JSON.
func AppendText(dst, src []byte) ([]byte, error) {
	h, err := parse(src)
	if err != nil {
		return dst, err
	}
	if h.kind != kindString && h.kind != kindBinary {
		dst, _, err = AppendJSON(dst, src)
		return dst, err
	}
	body := h.body(src)
	if body == nil {
		return dst, errCut
	}
	return append(dst, body...), nil
}

// writer makes JSON.
type writer struct {
	dst      []byte
	replaced int
	look     byte // how a key begins
	looked   bool // there is one that begins so
}

// value writes the value at the start of src and returns what follows it; depth
// is how many levels there may be.
func (w *writer) value(src []byte, depth int) ([]byte, error) {
	h, err := parse(src)
	if err != nil {
		return nil, err
	}
	switch h.kind {
	case kindString, kindBinary, kindExtension:
		body := h.body(src)
		if body == nil {
			return nil, errCut
		}
		switch h.kind {
		case kindString:
			w.text(body)
		case kindBinary:
			w.binary(body)
		default:
			w.extension(h.ext, body)
		}
		return src[h.size+len(body):], nil
	case kindMap, kindArray:
		if depth == 0 {
			return nil, errDepth
		}
		if h.kind == kindMap {
			return w.object(src[h.size:], h.n, depth-1)
		}
		return w.array(src[h.size:], h.n, depth-1)
	}
	w.scalar(h)
	return src[h.size:], nil
}

// short writes the short string that src begins with, as most values and nearly all
// keys are, and returns its length, or 0 where the general way is to be taken.
func short(dst, src []byte) ([]byte, int) {
	if len(src) <= jsontext.MaxShort || src[0]&^0x1f != 0xa0 || cap(dst)-len(dst) < jsontext.ShortRoom {
		return dst, 0
	}
	n := int(src[0] & 0x1f)
	dst, ok := jsontext.AppendShort(dst, src[1:], n)
	if !ok {
		return dst, 0
	}
	return dst, 1 + n
}

// scalar writes what is told by its head alone.
func (w *writer) scalar(h head) {
	switch h.kind {
	case kindUint:
		w.dst = strconv.AppendUint(w.dst, h.n, 10)
	case kindInt:
		w.dst = strconv.AppendInt(w.dst, int64(h.n), 10)
	case kindBool:
		w.dst = strconv.AppendBool(w.dst, h.n == 1)
	case kindFloat32:
		w.float(float64(math.Float32frombits(uint32(h.n))), 32)
	case kindFloat64:
		w.float(math.Float64frombits(h.n), 64)
	default:
		w.dst = append(w.dst, "null"...)
	}
}

func (w *writer) object(src []byte, n uint64, depth int) ([]byte, error) {
	w.dst = append(w.dst, '{')
	src, err := w.pairs(src, n, depth)
	w.dst = append(w.dst, '}')
	return src, err
}

// pairs writes the inside of an object.
func (w *writer) pairs(src []byte, n uint64, depth int) ([]byte, error) {
	var err error
	var size int
	dst := w.dst
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		key := len(dst)
		if dst, size = short(dst, src); size > 0 {
			src = src[size:]
		} else {
			w.dst = dst
			if src, err = w.key(src, depth); err != nil {
				return nil, err
			}
			dst = w.dst
		}
		if dst[key+1] == w.look {
			w.looked = true
		}
		dst = append(dst, ':')
		if dst, size = short(dst, src); size > 0 {
			src = src[size:]
			continue
		}
		w.dst = dst
		if src, err = w.value(src, depth); err != nil {
			return nil, err
		}
		dst = w.dst
	}
	w.dst = dst
	return src, nil
}

func (w *writer) array(src []byte, n uint64, depth int) ([]byte, error) {
	w.dst = append(w.dst, '[')
	var err error
	for i := range n {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		if src, err = w.value(src, depth); err != nil {
			return nil, err
		}
	}
	w.dst = append(w.dst, ']')
	return src, nil
}

// key writes a key, which is a string in JSON whatever it was before.
func (w *writer) key(src []byte, depth int) ([]byte, error) {
	start := len(w.dst)
	rest, err := w.value(src, depth)
	if err != nil || w.dst[start] == '"' {
		return rest, err
	}
	// The JSON of the key is quoted behind itself, and then takes its own place.
	end := len(w.dst)
	w.dst = append(w.dst, '"')
	w.dst = jsontext.Valid.AppendString(w.dst, w.dst[start:end])
	w.dst = append(w.dst, '"')
	w.dst = append(w.dst[:start], w.dst[end:]...)
	return rest, nil
}

// text writes a string.
func (w *writer) text(s []byte) {
	var replaced int
	w.dst, replaced = appendText(w.dst, s)
	w.replaced += replaced
}

// appendText appends bytes as a JSON string, and tells how many were replaced because
// they are no UTF-8. It looks at what is not ASCII only where there is such.
func appendText(dst, s []byte) (json []byte, replaced int) {
	dst, n := jsontext.AppendASCII(append(dst, '"'), s)
	if rest := s[n:]; len(rest) > 0 {
		form := jsontext.Valid
		if !jsontext.ValidUTF8(rest) {
			form, replaced = jsontext.Repair, record.InvalidBytes(rest)
		}
		dst = form.AppendString(dst, rest)
	}
	return append(dst, '"'), replaced
}

// AppendString appends text as a JSON string, with its quotes. Each byte that is no
// UTF-8 becomes U+FFFD.
func AppendString(dst, text []byte) []byte {
	dst, _ = appendText(dst, text)
	return dst
}

func (w *writer) binary(b []byte) {
	if utf8.Valid(b) {
		w.text(b)
		return
	}
	w.base64(b)
}

func (w *writer) base64(b []byte) {
	w.dst = append(w.dst, '"')
	w.dst = base64.StdEncoding.AppendEncode(w.dst, b)
	w.dst = append(w.dst, '"')
}

func (w *writer) extension(ext int8, body []byte) {
	if s, ns, ok := moment(ext, body); ok {
		if at := time.Unix(s, ns).UTC(); at.Year() >= 0 && at.Year() <= 9999 {
			w.dst = append(w.dst, '"')
			w.dst = at.AppendFormat(w.dst, time.RFC3339Nano)
			w.dst = append(w.dst, '"')
			return
		}
	}
	w.dst = append(w.dst, `{"type":`...)
	w.dst = strconv.AppendInt(w.dst, int64(ext), 10)
	w.dst = append(w.dst, `,"data":`...)
	w.base64(body)
	w.dst = append(w.dst, '}')
}

// float writes the shortest decimal that reads back as f: with an exponent where
// that is shorter, as encoding/json has it, else with a point.
func (w *writer) float(f float64, bits int) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		w.dst = append(w.dst, "null"...)
		return
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	start := len(w.dst)
	w.dst = strconv.AppendFloat(w.dst, f, format, -1, bits)
	if format == 'f' && !slices.Contains(w.dst[start:], '.') {
		w.dst = append(w.dst, ".0"...)
	}
}
