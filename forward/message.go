package forward

import (
	"math"
	"strconv"

	"github.com/tinylib/msgp/msgp"
)

// Mode is the form in which a message carries its entries.
type Mode uint8

// The modes. Compressed messages are of ModePackedForward, with a Compression.
const (
	ModeMessage       Mode = 1
	ModeForward       Mode = 2
	ModePackedForward Mode = 3
)

// String implements fmt.Stringer.
func (m Mode) String() string {
	switch m {
	case ModeMessage:
		return "Message"
	case ModeForward:
		return "Forward"
	case ModePackedForward:
		return "PackedForward"
	}
	return "Mode(" + strconv.Itoa(int(m)) + ")"
}

// Message is one message. Its slices are views of the memory that it was read
// from, and valid only as long as that is.
type Message struct {
	Tag  string
	Mode Mode
	// Compression is how the entries arrived.
	Compression Compression
	// Chunk is the id by which the sender wants the message acknowledged, and
	// WantsAck whether it wants that.
	Chunk    string
	WantsAck bool
	// Size is how many entries the sender says there are, which may be wrong; -1
	// where it says nothing.
	Size int64
	// Option is the whole option map as it arrived, with the keys that this package
	// does not know; nil where there is none.
	Option []byte
	// Payload is what was sent in place of the entries: the entries themselves in
	// ModeForward, and in ModePackedForward without compression; the compressed
	// ones; or in ModeMessage one entry.
	Payload []byte
	// Entries, Count, Invalid, InvalidCount and InvalidErr are those of
	// CheckEntries. They are set by Check and Decompress.
	Entries      []byte
	Count        int
	Invalid      []byte
	InvalidCount int
	InvalidErr   error

	ack ackID
}

// ackID is what an acknowledgement repeats.
type ackID struct {
	raw  string // the id as it arrived, with its msgpack head
	json bool   // the message arrived as JSON, and so must the acknowledgement be
}

// Parse reads one whole message, which b holds and nothing else; see Skip and
// Scanner for how to find its end. Nothing is copied but the tag and the id; a
// message whose Tag is equal already keeps that string. The entries are not
// looked at: Check does that. In ModeMessage a byte of b before the time is
// overwritten, so that an entry stands there.
//
// A nil is a heartbeat: the message is then zero, with Mode 0. Whatever else is
// no message is a *SyntaxError.
func Parse(b []byte, m *Message) error {
	s := Scanner{Limit: math.MaxInt64}
	size, _, err := s.Scan(b)
	if err != nil {
		return err
	}
	if size == 0 {
		return ErrIncomplete
	}
	return s.Parse(b[:size], m)
}

func (m *Message) parse(b []byte, s *Scanner) error {
	tag := m.Tag
	*m = Message{Size: -1}
	if len(b) == 1 && b[0] == 0xc0 {
		return nil
	}
	if _, _, ok := container(b, 0, false); !ok || s.n < 2 {
		return unexpected("a message: an array of a tag and entries", b, 0)
	}
	name, _, ok := text(b, int(s.elems[0]))
	if !ok {
		return unexpected("a tag: a string", b, int(s.elems[0]))
	}
	if len(name) > MaxTag {
		return &LimitError{What: "tag", Bytes: int64(len(name)), Limit: MaxTag}
	}
	m.Tag = tag
	if tag != string(name) {
		m.Tag = string(name)
	}
	option, err := m.parseEntries(b, s)
	if err != nil || option >= s.n {
		return err
	}
	from, end := s.element(option)
	return m.parseOption(b[from:end:end])
}

// parseEntries reads the second element, and the third of ModeMessage. It
// returns which element the option map is.
func (m *Message) parseEntries(b []byte, s *Scanner) (option int, err error) {
	from, end := s.element(1)
	if content, _, ok := text(b, int(from)); ok {
		m.Mode, m.Payload = ModePackedForward, content
		return 2, nil
	}
	if _, first, ok := container(b, int(from), false); ok {
		m.Mode, m.Payload = ModeForward, b[first:end:end]
		return 2, nil
	}
	if s.n < 3 {
		return 0, unexpected("entries: an array, a string or binary data, or a time and a record", b, int(from))
	}
	// The byte before the time is the end of the tag, which was copied.
	_, end = s.element(2)
	m.Mode, m.Payload = ModeMessage, b[from-1:end:end]
	m.Payload[0] = 0x92
	return 3, nil
}

// parseOption reads the option map. Fluentd takes anything for one, and looks
// only into maps.
func (m *Message) parseOption(b []byte) error {
	n, i, ok := container(b, 0, true)
	if !ok {
		return nil
	}
	if len(b) > MaxOption {
		return &LimitError{What: "option map", Bytes: int64(len(b)), Limit: MaxOption}
	}
	m.Option = b
	for ; n > 0; n-- {
		key, value, isText := text(b, i)
		if !isText {
			value = skipFlat(b, i)
		}
		end := skipFlat(b, value)
		if value < 0 || end < 0 {
			return unexpected("an option map", b, i)
		}
		switch string(key) {
		case "chunk":
			if err := m.setChunk(b[value:end]); err != nil {
				return err
			}
		case "size":
			if v, _, ok := integer(b, value); ok && v >= 0 {
				m.Size = v
			}
		case "compressed":
			name, _, _ := text(b, value)
			m.Compression = compressionNamed(string(name))
		}
		i = end
	}
	return nil
}

// setChunk takes the id as it arrived, so that the acknowledgement has the same
// bytes, whatever their type.
func (m *Message) setChunk(raw []byte) error {
	if len(raw) > MaxChunkID {
		return &LimitError{What: "id of a chunk", Bytes: int64(len(raw)), Limit: MaxChunkID}
	}
	if raw[0] == 0xc0 {
		return nil
	}
	m.ack.raw = string(raw)
	m.Chunk, m.WantsAck = m.ack.raw, true
	if content, _, ok := text(raw, 0); ok {
		m.Chunk = m.ack.raw[len(raw)-len(content):]
	}
	return nil
}

// Check looks at the entries, which must not be compressed, and sets Entries to
// Invalid; see CheckEntries.
func (m *Message) Check() {
	m.checked(CheckEntries(m.Payload))
}

func (m *Message) checked(c Checked) {
	m.Entries, m.Count = c.Valid, c.Count
	m.Invalid, m.InvalidCount, m.InvalidErr = c.Invalid, c.InvalidCount, c.Err
}

// AppendAck appends the acknowledgement of m, a msgpack map, with the id in the
// same bytes in which it arrived; or a JSON object, where the message was JSON.
func (m *Message) AppendAck(dst []byte) []byte { return m.ack.append(dst) }

func (a ackID) append(dst []byte) []byte {
	if a.json {
		return a.appendJSON(dst)
	}
	dst = msgp.AppendMapHeader(dst, 1)
	dst = msgp.AppendString(dst, "ack")
	return append(dst, a.raw...)
}
