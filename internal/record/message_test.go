package record_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/record"
)

// header is one header of a message.
type header struct {
	Name, Value []byte
}

// anyBytes draws nil, nothing, and something.
var anyBytes = rapid.SampledFrom([][]byte{nil, {}, []byte("x"), []byte("order-17"), bytes.Repeat([]byte{0xff, 0}, 200)})

// anyMessage draws a message, and its headers beside it.
func anyMessage(t *rapid.T) (m record.Message, headers []header) {
	m = record.Message{
		Time: rapid.Int64().Draw(t, "time"), Offset: rapid.Int64().Draw(t, "offset"),
		Form: record.Form(rapid.IntRange(0, 2).Draw(t, "form")), Key: anyBytes.Draw(t, "key"), Value: []byte{},
	}
	for range rapid.IntRange(0, 3).Draw(t, "headers") {
		h := header{append([]byte{}, anyBytes.Draw(t, "name")...), anyBytes.Draw(t, "header")}
		headers = append(headers, h)
		m.Headers = record.AppendHeader(m.Headers, h.Name, h.Value)
	}
	switch m.Null = rapid.Bool().Draw(t, "null"); {
	case m.Null:
	case m.Form == record.FormMap:
		m.Value = mapOf(t, []byte{}, 1)
	default:
		m.Value = append(m.Value, anyBytes.Draw(t, "value")...)
	}
	return m, headers
}

var somePartition = record.Partition{Topic: "orders", ID: [16]byte{0xaa, 15: 0xbb}, Number: 7}

// messages makes a batch of messages, and says what they are.
func messages(t *rapid.T, head record.Batch) (mem []byte, all []record.Message, headers [][]header) {
	b := head
	b.Encoding, b.Kind = record.EncodingMessage, record.KindRecords
	for range rapid.IntRange(1, 5).Draw(t, "messages") {
		m, h := anyMessage(t)
		before := len(b.Frames)
		if b.Frames = record.AppendMessage(b.Frames, &m); len(b.Frames)-before != m.Size() {
			t.Fatalf("a message of %d bytes takes %d", m.Size(), len(b.Frames)-before)
		}
		b.Count, b.Bytes = b.Count+1, b.Bytes+m.Size()-record.FrameSize
		all, headers = append(all, m), append(headers, h)
	}
	chunk := record.Chunk{Encoding: b.Encoding, Bodies: b.Frames, Count: b.Count}
	if diff := cmp.Diff(record.Added{Count: b.Count, Bytes: b.Bytes}, chunk.Added()); diff != "" {
		t.Fatalf("what a chunk adds (-want +got):\n%s", diff)
	}
	return record.AppendBatch(nil, &b), all, headers
}

// TestMessages writes messages, and walks, reads, cuts and checks them.
func TestMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		head := anyExtra(t)
		mem, all, headers := messages(t, head)
		var b record.Batch
		if n := record.Parse(mem, &b); n != len(mem) || n != b.Size() {
			t.Fatalf("%d of %d bytes", n, len(mem))
		}
		if events, records, size, err := record.Check(mem); err != nil || events != len(all) || records != len(all) || size != b.Bytes {
			t.Fatalf("%d events, %d records, %d bytes, %v", events, records, size, err)
		}
		for _, cut := range rapid.SliceOfN(rapid.IntRange(1, len(mem)-1), 0, 9).Draw(t, "cuts") {
			if n, _, _, err := record.Check(mem[:cut]); err == nil {
				t.Fatalf("the first %d of %d bytes hold %d events", cut, len(mem), n)
			}
		}
		skip := rapid.IntRange(0, len(all)-1).Draw(t, "skip")
		count := rapid.IntRange(1, len(all)-skip).Draw(t, "count")
		stream := record.Stream{Incarnation: [12]byte{9}}
		key, first := b.Identity(&stream)
		var source []string
		index := 0
		for rest := b.Frames; len(rest) > 0; index++ {
			var body []byte
			body, _, rest = b.Next(rest)
			source = append(source, b.Identify(&stream, index, body))
			id, ok := record.ParseIdentity(source[index])
			if want := (record.Identity{Key: key, Number: b.Number(first, index, body)}); !ok || id != want {
				t.Fatalf("%q is read as %v, want %v", source[index], id, want)
			}
		}
		b.Slice(skip, count)
		if events, _, size, err := record.Check(record.AppendBatch(nil, &b)); err != nil || events != count || size != b.Bytes {
			t.Fatalf("%d from %d on are %d events of %d bytes, %v", count, skip, events, size, err)
		}
		rest := b.Frames
		for i := range count {
			var body []byte
			body, _, rest = b.Next(rest)
			if got := b.Identify(&stream, i, body); got != source[skip+i] {
				t.Fatalf("a piece says that record %d comes from %q, the whole says %q", i, got, source[skip+i])
			}
			var m record.Message
			record.ParseMessage(body, &m)
			checkMessage(t, &m, &all[skip+i], headers[skip+i])
		}
		if len(rest) > 0 {
			t.Fatalf("%d bytes are left", len(rest))
		}
	})
}

func checkMessage(t *rapid.T, got, want *record.Message, headers []header) {
	t.Helper()
	var all []header
	got.EachHeader(func(name, value []byte) bool {
		all = append(all, header{name, value})
		return true
	})
	if diff := cmp.Diff(headers, all); diff != "" {
		t.Fatalf("headers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("message (-want +got):\n%s", diff)
	}
}

// TestMessageLayout holds a message to the offsets that the package documents.
func TestMessageLayout(t *testing.T) {
	m := record.Message{
		Time: 0x0102030405060708, Offset: 0x1112131415161718, Form: record.FormJSON, Key: []byte("k"), Value: []byte("{}"),
		Headers: record.AppendHeader(record.AppendHeader(nil, []byte("a"), []byte("1")), []byte("b"), nil),
	}
	want := strings.Join([]string{
		"30000000", "0807060504030201", "1817161514131211", "02", "03",
		"01000000", "6b",
		"13000000", "01000000", "61", "01000000", "31", "01000000", "62", "ffffffff",
		"7b7d",
	}, "")
	if diff := cmp.Diff(want, hex.EncodeToString(record.AppendMessage(nil, &m))); diff != "" {
		t.Errorf("layout (-want +got):\n%s", diff)
	}
	null := record.Message{Null: true, Key: []byte{}}
	if diff := cmp.Diff("16000000"+strings.Repeat("00", 16)+"000500000000", hex.EncodeToString(record.AppendMessage(nil, &null))); diff != "" {
		t.Errorf("a tombstone (-want +got):\n%s", diff)
	}
}

// TestMessagesAreRefused: what is no message passes for none.
func TestMessagesAreRefused(t *testing.T) {
	fixed := strings.Repeat("00", 16)
	for name, text := range map[string]string{
		"nothing":                      "",
		"a header that is cut":         fixed + "00",
		"a form that is unknown":       fixed + "0300",
		"a flag that is unknown":       fixed + "0008",
		"a key that is cut":            fixed + "00010200000061",
		"a size of a key that is cut":  fixed + "0001020000",
		"a key that is enormous":       fixed + "0001ffffffff61",
		"headers that are cut":         fixed + "00020900000001000000610000",
		"a header's name alone":        fixed + "0002050000000100000061",
		"a header's value that is cut": fixed + "00020a000000" + "0100000061" + "0200000061",
		"a value that is null and is":  fixed + "000461",
		"a map that is none":           fixed + "0100c0",
		"no map":                       fixed + "0100",
		"a map that is cut":            fixed + "010081a161",
		"something behind a map":       fixed + "010080c0",
	} {
		p, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if record.CheckMessage(p) {
			t.Errorf("%s: %s is taken for a message", name, text)
		}
	}
}

// FuzzMessage: what CheckMessage lets pass is read without panic, and written again as
// it was.
func FuzzMessage(f *testing.F) {
	for _, m := range []record.Message{
		{}, {Null: true, Key: []byte{}}, {Form: record.FormMap, Value: []byte{0x80}},
		{Time: -1, Offset: math.MaxInt64, Form: record.FormJSON, Headers: record.AppendHeader(nil, []byte("n"), nil), Value: []byte("{}")},
	} {
		f.Add(record.AppendMessage(nil, &m)[record.FrameSize:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !record.CheckMessage(body) {
			return
		}
		var m record.Message
		record.ParseMessage(body, &m)
		if m.Offset != record.MessageOffset(body) {
			t.Fatalf("offset %d, and %d", m.Offset, record.MessageOffset(body))
		}
		var headers []byte
		m.EachHeader(func(name, value []byte) bool {
			headers = record.AppendHeader(headers, name, value)
			return true
		})
		if !bytes.Equal(headers, m.Headers) {
			t.Fatalf("headers %x are written as %x", m.Headers, headers)
		}
		again := record.AppendMessage(nil, &m)[record.FrameSize:]
		// Headers of no bytes at all need not be said to be there.
		if len(m.Headers) == 0 && body[17]&2 != 0 {
			body = slices.Concat(body[:17], []byte{body[17] &^ 2}, again[18:])
		}
		if !bytes.Equal(again, body) {
			t.Fatalf("%x is written as %x", body, again)
		}
	})
}

// TestMessagesAllocateNothing: reading a batch of messages costs no memory.
func TestMessagesAllocateNothing(t *testing.T) {
	m := record.Message{Key: []byte("k"), Headers: record.AppendHeader(nil, []byte("a"), []byte("b")), Value: []byte("{}")}
	b := record.Batch{Kind: record.KindRecords, Encoding: record.EncodingMessage, Count: 2, Partition: somePartition.Append(nil)}
	b.Frames = record.AppendMessage(record.AppendMessage(nil, &m), &m)
	mem := record.AppendBatch(nil, &b)
	names, stream := 0, record.Stream{}
	if n := testing.AllocsPerRun(100, func() {
		record.Parse(mem, &b)
		_, first := b.Identity(&stream)
		for rest := b.Frames; len(rest) > 0; {
			var body []byte
			body, _, rest = b.Next(rest)
			record.ParseMessage(body, &m)
			m.EachHeader(func(name, _ []byte) bool { names += len(name); return true })
			b.Number(first, 0, body)
		}
	}); n > 0 || names == 0 {
		t.Errorf("%v allocations, %d bytes of names", n, names)
	}
}
