package entry

import (
	"errors"

	"github.com/spillway/spillway/internal/record"
)

// ErrNull says that a message has no value, of which nothing can be made.
var ErrNull = errors.New("the message has no value (a tombstone)")

// AppendMessage appends the value of a message as a record, by its form: a map as it
// is, a JSON object as AppendObject has it, text under the text's key. Key and
// headers are no part of it. Where it fails, dst has the length that it had.
func (c *Converter) AppendMessage(dst []byte, m *record.Message) ([]byte, error) {
	switch {
	case m.Null:
		return dst, ErrNull
	case m.Form == record.FormMap:
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

// AppendMessageJSON appends the value of a message as a JSON object on one line, by
// its form: a map as AppendJSON has it, a JSON object as it is, text under the text's
// key. What is not an object is an error, and then dst has the length that it had.
func (c *Converter) AppendMessageJSON(dst []byte, m *record.Message) ([]byte, error) {
	switch {
	case m.Null:
		return dst, ErrNull
	case m.Form == record.FormMap:
		dst, _, err := AppendJSON(dst, m.Value)
		return dst, err
	case m.Form == record.FormJSON:
		if err := c.scan.Scan(m.Value); err != nil {
			return dst, err
		}
		dst, _ = c.scan.AppendObject(dst)
		return dst, nil
	}
	dst, _ = c.AppendTextPair(append(dst, '{'), m.Value)
	return append(dst, '}'), nil
}

// AppendTextPair appends text as a pair of a JSON object, under the text's key, and
// tells how many bytes were replaced because they are no UTF-8.
func (c *Converter) AppendTextPair(dst, text []byte) (json []byte, replaced int) {
	return appendText(append(dst, c.jsonTextKey...), text)
}
