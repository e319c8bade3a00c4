package record_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/record"
)

// put frames bodies one by one and puts the header of b before them.
func put(b record.Batch, bodies ...string) []byte {
	mem := make([]byte, record.HeaderSize)
	for _, body := range bodies {
		var added record.Added
		mem, added = record.AppendBody(mem, []byte(body))
		b.Count += added.Count
		b.Bytes += added.Bytes
		b.Repair += added.Repair
	}
	record.PutHeader(mem, &b, len(mem)-record.HeaderSize)
	return mem
}

// bodies reads all frames.
func bodies(frames []byte) (texts []string, invalid []bool) {
	for len(frames) > 0 {
		var body []byte
		var bad bool
		body, bad, frames = record.Next(frames)
		texts, invalid = append(texts, string(body)), append(invalid, bad)
	}
	return texts, invalid
}

// TestLayout holds the layout of a batch to the offsets that the package
// documents: other code may come to rely on them.
func TestLayout(t *testing.T) {
	mem := put(record.Batch{
		Stream: 0x01020304, Kind: record.KindRecords, Encoding: 7, Time: 0x1112131415161718, FirstSeq: 0x2122232425262728,
		Part: record.Part{Ordinal: 0x31323334, Last: true},
	}, "ab", "", "\xff")
	want := strings.Join([]string{
		"04030201",         // stream
		"01", "07", "0000", // kind, encoding, zero
		"03000000",         // count
		"0f000000",         // size of the frames
		"1817161514131211", // time
		"2827262524232221", // first sequence number
		"03000000",         // bytes
		"03000000",         // repair: one for the empty body, two for the bad byte
		"34333231",         // ordinal
		"01000000",         // last
		"02000000", "6162", // the frames
		"00000000",
		"01000080", "ff",
	}, "")
	if diff := cmp.Diff(want, hex.EncodeToString(mem)); diff != "" {
		t.Errorf("layout (-want +got):\n%s", diff)
	}
}

// TestPutParse writes batches one behind the other and reads them back.
func TestPutParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var mem []byte
		var want []record.Batch
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			b := record.Batch{
				Stream: rapid.Uint32().Draw(t, "stream"),
				Kind:   record.Kind(rapid.Uint8().Draw(t, "kind")), Encoding: record.Encoding(rapid.Uint8Max(127).Draw(t, "encoding")),
				Count: int(rapid.Uint32().Draw(t, "count")), Time: rapid.Int64().Draw(t, "time"),
				FirstSeq: rapid.Uint64().Draw(t, "seq"), Bytes: int(rapid.Uint32().Draw(t, "bytes")),
				Repair: int(rapid.Uint32().Draw(t, "repair")),
				Part:   record.Part{Ordinal: rapid.Uint32().Draw(t, "ordinal"), Last: rapid.Bool().Draw(t, "last")},
				Frames: rapid.SliceOf(rapid.Byte()).Draw(t, "frames"),
			}
			head := make([]byte, record.HeaderSize)
			for i := range head {
				head[i] = 0xee // Every byte of the header must be written.
			}
			record.PutHeader(head, &b, len(b.Frames))
			mem = append(append(mem, head...), b.Frames...)
			want = append(want, b)
		}
		for _, b := range want {
			// What the view held before must not shine through.
			got := record.Batch{Part: record.Part{Ordinal: 9, Last: true}, Count: 9}
			n := record.Parse(mem, &got)
			if n != record.HeaderSize+len(b.Frames) {
				t.Fatalf("a batch takes %d bytes, want %d", n, record.HeaderSize+len(b.Frames))
			}
			if cap(got.Frames) != len(b.Frames) {
				t.Fatalf("frames have a capacity of %d, so that an append would write over the next batch", cap(got.Frames))
			}
			if len(b.Frames) == 0 {
				got.Frames = b.Frames
			}
			if diff := cmp.Diff(b, got); diff != "" {
				t.Fatalf("read back (-want +got):\n%s", diff)
			}
			mem = mem[n:]
		}
	})
}

// TestSlice compares a narrowed batch to one that was made of those records
// alone.
func TestSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(anyText, 1, 8).Draw(t, "bodies")
		skip := rapid.IntRange(0, len(texts)-1).Draw(t, "skip")
		count := rapid.IntRange(1, len(texts)-skip).Draw(t, "count")
		head := record.Batch{Stream: 3, Kind: record.KindRecords, Time: 5, FirstSeq: 100}
		var got, want record.Batch
		record.Parse(put(head, texts...), &got)
		got.Slice(skip, count)
		head.FirstSeq += uint64(skip)
		record.Parse(put(head, texts[skip:skip+count]...), &want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("records %d to %d of %q (-want +got):\n%s", skip, skip+count, texts, diff)
		}
	})
}

// TestSliceTakesNoMoreThanThereIs asks for more records than the batch has.
func TestSliceTakesNoMoreThanThereIs(t *testing.T) {
	var want, got record.Batch
	mem := put(record.Batch{Kind: record.KindRecords}, "a", "b")
	record.Parse(mem, &want)
	record.Parse(mem, &got)
	got.Slice(0, 5)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a slice of all (-want +got):\n%s", diff)
	}
}

func TestMillisecond(t *testing.T) {
	for _, c := range []struct {
		time int64
		want int64
	}{
		{0, 0}, {999_999, 0}, {1_000_000, 1}, {-1, -1}, {-1_000_000, -1}, {-1_000_001, -2},
		{time.Date(2026, 7, 1, 0, 0, 0, 1_999_999, time.UTC).UnixNano(), 1_782_864_000_001},
	} {
		b := record.Batch{Time: c.time}
		if got := b.Millisecond(); got != c.want {
			t.Errorf("%d ns are %d ms, want %d", c.time, got, c.want)
		}
	}
}
