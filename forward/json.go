package forward

import (
	"encoding/json"
	"strconv"
)

// ParseJSON reads one whole JSON message, in Message or Forward mode, and appends
// its entries to dst, as msgpack. They take at most three times the bytes of b.
// Keys that an object of up to 4,096 has twice keep their last value, numbers with a fraction
// become floats (as a time, an EventTime), and integers that no 64 bits hold
// become strings. See Parse for the rest; the acknowledgement is JSON then.
func ParseJSON(dst, b []byte, m *Message) ([]byte, error) {
	r := jsonReader{b: b, dst: dst}
	*m = Message{Size: -1, ack: ackID{json: true}}
	start := len(dst)
	err := r.message(m)
	if err == nil && m.Mode != 0 {
		m.Payload = r.dst[start:r.payload:r.payload]
		if r.option > 0 {
			err = m.parseOption(r.dst[r.option:])
		}
	}
	return r.dst, err
}

func (a ackID) appendJSON(dst []byte) []byte {
	raw := []byte(a.raw)
	dst = append(dst, `{"ack":`...)
	if v, _, ok := integer(raw, 0); ok {
		return append(strconv.AppendInt(dst, v, 10), '}')
	}
	id, _, _ := text(raw, 0)
	quoted, err := json.Marshal(string(id))
	if err != nil {
		panic(err) // a string is always JSON
	}
	return append(append(dst, quoted...), '}')
}

// jsonReader turns JSON into msgpack.
type jsonReader struct {
	b, dst  []byte
	i       int
	payload int // where the entries end in dst
	option  int // where the option map begins in dst; 0 where there is none
}

func (r *jsonReader) unexpected(want string) error {
	found := "the end"
	if r.i < len(r.b) {
		found = strconv.QuoteRune(rune(r.b[r.i]))
	}
	return &SyntaxError{Want: want, Found: found, Offset: int64(r.i)}
}

// peek skips white space and returns the next byte, or 0 at the end.
func (r *jsonReader) peek() byte {
	for ; r.i < len(r.b); r.i++ {
		switch c := r.b[r.i]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (r *jsonReader) take(c byte, want string) error {
	if r.peek() != c {
		return r.unexpected(want)
	}
	r.i++
	return nil
}

// message reads [tag, time, record, option] or [tag, entries, option].
func (r *jsonReader) message(m *Message) error {
	if err := r.take('[', "a message: an array of a tag and entries"); err != nil {
		return err
	}
	before := len(r.dst)
	if r.peek() != '"' {
		return r.unexpected("a tag: a string")
	}
	if err := r.value(0); err != nil {
		return err
	}
	tag, _, _ := text(r.dst, before)
	if len(tag) > MaxTag {
		return &LimitError{What: "tag", Bytes: int64(len(tag)), Limit: MaxTag}
	}
	m.Tag = string(tag)
	r.dst = r.dst[:before]
	if err := r.take(',', "a comma"); err != nil {
		return err
	}
	if r.peek() == '[' {
		m.Mode = ModeForward
		if err := r.entries(); err != nil {
			return err
		}
	} else {
		m.Mode = ModeMessage
		if err := r.entry(','); err != nil {
			return err
		}
	}
	r.payload = len(r.dst)
	if r.peek() == ',' {
		r.i++
		r.option = len(r.dst)
		if err := r.value(MaxDepth); err != nil {
			return err
		}
	}
	if err := r.take(']', "the end of the message"); err != nil {
		return err
	}
	if r.peek() != 0 {
		return r.unexpected("the end")
	}
	return nil
}

// entries reads an array of entries. What is no array of two stays as it is, an
// invalid entry.
func (r *jsonReader) entries() error {
	r.i++
	if r.peek() == ']' {
		r.i++
		return nil
	}
	for {
		start, mark := r.i, len(r.dst)
		ok := false
		if r.peek() == '[' {
			r.i++
			ok = r.entry(',') == nil && r.take(']', "") == nil
		}
		if !ok {
			r.i, r.dst = start, r.dst[:mark]
			if err := r.value(MaxDepth + 2); err != nil {
				return err
			}
		}
		if r.peek() != ',' {
			return r.take(']', "a comma or the end of the entries")
		}
		r.i++
	}
}

// entry reads a time and a record.
func (r *jsonReader) entry(between byte) error {
	r.dst = append(r.dst, 0x92)
	if err := r.time(); err != nil {
		return err
	}
	if err := r.take(between, "a comma"); err != nil {
		return err
	}
	return r.value(MaxDepth + 1)
}
