package file

import (
	"strconv"
	"time"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/jsonscan"
	"github.com/spillway/spillway/internal/jsontext"
	"github.com/spillway/spillway/internal/record"
)

// encoder makes lines. What it returns is valid until it is called again.
type encoder struct {
	opts *Options

	timeKey, tagKey, textKey []byte // as they stand in an object, with the colon
	tag                      []byte // of the present batch: in quotes for JSON, as it is for OutFile
	partial                  []byte // what a part has beside its text, with the comma before it
	layout                   string
	stamp                    []byte // the text of the time stamped, that of the last line
	stamped                  int64
	out                      []byte

	scan                 *jsonscan.Scanner // of JSON, for the keys of the options
	atTime, atTag, atLog int               // their numbers, or -1
}

func newEncoder(o *Options) encoder {
	e := encoder{opts: o, layout: time.RFC3339Nano}
	if o.Format == OutFile {
		e.layout = time.RFC3339 // what fluentd writes
	}
	key := func(name string) []byte {
		if name == "" {
			return nil
		}
		return append(entry.AppendString(nil, []byte(name)), ':')
	}
	e.timeKey, e.tagKey, e.textKey = key(o.TimeKey), key(o.TagKey), key(o.TextKey)
	e.prepareScan()
	return e
}

// enter prepares for the lines of a batch.
func (e *encoder) enter(stream *record.Stream, b *record.Batch) {
	e.tag = e.tag[:0]
	if e.opts.Format == JSON {
		e.tag = entry.AppendString(e.tag, []byte(stream.Name))
	} else {
		// Neither a tab nor a line break may stand in the tag of an out_file.
		e.tag = jsontext.Repair.AppendString(e.tag, []byte(stream.Name))
	}
	e.partial = e.partial[:0]
	if b.Part.Ordinal > 0 {
		id := entry.AppendLineID(nil, stream, b)
		e.partial = append(append(e.partial, `,"partial_id":"`...), id...)
		e.partial = strconv.AppendUint(append(e.partial, `","partial_ordinal":`...), uint64(b.Part.Ordinal), 10)
		e.partial = strconv.AppendBool(append(e.partial, `,"partial_last":`...), b.Part.Last)
	}
}

// line is the time and the line of one record. An error says that the body is no
// entry.
func (e *encoder) line(b *record.Batch, body []byte) (at int64, line []byte, err error) {
	at = b.Time
	switch b.Encoding {
	case record.EncodingText:
		return at, e.text(at, body), nil
	case record.EncodingMessage:
		return e.message(body)
	}
	at = entry.Time(body, at)
	_, rec, err := entry.Split(body)
	if err != nil {
		return at, nil, err
	}
	line, err = e.record(at, rec)
	return at, line, err
}

// text is the line of a line of text.
func (e *encoder) text(at int64, body []byte) []byte {
	if e.opts.Format == Text {
		e.out = append(append(e.out[:0], body...), '\n')
		return e.out
	}
	out := append(e.begin(at, true, true), e.textKey...)
	return e.end(append(entry.AppendString(out, body), e.partial...))
}

// record is the line of a record.
func (e *encoder) record(at int64, rec []byte) ([]byte, error) {
	if e.opts.Format == Text {
		if value, found := entry.Lookup(rec, e.opts.LogKey); found {
			rec = value
		}
		out, err := entry.AppendText(e.out[:0], rec)
		e.out = append(out, '\n')
		return e.out, err
	}
	_, hasTime := entry.Lookup(rec, e.opts.TimeKey)
	_, hasTag := entry.Lookup(rec, e.opts.TagKey)
	out := e.begin(at, !hasTime, !hasTag)
	out, pairs, _, err := entry.AppendPairs(out, rec)
	return e.endPairs(out, pairs), err
}

// endPairs ends a line with so many pairs of a record's own.
func (e *encoder) endPairs(out []byte, pairs int) []byte {
	if pairs == 0 && out[len(out)-1] == ',' {
		out = out[:len(out)-1]
	}
	return e.end(out)
}

// loss is the line of a loss marker: the text where that of a line would stand,
// and the object.
func (e *encoder) loss(b *record.Batch) []byte {
	loss := b.Loss()
	var text [record.LossTextSize]byte
	message := loss.AppendText(text[:0])
	if e.opts.Format == Text {
		e.out = append(append(e.out[:0], message...), '\n')
		return e.out
	}
	out := append(e.begin(b.Time, true, true), e.textKey...)
	out = append(entry.AppendString(out, message), `,"`+entry.KeyLoss+`":`...)
	return e.end(loss.AppendJSON(out))
}

// begin begins a line up to the first pair of the record's own. In JSON the time
// and the tag are pairs before it.
func (e *encoder) begin(at int64, withTime, withTag bool) []byte {
	if at != e.stamped || len(e.stamp) == 0 {
		e.stamp = time.Unix(0, at).UTC().AppendFormat(e.stamp[:0], e.layout)
		e.stamped = at
	}
	out := e.out[:0]
	if e.opts.Format == OutFile {
		out = append(append(out, e.stamp...), '\t')
		out = append(append(out, e.tag...), '\t')
		return append(out, '{')
	}
	out = append(out, '{')
	if withTime && e.timeKey != nil {
		out = append(append(out, e.timeKey...), '"')
		out = append(append(out, e.stamp...), `",`...)
	}
	if withTag && e.tagKey != nil {
		out = append(append(append(out, e.tagKey...), e.tag...), ',')
	}
	return out
}

// end ends a line.
func (e *encoder) end(out []byte) []byte {
	e.out = append(out, "}\n"...)
	return e.out
}
