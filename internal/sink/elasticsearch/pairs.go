package elasticsearch

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/jsontext"
)

var errNoMap = errors.New("the record is no map")

// appendOthers appends the pairs of a msgpack map as members of a JSON object, but
// for those of some keys.
func appendOthers(dst, rec []byte, without []string) (json []byte, pairs, replaced int, err error) {
	start := len(dst)
	n, size, ok := mapHead(rec)
	if !ok {
		return dst, 0, 0, errNoMap
	}
	rest := rec[size:]
	for range n {
		key := rest
		value, err := entry.Skip(key)
		if err == nil {
			rest, err = entry.Skip(value)
		}
		if err != nil {
			return dst[:start], 0, 0, err
		}
		here := len(dst)
		if pairs > 0 {
			dst = append(dst, ',')
		}
		at := len(dst)
		dst, err = appendKey(dst, key[:len(key)-len(value)])
		if err != nil {
			return dst[:start], 0, 0, err
		}
		if isOneOf(dst[at:], without) {
			dst = dst[:here]
			continue
		}
		var bad int
		if dst, bad, err = entry.AppendJSON(append(dst, ':'), value); err != nil {
			return dst[:start], 0, 0, err
		}
		replaced += bad
		pairs++
	}
	return dst, pairs, replaced, nil
}

// appendKey appends a key, which is a string in JSON whatever it was before.
func appendKey(dst, key []byte) ([]byte, error) {
	start := len(dst)
	dst, _, err := entry.AppendJSON(dst, key)
	if err != nil || dst[start] == '"' {
		return dst, err
	}
	text := slices.Clone(dst[start:])
	return append(jsontext.Repair.AppendString(append(dst[:start], '"'), text), '"'), nil
}

// isOneOf reports whether a JSON string is one of the names.
func isOneOf(quotedKey []byte, names []string) bool {
	inside := quotedKey[1 : len(quotedKey)-1]
	for _, name := range names {
		if string(inside) == name || len(inside) > len(name) && string(quotedKey) == quoted(name) {
			return true
		}
	}
	return false
}

// mapHead reads the head of a msgpack map: how many pairs, and how long it is.
func mapHead(src []byte) (n uint64, size int, ok bool) {
	switch {
	case len(src) > 0 && src[0]&0xf0 == 0x80:
		return uint64(src[0] & 0x0f), 1, true
	case len(src) > 2 && src[0] == 0xde:
		return uint64(binary.BigEndian.Uint16(src[1:])), 3, true
	case len(src) > 4 && src[0] == 0xdf:
		return uint64(binary.BigEndian.Uint32(src[1:])), 5, true
	}
	return 0, 0, false
}
