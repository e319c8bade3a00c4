package faults

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/forward"
)

// What becomes of a bomb.
const (
	isAcked   = "acknowledged"               // it was delivered, or is among the dead letters
	isClosed  = "refused"                    // the connection was closed, and counted under a reason
	isSkipped = "skipped, and the rest read" // it was no message, and counted under a reason
)

// bomb is something that costs its receiver much more than its sender, unless the receiver looks at it with care.
type bomb struct {
	name   string
	write  func(w io.Writer) error
	want   string
	reason string // under which it is counted, where it is not acknowledged
	json   bool
	keyed  bool // goes to the source that asks for a key
	// records are how many of it are delivered.
	records int64

	id string // by which it asks for its acknowledgement
}

// raw is a bomb of bytes.
func raw(parts ...[]byte) func(w io.Writer) error {
	return func(w io.Writer) error {
		for _, b := range parts {
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return nil
	}
}

// The pieces of messages.
var (
	text      = func(s string) []byte { return msgp.AppendString(nil, s) }
	oneEntry  = append(forward.AppendEntry(nil, 1e18), 0x80)
	someTime  = []byte{0x01}
	someRec   = []byte{0x80}
	ackOption = append([]byte{0x81}, append(text("chunk"), text(bombID)...)...)
)

// bombID stands in a bomb where it has its own id, of the same length.
const bombID = "bomb-0000"

// named gives each bomb an id of its own, since one that is known would be taken for sent again.
func named(all []bomb, first int) []bomb {
	all = slices.Clone(all)
	for i := range all {
		b, write := &all[i], all[i].write
		b.id = fmt.Sprintf("bomb-%04d", first+i)
		b.write = func(w io.Writer) error { return write(&namer{w, b.id}) }
	}
	return all
}

// namer writes an id in place of bombID, which stands at the end of what is written at once.
type namer struct {
	w  io.Writer
	id string
}

// Write implements io.Writer.
func (n *namer) Write(b []byte) (int, error) {
	if tail := b[max(0, len(b)-32):]; bytes.Contains(tail, []byte(bombID)) {
		b = append(bytes.Clone(b[:len(b)-len(tail)]), bytes.ReplaceAll(tail, []byte(bombID), []byte(n.id))...)
	}
	return n.w.Write(b)
}

// packedBomb is a message of mode PackedForward.
func packedBomb(tag string, payload []byte, compressed string) func(io.Writer) error {
	option := ackOption
	if compressed != "" {
		option = append([]byte{0x82}, append(append(text("compressed"), text(compressed)...), ackOption[1:]...)...)
	}
	return raw([]byte{0x93}, text(tag), msgp.AppendBytes(nil, payload), option)
}

// gzipOf is what zeros become.
func gzipOf(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// zstdZeros is a zstd frame of that many blocks of 128 KiB zeros, four bytes each; window is the byte that says how large
// a window it needs.
func zstdZeros(blocks int, window byte) []byte {
	b := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00}, window)
	return appendZstdZeros(b, blocks)
}

func appendZstdZeros(b []byte, blocks int) []byte {
	for i := range blocks {
		head := uint32(128<<10)<<3 | 1<<1
		if i == blocks-1 {
			head |= 1
		}
		b = append(b, byte(head), byte(head>>8), byte(head>>16), 0)
	}
	return b
}

const window128k = 7 << 3

// zstdSays is a frame which says that it holds size bytes.
func zstdSays(size uint64) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0}
	return appendZstdZeros(binary.LittleEndian.AppendUint64(b, size), 1)
}

func compressedBombs(t *testing.T) (all []bomb) {
	member := gzipOf(t, make([]byte, 1<<20))
	tenGB := bytes.Repeat(member, 10<<10)
	tiny := gzipOf(t, bytes.Repeat([]byte{0x92, 0x00, 0x80}, 1_000_000))
	for _, b := range []struct {
		name, kind string
		payload    []byte
		records    int64
	}{
		{"1 KB that is 1 MB", "gzip", member, 0},
		{"10 MB that is 10 GB", "gzip", tenGB, 0},
		{"gzip in gzip", "gzip", gzipOf(t, tenGB), 0},
		{"3 KB that is a million records", "gzip", tiny, 1_000_000},
		{"1 KB that is 32 MB", "zstd", zstdZeros(255, window128k), 0},
		{"320 KB that is 10 GB", "zstd", zstdZeros(80<<10, window128k), 0},
		{"320 KB that is 10 GB in frames", "zstd", bytes.Repeat(zstdZeros(16, window128k), 5<<10), 0},
		{"30 bytes that say 10 GB", "zstd", zstdSays(10 << 30), 0},
		{"30 bytes that say 2^64", "zstd", zstdSays(1<<64 - 1), 0},
		{"a window of 2^41", "zstd", zstdZeros(1, 0xf8), 0},
	} {
		all = append(all, bomb{name: b.kind + ", " + b.name, write: packedBomb("bomb", b.payload, b.kind), want: isAcked, records: b.records})
	}
	return all
}

// lengthBombs have a length of 2^32-1 in every place of a message.
func lengthBombs() (all []bomb) {
	for name, c := range map[string]byte{"str": 0xdb, "bin": 0xc6, "array": 0xdd, "map": 0xdf, "ext": 0xc9} {
		huge := []byte{c, 0xff, 0xff, 0xff, 0xff}
		if c == 0xc9 {
			huge = append(huge, 0)
		}
		add := func(place, want string, write func(io.Writer) error) {
			b := bomb{name: name + " of 2^32-1 as " + place, want: want, write: write}
			if want == isClosed {
				b.reason = "too-large"
			}
			all = append(all, b)
		}
		add("the message", isClosed, raw(huge))
		add("the tag", isClosed, raw([]byte{0x93}, huge))
		add("the entries", isClosed, raw([]byte{0x93}, text("bomb"), huge))
		add("the time", isClosed, raw([]byte{0x94}, text("bomb"), huge))
		add("the record", isClosed, raw([]byte{0x94}, text("bomb"), someTime, huge))
		add("a key", isClosed, raw([]byte{0x94}, text("bomb"), someTime, []byte{0x81}, huge))
		add("a value", isClosed, raw([]byte{0x94}, text("bomb"), someTime, []byte{0x81}, text("k"), huge))
		add("an entry", isClosed, raw([]byte{0x93}, text("bomb"), []byte{0x91}, huge))
		add("the record of an entry", isClosed, raw([]byte{0x93}, text("bomb"), []byte{0x91, 0x92}, someTime, huge))
		add("the option", isClosed, raw([]byte{0x94}, text("bomb"), someTime, someRec, huge))
		add("the key of an option", isClosed, raw([]byte{0x94}, text("bomb"), someTime, someRec, []byte{0x81}, huge))
		add("the id", isClosed, raw([]byte{0x94}, text("bomb"), someTime, someRec, []byte{0x81}, text("chunk"), huge))
		for place, before := range map[string][]byte{
			"a packed entry": nil, "the time of a packed entry": {0x92}, "the record of a packed entry": {0x92, 0x01},
			"a key of a packed entry": {0x92, 0x01, 0x81}, "a value of a packed entry": {0x92, 0x01, 0x81, 0xa1, 'k'},
			"a value behind a packed entry": append(bytes.Clone(oneEntry), 0x92, 0x01, 0x81, 0xa1, 'k'),
		} {
			b := append(bytes.Clone(before), huge...)
			add(place, isAcked, packedBomb("bomb", b, ""))
			if len(before) > 12 {
				all[len(all)-1].records = 1
			}
		}
	}
	return all
}

// deepBombs are nested a million deep.
func deepBombs() (all []bomb) {
	const depth = 1_000_000
	arrays := append(bytes.Repeat([]byte{0x91}, depth), 0xc0)
	maps := append(bytes.Repeat([]byte{0x81, 0xa0}, depth/2), 0xc0)
	for name, deep := range map[string][]byte{"arrays": arrays, "maps": maps} {
		add := func(place, want, reason string, write func(io.Writer) error) {
			all = append(all, bomb{name: name + " a million deep as " + place, want: want, reason: reason, write: write})
		}
		add("a value", isAcked, "", raw([]byte{0x94}, text("bomb"), someTime, []byte{0x81}, text("k"), deep, ackOption))
		add("a value of an entry", isAcked, "", raw([]byte{0x93}, text("bomb"), []byte{0x91, 0x92}, someTime, []byte{0x81}, text("k"), deep, ackOption))
		add("a value of a packed entry", isAcked, "", packedBomb("bomb", append([]byte{0x92, 0x01, 0x81, 0xa1, 'k'}, deep...), ""))
		add("the tag", isSkipped, "broken", raw([]byte{0x94}, deep, someTime, someRec, ackOption))
		add("the id", isClosed, "too-large", raw([]byte{0x94}, text("bomb"), someTime, someRec, []byte{0x81}, text("chunk"), deep))
		add("the message", isSkipped, "broken", raw(deep))
	}
	return all
}

// jsonBombs are the same in JSON.
func jsonBombs() (all []bomb) {
	add := func(name, want, reason, format string, args ...any) {
		b := bomb{name: "JSON, " + name, want: want, reason: reason, json: true}
		b.write = raw(fmt.Appendf(nil, format, args...))
		all = append(all, b)
	}
	const option = `{"chunk":"` + bombID + `"}`
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	add("arrays 50,000 deep", isClosed, "too-large", `["bomb",1,{"k":%s},%s]`, deep(50_000), option)
	add("arrays a million deep", isClosed, "too-large", `["bomb",1,{"k":%s},%s]`, deep(1_000_000), option)
	add("objects a million deep", isClosed, "too-large", `["bomb",1,{"k":%s`, strings.Repeat(`{"":`, 1_000_000))
	add("a string of 100 MB", isClosed, "too-large", `["bomb",1,{"k":"%s"}]`, strings.Repeat("x", 100<<20))
	add("a tag of 100 MB", isClosed, "too-large", `["%s",1,{}]`, strings.Repeat("x", 100<<20))
	add("a tag of 100 KB", isClosed, "too-large", `["%s",1,{}]`, strings.Repeat("x", 100<<10))
	add("a number of 100,000 digits", isAcked, "", `["bomb",1,{"k":%s},%s]`, strings.Repeat("9", 100_000), option)
	all[len(all)-1].records = 1
	add("50,000 times one key", isAcked, "", `["bomb",1,{%s"k":1},%s]`, strings.Repeat(`"":0,`, 40_000), option)
	all[len(all)-1].records = 1
	return all
}

// largeBombs are large in other ways.
func largeBombs(t *testing.T) (all []bomb) {
	member := bytes.Repeat(oneEntry, 1000)
	spooled := bytes.Repeat(member, 20<<20/len(member))
	all = append(all,
		bomb{name: "a message of 20 MB", write: packedBomb("bomb", spooled, ""), want: isAcked, records: int64(len(spooled) / len(oneEntry))},
		bomb{name: "a message of 20 MB of mode Forward", want: isAcked, records: int64(len(spooled) / len(oneEntry)), write: raw([]byte{0x93}, text("bomb"),
			binary.BigEndian.AppendUint32([]byte{0xdd}, uint32(len(spooled)/len(oneEntry))), spooled, ackOption)},
		bomb{name: "an entry of 2 MB", write: packedBomb("bomb", append(append(forward.AppendEntry(nil, 1e18), 0x81, 0xa1, 'k', 0xc6, 0, 32, 0, 0), make([]byte, 2<<20)...), ""), want: isAcked},
		bomb{name: "a message beyond max-spool-size", write: raw([]byte{0x93}, text("bomb"), []byte{0xc6, 0x10, 0, 0, 0}), want: isClosed, reason: "too-large"},
		bomb{name: "a tag of 100 MB", write: raw([]byte{0x93, 0xdb, 6, 64, 0, 0}, make([]byte, 100<<20), someTime, someRec), want: isClosed, reason: "too-large"},
		bomb{name: "a tag of 5 KB", write: raw([]byte{0x93}, text(strings.Repeat("x", 5<<10)), someTime, someRec), want: isClosed, reason: "too-large"},
		bomb{name: "an option of 1 MB", write: raw([]byte{0x94}, text("bomb"), someTime, someRec, []byte{0x81}, text("k"), text(strings.Repeat("x", 1<<20))), want: isClosed, reason: "too-large"},
		bomb{name: "an endless array of entries", want: isClosed, reason: "too-large", write: func(w io.Writer) error {
			err := raw([]byte{0x93}, text("bomb"), []byte{0xdd, 0x07, 0, 0, 0})(w)
			for err == nil {
				_, err = w.Write(member)
			}
			return err
		}},
	)
	for name, write := range map[string]func(io.Writer) error{
		"says nothing":           raw(),
		"stops in the middle":    raw([]byte{0x96, 0xa4, 'P'}),
		"is 4 GB long":           raw([]byte{0x96}, text("PING"), []byte{0xdb, 0xff, 0xff, 0xff, 0xff}),
		"has 2^32-1 parts":       raw([]byte{0xdd, 0xff, 0xff, 0xff, 0xff}),
		"is nested without end":  raw(bytes.Repeat([]byte{0x91}, 1<<20)),
		"is a message":           packedBomb("bomb", oneEntry, ""),
		"is long, and no string": raw([]byte{0xdd, 0, 0, 0x40, 0}, bytes.Repeat([]byte{0xc0}, 0x4000)),
	} {
		all = append(all, bomb{name: "a handshake that " + name, write: write, want: isClosed, reason: "handshake", keyed: true})
	}
	return all
}
