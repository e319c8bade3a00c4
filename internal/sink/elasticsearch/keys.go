package elasticsearch

import (
	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// Keys implements sink.Keyed: hashes of the documents that records are of, which are the
// ids that they bring along and the indices. Routing is left out: two records of one id
// and index may meet in one shard whatever theirs is. A record without an id, or without
// an index, is rejected and has no key.
func (s *Sink) Keys(dst []uint64, req sink.Request) []uint64 {
	a := s.attempts.Get().(*attempt)
	defer func() {
		a.stream, a.head.stream, a.head.known = nil, nil, false
		s.attempts.Put(a)
	}()
	for _, b := range req.Batches() {
		if b.Kind == record.KindLoss {
			continue
		}
		if s.want.apart && (a.stream == nil || a.stream.Index != b.Stream) {
			a.stream = req.Stream(b.Stream)
		}
		frames := b.Frames
		for range b.Count {
			var body []byte
			body, _, frames = b.Next(frames)
			if key, ok := a.keyOf(b, body); ok {
				dst = append(dst, key)
			}
		}
	}
	return dst
}

// keyOf tells which document a record is of.
func (a *attempt) keyOf(b *record.Batch, body []byte) (key uint64, ok bool) {
	at, v, ok := a.valuesOf(b, body)
	if !ok || a.foreignID(at, &v) != nil {
		return 0, false
	}
	key = mark(a.id)
	if !a.sink.want.apart {
		return key, true
	}
	if a.begins(at, &v) != nil {
		return 0, false
	}
	return key + a.head.mark, true
}

// valuesOf finds the time of a record and where its fields are, if it has any.
func (a *attempt) valuesOf(b *record.Batch, body []byte) (at int64, v values, ok bool) {
	switch b.Encoding {
	case record.EncodingEntry:
		_, rec, err := entry.Split(body)
		return entry.Time(body, b.Time), values{rec: rec}, err == nil
	case record.EncodingMessage:
		var m record.Message
		record.ParseMessage(body, &m)
		v.key = m.Key
		switch {
		case m.Null, a.sink.o.ID == IDKey && !a.sink.want.apart: // Nothing of the value is looked at.
		case m.Form == record.FormMap:
			v.rec = m.Value
		case m.Form == record.FormJSON:
			v.value, v.scan = m.Value, a.scan
			return m.Time, v, a.scan.Scan(m.Value) == nil
		default:
			v.line = m.Value
		}
		return m.Time, v, true
	}
	return b.Time, values{line: body}, true
}
