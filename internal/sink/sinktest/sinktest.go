package sinktest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// Streams are the names of the streams that the suite writes to; the number of
// a stream in a request is its index here.
var Streams = [...]string{"stdout", "stderr"}

// Destination is a destination under test, fresh and empty.
type Destination struct {
	Sink sink.Sink
	// Read returns what the destination has, in the order in which its readers
	// see it. It is called while no Send is under way, also after Close.
	Read func() ([]Entry, error)
	// Fail makes the next attempt fail in the way that matters most, which is half
	// way, and later ones succeed. It is nil where that cannot be had.
	Fail func()
	Traits
}

// Entry is what a destination has of one event.
type Entry struct {
	Stream string // empty where the destination does not say
	Time   time.Time
	Text   string
}

// Traits are the ways in which destinations differ.
type Traits struct {
	// Bytes: invalid UTF-8 reads back as it was; otherwise each bad byte reads
	// back as U+FFFD.
	Bytes bool
	// Empty is what an empty line reads back as.
	Empty string
	// Resolution is that of the times that are read back; 0 means nanoseconds.
	Resolution time.Duration
	// Exact: an attempt that ends in Retry and is not Unsure leaves nothing.
	Exact bool
}

// Run runs the conformance suite. Each test asks open for a destination of its
// own, whose streams have the names of Streams. It closes the sink itself.
func Run(t *testing.T, open func(*testing.T) Destination) { run(t, asLines, open) }

// RunEntries runs the suite with entries of the forward protocol in the place of
// lines: each is Packed, with the line under the key "log". Read returns that
// line, and the entry's own time.
func RunEntries(t *testing.T, open func(*testing.T) Destination) { run(t, asEntries, open) }

// RunMessages runs the suite with messages of a log with offsets in the place of
// lines. Their values are in turn the line, a map that has it under the key "log",
// and a JSON object that has it there. Read returns that line, and the message's own
// time.
func RunMessages(t *testing.T, open func(*testing.T) Destination) { run(t, asMessages, open) }

// form is what the records of the suite are.
type form uint8

const (
	asLines form = iota
	asEntries
	asMessages
)

// message is a message with a line, whose value has one of the three forms.
func message(n int, at time.Time, line string) *record.Message {
	m := &record.Message{Time: at.UnixNano(), Offset: int64(n), Form: record.Form(n % 3), Value: []byte(line), Key: []byte("key")}
	if m.Form == record.FormJSON {
		object, err := json.Marshal(map[string]string{"log": line})
		if err == nil && utf8.ValidString(line) && len(object) < 1<<10+len(line) {
			m.Value = object
			return m
		}
		m.Form = record.FormMap
	}
	if m.Form == record.FormMap {
		m.Value = []byte(Packed(at, line)[len(packedTime):])
	}
	return m
}

// packedTime is the head of an entry and its time.
const packedTime = "\x92\xd7\x00" + "secsnano"

// Packed is an entry of the forward protocol with that time and the body as a
// string under the key "log".
func Packed(at time.Time, body string) string {
	b := binary.BigEndian.AppendUint32([]byte{0x92, 0xd7, 0x00}, uint32(at.Unix()))
	b = binary.BigEndian.AppendUint32(b, uint32(at.Nanosecond()))
	b = append(b, "\x81\xa3log\xdb"...)
	return string(binary.BigEndian.AppendUint32(b, uint32(len(body)))) + body
}

func run(t *testing.T, as form, open func(*testing.T) Destination) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			e := &env{Destination: open(t), ctx: t.Context(), form: as}
			if err := c.run(e); err != nil {
				t.Fatal(err)
			}
			if err := e.finish(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// want is how an event reads back.
func (d *Destination) want(e Event) Entry {
	w := Entry{Stream: Streams[e.Stream], Time: e.Time.UTC(), Text: e.Body}
	if d.Resolution > 0 {
		w.Time = w.Time.Truncate(d.Resolution)
	}
	switch {
	case e.Loss != nil:
		w.Text = string(e.Loss.AppendText(nil))
	case e.Body == "":
		w.Text = d.Empty
	case !d.Bytes:
		w.Text = string([]rune(e.Body)) // One U+FFFD for each bad byte.
	}
	return w
}

// diff tells where what was read differs from what was sent, or returns "".
func (d *Destination) diff(sent []Event, got []Entry) string {
	for i := range max(len(sent), len(got)) {
		switch {
		case i >= len(sent):
			return fmt.Sprintf("%d entries read back, %d sent; the first too many is %s", len(got), len(sent), got[i])
		case i >= len(got):
			return fmt.Sprintf("%d entries read back, %d sent; the first missing is %s", len(got), len(sent), d.want(sent[i]))
		}
		want, have := d.want(sent[i]), got[i]
		if have.Stream == "" {
			want.Stream = ""
		}
		if want.Stream != have.Stream || want.Text != have.Text || !want.Time.Equal(have.Time) {
			return fmt.Sprintf("entry %d of %d is %s, want %s", i, len(sent), have, want)
		}
	}
	return ""
}

// String shortens long texts, which would drown the rest of a message.
func (e Entry) String() string {
	text := fmt.Sprintf("%q", e.Text)
	if len(text) > 120 {
		text = fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(text[:100], "?"), len(e.Text))
	}
	return fmt.Sprintf("{%s %s %s}", e.Stream, e.Time.Format(time.RFC3339Nano), text)
}
