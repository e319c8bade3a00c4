package entry

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/spillway/spillway/internal/jsonscan"
	"github.com/spillway/spillway/internal/jsontext"
	"github.com/spillway/spillway/internal/record"
)

// Converter makes records of what has another encoding: of JSON, and of text. It
// belongs to one goroutine, and keeps the memory that it needs for the next call.
type Converter struct {
	textKey  []byte // encoded
	scan     *jsonscan.Scanner
	dst      []byte
	scratch  []byte
	replaced int
}

// NewConverter returns a converter that puts text under textKey.
func NewConverter(textKey string) *Converter {
	return &Converter{textKey: appendString(nil, textKey), scan: jsonscan.NewScanner(nil)}
}

// AppendObject appends a JSON object as a record, which is a map, and tells how many
// bytes were replaced because they are no UTF-8. What is not exactly one object is a
// *jsonscan.Error, and then dst has the length that it had.
//
//   - Numbers without point and exponent are integers, with or without sign, if they
//     have 64 bits. All that no number of 64 bits can say, such as 1e999, become the
//     text that they are.
//   - Other numbers are floats of 64 bits.
//   - Keys that stand in an object twice stand in the map twice, in their order.
//   - Each byte that is no UTF-8, and half of a surrogate pair, becomes U+FFFD.
func (c *Converter) AppendObject(dst, json []byte) (rec []byte, replaced int, err error) {
	if err := c.scan.Scan(json); err != nil {
		return dst, 0, err
	}
	c.dst, c.replaced = dst, 0
	c.value(json, passSeparators(json, 0))
	rec = c.dst
	c.dst = nil
	return rec, c.replaced, nil
}

// AppendTextRecord appends a record that has text under the text's key. Its bytes are
// kept as they are.
func (c *Converter) AppendTextRecord(dst, text []byte) []byte {
	return appendString(append(append(dst, 0x81), c.textKey...), text)
}

// passSeparators returns where the next token begins. Where white space, commas and
// colons may stand has been looked at by the scan.
func passSeparators(src []byte, at int) int {
	for src[at] <= ' ' || src[at] == ',' || src[at] == ':' {
		at++
	}
	return at
}

// value appends the value that begins at a place of JSON that was scanned, and
// returns what is behind it.
func (c *Converter) value(src []byte, at int) int {
	switch src[at] {
	case '"':
		return c.text(src, at)
	case '{':
		start := c.open()
		n := 0
		for at = passSeparators(src, at+1); src[at] != '}'; n++ {
			at = c.value(src, passSeparators(src, c.text(src, at)))
			at = passSeparators(src, at)
		}
		c.close(start, n, 0x80, 0xde)
		return at + 1
	case '[':
		start := c.open()
		n := 0
		for at = passSeparators(src, at+1); src[at] != ']'; n++ {
			at = passSeparators(src, c.value(src, at))
		}
		c.close(start, n, 0x90, 0xdc)
		return at + 1
	case 't':
		c.dst = append(c.dst, 0xc3)
		return at + len("true")
	case 'f':
		c.dst = append(c.dst, 0xc2)
		return at + len("false")
	case 'n':
		c.dst = append(c.dst, 0xc0)
		return at + len("null")
	}
	return c.number(src, at)
}

// widest is the head of a map or array whose size is not known yet.
const widest = 3

// maxMoved is the most bytes that are moved to spare two: what lies in many maps is
// not to be moved for each.
const maxMoved = 4 << 10

// open leaves room for the head of a map or array, and close writes it.
func (c *Converter) open() (start int) {
	start = len(c.dst)
	c.dst = append(c.dst, 0, 0, 0)
	return start
}

func (c *Converter) close(start, n int, short, wide byte) {
	head := c.dst[start:]
	switch {
	case n < 16 && len(head) <= maxMoved:
		head[0] = short | byte(n)
		copy(head[1:], head[widest:])
		c.dst = c.dst[:len(c.dst)-widest+1]
	case n < 1<<16:
		head[0] = wide
		binary.BigEndian.PutUint16(head[1:], uint16(n))
	default:
		c.dst = append(c.dst, 0, 0)
		head = c.dst[start:]
		copy(head[widest+2:], head[widest:])
		head[0] = wide + 1
		binary.BigEndian.PutUint32(head[1:], uint32(n))
	}
}

// text appends a string.
func (c *Converter) text(src []byte, at int) int {
	end, plain := jsonscan.EndOfString(src, at)
	inside := src[at+1 : end-1]
	if !plain {
		if !jsontext.ValidUTF8(inside) {
			c.replaced += record.InvalidBytes(inside)
		}
		inside, c.scratch = jsonscan.Text(c.scratch, src[at:end])
	}
	c.dst = appendString(c.dst, inside)
	return end
}

// number appends a number.
func (c *Converter) number(src []byte, at int) int {
	end, whole := at, true
	for ; src[end] > ' ' && src[end] != ',' && src[end] != '}' && src[end] != ']'; end++ {
		whole = whole && src[end] != '.' && src[end]|0x20 != 'e'
	}
	digits := src[at:end]
	if whole {
		c.integer(digits)
		return end
	}
	f, err := strconv.ParseFloat(string(digits), 64)
	if err != nil {
		c.dst = appendString(c.dst, digits)
		return end
	}
	c.dst = binary.BigEndian.AppendUint64(append(c.dst, 0xcb), math.Float64bits(f))
	return end
}

// integer appends a whole number, or its text where it has more than 64 bits.
func (c *Converter) integer(text []byte) {
	digits := text
	if digits[0] == '-' {
		digits = digits[1:]
	}
	var n uint64
	for _, d := range digits {
		d -= '0'
		if n > math.MaxUint64/10 || n*10 > math.MaxUint64-uint64(d) {
			c.dst = appendString(c.dst, text)
			return
		}
		n = n*10 + uint64(d)
	}
	switch {
	case len(digits) == len(text) || n == 0:
		c.dst = appendUint(c.dst, n)
	case n <= 32:
		c.dst = append(c.dst, byte(-int8(n)))
	case n <= 1<<31:
		c.dst = binary.BigEndian.AppendUint32(append(c.dst, 0xd2), uint32(-int64(n)))
	case n <= 1<<63:
		c.dst = binary.BigEndian.AppendUint64(append(c.dst, 0xd3), -n)
	default:
		c.dst = appendString(c.dst, text)
	}
}
