package record_test

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/record"
)

// value appends any msgpack value, as deep as depth.
func value(t *rapid.T, dst []byte, depth int) []byte {
	most := 13
	if depth == 0 {
		most = 11
	}
	size := rapid.SampledFrom([]int{0, 1, 4, 31, 32, 255, 256, 70_000})
	switch rapid.IntRange(0, most).Draw(t, "kind") {
	case 0:
		return msgp.AppendNil(dst)
	case 1:
		return msgp.AppendBool(dst, rapid.Bool().Draw(t, "bool"))
	case 2:
		return msgp.AppendInt64(dst, rapid.Int64().Draw(t, "int"))
	case 3:
		return msgp.AppendUint64(dst, rapid.Uint64().Draw(t, "uint"))
	case 4:
		return msgp.AppendInt8(dst, rapid.Int8().Draw(t, "int8"))
	case 5:
		return msgp.AppendUint16(dst, rapid.Uint16().Draw(t, "uint16"))
	case 6:
		return msgp.AppendFloat32(dst, rapid.Float32().Draw(t, "float32"))
	case 7:
		return msgp.AppendFloat64(dst, rapid.Float64().Draw(t, "float64"))
	case 8, 9:
		return msgp.AppendStringFromBytes(dst, make([]byte, size.Draw(t, "string")))
	case 10:
		return msgp.AppendBytes(dst, make([]byte, size.Draw(t, "bin")))
	case 11:
		data := make([]byte, rapid.SampledFrom([]int{0, 1, 2, 3, 4, 8, 16, 17, 300, 70_000}).Draw(t, "ext"))
		dst, err := msgp.AppendExtension(dst, &msgp.RawExtension{Type: 7, Data: data})
		if err != nil {
			t.Fatal(err)
		}
		return dst
	case 12:
		n := rapid.SampledFrom([]int{0, 1, 2, 15, 16}).Draw(t, "array")
		dst = msgp.AppendArrayHeader(dst, uint32(n))
		for range n {
			dst = value(t, dst, depth-1)
		}
		return dst
	}
	return mapOf(t, dst, depth-1)
}

func mapOf(t *rapid.T, dst []byte, depth int) []byte {
	n := rapid.SampledFrom([]int{0, 1, 3, 15, 16}).Draw(t, "map")
	dst = msgp.AppendMapHeader(dst, uint32(n))
	for range n {
		dst = msgp.AppendString(dst, "key")
		dst = value(t, dst, depth)
	}
	return dst
}

// anyEntry makes an entry of the forward protocol.
func anyEntry(t *rapid.T) []byte {
	dst := slices.Clone(rapid.SampledFrom([][]byte{{0x92}, {0xdc, 0, 2}, {0xdd, 0, 0, 0, 2}}).Draw(t, "array"))
	switch rapid.IntRange(0, 2).Draw(t, "time") {
	case 0:
		dst = msgp.AppendInt64(dst, 1_782_864_000)
	case 1:
		dst = append(dst, 0xd7, 0, 1, 2, 3, 4, 5, 6, 7, 8)
	default:
		dst = mapOf(t, append(dst, 0x92, 0xd7, 0, 1, 2, 3, 4, 5, 6, 7, 8), 0)
	}
	return mapOf(t, dst, 2)
}

// chunk makes a batch of entries, and says what they are.
func chunk(t *rapid.T, origin record.Origin) (mem []byte, all [][]byte) {
	frames := []byte{}
	for range rapid.IntRange(1, 5).Draw(t, "entries") {
		e := anyEntry(t)
		all = append(all, e)
		frames = append(frames, e...)
	}
	b := record.Batch{
		Stream: 3, Kind: record.KindRecords, Encoding: record.EncodingEntry, Count: len(all), Time: 7, FirstSeq: 11, Bytes: len(frames),
		Origin: origin, Frames: frames,
	}
	return record.AppendBatch(nil, &b), all
}

var someOrigin = record.Origin{Key: [16]byte{1, 2, 3, 15: 16}, Position: 100, Count: 200}

// TestEntries walks, cuts and checks batches of entries.
func TestEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		origin := rapid.SampledFrom([]record.Origin{{}, someOrigin}).Draw(t, "origin")
		mem, all := chunk(t, origin)
		var b record.Batch
		if n := record.Parse(mem, &b); n != len(mem) || n != b.Size() || b.Origin != origin {
			t.Fatalf("%d of %d bytes with the origin %+v", n, len(mem), b.Origin)
		}
		if events, records, size, err := record.Check(mem); err != nil || events != len(all) || records != len(all) || size != len(b.Frames) {
			t.Fatalf("%d events, %d records, %d bytes, %v", events, records, size, err)
		}
		for _, cut := range rapid.SliceOfN(rapid.IntRange(1, len(mem)-1), 0, 9).Draw(t, "cuts") {
			if n, _, _, err := record.Check(mem[:cut]); err == nil {
				t.Fatalf("the first %d of %d bytes hold %d events", cut, len(mem), n)
			}
		}
		skip := rapid.IntRange(0, len(all)-1).Draw(t, "skip")
		count := rapid.IntRange(1, len(all)-skip).Draw(t, "count")
		b.Slice(skip, count)
		want := bytes.Join(all[skip:skip+count], nil)
		if origin.Known() {
			origin.Position += uint32(skip)
		}
		if !bytes.Equal(b.Frames, want) || b.Bytes != len(want) || b.Count != count || b.FirstSeq != 11+uint64(skip) || b.Origin != origin {
			t.Fatalf("%d from %d on are %+v, want %x", count, skip, b, want)
		}
		rest := b.Frames
		for _, e := range all[skip : skip+count] {
			var body []byte
			if body, _, rest = b.Next(rest); !bytes.Equal(body, e) {
				t.Fatalf("the next is %x, want %x", body, e)
			}
		}
		if len(rest) > 0 {
			t.Fatalf("%x is left", rest)
		}
	})
}

// TestEntriesAreRefused: what is no entry passes for none.
func TestEntriesAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"a lone map":                    "80",
		"a lone time":                   "9101",
		"three":                         "93018000",
		"no map":                        "920105",
		"an array in place of the map":  "920190",
		"the unused byte":               "9201c1",
		"the unused byte inside":        "920181a161c1",
		"cut in the time":               "92d700",
		"cut in a string":               "920181a161a5",
		"cut in a length":               "920181a161db0000",
		"more values than bytes":        "9201dfffffffff",
		"more values than bytes, twice": "9201deffffdeffff",
		"a long binary":                 "920181a161c6ffffffff00",
		"a long extension":              "920181a161c9ffffffff0000",
		"something behind":              "92018092",
	} {
		p, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := record.CheckEntries(p); ok {
			t.Errorf("%s: %s is taken for %d entries", name, text, n)
		}
	}
}

// TestDeepEntry: depth costs neither stack nor memory.
func TestDeepEntry(t *testing.T) {
	deep := append([]byte{0x92, 1, 0x81, 0xa1, 'a'}, bytes.Repeat([]byte{0x91}, 10<<20)...)
	if _, ok := record.CheckEntries(deep); ok {
		t.Error("ten million arrays in each other with nothing inside are taken")
	}
	deep = append(deep, 0xc0)
	// The runtime may allocate beside it, but not each time.
	if n := testing.AllocsPerRun(5, func() {
		if _, ok := record.CheckEntries(deep); !ok {
			t.Error("ten million arrays in each other are refused")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzEntries compares with the library which the protocol's codec uses.
func FuzzEntries(f *testing.F) {
	f.Add([]byte{0x92, 1, 0x80})
	f.Add([]byte{0x92, 0xd7, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x81, 0xa1, 'a', 0xc7, 3, 9, 1, 2, 3})
	f.Add([]byte{0xdd, 0, 0, 0, 2, 0xce, 1, 2, 3, 4, 0xdf, 0, 0, 0, 1, 0xa0, 0xdc, 0, 1, 0xcb, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, src []byte) {
		count, ok := record.CheckEntries(src)
		n := 0
		for rest := src; len(rest) > 0; n++ {
			size, inside, err := msgp.ReadArrayHeaderBytes(rest)
			if err != nil || size != 2 {
				break
			}
			if inside, err = msgp.Skip(inside); err != nil || msgp.NextType(inside) != msgp.MapType {
				break
			}
			if inside, err = msgp.Skip(inside); err != nil {
				break
			}
			rest = inside
			if len(rest) == 0 && !ok {
				t.Fatalf("%x is whole, but refused behind %d", src, count)
			}
		}
		if ok && n != count {
			t.Fatalf("%x is taken for %d entries, msgp says %d", src, count, n)
		}
	})
}

// FuzzCheckEntries: no batch that Check lets pass makes a walk panic.
func FuzzCheckEntries(f *testing.F) {
	b := record.Batch{
		Kind: record.KindRecords, Encoding: record.EncodingEntry, Count: 2, Bytes: 6, Frames: []byte{0x92, 1, 0x80, 0x92, 2, 0x80},
		Origin: someOrigin,
	}
	f.Add(record.AppendBatch(nil, &b))
	f.Fuzz(func(t *testing.T, payload []byte) {
		events, _, _, err := record.Check(payload)
		if err != nil {
			return
		}
		n := 0
		for rest := payload; len(rest) > 0; {
			var b record.Batch
			size := record.Parse(rest, &b)
			if again := record.AppendBatch(nil, &b); len(again) != size {
				t.Fatalf("a batch of %d bytes is written as %d", size, len(again))
			}
			rest = rest[size:]
			if b.Kind == record.KindRecords {
				for frames := b.Frames; len(frames) > 0; n++ {
					_, _, frames = b.Next(frames)
				}
				b.Slice(b.Count/2, b.Count-b.Count/2)
			} else {
				n++
			}
		}
		if n != events {
			t.Fatalf("%d events, %d said", n, events)
		}
	})
}

// BenchmarkSkip walks entries of 250 bytes.
func BenchmarkSkip(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	var frames []byte
	for range 1000 {
		e := append([]byte{0x92, 0xd7, 0}, make([]byte, 8)...)
		e = msgp.AppendMapHeader(e, 5)
		for i := range 5 {
			e = msgp.AppendString(e, "key"+string(rune('a'+i)))
			e = msgp.AppendString(e, string(make([]byte, 30+r.IntN(20))))
		}
		frames = append(frames, e...)
	}
	b.SetBytes(int64(len(frames)))
	for b.Loop() {
		if n, ok := record.CheckEntries(frames); !ok || n != 1000 {
			b.Fatal(n)
		}
	}
}
