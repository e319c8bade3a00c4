package record

import "encoding/binary"

// Form is the encoding of a message's value.
type Form uint8

// The forms of values.
const (
	FormText Form = iota // bytes, without promise of valid UTF-8
	FormMap              // one msgpack map
	FormJSON             // what is to be one JSON object; nobody has looked yet
)

// Message is a record of a log with offsets, as a batch of EncodingMessage holds
// it. What was read from a batch is a view of it.
//
// Layout of its body, little-endian; offsets in bytes:
//
//	 0  i64  event time, nanoseconds since 1970
//	 8  i64  offset in its partition
//	16  u8   form of the value
//	17  u8   flags: 1 it has a key, 2 it has headers, 4 its value is null
//	18       the key, as u32 and bytes, where there is one
//	         the headers, as u32 and bytes, where there are any
//	         the value: the rest
//
// Headers stand one behind the other, each as u32 and name, u32 and value; a size
// of the value of 0xffffffff is null.
type Message struct {
	// Time is the event's own, in nanoseconds since 1970; that of the batch is when
	// it was received.
	Time int64
	// Offset is its number in its partition; numbers may be missing between two.
	Offset int64
	Form   Form
	// Key is nil where the message has none.
	Key []byte
	// Headers are raw: see AppendHeader and EachHeader.
	Headers []byte
	Value   []byte
	// Null says that the value is null, which is not the same as empty: a tombstone.
	Null bool
}

const (
	messageFixed = 18

	hasKey     = 1
	hasHeaders = 2
	isNull     = 4

	nullSize = 1<<32 - 1
)

// Size is what the message takes in a batch, with its frame, in bytes. It may be
// more than MaxBodySize and a frame: then there is no room for it in any batch.
func (m *Message) Size() int {
	n := FrameSize + messageFixed + len(m.Value)
	if m.Key != nil {
		n += 4 + len(m.Key)
	}
	if len(m.Headers) > 0 {
		n += 4 + len(m.Headers)
	}
	return n
}

// AppendMessage frames the message into dst. Its body must take no more than
// MaxBodySize, and one whose value is null has no value.
func AppendMessage(dst []byte, m *Message) []byte {
	return append(AppendMessageHead(dst, m), m.Value...)
}

// AppendMessageHead is AppendMessage but for the value, which must come next.
func AppendMessageHead(dst []byte, m *Message) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, uint32(m.Size()-FrameSize))
	dst = le.AppendUint64(dst, uint64(m.Time))
	dst = le.AppendUint64(dst, uint64(m.Offset))
	flags := byte(0)
	if m.Key != nil {
		flags |= hasKey
	}
	if len(m.Headers) > 0 {
		flags |= hasHeaders
	}
	if m.Null {
		flags |= isNull
	}
	dst = append(dst, byte(m.Form), flags)
	if m.Key != nil {
		dst = appendSized(dst, m.Key)
	}
	if len(m.Headers) > 0 {
		dst = appendSized(dst, m.Headers)
	}
	return dst
}

func appendSized(dst, p []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(p))), p...)
}

// ParseMessage reads a body of a batch, without its frame, into m, whose parts are
// views of it. The body must be one that AppendMessage has made or CheckMessage has
// let pass.
func ParseMessage(body []byte, m *Message) {
	_ = body[messageFixed-1]
	le := binary.LittleEndian
	m.Time, m.Offset = int64(le.Uint64(body)), int64(le.Uint64(body[8:]))
	m.Form = Form(body[16])
	flags := body[17]
	rest := body[messageFixed:]
	m.Key, m.Headers = nil, nil
	if flags&hasKey != 0 {
		m.Key, rest = sized(rest)
	}
	if flags&hasHeaders != 0 {
		m.Headers, rest = sized(rest)
	}
	m.Null = flags&isNull != 0
	m.Value = rest[:len(rest):len(rest)]
}

// sized splits a u32 and as many bytes off src.
func sized(src []byte) (p, rest []byte) {
	end := 4 + int(binary.LittleEndian.Uint32(src))
	return src[4:end:end], src[end:]
}

// sizedWithin is sized for foreign bytes.
func sizedWithin(src []byte) (p, rest []byte, ok bool) {
	if len(src) < 4 || uint64(binary.LittleEndian.Uint32(src)) > uint64(len(src)-4) {
		return nil, nil, false
	}
	p, rest = sized(src)
	return p, rest, true
}

// MessageOffset is the offset of the message with that body.
func MessageOffset(body []byte) int64 { return int64(binary.LittleEndian.Uint64(body[8:])) }

// CheckMessage says whether body, which may be foreign bytes, is that of a message:
// one that ParseMessage and EachHeader read without looking. Of a value that is said
// to be a msgpack map it says whether it is one; of the other forms it does not look
// at the value.
func CheckMessage(body []byte) bool {
	var m Message
	return ReadMessage(body, &m) && (m.Form != FormMap || m.Null || isMap(m.Value))
}

// ReadMessage is ParseMessage for foreign bytes. It reports whether they are a message
// but for its value, at which it does not look: that may be cut short.
func ReadMessage(body []byte, m *Message) bool {
	if len(body) < messageFixed || Form(body[16]) > FormJSON || body[17] > hasKey|hasHeaders|isNull {
		return false
	}
	var ok bool
	flags, rest := body[17], body[messageFixed:]
	if flags&hasKey != 0 {
		if _, rest, ok = sizedWithin(rest); !ok {
			return false
		}
	}
	if flags&hasHeaders != 0 {
		var headers []byte
		if headers, rest, ok = sizedWithin(rest); !ok || !checkHeaders(headers) {
			return false
		}
	}
	if flags&isNull != 0 && len(rest) > 0 {
		return false
	}
	ParseMessage(body, m)
	return true
}

// isMap reports whether src is one msgpack map and nothing behind it.
func isMap(src []byte) bool {
	if len(src) == 0 || src[0]&0xf0 != 0x80 && src[0] != 0xde && src[0] != 0xdf {
		return false
	}
	return skipValue(src) == len(src)
}

func checkHeaders(src []byte) bool {
	var ok bool
	for len(src) > 0 {
		if _, src, ok = sizedWithin(src); !ok || len(src) < 4 {
			return false
		}
		if binary.LittleEndian.Uint32(src) == nullSize {
			src = src[4:]
		} else if _, src, ok = sizedWithin(src); !ok {
			return false
		}
	}
	return true
}

// AppendHeader appends one header to those of a message; a nil value is null.
func AppendHeader(dst, name, value []byte) []byte {
	dst = appendSized(dst, name)
	if value == nil {
		return binary.LittleEndian.AppendUint32(dst, nullSize)
	}
	return appendSized(dst, value)
}

// EachHeader calls yield for each header, in their order, until it returns false;
// the value is nil where it is null. Both are views.
func (m *Message) EachHeader(yield func(name, value []byte) bool) {
	for rest := m.Headers; len(rest) > 0; {
		var name, value []byte
		name, rest = sized(rest)
		if binary.LittleEndian.Uint32(rest) == nullSize {
			rest = rest[4:]
		} else {
			value, rest = sized(rest)
		}
		if !yield(name, value) {
			return
		}
	}
}
