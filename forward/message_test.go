package forward_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/forward"
)

// array appends the elements, each a msgpack value, as an array.
func array(elements ...[]byte) []byte {
	return append(msgp.AppendArrayHeader(nil, uint32(len(elements))), bytes.Join(elements, nil)...)
}

func text(s string) []byte { return msgp.AppendString(nil, s) }

// mapOf appends pairs of values as a map.
func mapOf(pairs ...[]byte) []byte {
	return append(msgp.AppendMapHeader(nil, uint32(len(pairs)/2)), bytes.Join(pairs, nil)...)
}

// str32 is how fluentd's out_forward sends entries.
func str32(b []byte) []byte {
	return append([]byte{0xdb, byte(len(b) >> 24), byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
}

func compress(t testing.TB, b []byte, c forward.Compression) []byte {
	t.Helper()
	out, err := forward.Compress(nil, b, c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestMessages has the cases of fluentd's in_forward, each in every mode that it
// has there.
func TestMessages(t *testing.T) {
	const tag = "tag.1"
	seconds, record := msgp.AppendInt64(nil, 1_700_000_000), mapOf(text("message"), text("hello"))
	event := forward.AppendNanoseconds(nil, 1_700_000_000_123_456_789)
	one, two := array(seconds, record), array(event, record)
	both := append(bytes.Clone(one), two...)
	withMetadata := array(array(event, mapOf(text("k"), text("v"))), record)
	gz, zs := forward.CompressionGzip, forward.CompressionZstd
	members := append(compress(t, one, gz), compress(t, two, gz)...)
	frames := append(compress(t, one, zs), compress(t, two, zs)...)
	// An id as fluentd makes it ends with a newline.
	id := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef")) + "\n"
	option := mapOf
	compressed := func(name string) []byte { return option(text("compressed"), text(name)) }

	type message = forward.Message
	base := func(mode forward.Mode, count int, entries []byte) message {
		return message{Tag: tag, Mode: mode, Size: -1, Count: count, Entries: entries}
	}
	with := func(m message, change func(*message)) message { change(&m); return m }
	cases := map[string]struct {
		b    []byte
		want message
	}{
		"Message, seconds":        {array(text(tag), seconds, record), base(forward.ModeMessage, 1, one)},
		"Message, EventTime":      {array(text(tag), event, record), base(forward.ModeMessage, 1, two)},
		"Message, empty options":  {array(text(tag), event, record, option()), base(forward.ModeMessage, 1, two)},
		"Message, nil options":    {array(text(tag), event, record, []byte{0xc0}), base(forward.ModeMessage, 1, two)},
		"Message, no time":        {array(text(tag), []byte{0xc0}, record), base(forward.ModeMessage, 1, array([]byte{0xc0}, record))},
		"Forward, both times":     {array(text(tag), array(one, two)), base(forward.ModeForward, 2, both)},
		"Forward, empty":          {array(text(tag), array()), base(forward.ModeForward, 0, nil)},
		"Forward, with metadata":  {array(text(tag), array(withMetadata, one)), base(forward.ModeForward, 2, append(bytes.Clone(withMetadata), one...))},
		"Packed, as str":          {array(text(tag), str32(both)), base(forward.ModePackedForward, 2, both)},
		"Packed, as bin":          {array(text(tag), msgp.AppendBytes(nil, both)), base(forward.ModePackedForward, 2, both)},
		"Packed, empty":           {array(text(tag), []byte{0xa0}), base(forward.ModePackedForward, 0, nil)},
		"Packed, said to be text": {array(text(tag), str32(both), compressed("text")), base(forward.ModePackedForward, 2, both)},
		"Packed, with metadata":   {array(text(tag), str32(withMetadata)), base(forward.ModePackedForward, 1, withMetadata)},
		"Packed, tag as bin":      {array(msgp.AppendBytes(nil, []byte(tag)), str32(both)), base(forward.ModePackedForward, 2, both)},
		"gzip": {array(text(tag), str32(compress(t, both, gz)), compressed("gzip")), with(base(forward.ModePackedForward, 2, both), func(m *message) {
			m.Compression = gz
		})},
		"gzip, two members": {array(text(tag), msgp.AppendBytes(nil, members), compressed("gzip")), with(base(forward.ModePackedForward, 2, both), func(m *message) {
			m.Compression = gz
		})},
		"zstd": {array(text(tag), str32(compress(t, both, zs)), compressed("zstd")), with(base(forward.ModePackedForward, 2, both), func(m *message) {
			m.Compression = zs
		})},
		"zstd, two frames": {array(text(tag), msgp.AppendBytes(nil, frames), compressed("zstd")), with(base(forward.ModePackedForward, 2, both), func(m *message) {
			m.Compression = zs
		})},
		"size, id and keys of others": {
			array(text(tag), str32(both), option(text("size"), []byte{2}, text("fluent_signal"), []byte{0}, text("chunk"), text(id), []byte{7}, array(one))),
			with(base(forward.ModePackedForward, 2, both), func(m *message) { m.Size, m.Chunk, m.WantsAck = 2, id, true }),
		},
		"a size that lies": {array(text(tag), array(one), option(text("size"), []byte{9})), with(base(forward.ModeForward, 1, one), func(m *message) {
			m.Size = 9
		})},
		"id nil": {array(text(tag), event, record, option(text("chunk"), []byte{0xc0})), base(forward.ModeMessage, 1, two)},
		"id of Message": {array(text(tag), event, record, option(text("chunk"), text(id))), with(base(forward.ModeMessage, 1, two), func(m *message) {
			m.Chunk, m.WantsAck = id, true
		})},
		"id of Forward": {array(text(tag), array(two), option(text("chunk"), text(id))), with(base(forward.ModeForward, 1, two), func(m *message) {
			m.Chunk, m.WantsAck = id, true
		})},
		"heartbeat": {[]byte{0xc0}, message{Size: -1}},
		"invalid entries": {array(text(tag), array(one, text("x"), array(seconds, text("no map")), two)), with(base(forward.ModeForward, 2, both), func(m *message) {
			m.Invalid, m.InvalidCount = append(text("x"), array(seconds, text("no map"))...), 2
		})},
		"an invalid Message": {array(text(tag), event, text("no map")), with(base(forward.ModeMessage, 0, nil), func(m *message) {
			m.Invalid, m.InvalidCount = array(event, text("no map")), 1
		})},
	}
	for name, c := range cases {
		var m message
		if err := forward.Parse(bytes.Clone(c.b), &m); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		ack := m.AppendAck(nil)
		if _, err := m.Decompress(nil, forward.Limits{}, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if (m.InvalidErr != nil) != (m.InvalidCount > 0) {
			t.Errorf("%s: %d invalid entries, %v", name, m.InvalidCount, m.InvalidErr)
		}
		if d := cmp.Diff(c.want, m, cmpopts.IgnoreUnexported(message{}), cmpopts.EquateEmpty(),
			cmpopts.IgnoreFields(message{}, "Option", "Payload", "InvalidErr")); d != "" {
			t.Errorf("%s (-want, +got):\n%s", name, d)
		}
		if m.WantsAck {
			if chunk, size, err := forward.ParseAck(ack); err != nil || string(chunk) != id || size != len(ack) {
				t.Errorf("%s: ack % x read as %q, %d, %v", name, ack, chunk, size, err)
			}
			if !bytes.Equal(ack, mapOf(text("ack"), text(id))) || !bytes.Equal(ack, forward.AppendAck(nil, id)) {
				t.Errorf("%s: ack % x", name, ack)
			}
		}
	}
}

// TestAcknowledgementsKeepTheType has ids that are no strings.
func TestAcknowledgementsKeepTheType(t *testing.T) {
	for name, id := range map[string][]byte{
		"bin": msgp.AppendBytes(nil, []byte("id")), "integer": {7}, "str8": {0xd9, 2, 'i', 'd'}, "empty": {0xa0},
	} {
		var m forward.Message
		if err := forward.Parse(array(text("t"), array(), mapOf(text("chunk"), id)), &m); err != nil {
			t.Fatal(err)
		}
		if got, want := m.AppendAck(nil), mapOf(text("ack"), id); !m.WantsAck || !bytes.Equal(got, want) {
			t.Errorf("%s: % x, want % x", name, got, want)
		}
	}
}

func TestBrokenMessages(t *testing.T) {
	one := array([]byte{1}, mapOf())
	var syntax *forward.SyntaxError
	var limit *forward.LimitError
	for name, c := range map[string]struct {
		b  []byte
		as any
	}{
		"a string":             {text("hello"), &syntax},
		"an integer":           {[]byte{5}, &syntax},
		"a map":                {mapOf(text("tag"), text("t")), &syntax},
		"empty":                {array(), &syntax},
		"a tag alone":          {array(text("t")), &syntax},
		"tag is nil":           {array([]byte{0xc0}, array(one)), &syntax},
		"tag is an integer":    {array([]byte{1}, array(one)), &syntax},
		"a time and no record": {array(text("t"), []byte{1}), &syntax},
		"entries are a map":    {array(text("t"), mapOf()), &syntax},
		"no msgpack":           {[]byte{0xc1}, &syntax},
		"a tag too long":       {array(text(strings.Repeat("t", forward.MaxTag+1)), array(one)), &limit},
		"an id too long":       {array(text("t"), array(), mapOf(text("chunk"), text(strings.Repeat("i", forward.MaxChunkID+1)))), &limit},
		"an option too large":  {array(text("t"), array(), mapOf(text("x"), text(strings.Repeat("i", forward.MaxOption)))), &limit},
	} {
		var m forward.Message
		if err := forward.Parse(c.b, &m); !errors.As(err, c.as) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var m forward.Message
	whole := array(text("t"), array(one))
	for cut := range whole {
		if err := forward.Parse(whole[:cut], &m); !errors.Is(err, forward.ErrIncomplete) {
			t.Errorf("cut after %d bytes: %v", cut, err)
		}
	}
}

// TestEncodedMessagesAreRead goes there and back, in all modes.
func TestEncodedMessagesAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]forward.Mode{forward.ModeMessage, forward.ModeForward, forward.ModePackedForward}).Draw(t, "mode")
		var entries []byte
		count := 1
		if mode != forward.ModeMessage {
			count = rapid.IntRange(0, 20).Draw(t, "count")
		}
		for range count {
			var one []byte
			for one == nil || mode == forward.ModeMessage && one[1]&0xf0 == 0x90 {
				one, _ = entry(t, nil)
			}
			entries = append(entries, one...)
		}
		o := forward.Option{Chunk: rapid.String().Draw(t, "id"), Size: count}
		if mode == forward.ModePackedForward {
			o.Compression = forward.Compression(rapid.IntRange(0, 2).Draw(t, "compression"))
		}
		tag := rapid.String().Draw(t, "tag")
		b, err := forward.AppendMessage(nil, tag, mode, entries, count, o)
		if err != nil {
			t.Fatal(err)
		}
		var m forward.Message
		if err := forward.Parse(b, &m); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Decompress(nil, forward.Limits{}, nil); err != nil {
			t.Fatal(err)
		}
		size := int64(count)
		if count == 0 {
			size = -1
		}
		if m.Tag != tag || m.Mode != mode || m.Chunk != o.Chunk || m.WantsAck != (o.Chunk != "") || m.Size != size ||
			m.Compression != o.Compression || m.Count != count || !bytes.Equal(m.Entries, entries) || m.InvalidCount > 0 {
			t.Fatalf("%+v, want %q %v %+v with % x", m, tag, mode, o, entries)
		}
	})
}
