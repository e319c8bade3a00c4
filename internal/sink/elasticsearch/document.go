package elasticsearch

import (
	"bytes"
	"slices"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/jsontext"
	"github.com/spillway/spillway/internal/record"
)

// mayHaveTime reports whether the name of the time stands anywhere in the members
// from there on. Most records do not have it, and to find that out by its bytes is
// quick.
func (a *attempt) mayHaveTime(members int) bool {
	w := &a.sink.want
	return w.time >= 0 && bytes.Contains(a.out[members:], w.timeName)
}

// message appends a message of a log with offsets.
func (a *attempt) message(body []byte) error {
	var m record.Message
	record.ParseMessage(body, &m)
	number := a.batch.Number(a.number, a.batch.Count-a.left, body)
	switch {
	case m.Null:
		return a.tombstone(&m, number)
	case m.Form == record.FormMap:
		return a.packed(m.Time, number, m.Key, m.Value)
	case m.Form == record.FormJSON:
		return a.json(m.Time, number, m.Key, m.Value)
	}
	return a.line(m.Time, number, m.Key, m.Value, true)
}

// line appends a line of text.
func (a *attempt) line(at int64, number uint64, key, text []byte, mayBeBad bool) error {
	if err := a.action(at, number, values{key: key, line: text}); err != nil {
		return err
	}
	form := jsontext.Valid
	if mayBeBad {
		form = jsontext.Repair
	}
	if len(text) > window {
		a.longLine(at, form, text)
		return nil
	}
	w := &a.sink.want
	a.out = append(append(a.out, w.open...), w.textOpen...)
	a.out = append(form.AppendString(a.out, text), '"')
	a.finish(at, true, false)
	return nil
}

// packed appends a record that is a msgpack map.
func (a *attempt) packed(at int64, number uint64, key, rec []byte) error {
	v := values{key: key, rec: rec}
	if err := a.action(at, number, v); err != nil {
		return err
	}
	w := &a.sink.want
	if len(rec) > window && !v.hasAny(w.removed) {
		return a.longMap(at, rec)
	}
	a.out = append(a.out, w.open...)
	start := len(a.out)
	a.out = append(a.out, '{')
	var made entry.Pairs
	var err error
	if v.hasAny(w.removed) {
		made.Looked = true // It may be there.
		a.out, made.N, made.Replaced, err = appendOthers(a.out, rec, w.removed)
	} else {
		a.out, _, made, err = entry.AppendPairsOf(a.out, rec, w.timeBegins)
	}
	if err != nil {
		return err
	}
	a.bad = made.Replaced
	timed := false
	if made.Looked && a.mayHaveTime(start) {
		_, timed = entry.Lookup(rec, a.sink.o.TimeKey)
	}
	a.finish(at, made.N > 0, timed)
	return nil
}

// json appends a record that is to be one JSON object.
func (a *attempt) json(at int64, number uint64, key, value []byte) error {
	if err := a.scan.Scan(value); err != nil {
		return invalid("the value is not one JSON object: %w", err)
	}
	if err := a.action(at, number, values{key: key, value: value, scan: a.scan}); err != nil {
		return err
	}
	w := &a.sink.want
	for _, key := range w.remove {
		a.scan.Remove(key)
	}
	timed := w.time >= 0 && a.scan.Value(w.time) != nil && !slices.Contains(w.remove, w.time)
	if len(value) > window {
		a.longDocument(at, func(yield func([]byte) bool) (int, int) { return a.scan.EachMember(longPiece, yield) }, timed)
		return nil
	}
	a.out = append(append(a.out, w.open...), '{')
	var n, bad int
	a.out, n, bad = a.scan.AppendMembers(a.out)
	a.bad = bad
	a.finish(at, n > 0, timed)
	return nil
}

// finish appends what stands behind the members of a document.
func (a *attempt) finish(at int64, members, timed bool) {
	w := &a.sink.want
	if w.time >= 0 && !timed {
		open := w.timeOpen
		if !members {
			open = open[1:]
		}
		a.out = a.clock.append(append(a.out, open...), at)
		members = true
	}
	if len(a.tail) > 0 {
		tail := a.tail
		if !members {
			tail = tail[1:]
		}
		a.out = append(a.out, tail...)
	}
	a.out = append(a.out, w.shut...)
}

// loss appends a loss marker: the text where a line would stand, and the object.
func (a *attempt) loss(l record.Loss) error {
	if a.sink.ordered {
		// It has no such field; what it says is kept by the log.
		return invalid("a loss marker has no id of the record's fields")
	}
	if err := a.action(l.FirstTime, l.FirstSeq, values{}); err != nil {
		return err
	}
	w := &a.sink.want
	a.out = append(append(a.out, w.open...), w.textOpen...)
	var text [record.LossTextSize]byte
	a.out = jsontext.Repair.AppendString(a.out, l.AppendText(text[:0]))
	a.out = append(append(append(a.out, `","`...), entry.KeyLoss...), `":`...)
	a.out = l.AppendJSON(a.out)
	a.finish(l.FirstTime, true, false)
	return nil
}

// tombstone appends what deletes the document of a key. Without ids from keys
// nothing can be deleted.
func (a *attempt) tombstone(m *record.Message, number uint64) error {
	if a.sink.o.ID != IDKey {
		return invalid("the value is null; expected one, since there are no ids from keys by which a document could be deleted")
	}
	start := len(a.out)
	if err := a.action(m.Time, number, values{key: m.Key}); err != nil {
		return err
	}
	// The line begins with {"index": or another verb.
	line := a.out[start:]
	verb := bytes.IndexByte(line, ':')
	a.scratch = append(append(a.scratch[:0], `{"delete"`...), line[verb:]...)
	if end := bytes.Index(a.scratch, []byte(`,"retry_on_conflict"`)); end > 0 {
		a.scratch = append(a.scratch[:end], "}}\n"...)
	}
	a.out = append(a.out[:start], a.scratch...)
	a.deletes = append(a.deletes, a.sent)
	return nil
}
