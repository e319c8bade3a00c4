package streams

import (
	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/jsonscan"
	"github.com/spillway/spillway/internal/record"
)

// entry is what is sent of an entry of the forward protocol.
func (p *plan) entry(body []byte) ([]byte, error) {
	_, rec, err := entry.Split(body)
	if err != nil {
		return nil, err
	}
	return p.record(rec)
}

// record is what is sent of a record, which is a map.
func (p *plan) record(rec []byte) (text []byte, err error) {
	if key := p.sink.opts.LogKey; key != "" {
		if value, found := entry.Lookup(rec, key); found {
			p.text, err = entry.AppendText(p.text[:0], value)
			return p.text, err
		}
	}
	p.text, _, err = entry.AppendJSON(p.text[:0], rec)
	return p.text, err
}

// message is the time and what is sent of a message of a log with offsets, by the
// form of its value. One without a value is an error.
func (p *plan) message(body []byte) (at int64, text []byte, err error) {
	var m record.Message
	record.ParseMessage(body, &m)
	switch {
	case m.Null:
		return m.Time, nil, entry.ErrNull
	case m.Form == record.FormMap:
		text, err = p.record(m.Value)
	case m.Form == record.FormJSON:
		text = p.object(m.Value)
	default:
		text = m.Value
	}
	return m.Time, text, err
}

// object is what is sent of a JSON value: that of the key, or else the object on one
// line. What is no object is sent as it is, as any text is.
func (p *plan) object(value []byte) []byte {
	if p.scan == nil {
		p.scan = jsonscan.NewScanner(p.sink.keys)
	}
	if p.scan.Scan(value) != nil {
		return value
	}
	if p.sink.opts.LogKey != "" {
		if found := p.scan.Value(0); found != nil {
			var text []byte
			text, p.text = jsonscan.Text(p.text, found)
			return text
		}
	}
	p.text, _ = p.scan.AppendObject(p.text[:0])
	return p.text
}
