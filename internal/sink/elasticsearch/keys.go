package elasticsearch

import (
	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// Keys implements sink.Keyed: hashes of the ids that records bring along. Index and
// routing are left out: an id that stands in several of them is rare, and waits then
// although it need not. A record without an id is rejected and has no key.
func (s *Sink) Keys(dst []uint64, req sink.Request) []uint64 {
	a := s.attempts.Get().(*attempt)
	defer s.attempts.Put(a)
	for _, b := range req.Batches() {
		if b.Kind == record.KindLoss {
			continue
		}
		frames := b.Frames
		for range b.Count {
			var body []byte
			body, _, frames = b.Next(frames)
			if v, ok := a.valuesOf(b, body); ok && a.foreignID(b.Time, &v) == nil {
				dst = append(dst, mark(a.id))
			}
		}
	}
	return dst
}

// valuesOf finds where the fields of a record are, if it has any.
func (a *attempt) valuesOf(b *record.Batch, body []byte) (v values, ok bool) {
	switch b.Encoding {
	case record.EncodingEntry:
		_, rec, err := entry.Split(body)
		return values{rec: rec}, err == nil
	case record.EncodingMessage:
		var m record.Message
		record.ParseMessage(body, &m)
		v.key = m.Key
		switch {
		case m.Null, a.sink.o.ID == IDKey: // Nothing of the value is looked at.
		case m.Form == record.FormMap:
			v.rec = m.Value
		case m.Form == record.FormJSON:
			v.value, v.scan = m.Value, a.scan
			return v, a.scan.Scan(m.Value) == nil
		default:
			v.line = m.Value
		}
		return v, true
	}
	return values{line: body}, true
}
