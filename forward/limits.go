package forward

import (
	"errors"
	"fmt"
	"math"
)

// What a message may hold at most, whatever the limits say.
const (
	// MaxDepth is how deep the arrays and maps of a record may be nested, the
	// record itself included. A deeper entry is invalid, its neighbours are not.
	MaxDepth = 64
	// MaxTag is the longest tag, in bytes.
	MaxTag = 4096
	// MaxChunkID is the longest id of a chunk, in bytes.
	MaxChunkID = 1024
	// MaxOption is the largest option map, in bytes.
	MaxOption = 64 << 10
	// MaxHandshake is the largest message of a handshake, in bytes; so is an
	// acknowledgement.
	MaxHandshake = 16 << 10
)

// Limits bound what one message may cost. Zero fields mean their defaults.
type Limits struct {
	// Message is the largest message as it stands on the wire, in bytes; by
	// default 16 MiB.
	Message int64
	// Decompressed is the most that a compressed payload may expand to, in bytes;
	// by default 256 MiB, which is fluentd's.
	Decompressed int64
	// Ratio is the most that a payload of more than 1 MiB after decompression may
	// expand, as a multiple of its compressed size; by default 2,000.
	Ratio int64
}

// Defaults of Limits.
const (
	DefaultMaxMessage      = 16 << 20
	DefaultMaxDecompressed = 256 << 20
	DefaultMaxRatio        = 2000
)

// ratioFree is what a payload may expand to whatever its ratio.
const ratioFree = 1 << 20

func (l Limits) withDefaults() Limits {
	if l.Message <= 0 {
		l.Message = DefaultMaxMessage
	}
	if l.Decompressed <= 0 {
		l.Decompressed = DefaultMaxDecompressed
	}
	if l.Ratio <= 0 {
		l.Ratio = DefaultMaxRatio
	}
	return l
}

// decompressed is the most that a payload of n compressed bytes may expand to.
func (l Limits) decompressed(n int) int64 {
	l = l.withDefaults()
	byRatio := int64(math.MaxInt64)
	if int64(n) < math.MaxInt64/l.Ratio {
		byRatio = max(ratioFree, int64(n)*l.Ratio)
	}
	return min(l.Decompressed, byRatio)
}

// ErrIncomplete means that the bytes end before the value does: read more, and
// ask again.
var ErrIncomplete = errors.New("the message is not complete")

// LimitError says which limit something exceeds.
type LimitError struct {
	What  string // such as "message"
	Bytes int64  // how much it needs at least
	Limit int64
}

// Error implements error.
func (e *LimitError) Error() string {
	return fmt.Sprintf("%s of at least %d bytes exceeds the limit of %d", e.What, e.Bytes, e.Limit)
}

// SyntaxError says what was expected where something else was found.
type SyntaxError struct {
	Want   string
	Found  string
	Offset int64 // from the beginning of what was parsed, in bytes
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("expected %s at byte %d, found %s", e.Want, e.Offset, e.Found)
}

// Broken reports that nothing was found: no msgpack, or the end.
func (e *SyntaxError) Broken() bool { return e.Found == foundEnd || e.Found == foundUnused }

// What is found where nothing is.
const (
	foundEnd    = "the end"
	foundUnused = "the byte 0xc1, which msgpack does not use"
)

func unexpected(want string, b []byte, at int) error {
	return &SyntaxError{Want: want, Found: describe(b, at), Offset: int64(at)}
}

// describe names the type of the value at b[at].
func describe(b []byte, at int) string {
	if at < 0 || at >= len(b) {
		return foundEnd
	}
	switch c := b[at]; {
	case c < 0x80, c >= 0xe0, c >= 0xcc && c <= 0xd3:
		return "an integer"
	case c < 0x90, c == 0xde, c == 0xdf:
		return "a map"
	case c < 0xa0, c == 0xdc, c == 0xdd:
		return "an array"
	case c < 0xc0, c >= 0xd9 && c <= 0xdb:
		return "a string"
	case c == 0xc0:
		return "nil"
	case c == 0xc2, c == 0xc3:
		return "a boolean"
	case c >= 0xc4 && c <= 0xc6:
		return "binary data"
	case c == 0xca, c == 0xcb:
		return "a float"
	case c == 0xc1:
		return foundUnused
	default:
		return "an extension"
	}
}
