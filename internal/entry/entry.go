// Package entry reads entries of the fluentd forward protocol where they lie,
// and makes entries of lines of text. An entry is a MessagePack array of a time
// and a record, which is a map: record.EncodingEntry is the form in which a
// batch holds them.
//
// It is what the sinks use that change an encoding: entries into JSON or text
// for the destinations that speak those, lines into entries for the one that
// speaks the forward protocol. Nothing is allocated for an entry, and nothing is
// decoded into maps.
//
// Entries are validated where they are received, but whoever reads one here may
// be handed bytes of a damaged disk: what is no MessagePack is an error, never a
// panic, and never a read beyond the end. The package refuses to decide what
// becomes of such an entry.
//
// Format: the MessagePack specification, and the forward protocol v1 for the
// forms of time.
package entry

import (
	"errors"
	"fmt"
)

// errCut says that a value ends before it should.
var errCut = errors.New("the entry is cut short")

// MaxDepth is how deeply values may be nested, the record itself counted. What
// is received is held to less.
const MaxDepth = 128

var errDepth = fmt.Errorf("the entry is nested more than %d deep", MaxDepth)

// Split takes an entry apart into its time and its record, which are views of
// it. The record is not walked: where the entry is damaged its value may end
// before it should, and where the array has more elements they follow it.
func Split(entry []byte) (time, record []byte, err error) {
	h, err := parse(entry)
	if err != nil {
		return nil, nil, err
	}
	if h.kind != kindArray || h.n < 2 {
		return nil, nil, fmt.Errorf("the entry begins with the byte %#02x: expected an array of a time and a record", entry[0])
	}
	time = entry[h.size:]
	if record, err = Skip(time); err != nil {
		return nil, nil, err
	}
	return time[:len(time)-len(record)], record, nil
}

// Lookup finds the value of a key, the first if the key stands there twice, in a
// record. The value is a view of the record. Nothing is found in what is no map
// or is damaged.
func Lookup(record []byte, key string) (value []byte, found bool) {
	h, err := parse(record)
	if err != nil || h.kind != kindMap {
		return nil, false
	}
	rest := record[h.size:]
	for range h.n {
		k, err := parse(rest)
		if err != nil {
			return nil, false
		}
		here := (k.kind == kindString || k.kind == kindBinary) && k.body(rest) != nil && string(k.body(rest)) == key
		value, err := Skip(rest)
		if err != nil {
			return nil, false
		}
		if rest, err = Skip(value); err != nil {
			return nil, false
		}
		if here {
			return value[:len(value)-len(rest)], true
		}
	}
	return nil, false
}
