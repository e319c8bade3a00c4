package wire_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/internal/source/kafka/wire"
)

// squeeze compresses the records of a batch in another way.
func squeeze(t testing.TB, batch []byte, c wire.Compression, squeeze func([]byte) []byte) []byte {
	t.Helper()
	out := append(bytes.Clone(batch[:wire.HeadSize]), squeeze(batch[wire.HeadSize:])...)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	binary.BigEndian.PutUint16(out[21:], uint16(c))
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], crc32.MakeTable(crc32.Castagnoli)))
	return out
}

// zstdStream has no size, as of the library of Java, or a large window.
func zstdStream(t testing.TB, window int) func([]byte) []byte {
	return func(src []byte) []byte {
		var out bytes.Buffer
		w, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		for len(src) > 0 { // Not at once, or it would know the size.
			n := min(len(src), 1000)
			if _, err := w.Write(src[:n]); err != nil {
				t.Fatal(err)
			}
			src = src[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
}

func lz4Frames(t testing.TB, options ...lz4.Option) func([]byte) []byte {
	return func(src []byte) []byte {
		var out bytes.Buffer
		w := lz4.NewWriter(&out)
		if err := w.Apply(options...); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(src); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
}

// TestWays: whatever way a batch is unpacked in, and whatever came before it, its records come out, although the memory
// of what is large is gone behind each; and of what that takes somebody is told.
func TestWays(t *testing.T) {
	ways := map[string]func(batch []byte) []byte{
		"zstd without a size":    func(b []byte) []byte { return squeeze(t, b, wire.Zstd, zstdStream(t, 2<<20)) },
		"zstd of a small window": func(b []byte) []byte { return squeeze(t, b, wire.Zstd, zstdStream(t, 64<<10)) },
		"LZ4 of small blocks": func(b []byte) []byte {
			return squeeze(t, b, wire.LZ4, lz4Frames(t, lz4.BlockSizeOption(lz4.Block64Kb)))
		},
		"LZ4 of large blocks": func(b []byte) []byte { return squeeze(t, b, wire.LZ4, lz4Frames(t, lz4.BlockSizeOption(lz4.Block4Mb))) },
		"LZ4 with sums and its size": func(b []byte) []byte {
			return squeeze(t, b, wire.LZ4, lz4Frames(t, lz4.BlockChecksumOption(true), lz4.SizeOption(uint64(len(b)-wire.HeadSize))))
		},
	}
	recordsOf := func(first int64, sizes ...int) (all []plain) {
		r := rand.New(rand.NewPCG(uint64(first), 2))
		for i, size := range sizes {
			all = append(all, plain{Offset: first + int64(i), Value: fmt.Sprintf("%s %d", strings.Repeat(fmt.Sprintf("a line %d ", r.Uint64()), size/20), i)})
		}
		return all
	}
	many := make([]int, 300)
	for i := range many {
		many[i] = 4000
	}
	batches := [][]plain{recordsOf(0, 10, 100), recordsOf(100, 1<<20, 50), recordsOf(200, 1000), recordsOf(300, many...), recordsOf(5000, 200, 3<<19, 200), recordsOf(6000, 5)}
	for name, codec := range codecs {
		ways[name] = func(b []byte) []byte {
			if codec == kgo.NoCompression() {
				return b
			}
			return nil
		}
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			var packed [][]byte
			for _, want := range batches {
				batch := way(encode(t, want[0].Offset, kgo.NoCompression(), want...))
				if batch == nil {
					batch = encode(t, want[0].Offset, codecs[name], want...)
				}
				packed = append(packed, batch)
			}
			held, turn := map[string]int{}, wire.Turn{}
			take := func(what string) func(int) []byte {
				return func(size int) []byte {
					held[what] += size
					return make([]byte, size)
				}
			}
			r := wire.Records{Max: 3 << 20, Large: take("window"), Block: take("block"), Ring: func(size int) { held["ring"] += size }, Turn: &turn}
			defer r.Close()
			for round := range 3 {
				for i, want := range batches {
					clear(held)
					tryWay(t, &r, packed[i], want, round)
					if sum := held["window"] + held["block"] + held["ring"]; sum > 11<<20 || len(want[0].Value) < 1000 && len(want) < 3 && sum > 0 {
						t.Errorf("a batch of %d records takes %v", len(want), held)
					}
				}
			}
		})
	}
}

// tryWay reads a batch, to its end but for every third round.
func tryWay(t *testing.T, r *wire.Records, batch []byte, want []plain, round int) {
	t.Helper()
	var h wire.Head
	if err := r.ReadHead(batch, &h); err != nil {
		t.Fatal(err)
	}
	if err := r.Begin(batch, &h); err != nil {
		t.Fatal(err)
	}
	var rec wire.Record
	for i, w := range want {
		if !r.Next(&rec) || rec.Offset != w.Offset || string(rec.Value) != w.Value {
			t.Fatalf("record %d of %d is offset %d with %d bytes (%v), expected %d with %d", i, len(want), rec.Offset, len(rec.Value), r.Err(), w.Offset, len(w.Value))
		}
		if round == 2 && i == len(want)/2 {
			break
		}
	}
	r.Trim()
}

// TestBrokenLZ4: of a frame that is broken in the middle, what comes before that is read.
func TestBrokenLZ4(t *testing.T) {
	var records []plain
	for i := range 5 {
		records = append(records, plain{Offset: int64(i), Value: strings.Repeat(fmt.Sprint("line ", i, " "), 100_000)})
	}
	batch := squeeze(t, encode(t, 0, kgo.NoCompression(), records...), wire.LZ4, func(src []byte) []byte {
		out := lz4Frames(t, lz4.BlockSizeOption(lz4.Block64Kb))(src)
		copy(out[len(out)/2:], bytes.Repeat([]byte{0xff}, 200))
		return out
	})
	r := wire.Records{Max: 6 << 20, Block: func(size int) []byte { return make([]byte, size) }, Passed: func(at int) {
		clear(batch[wire.HeadSize:min(at, len(batch))]) // as pages that are given back
	}}
	var h wire.Head
	if err := wire.ReadHead(batch, &h); err != nil {
		t.Fatal(err)
	}
	if err := r.Begin(batch, &h); err != nil {
		t.Fatal(err)
	}
	n := 0
	for rec := (wire.Record{}); r.Next(&rec); n++ {
		if string(rec.Value) != records[n].Value {
			t.Errorf("record %d has %d bytes, expected %d", n, len(rec.Value), len(records[n].Value))
		}
	}
	if n == 0 || n == len(records) || r.Err() == nil {
		t.Errorf("%d records were read (%v)", n, r.Err())
	}
}
