package kafka

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/internal/jsontext"
	"github.com/spillway/spillway/internal/record"
)

// Fields are the keys under which parts of a record are put into its value; empty ones
// are not. What the value has under such a key is replaced.
type Fields struct {
	// Key is text, or base64 where it is no UTF-8; a record without a key gets none.
	Key string
	// Headers is a map of their names and values, likewise; a record without any gets
	// none.
	Headers string
	// Topic is text, Partition and Offset are numbers, Timestamp is that of Kafka in
	// milliseconds since 1970.
	Topic, Partition, Offset, Timestamp string
}

// names are the keys in use.
func (f *Fields) names() (all []string) {
	for _, name := range []string{f.Key, f.Headers, f.Topic, f.Partition, f.Offset, f.Timestamp} {
		if name != "" {
			all = append(all, name)
		}
	}
	return all
}

// count is how many fields a message gets.
func (f *Fields) count(m *record.Message) int {
	n := 0
	for _, name := range []string{f.Topic, f.Partition, f.Offset, f.Timestamp} {
		if name != "" {
			n++
		}
	}
	if f.Key != "" && m.Key != nil {
		n++
	}
	if f.Headers != "" && len(m.Headers) > 0 {
		n++
	}
	return n
}

// appendMap appends pairs of msgpack.
func (f *Fields) appendMap(dst []byte, m *record.Message, p *partition, stamp int64) []byte {
	if f.Key != "" && m.Key != nil {
		dst = appendText(msgp.AppendString(dst, f.Key), m.Key)
	}
	if f.Headers != "" && len(m.Headers) > 0 {
		n := uint32(0)
		m.EachHeader(func(_, _ []byte) bool { n++; return true })
		dst = msgp.AppendMapHeader(msgp.AppendString(dst, f.Headers), n)
		m.EachHeader(func(name, value []byte) bool {
			dst = appendText(dst, name)
			if value == nil {
				dst = msgp.AppendNil(dst)
			} else {
				dst = appendText(dst, value)
			}
			return true
		})
	}
	if f.Topic != "" {
		dst = msgp.AppendString(msgp.AppendString(dst, f.Topic), p.topic)
	}
	for _, n := range f.numbers(m, p, stamp) {
		if n.name != "" {
			dst = msgp.AppendInt64(msgp.AppendString(dst, n.name), n.value)
		}
	}
	return dst
}

type number struct {
	name  string
	value int64
}

func (f *Fields) numbers(m *record.Message, p *partition, stamp int64) [3]number {
	return [3]number{{f.Partition, int64(p.number)}, {f.Offset, m.Offset}, {f.Timestamp, milli(stamp)}}
}

// appendJSON appends members of an object; others stand before them, or do not.
func (f *Fields) appendJSON(dst []byte, others bool, m *record.Message, p *partition, stamp int64) []byte {
	name := func(key string) {
		if others {
			dst = append(dst, ',')
		}
		others = true
		dst = append(appendString(dst, []byte(key)), ':')
	}
	if f.Key != "" && m.Key != nil {
		name(f.Key)
		dst = appendString(dst, m.Key)
	}
	if f.Headers != "" && len(m.Headers) > 0 {
		name(f.Headers)
		dst = append(dst, '{')
		others = false
		m.EachHeader(func(key, value []byte) bool {
			name(string(key))
			if value == nil {
				dst = append(dst, "null"...)
			} else {
				dst = appendString(dst, value)
			}
			return true
		})
		dst, others = append(dst, '}'), true
	}
	if f.Topic != "" {
		name(f.Topic)
		dst = appendString(dst, []byte(p.topic))
	}
	for _, n := range f.numbers(m, p, stamp) {
		if n.name != "" {
			name(n.name)
			dst = strconv.AppendInt(dst, n.value, 10)
		}
	}
	return dst
}

// appendString appends a JSON string: text, or base64 where it is no UTF-8.
func appendString(dst, text []byte) []byte {
	dst = append(dst, '"')
	if utf8.Valid(text) {
		dst = jsontext.Valid.AppendString(dst, text)
	} else {
		dst = base64.StdEncoding.AppendEncode(dst, text)
	}
	return append(dst, '"')
}
