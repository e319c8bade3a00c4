package entry

import (
	"errors"
	"fmt"

	"github.com/spillway/spillway/internal/jsonscan"
	"github.com/spillway/spillway/internal/record"
)

// ErrNull says that a message has no value, of which nothing can be made.
var ErrNull = errors.New("the message has no value (a tombstone)")

// errTooDeep says that a map is nested deeper than a receiver of records takes.
var errTooDeep = fmt.Errorf("the map is nested more than %d deep", jsonscan.MaxDepth)

// AppendMessage appends the value of a message as a record, by its form: a map as it
// is, a JSON object as AppendObject has it, text under the text's key. Key and
// headers are no part of it. A map that is nested deeper than jsonscan.MaxDepth, which
// no receiver would take, is an error. Where it fails, dst has the length that it had.
func (c *Converter) AppendMessage(dst []byte, m *record.Message) ([]byte, error) {
	switch {
	case m.Null:
		return dst, ErrNull
	case m.Form == record.FormMap:
		if err := checkMap(m.Value); err != nil {
			return dst, err
		}
		return append(dst, m.Value...), nil
	case m.Form == record.FormJSON:
		dst, _, err := c.AppendObject(dst, m.Value)
		return dst, err
	}
	return c.AppendTextRecord(dst, m.Value), nil
}

// AppendMessageEntry appends a message as an entry: its event time, and what
// AppendMessage makes.
func (c *Converter) AppendMessageEntry(dst []byte, m *record.Message) ([]byte, error) {
	out, err := c.AppendMessage(appendTime(append(dst, 0x92), m.Time), m)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// checkMap tells why a value is not one map that any receiver takes.
func checkMap(value []byte) error {
	h, err := parse(value)
	if err == nil && h.kind != kindMap {
		err = fmt.Errorf("the value begins with the byte %#02x: expected a map", value[0])
	}
	if err != nil {
		return err
	}
	rest, err := skipWithin(value, jsonscan.MaxDepth)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("found %d bytes behind the map; expected none", len(rest))
	}
	return err
}
