package forward

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// time reads a time: a number with a fraction becomes an EventTime.
func (r *jsonReader) time() error {
	at := len(r.dst)
	if err := r.value(MaxDepth); err != nil {
		return err
	}
	if r.dst[at] != 0xcb {
		return nil
	}
	// The bytes behind the head are the float that was just read from the text.
	seconds, _, err := msgp.ReadFloat64Bytes(r.dst[at:])
	if err != nil {
		return r.unexpected("a time")
	}
	if math.Abs(seconds) > 1<<33 {
		return nil // stays as it is, an invalid entry
	}
	whole, part := math.Modf(seconds)
	ns := int64(math.Round(part*1e6)) * int64(time.Microsecond) // a float of today's time has no more digits
	r.dst = AppendNanoseconds(r.dst[:at], int64(whole)*nanosPerSecond+ns)
	return nil
}

// value appends the next value, nested at most depth deep.
func (r *jsonReader) value(depth int) error {
	switch c := r.peek(); {
	case c == '"':
		return r.string()
	case c == '{':
		return r.object(depth)
	case c == '[':
		return r.array(depth)
	case c == '-' || c >= '0' && c <= '9':
		return r.number()
	}
	for _, word := range [...]struct {
		text string
		code byte
	}{{"null", 0xc0}, {"true", 0xc3}, {"false", 0xc2}} {
		if end := r.i + len(word.text); end <= len(r.b) && string(r.b[r.i:end]) == word.text {
			r.i = end
			r.dst = append(r.dst, word.code)
			return nil
		}
	}
	return r.unexpected("a JSON value")
}

func (r *jsonReader) array(depth int) error {
	if depth <= 0 {
		return &LimitError{What: "nesting", Bytes: MaxDepth + 1, Limit: MaxDepth}
	}
	at, n := len(r.dst), 0
	r.dst = append(r.dst, 0x90)
	r.i++
	if r.peek() == ']' {
		r.i++
		return nil
	}
	for {
		if err := r.value(depth - 1); err != nil {
			return err
		}
		n++
		if r.peek() != ',' {
			r.dst = putHead(r.dst, at, n, 0x90, 0xdc)
			return r.take(']', "a comma or the end of an array")
		}
		r.i++
	}
}

func (r *jsonReader) object(depth int) error {
	if depth <= 0 {
		return &LimitError{What: "nesting", Bytes: MaxDepth + 1, Limit: MaxDepth}
	}
	at := len(r.dst)
	r.dst = append(r.dst, 0x80)
	r.i++
	if r.peek() == '}' {
		r.i++
		return nil
	}
	n := 0
	for {
		if r.peek() != '"' {
			return r.unexpected("a key: a string")
		}
		if err := r.string(); err != nil {
			return err
		}
		if err := r.take(':', "a colon"); err != nil {
			return err
		}
		if err := r.value(depth - 1); err != nil {
			return err
		}
		n++
		if r.peek() != ',' {
			break
		}
		r.i++
	}
	r.dst, n = withoutRepeated(r.dst, at+1, n)
	r.dst = putHead(r.dst, at, n, 0x80, 0xde)
	return r.take('}', "a comma or the end of an object")
}

// maxDistinct is the largest object whose keys are compared, since that takes
// memory for each of them.
const maxDistinct = 4096

// withoutRepeated removes from the n pairs at dst[at] those whose key comes
// again.
func withoutRepeated(dst []byte, at, n int) ([]byte, int) {
	if n < 2 || n > maxDistinct {
		return dst, n
	}
	last := make(map[string]int, n)
	pairs := make([][3]int, n)
	for i, pos := 0, at; i < n; i++ {
		_, value, _ := text(dst, pos)
		pairs[i] = [3]int{pos, value, skipFlat(dst, value)}
		last[string(dst[pos:value])] = i
		pos = pairs[i][2]
	}
	if len(last) == n {
		return dst, n
	}
	end := at
	for i, p := range pairs {
		if last[string(dst[p[0]:p[1]])] == i {
			end += copy(dst[end:], dst[p[0]:p[2]])
		}
	}
	return dst[:end], len(last)
}

// putHead writes the head of an array or map of n elements at dst[at], where one
// byte is free for it.
func putHead(dst []byte, at, n int, fix, wide byte) []byte {
	switch {
	case n < 16:
		dst[at] = fix | byte(n)
	case n <= math.MaxUint16:
		dst = append(dst, 0, 0)
		copy(dst[at+3:], dst[at+1:])
		copy(dst[at:], []byte{wide, byte(n >> 8), byte(n)})
	default:
		dst = append(dst, 0, 0, 0, 0)
		copy(dst[at+5:], dst[at+1:])
		copy(dst[at:], []byte{wide + 1, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	}
	return dst
}

// number appends an integer, or else a float.
func (r *jsonReader) number() error {
	from := r.i
	for r.i < len(r.b) {
		if c := r.b[r.i]; (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c|0x20 != 'e' {
			break
		}
		r.i++
	}
	text := string(r.b[from:r.i])
	if !json.Valid([]byte(text)) {
		r.i = from
		return r.unexpected("a number")
	}
	if v, err := strconv.ParseInt(text, 10, 64); err == nil {
		r.dst = msgp.AppendInt64(r.dst, v)
	} else if v, err := strconv.ParseUint(text, 10, 64); err == nil {
		r.dst = msgp.AppendUint64(r.dst, v)
	} else if v, err := strconv.ParseFloat(text, 64); err == nil && !isInteger(text) {
		r.dst = msgp.AppendFloat64(r.dst, v)
	} else {
		r.dst = msgp.AppendString(r.dst, text)
	}
	return nil
}

func isInteger(number string) bool {
	for _, c := range []byte(number) {
		if c != '-' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
