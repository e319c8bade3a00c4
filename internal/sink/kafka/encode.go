package kafka

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/jsonscan"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// produced is a message with the event that it is of.
type produced struct {
	kgo.Record
	event int32
}

// encoder makes messages of a request. It belongs to one goroutine at a time.
type encoder struct {
	o       *Options
	textKey []byte // in quotes
	lines   *entry.Lines
	scan    *jsonscan.Scanner
	text    []byte
	name    []byte

	// Of the request at work: all bytes of its messages, which the library keeps, and
	// its messages, whose parts are cut out of the bytes at the end, since those move.
	out    []byte
	pieces []cut
	flight *flight
}

// cut is where the parts of a message stand in the bytes.
type cut struct {
	topic      string
	at         int64
	event      int
	key, value int // where each ends; -1 is none
	begin      int
	headers    []kgo.RecordHeader
}

func keysOf(o *Options) (*jsonscan.Keys, error) {
	if o.Key != KeyField {
		return nil, nil
	}
	return jsonscan.NewKeys(o.KeyField)
}

func newEncoder(o *Options) *encoder {
	e := &encoder{o: o, textKey: entry.AppendString(nil, []byte(o.TextKey)), lines: entry.NewLines(o.TextKey, false)}
	keys, err := keysOf(o)
	if err != nil {
		panic("BUG: New has made the same keys: " + err.Error())
	}
	e.scan = jsonscan.NewScanner(keys)
	return e
}

// encode makes the messages of a request. What is no record is rejected in the flight.
func (e *encoder) encode(req sink.Request, f *flight) []produced {
	e.out, e.pieces, e.flight = make([]byte, 0, requestSize/4), e.pieces[:0], f
	for first, b := range req.Batches() {
		stream := req.Stream(b.Stream)
		event := first
		if b.Kind == record.KindLoss {
			loss := b.Loss()
			e.marker(stream, event, b, &loss)
			continue
		}
		for rest := b.Frames; len(rest) > 0; event++ {
			var body []byte
			body, _, rest = b.Next(rest)
			if err := e.event(stream, event, b, body); err != nil {
				f.rejected = append(f.rejected, sink.Rejection{First: event, End: event + 1, Reason: string(ledger.RejectedInvalid), Detail: err.Error()})
			}
		}
	}
	records := make([]produced, len(e.pieces))
	for i := range e.pieces {
		c, r := &e.pieces[i], &records[i]
		r.event = int32(c.event)
		r.Record = kgo.Record{Topic: c.topic, Timestamp: time.Unix(0, c.at), Headers: c.headers}
		value := c.begin
		if c.key >= 0 {
			r.Key, value = e.out[c.begin:c.key:c.key], c.key
		}
		if c.value >= 0 {
			r.Value = e.out[value:c.value:c.value]
		}
		*c = cut{}
	}
	e.out, e.flight = nil, nil // The library has them now.
	return records
}

// begin begins a message.
func (e *encoder) begin(stream *record.Stream, event int, at int64) (cut, error) {
	e.name = e.o.Topic.Append(e.name[:0], stream.Name, time.Unix(0, at), topicName)
	c := cut{at: at, event: event, key: -1, value: -1, begin: len(e.out)}
	// Most messages of a request are of one topic.
	if n := len(e.pieces); n > 0 && e.pieces[n-1].topic == string(e.name) {
		c.topic = e.pieces[n-1].topic
		return c, nil
	}
	c.topic = string(e.name)
	return c, goodTopic(c.topic)
}

// event makes a message of one record.
func (e *encoder) event(stream *record.Stream, event int, b *record.Batch, body []byte) error {
	var m record.Message
	at := b.Time
	switch b.Encoding {
	case record.EncodingText:
		m = record.Message{Form: record.FormText, Value: body}
	case record.EncodingEntry:
		at = entry.Time(body, at)
		_, rec, err := entry.Split(body)
		if err != nil {
			return err
		}
		m = record.Message{Form: record.FormMap, Value: rec}
	case record.EncodingMessage:
		record.ParseMessage(body, &m)
		at = m.Time
	default:
		return fmt.Errorf("found records of encoding %d", b.Encoding)
	}
	c, err := e.begin(stream, event, at)
	if err != nil {
		return err
	}
	from := len(e.out)
	if e.key(&c, stream, &m); !m.Null {
		if err := e.value(&m, stream, b); err != nil {
			e.out = e.out[:from]
			return err
		}
		c.value = len(e.out)
	}
	m.EachHeader(func(name, value []byte) bool {
		h := kgo.RecordHeader{Key: string(name)}
		if value != nil {
			h.Value = append([]byte{}, value...)
		}
		c.headers = append(c.headers, h)
		return true
	})
	e.pieces = append(e.pieces, c)
	return nil
}

// key appends the key of a message.
func (e *encoder) key(c *cut, stream *record.Stream, m *record.Message) {
	switch e.o.Key {
	case KeyRecord:
		if m.Key == nil {
			return
		}
		e.out = append(e.out, m.Key...)
	case KeyTag:
		e.out = append(e.out, stream.Name...)
	case KeyField:
		text, found := e.field(m)
		if !found {
			return
		}
		e.out = append(e.out, text...)
	case KeyNone:
		return
	}
	c.key = len(e.out)
}

// field finds the text of the key's field.
func (e *encoder) field(m *record.Message) (text []byte, found bool) {
	switch m.Form {
	case record.FormMap:
		v, found := entry.Lookup(m.Value, e.o.KeyField)
		if !found {
			return nil, false
		}
		var err error
		e.text, err = entry.AppendText(e.text[:0], v)
		return e.text, err == nil
	case record.FormJSON:
		if e.scan.Scan(m.Value) != nil {
			return nil, false
		}
		v := e.scan.Value(0)
		if v == nil {
			return nil, false
		}
		text, e.text = jsonscan.Text(e.text, v)
		return text, true
	}
	return nil, false
}

// value appends the value of a message; b says whether it is a part of a line.
func (e *encoder) value(m *record.Message, stream *record.Stream, b *record.Batch) (err error) {
	if e.o.Format == Raw && m.Form != record.FormMap {
		e.out = append(e.out, m.Value...)
		return nil
	}
	switch m.Form {
	case record.FormMap:
		e.out, _, err = entry.AppendJSON(e.out, m.Value)
	case record.FormJSON:
		if err := e.scan.Scan(m.Value); err != nil {
			return fmt.Errorf("the value is no JSON object: %w", err)
		}
		e.out, _ = e.scan.AppendObject(e.out)
	default:
		e.out = append(append(append(e.out, '{'), e.textKey...), ':')
		e.out = entry.AppendString(e.out, m.Value)
		if b.Part.Ordinal > 0 {
			e.out = entry.AppendPart(e.out, stream, b)
		}
		e.out = append(e.out, '}')
	}
	return err
}

// marker makes a message of a loss marker.
func (e *encoder) marker(stream *record.Stream, event int, b *record.Batch, loss *record.Loss) {
	c, err := e.begin(stream, event, b.Time)
	if err == nil {
		if e.o.Format == Raw {
			e.out = loss.AppendText(e.out)
		} else {
			var rec []byte
			if _, rec, err = entry.Split(e.lines.AppendLoss(nil, loss)); err == nil {
				e.out, _, err = entry.AppendJSON(e.out, rec)
			}
		}
	}
	if err != nil {
		e.flight.rejected = append(e.flight.rejected, sink.Rejection{First: event, End: event + 1, Reason: string(ledger.RejectedInvalid), Detail: err.Error()})
		return
	}
	c.value = len(e.out)
	e.pieces = append(e.pieces, c)
}
