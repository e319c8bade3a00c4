package elasticsearch

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"unicode/utf8"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/indexname"
	"github.com/spillway/spillway/internal/jsonscan"
	"github.com/spillway/spillway/internal/jsontext"
	"github.com/spillway/spillway/internal/ledger"
)

// values is where the fields of the present record are: in a msgpack map, in a
// JSON object that was scanned, or in a line of text.
type values struct {
	key   []byte // of a message
	rec   []byte
	value []byte
	scan  *jsonscan.Scanner
	line  []byte
}

// whole is the record as it arrived.
func (v *values) whole() []byte {
	switch {
	case v.rec != nil:
		return v.rec
	case v.scan != nil:
		return v.value
	}
	return v.line
}

// text appends the text of a field: strings as they are, numbers and booleans as
// JSON has them. It reports whether there is one.
func (v *values) text(dst []byte, f *field, textKey string) ([]byte, bool) {
	switch {
	case v.rec != nil:
		value, ok := f.lookupMap(v.rec)
		if !ok || len(value) == 0 || !isScalar(value[0]) {
			return dst, false
		}
		out, err := entry.AppendText(dst, value)
		return out, err == nil
	case v.scan != nil:
		value, ok := f.lookupJSON(v.scan)
		if !ok {
			return dst, false
		}
		switch value[0] {
		case '{', '[', 'n':
			return dst, false
		case '"':
			text, _ := jsonscan.Text(nil, value)
			return append(dst, text...), true
		}
		return append(dst, value...), true
	}
	if f.name == textKey && v.line != nil {
		return append(dst, v.line...), true
	}
	return dst, false
}

// isScalar reports whether a msgpack value that begins so is text, a number or a
// boolean.
func isScalar(c byte) bool {
	switch {
	case c < 0x80, c >= 0xe0, c >= 0xa0 && c < 0xc0:
		return true
	case c == 0xc2, c == 0xc3, c >= 0xc4 && c <= 0xc6, c >= 0xca && c <= 0xd3, c >= 0xd9 && c <= 0xdb:
		return true
	}
	return false
}

// hasAny reports whether the map has any of the keys.
func (v *values) hasAny(names []string) bool {
	for _, name := range names {
		// Most records do not have it, and to find that out by its bytes is quick.
		if !bytes.Contains(v.rec, []byte(name)) {
			continue
		}
		if _, ok := entry.Lookup(v.rec, name); ok {
			return true
		}
	}
	return false
}

// action appends the line that says what is to be done with the document.
func (a *attempt) action(at int64, number uint64, v values) error {
	s := a.sink
	if err := a.begins(at, &v); err != nil {
		return err
	}
	a.out = append(a.out, a.head.text...)
	switch s.o.ID {
	case IDNone:
	case IDOrigin:
		id := a.origin.of(number)
		a.marks = append(a.marks, mark(id))
		a.out = append(a.out, id...)
		a.out = append(a.out, '"')
	default:
		if err := a.foreignID(at, &v); err != nil {
			return err
		}
		id := mark(a.id)
		a.marks = append(a.marks, id)
		if s.want.apart {
			a.places = append(a.places, id+a.head.mark)
		}
		a.out = append(jsontext.Valid.AppendString(a.out, a.id), '"')
	}
	if s.want.routing != nil {
		var ok bool
		if a.scratch, ok = v.text(a.scratch[:0], s.want.routing, s.o.TextKey); ok && len(a.scratch) > 0 {
			a.out = append(a.out, `,"routing":"`...)
			a.out = append(jsontext.Repair.AppendString(a.out, a.scratch), '"')
		}
	}
	a.out = append(a.out, s.want.actionTail...)
	return nil
}

// foreignID finds the id in the record, or makes it of the record.
func (a *attempt) foreignID(at int64, v *values) error {
	switch a.sink.o.ID {
	case IDHash:
		return a.hashID(at, v)
	case IDKey:
		if len(v.key) == 0 {
			return invalid("no id: the record has no key, or an empty one")
		}
		a.id = append(a.id[:0], v.key...)
	default:
		var ok bool
		if a.id, ok = v.text(a.id[:0], a.sink.want.id, a.sink.o.TextKey); !ok || len(a.id) == 0 {
			return invalid("no id: the record has no field %q, or it is empty, or neither text nor a number", a.sink.want.id.name)
		}
	}
	if len(a.id) > MaxID {
		return &refusal{ledger.RejectedInvalid, fmt.Errorf("the id has %d bytes; expected at most %d", len(a.id), MaxID)}
	}
	if !utf8.Valid(a.id) {
		return invalid("the id is not valid UTF-8")
	}
	return nil
}

// begins makes sure that head is the beginning of the action for this record.
func (a *attempt) begins(at int64, v *values) error {
	w, o := &a.sink.want, &a.sink.o
	own := w.index != nil || len(w.names) > 0 || len(w.pipeline) > 0
	grain := int64(0)
	for _, n := range [...]*indexname.Name{o.Index, o.Pipeline} {
		if n != nil && n.Dated() {
			// Zones stand whole minutes apart, and a minute is soon looked at.
			grain = floorDiv(at, int64(namesPer)) + 1
		}
	}
	if a.head.known && !own && a.head.stream == a.stream && a.head.grain == grain {
		return nil
	}
	a.head.known = false
	a.head.text = append(a.head.text[:0], w.action...)
	name := len(a.head.text)
	given := false
	if w.index != nil {
		var text []byte
		if text, given = v.text(a.scratch[:0], w.index, o.TextKey); given && len(text) > 0 {
			a.head.text = append(a.head.text, text...)
			a.head.text = indexname.Clean(a.head.text, name)
		} else {
			given = false
		}
		a.scratch = text
	}
	if !given {
		a.head.text = a.named(a.head.text, o.Index, w.names, at, v)
	}
	if wrong := indexname.Check(a.head.text[name:]); wrong != "" {
		return invalid("%s", wrong)
	}
	if w.apart {
		a.head.mark = maphash.Bytes(seed, a.head.text[name:])
	}
	a.head.text = append(a.head.text, '"')
	if o.Pipeline != nil {
		a.head.text = append(a.head.text, `,"pipeline":"`...)
		a.head.text = append(a.named(a.head.text, o.Pipeline, w.pipeline, at, v), '"')
	}
	if o.ID != IDNone {
		a.head.text = append(a.head.text, `,"_id":"`...)
	}
	a.head.stream, a.head.grain, a.head.known = a.stream, grain, true
	return nil
}

// namesPer is how long a name with dates is kept, in nanoseconds.
const namesPer = 60_000_000_000

// named appends a name that is made of the record. Neither quotes nor backslashes
// are left in what is not of the template itself, and that is checked.
func (a *attempt) named(dst []byte, n *indexname.Name, fields []field, at int64, v *values) []byte {
	return n.Append(dst, a.stream.Name, at, func(dst []byte, i int) ([]byte, bool) {
		return v.text(dst, &fields[i], a.sink.o.TextKey)
	})
}
