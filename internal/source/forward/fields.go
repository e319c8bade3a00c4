package forward

import (
	"bytes"

	"github.com/tinylib/msgp/msgp"

	protocol "github.com/spillway/spillway/forward"
)

// fields are keys that a source adds to each record, with text for values: the
// address of the sender, what ECS tells. A key that the record has already is
// replaced, so that nobody can send another one's.
type fields struct {
	keys  [][]byte
	pairs []byte // encoded
}

// add adds a field; an empty key adds none.
func (f *fields) add(key, value string) {
	if key == "" {
		return
	}
	f.keys = append(f.keys, []byte(key))
	f.pairs = msgp.AppendString(msgp.AppendString(f.pairs, key), value)
}

// join returns the fields of both.
func (f *fields) join(o *fields) *fields {
	if len(o.keys) == 0 {
		return f
	}
	return &fields{keys: append(f.keys[:len(f.keys):len(f.keys)], o.keys...), pairs: append(f.pairs[:len(f.pairs):len(f.pairs)], o.pairs...)}
}

// appendTo appends valid entries to dst with the fields in each record.
func (f *fields) appendTo(dst, entries []byte) ([]byte, error) {
	for len(entries) > 0 {
		e, rest, err := protocol.NextEntry(entries)
		if err != nil {
			return dst, err
		}
		dst = append(dst, e.Raw[:len(e.Raw)-len(e.Record)]...)
		if dst, err = f.appendRecord(dst, e.Record); err != nil {
			return dst, err
		}
		entries = rest
	}
	return dst, nil
}

// growth is the most that a record of one of count entries grows by: the fields,
// and a longer head of its map.
func (f *fields) growth(count int) int { return count * (len(f.pairs) + 4) }

func (f *fields) appendRecord(dst, record []byte) ([]byte, error) {
	n, pairs, err := msgp.ReadMapHeaderBytes(record)
	if err != nil {
		return dst, err
	}
	if !f.mayHave(pairs) {
		dst = msgp.AppendMapHeader(dst, n+uint32(len(f.keys)))
		return append(append(dst, pairs...), f.pairs...), nil
	}
	kept, left, err := f.without(n, pairs)
	if err != nil {
		return dst, err
	}
	dst = msgp.AppendMapHeader(dst, left+uint32(len(f.keys)))
	return append(append(dst, kept...), f.pairs...), nil
}

// mayHave reports whether one of the keys stands anywhere in pairs.
func (f *fields) mayHave(pairs []byte) bool {
	for _, key := range f.keys {
		if bytes.Contains(pairs, key) {
			return true
		}
	}
	return false
}

// without returns the n pairs but for those with one of the keys.
func (f *fields) without(n uint32, pairs []byte) (kept []byte, left uint32, err error) {
	for ; n > 0; n-- {
		key, ours := textOf(pairs), false
		for _, k := range f.keys {
			ours = ours || key != nil && bytes.Equal(k, key)
		}
		rest, err := msgp.Skip(pairs)
		if err == nil {
			rest, err = msgp.Skip(rest)
		}
		if err != nil {
			return nil, 0, err
		}
		if !ours {
			kept = append(kept, pairs[:len(pairs)-len(rest)]...)
			left++
		}
		pairs = rest
	}
	return kept, left, nil
}

// textOf is the text of a key, or nil where it is none.
func textOf(b []byte) []byte {
	var key []byte
	var err error
	switch msgp.NextType(b) {
	case msgp.StrType:
		key, _, err = msgp.ReadStringZC(b)
	case msgp.BinType:
		key, _, err = msgp.ReadBytesZC(b)
	}
	if err != nil {
		return nil
	}
	return key
}
