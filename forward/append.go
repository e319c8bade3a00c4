package forward

import (
	"fmt"
	"math"

	"github.com/tinylib/msgp/msgp"
)

// Option is what a message says beside its entries. The zero value says nothing
// but that the sender does not know how many entries there are only with a Size
// below zero: a Size of 0 is left out, too.
type Option struct {
	// Chunk is the id under which an acknowledgement is wanted; none is for "".
	Chunk string
	// Size is the number of entries; it is left out where it is not above 0.
	Size int
	// Compression is that of the payload.
	Compression Compression
}

// AppendHead appends the beginning of a message of ModePackedForward, up to its
// payload of size bytes, which must follow, and behind it the Option. The
// payload is bin, which all receivers of version 1 take. size is at most
// math.MaxUint32.
func AppendHead(dst []byte, tag string, size int) []byte {
	dst = msgp.AppendArrayHeader(dst, 3)
	dst = msgp.AppendString(dst, tag)
	return msgp.AppendBytesHeader(dst, uint32(size))
}

// AppendOption appends an option map.
func AppendOption(dst []byte, o Option) []byte {
	n := uint32(0)
	for _, has := range [...]bool{o.Chunk != "", o.Size > 0, o.Compression != CompressionNone} {
		if has {
			n++
		}
	}
	dst = msgp.AppendMapHeader(dst, n)
	if o.Size > 0 {
		dst = msgp.AppendInt(msgp.AppendString(dst, "size"), o.Size)
	}
	if o.Compression != CompressionNone {
		dst = msgp.AppendString(msgp.AppendString(dst, "compressed"), o.Compression.String())
	}
	if o.Chunk != "" {
		dst = msgp.AppendString(msgp.AppendString(dst, "chunk"), o.Chunk)
	}
	return dst
}

// AppendMessage appends a whole message. entries holds count of them, which are
// not looked at; in ModeMessage it is one entry of two elements, the first byte
// 0x92, and its time has no metadata. With a Compression in the option, which needs ModePackedForward, the
// entries are compressed.
func AppendMessage(dst []byte, tag string, mode Mode, entries []byte, count int, o Option) ([]byte, error) {
	if int64(len(entries)) > math.MaxUint32 || int64(count) > math.MaxUint32 {
		return dst, &LimitError{What: "payload", Bytes: int64(len(entries)), Limit: math.MaxUint32}
	}
	if o.Compression != CompressionNone && mode != ModePackedForward {
		return dst, fmt.Errorf("compress a message of mode %v: only PackedForward can be compressed", mode)
	}
	switch mode {
	case ModeMessage:
		if count != 1 || len(entries) < 2 || entries[0] != 0x92 {
			return dst, fmt.Errorf("encode %d entries in mode Message: expected one, an array of two", count)
		}
		if _, _, ok := container(entries, 1, false); ok {
			return dst, fmt.Errorf("encode an entry with metadata in mode Message: it would be taken for mode Forward")
		}
		dst = msgp.AppendArrayHeader(dst, 4)
		dst = msgp.AppendString(dst, tag)
		dst = append(dst, entries[1:]...)
	case ModeForward:
		dst = msgp.AppendArrayHeader(dst, 3)
		dst = msgp.AppendString(dst, tag)
		dst = msgp.AppendArrayHeader(dst, uint32(count))
		dst = append(dst, entries...)
	case ModePackedForward:
		payload := entries
		if o.Compression != CompressionNone {
			var err error
			if payload, err = Compress(nil, entries, o.Compression); err != nil {
				return dst, err
			}
		}
		dst = append(AppendHead(dst, tag, len(payload)), payload...)
	default:
		return dst, fmt.Errorf("encode a message of %v: no such mode", mode)
	}
	return AppendOption(dst, o), nil
}

// AppendEntry appends the beginning of an entry: the array's head and the time
// in nanoseconds since 1970, as an EventTime. A msgpack map must follow, the
// record.
func AppendEntry(dst []byte, ns int64) []byte {
	return AppendNanoseconds(append(dst, 0x92), ns)
}

// AppendAck appends the acknowledgement of the chunk with this id, a msgpack
// map.
func AppendAck(dst []byte, chunk string) []byte {
	dst = msgp.AppendMapHeader(dst, 1)
	dst = msgp.AppendString(dst, "ack")
	return msgp.AppendString(dst, chunk)
}

// ParseAck reads an acknowledgement at the beginning of b and returns the id, a
// view of b, and the size of the whole. It returns ErrIncomplete where b ends
// before it does, and a *SyntaxError or *LimitError for anything else than an
// acknowledgement of at most MaxHandshake bytes.
func ParseAck(b []byte) (chunk []byte, size int, err error) {
	size, err = Skip(b)
	switch {
	case err == nil && size > MaxHandshake, err == ErrIncomplete && len(b) >= MaxHandshake: //nolint:errorlint // Skip returns it as it is
		return nil, 0, &LimitError{What: "acknowledgement", Bytes: int64(max(size, len(b))), Limit: MaxHandshake}
	case err != nil:
		return nil, 0, err
	}
	b = b[:size]
	n, i, ok := container(b, 0, true)
	if !ok {
		return nil, 0, unexpected("an acknowledgement: a map with the key ack", b, 0)
	}
	for ; n > 0; n-- {
		key, value, isText := text(b, i)
		if !isText {
			value = skipFlat(b, i)
		}
		if string(key) == "ack" {
			if chunk, _, ok = text(b, value); !ok {
				return nil, 0, unexpected("the id of a chunk: a string", b, value)
			}
			return chunk, size, nil
		}
		i = skipFlat(b, value)
	}
	return nil, 0, &SyntaxError{Want: "the key ack", Found: "other keys only"}
}
