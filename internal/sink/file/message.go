package file

import (
	"slices"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/jsonscan"
	"github.com/spillway/spillway/internal/record"
)

// prepareScan makes the scanner of JSON values. An option that has no key looks for
// none.
func (e *encoder) prepareScan() {
	var names []string
	number := func(name string) int {
		if name == "" {
			return -1
		}
		if i := slices.Index(names, name); i >= 0 {
			return i
		}
		names = append(names, name)
		return len(names) - 1
	}
	e.atTime, e.atTag, e.atLog = number(e.opts.TimeKey), number(e.opts.TagKey), number(e.opts.LogKey)
	keys, err := jsonscan.NewKeys(names...)
	if err != nil {
		panic(err) // Three keys, of which no two are the same.
	}
	e.scan = jsonscan.NewScanner(keys)
}

// message is the time and the line of a message of a log with offsets, by the form of
// its value: text as a line of text, a map as a record, and JSON as the object that
// it is. An error says that there is no value, or, where the format is not Text, that
// it is not one object.
func (e *encoder) message(body []byte) (at int64, line []byte, err error) {
	var m record.Message
	record.ParseMessage(body, &m)
	switch {
	case m.Null:
		return m.Time, nil, entry.ErrNull
	case m.Form == record.FormMap:
		line, err = e.record(m.Time, m.Value)
	case m.Form == record.FormJSON:
		line, err = e.object(m.Time, m.Value)
	default:
		line = e.text(m.Time, m.Value)
	}
	return m.Time, line, err
}

// object is the line of a JSON value. Text has the value of its key, and a value
// without it as it is, whatever it is.
func (e *encoder) object(at int64, value []byte) ([]byte, error) {
	err := e.scan.Scan(value)
	if e.opts.Format == Text {
		out := e.out
		if e.has(e.atLog) {
			value, out = jsonscan.Text(out, e.scan.Value(e.atLog))
		}
		e.out = append(append(out[:0], value...), '\n')
		return e.out, nil
	}
	if err != nil {
		return nil, err
	}
	out := e.begin(at, !e.has(e.atTime), !e.has(e.atTag))
	out, pairs, _ := e.scan.AppendMembers(out)
	return e.endPairs(out, pairs), nil
}

// has tells whether the object that was scanned has the key with this number.
func (e *encoder) has(key int) bool { return key >= 0 && e.scan.Value(key) != nil }
