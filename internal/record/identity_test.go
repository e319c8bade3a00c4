package record_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/record"
)

var someIdentity = record.Identity{Key: [16]byte{7, 15: 8}, Number: 900}

// anyExtra draws what may stand behind the header of a batch of messages.
func anyExtra(t *rapid.T) record.Batch {
	b := record.Batch{Stream: 3, Time: 7, FirstSeq: 11}
	if rapid.Bool().Draw(t, "origin") {
		b.Origin = someOrigin
	}
	if rapid.Bool().Draw(t, "original") {
		b.Original = someIdentity
	}
	if rapid.Bool().Draw(t, "refusal") {
		r := record.Refusal{Reason: rapid.StringMatching(`[a-z0-9-]{1,32}`).Draw(t, "reason")}
		b.Refusal = r.Append(nil)
		if got := record.ParseRefusal(b.Refusal); got != r {
			t.Fatalf("%+v is read as %+v", r, got)
		}
	}
	if rapid.Bool().Draw(t, "source") {
		b.Source = record.SourceName(rapid.StringN(1, -1, record.MaxSource).Draw(t, "name"))
	}
	if rapid.Bool().Draw(t, "partition") {
		p := somePartition
		p.Topic = rapid.SampledFrom([]string{"o", "orders", strings.Repeat("t", record.MaxTopic)}).Draw(t, "topic")
		b.Partition = p.Append(nil)
	}
	return b
}

// TestExtra reads back whatever stands behind a header, in every combination.
func TestExtra(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := anyExtra(t)
		b.Kind, b.Encoding, b.Count = record.KindRecords, record.EncodingMessage, 1
		b.Frames = record.AppendMessage(nil, &record.Message{})
		b.Bytes = len(b.Frames) - record.FrameSize
		mem := append(record.AppendBatch(nil, &b), "what stands behind"...)
		got := record.Batch{Origin: record.Origin{Count: 1}, Original: record.Identity{Number: 1}, Refusal: []byte("before"), Source: []byte("before"), Partition: []byte("before")}
		if n := record.Parse(mem, &got); n != b.Size() || n > record.HeaderSize+record.MaxExtra+len(b.Frames) || got.Head() != b.Head() {
			t.Fatalf("a batch takes %d bytes, want %d", n, b.Size())
		}
		if diff := cmp.Diff(b, got); diff != "" {
			t.Fatalf("read back (-want +got):\n%s", diff)
		}
		if cap(got.Partition) != len(got.Partition) || cap(got.Refusal) != len(got.Refusal) || cap(got.Source) != len(got.Source) {
			t.Fatal("an append to one of them would write over the frames")
		}
	})
}

// TestExtraIsRefused: what stands behind a header is held to what the header says.
func TestExtraIsRefused(t *testing.T) {
	b := record.Batch{
		Kind: record.KindRecords, Encoding: record.EncodingMessage, Count: 1, Frames: record.AppendMessage(nil, &record.Message{}),
		Partition: somePartition.Append(nil), Original: someIdentity, Origin: someOrigin,
	}
	b.Bytes = len(b.Frames) - record.FrameSize
	good := record.AppendBatch(nil, &b)
	if _, _, _, err := record.Check(good); err != nil {
		t.Fatal(err)
	}
	with := func(word uint16) []byte {
		p := slices.Clone(good)
		binary.LittleEndian.PutUint16(p[6:], word)
		return p
	}
	without := func(at int) []byte {
		p := slices.Clone(good)
		clear(p[record.HeaderSize+at:][:16])
		return p
	}
	refused := func(refusal string, bits uint16) []byte {
		one := b
		one.Origin, one.Original, one.Partition, one.Refusal = record.Origin{}, record.Identity{}, nil, []byte(refusal)
		p := record.AppendBatch(nil, &one)
		binary.LittleEndian.PutUint16(p[6:], bits<<12|uint16(len(refusal)))
		return p
	}
	if _, _, _, err := record.Check(refused("\x04too-", 8)); err != nil {
		t.Fatal(err)
	}
	source := func(source string, bits uint16) []byte {
		p := refused(source, bits)
		p[5] |= 0x80
		return p
	}
	if _, _, _, err := record.Check(source("\x03abc", 0)); err != nil {
		t.Fatal(err)
	}
	lines := b
	lines.Encoding = record.EncodingText
	for name, payload := range map[string][]byte{
		"an origin in another form":    with(4<<12 | 24),
		"too little for an origin":     with(23),
		"too much for an origin":       with(25),
		"too little for an identity":   with(2<<12 | 23),
		"a partition without a topic":  with(1<<12 | 20),
		"a topic that is too long":     with(1<<12 | 20 + record.MaxTopic + 1),
		"more than there is":           with(1<<12 | 200),
		"an origin without a key":      without(0),
		"an identity without a key":    without(24),
		"a refusal of nothing":         refused("", 8),
		"a refusal without a reason":   refused("\x00", 8),
		"a refusal that is too long":   refused("\x21"+strings.Repeat("r", 33), 8),
		"a refusal cut short":          refused("\x05abcd", 8),
		"more than a refusal":          refused("\x03abcd", 8),
		"a reason that is none":        refused("\x03a b", 8),
		"a refusal, and no identity":   refused("\x03abc", 8|2),
		"a refusal, and no partition":  refused("\x03abc", 8|1),
		"a source, and nothing there":  source("", 0),
		"a source without a name":      source("\x00", 0),
		"a source that is too long":    source("\x81"+strings.Repeat("s", 129), 0),
		"a source cut short":           source("\x04abc", 0),
		"more than a source":           source("\x02abc", 0),
		"a source, and no origin":      source("\x03abc", 4),
		"a partition of lines of text": record.AppendBatch(nil, &lines),
	} {
		if _, _, _, err := record.Check(payload); err == nil {
			t.Errorf("%s is not refused", name)
		}
	}
}

// TestIdentity says which identity wins, and that each is read back from its form in
// dead letters.
func TestIdentity(t *testing.T) {
	stream := record.Stream{Incarnation: [12]byte{0xab, 11: 0xcd}}
	message := record.AppendMessage(nil, &record.Message{Offset: 41})[record.FrameSize:]
	key := somePartition.Key()
	for _, c := range []struct {
		name   string
		b      record.Batch
		source string
		want   record.Identity
	}{
		{"numbered", record.Batch{FirstSeq: 5}, "ab00000000000000000000cd/6", record.Identity{Key: [16]byte{0xab, 11: 0xcd, 12: 's', 13: 'e', 14: 'q'}, Number: 6}},
		{"chunk", record.Batch{FirstSeq: 5, Origin: someOrigin}, "01020300000000000000000000000010/101", record.Identity{Key: someOrigin.Key, Number: 101}},
		{"replay", record.Batch{FirstSeq: 5, Origin: someOrigin, Original: someIdentity}, "07000000000000000000000000000008/901", record.Identity{Key: someIdentity.Key, Number: 901}},
		{"message", record.Batch{Origin: someOrigin, Partition: somePartition.Append(nil)}, "kafka:orders/7/41@qgAAAAAAAAAAAAAAAAAAuw", record.Identity{Key: key, Number: 41}},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, first := c.b.Identity(&stream)
			if got := (record.Identity{Key: key, Number: c.b.Number(first, 1, message)}); got != c.want {
				t.Errorf("identity %v, want %v", got, c.want)
			}
			source := c.b.Identify(&stream, 1, message)
			if source != c.source {
				t.Errorf("source %q, want %q", source, c.source)
			}
			if got, ok := record.ParseIdentity(source); !ok || got != c.want {
				t.Errorf("%q is read as %v, want %v", source, got, c.want)
			}
		})
	}
}

// TestParseIdentityRefuses what no String has written.
func TestParseIdentityRefuses(t *testing.T) {
	for _, s := range []string{
		"", "/", "00/1", "ab/1", "00000000000000000000000000000000/1", "07000000000000000000000000000008", "07000000000000000000000000000008/",
		"07000000000000000000000000000008/-1", "07000000000000000000000000000008/+1", "07000000000000000000000000000008/01",
		"07000000000000000000000000000008/18446744073709551616", "0700000000000000000000000000000g/1",
		"kafka:orders/7/41", "kafka:orders/7/41@", "kafka:orders/7/41@qgAAAAAAAAAAAAAAAAAAu", "kafka:/7/41@qgAAAAAAAAAAAAAAAAAAuw",
		"kafka:a/b/7/41@qgAAAAAAAAAAAAAAAAAAuw", "kafka:orders/4294967296/41@qgAAAAAAAAAAAAAAAAAAuw", "kafka:orders/7/x@qgAAAAAAAAAAAAAAAAAAuw",
		"kafka:orders/7/9223372036854775808@qgAAAAAAAAAAAAAAAAAAuw", "orders/7/41@qgAAAAAAAAAAAAAAAAAAuw", "kafka:orders/7/-0@qgAAAAAAAAAAAAAAAAAAuw",
		"kafka:" + strings.Repeat("t", record.MaxTopic+1) + "/7/41@qgAAAAAAAAAAAAAAAAAAuw",
	} {
		if id, ok := record.ParseIdentity(s); ok {
			t.Errorf("%q is taken for %v", s, id)
		}
	}
}

// TestPartition reads back what was written, and tells partitions apart.
func TestPartition(t *testing.T) {
	p := somePartition
	if got := record.ParsePartition(p.Append([]byte("before"))[len("before"):]); got != p {
		t.Errorf("read back %+v, want %+v", got, p)
	}
	if got := record.ParsePartition(nil); got.Known() || !p.Known() {
		t.Errorf("nothing is read as %+v", got)
	}
	renamed, next, again := p, p, p
	renamed.Topic, next.Number, again.ID[3] = "other", 8, 1
	if p.Key() != renamed.Key() || p.Key() == next.Key() || p.Key() == again.Key() || p.Key() == ([16]byte{}) {
		t.Errorf("keys %x, renamed %x, the next partition %x, made again %x", p.Key(), renamed.Key(), next.Key(), again.Key())
	}
}

// FuzzIdentity: whatever is read back is written in the same way.
func FuzzIdentity(f *testing.F) {
	f.Add("ab00000000000000000000cd/6")
	f.Add(someIdentity.String())
	f.Add(somePartition.Coordinates(-5))
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := record.ParseIdentity(s)
		if p, offset, isMessage := record.ParseCoordinates(s); isMessage {
			if again := p.Coordinates(offset); again != s || !ok || id != (record.Identity{Key: p.Key(), Number: uint64(offset)}) {
				t.Fatalf("%q is written as %q; its identity is %v", s, again, id)
			}
			return
		}
		if ok && id.String() != s {
			t.Fatalf("%q is read as %v", s, id)
		}
	})
}

// FuzzCheckMessages: no batch of messages that Check lets pass makes a walk panic, and
// each is written again with as many bytes.
func FuzzCheckMessages(f *testing.F) {
	b := record.Batch{
		Kind: record.KindRecords, Encoding: record.EncodingMessage, Count: 2, Partition: somePartition.Append(nil), Original: someIdentity,
		Refusal: []byte("\x09tombstone"), Source: []byte("orders"),
	}
	m := record.Message{Key: []byte("k"), Headers: record.AppendHeader(nil, []byte("a"), nil), Value: []byte("v")}
	b.Frames = record.AppendMessage(record.AppendMessage(nil, &m), &m)
	b.Bytes = len(b.Frames) - 2*record.FrameSize
	f.Add(record.AppendBatch(nil, &b))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if _, _, _, err := record.Check(payload); err != nil {
			return
		}
		for rest := payload; len(rest) > 0; {
			var b record.Batch
			size := record.Parse(rest, &b)
			if again := record.AppendBatch(nil, &b); !bytes.Equal(again[6:8], rest[6:8]) || len(again) != size {
				t.Fatalf("a batch of %d bytes is written as %d", size, len(again))
			}
			rest = rest[size:]
			if b.Kind != record.KindRecords || b.Encoding != record.EncodingMessage {
				continue
			}
			for i, frames := 0, b.Frames; len(frames) > 0; i++ {
				var body []byte
				body, _, frames = b.Next(frames)
				record.ParseMessage(body, &m)
				m.EachHeader(func([]byte, []byte) bool { return true })
				if _, ok := record.ParseIdentity(b.Identify(&record.Stream{Incarnation: [12]byte{1}}, i, body)); !ok && validTopic(b.Partition) {
					t.Fatalf("%q is not read back", b.Identify(&record.Stream{}, i, body))
				}
			}
			b.Slice(b.Count/2, b.Count-b.Count/2)
		}
	})
}

// validTopic reports whether the topic is one that a broker may have.
func validTopic(partition []byte) bool {
	p := record.ParsePartition(partition)
	return !strings.ContainsAny(p.Topic, "/")
}
