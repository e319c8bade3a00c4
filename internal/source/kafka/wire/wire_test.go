package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spillway/spillway/internal/source/kafka/wire"
)

// plain is a record as a test writes it down.
type plain struct {
	Offset, Time int64
	Key, Value   string
	Null         bool
	Headers      []string
	TooLarge     bool
}

// encode makes a batch as a producer does.
func encode(t testing.TB, first int64, codec kgo.CompressionCodec, records ...plain) []byte {
	t.Helper()
	var raw []byte
	for i, r := range records {
		raw = appendRecord(raw, r, r.Offset-first, i)
	}
	b := kmsg.RecordBatch{
		FirstOffset: first, PartitionLeaderEpoch: 7, Magic: 2, FirstTimestamp: 0, MaxTimestamp: 5000, ProducerID: -1, ProducerEpoch: -1,
		FirstSequence: -1, NumRecords: int32(len(records)), Records: raw,
	}
	if n := len(records); n > 0 {
		b.LastOffsetDelta = int32(records[n-1].Offset - first)
	}
	if codec != kgo.NoCompression() {
		c, err := kgo.DefaultCompressor(codec)
		if err != nil {
			t.Fatal(err)
		}
		out, kind := c.Compress(new(bytes.Buffer), raw)
		b.Records, b.Attributes = bytes.Clone(out), int16(kind)
	}
	return seal(&b)
}

func seal(b *kmsg.RecordBatch) []byte {
	b.Length = int32(49 + len(b.Records))
	out := b.AppendTo(nil)
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], crc32.MakeTable(crc32.Castagnoli)))
	return out
}

func appendRecord(dst []byte, r plain, delta int64, _ int) []byte {
	body := []byte{0}
	body = kbin.AppendVarlong(body, r.Time)
	body = kbin.AppendVarint(body, int32(delta))
	field := func(s string, null bool) {
		if null {
			body = kbin.AppendVarint(body, -1)
			return
		}
		body = append(kbin.AppendVarint(body, int32(len(s))), s...)
	}
	field(r.Key, r.Key == "")
	field(r.Value, r.Null)
	body = kbin.AppendVarint(body, int32(len(r.Headers)/2))
	for _, h := range r.Headers {
		field(h, false)
	}
	return append(kbin.AppendVarint(dst, int32(len(body))), body...)
}

// decode reads all batches of an answer.
func decode(answer []byte, limit int) (all []plain, err error) {
	r := wire.Records{Max: limit}
	defer r.Close()
	for {
		batch, rest, ok := wire.Split(answer)
		if !ok {
			return all, nil
		}
		answer = rest
		var h wire.Head
		if err := wire.ReadHead(batch, &h); err != nil {
			return all, err
		}
		if err := r.Begin(batch, &h); err != nil {
			return all, err
		}
		var rec wire.Record
		for r.Next(&rec) {
			p := plain{Offset: rec.Offset, Time: rec.Time, Key: string(rec.Key), Value: string(rec.Value), Null: rec.Null, TooLarge: rec.TooLarge}
			rec.EachHeader(func(name, value []byte) { p.Headers = append(p.Headers, string(name), string(value)) })
			all = append(all, p)
		}
		if r.Err() != nil {
			return all, r.Err()
		}
	}
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// TestRecords: what producers send comes out, whatever it is compressed with, one
// batch behind the other, and what is larger than wanted is passed over.
func TestRecords(t *testing.T) {
	var records []plain
	for i := range 3000 {
		p := plain{Offset: int64(10 + i), Time: int64(i * 3), Value: fmt.Sprintf(`{"n":%d,"pad":"%s"}`, i, strings.Repeat("x", i%90))}
		switch i % 7 {
		case 1:
			p.Key = fmt.Sprint("key ", i)
		case 2:
			p.Headers = []string{"h", "1", "empty", "", "long", strings.Repeat("v", 200)}
		case 3:
			p.Value, p.Null = "", true
		case 4:
			p.Value = ""
		}
		records = append(records, p)
	}
	large := plain{Offset: 5000, Time: 1, Value: strings.Repeat("large", 1<<18)}
	want := append(append([]plain{}, records...), plain{Offset: 5000, Time: 1, TooLarge: true}, records[0])
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			answer := encode(t, 10, codec, append(records[:len(records):len(records)], large)...)
			answer = append(answer, encode(t, 10, codec, records[0])...)
			got, err := decode(append(answer, answer[:100]...), 1<<20)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Error(err, diff[:min(len(diff), 2000)])
			}
		})
	}
}

// TestLimits: what is large is skipped without being held.
func TestLimits(t *testing.T) {
	records := []plain{{Offset: 0, Value: "before"}, {Offset: 1, Value: strings.Repeat("x", 40<<20)}, {Offset: 2, Value: "after"}}
	answer := encode(t, 0, kgo.ZstdCompression(), records...)
	r := wire.Records{Max: 1 << 20}
	defer r.Close()
	var h wire.Head
	if err := wire.ReadHead(answer, &h); err != nil {
		t.Fatal(err)
	}
	read := func() {
		var rec wire.Record
		n := 0
		if err := r.Begin(answer, &h); err != nil {
			t.Fatal(err)
		}
		for r.Next(&rec) {
			n++
			if rec.TooLarge != (rec.Offset == 1) {
				t.Errorf("record %d: too large: %t", rec.Offset, rec.TooLarge)
			}
		}
		if n != 3 || r.Err() != nil {
			t.Errorf("%d records, %v", n, r.Err())
		}
	}
	read()
	if size := testing.AllocsPerRun(3, read); size > 20 {
		t.Errorf("%v allocations", size)
	}
	got, err := decode(encode(t, 0, kgo.SnappyCompression(), records...), 1<<20)
	if !errors.Is(err, wire.ErrUnpacked) || len(got) != 0 {
		t.Errorf("a block of 40 MiB: %d records, %v", len(got), err)
	}
}

// TestManySmallRecords: a batch may be far larger than its largest record, and a limit
// for records makes none of it unreadable.
func TestManySmallRecords(t *testing.T) {
	var records []plain
	for i := range 5000 {
		records = append(records, plain{Offset: int64(i), Value: fmt.Sprintf("%0500d", i)})
	}
	for name, codec := range codecs {
		got, err := decode(encode(t, 0, codec, records...), 1<<10)
		if err != nil || len(got) != len(records) {
			t.Errorf("%s: %d of %d records, %v", name, len(got), len(records), err)
		}
	}
}

// TestDamage: a batch that was changed on its way is not read.
func TestDamage(t *testing.T) {
	answer := encode(t, 10, kgo.NoCompression(), plain{Offset: 10, Value: "value"})
	for at := 21; at < len(answer); at++ {
		damaged := bytes.Clone(answer)
		damaged[at] ^= 0x10
		if _, err := decode(damaged, 1<<20); err == nil {
			t.Errorf("byte %d was changed, and nobody says so", at)
		}
	}
}

// TestAllocations: nothing is allocated for a record, whatever it is compressed with.
func TestAllocations(t *testing.T) {
	for name, codec := range codecs {
		var records []plain
		for i := range 1000 {
			records = append(records, plain{Offset: int64(i), Value: strings.Repeat("v", 200), Key: "key", Headers: []string{"a", "b"}})
		}
		answer := encode(t, 0, codec, records...)
		r := wire.Records{Max: 1 << 20}
		n := testing.AllocsPerRun(5, func() {
			var h wire.Head
			if err := wire.ReadHead(answer, &h); err != nil {
				t.Fatal(err)
			}
			if err := r.Begin(answer, &h); err != nil {
				t.Fatal(err)
			}
			var rec wire.Record
			for r.Next(&rec) {
				rec.EachHeader(func(_, _ []byte) {})
			}
		})
		r.Close()
		if n > 20 {
			t.Errorf("%s: %v allocations for 1000 records", name, n)
		}
	}
}

// FuzzRecords compares with the reader of franz-go: what that one takes is taken
// here, and nothing is read that is not there.
func FuzzRecords(f *testing.F) {
	for _, codec := range codecs {
		f.Add(encode(f, 3, codec, plain{Offset: 3, Value: "a", Key: "k"}, plain{Offset: 4, Null: true, Headers: []string{"h", "v"}}))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		// A fuzzer finds no checksum.
		if len(answer) > 61 {
			binary.BigEndian.PutUint32(answer[17:], crc32.Checksum(answer[21:], crc32.MakeTable(crc32.Castagnoli)))
			binary.BigEndian.PutUint32(answer[8:], uint32(len(answer)-12))
			answer[16] = 2
		}
		got, err := decode(answer, 1<<20)
		rp := kmsg.NewFetchResponseTopicPartition()
		rp.RecordBatches = answer
		want, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{KeepControlRecords: true}, &rp, kgo.DefaultDecompressor(), nil)
		if err != nil || want.Err != nil {
			return
		}
		if len(got) != len(want.Records) {
			t.Fatalf("%d records, franz-go reads %d", len(got), len(want.Records))
		}
		for i, w := range want.Records {
			if g := got[i]; !g.TooLarge && (g.Offset != w.Offset || g.Value != string(w.Value) || g.Key != string(w.Key) || len(g.Headers) != 2*len(w.Headers)) {
				t.Fatalf("record %d is %+v, franz-go reads %+v", i, g, w)
			}
		}
	})
}

func BenchmarkRecords(b *testing.B) {
	for name, codec := range codecs {
		b.Run(name, func(b *testing.B) {
			var records []plain
			size := 0
			for i := range 4000 {
				p := plain{Offset: int64(i), Value: fmt.Sprintf(`{"n":%d,"level":"info","service":"checkout","message":"%s"}`, i, strings.Repeat("some text ", 18))}
				size += len(p.Value)
				records = append(records, p)
			}
			answer := encode(b, 0, codec, records...)
			r := wire.Records{Max: 1 << 20}
			defer r.Close()
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				var h wire.Head
				if err := wire.ReadHead(answer, &h); err != nil {
					b.Fatal(err)
				}
				if err := r.Begin(answer, &h); err != nil {
					b.Fatal(err)
				}
				var rec wire.Record
				for r.Next(&rec) {
				}
			}
		})
	}
}
