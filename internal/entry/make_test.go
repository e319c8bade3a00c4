package entry_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
)

// stream is where the lines come from.
var stream = record.Stream{Incarnation: [12]byte{0xab, 11: 0xcd}}

// read is the object and the time of a whole entry.
func read(t *testing.T, packed []byte) (map[string]any, int64) {
	t.Helper()
	_, rec, err := entry.Split(packed)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := entry.AppendJSON(nil, rec)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	if rest, err := entry.Skip(packed); err != nil || len(rest) > 0 {
		t.Fatalf("%d bytes follow the entry, %v", len(rest), err)
	}
	return object, entry.Time(packed, 0)
}

func TestLineAsDocker(t *testing.T) {
	const at = 1_700_000_000_123_456_789
	l := entry.NewLines("log", false, entry.Field{Key: "container_id", Value: "c1"}, entry.Field{Key: "source", Value: "stdout"})
	got, when := read(t, entry.AppendLine(nil, l.AppendHead(nil, &stream, &record.Batch{Time: at}), []byte("hello")))
	if diff := cmp.Diff(map[string]any{"container_id": "c1", "source": "stdout", "log": "hello"}, got); diff != "" || when != at {
		t.Errorf("at %d (-want +got):\n%s", when, diff)
	}
	part := &record.Batch{Time: at, FirstSeq: 0x102, Part: record.Part{Ordinal: 3, Last: true}}
	got, _ = read(t, entry.AppendLine(nil, l.AppendHead(nil, &stream, part), []byte("end")))
	want := map[string]any{
		"container_id": "c1", "source": "stdout", "log": "end",
		"partial_message": "true", "partial_id": "ab" + strings.Repeat("0", 20) + "cd" + "0000000000000100", "partial_ordinal": "3", "partial_last": "true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("part (-want +got):\n%s", diff)
	}
}

func TestWholeTimes(t *testing.T) {
	l := entry.NewLines("message", true)
	for at, want := range map[int64]int64{1_700_000_000_999_999_999: 1_700_000_000e9, 3e9 + 1: 3e9, -1: -1e9} {
		packed := entry.AppendLine(nil, l.AppendHead(nil, &stream, &record.Batch{Time: at}), nil)
		if _, when := read(t, packed); when != want {
			t.Errorf("%d became %d, want %d", at, when, want)
		}
	}
	// Where an EventTime cannot say the moment, whole seconds do.
	l = entry.NewLines("message", false)
	for at, want := range map[int64]int64{-1: -1e9, 1<<32*1e9 + 5: 1 << 32 * 1e9, (1<<32-1)*1e9 + 5: (1<<32-1)*1e9 + 5} {
		packed := entry.AppendLine(nil, l.AppendHead(nil, &stream, &record.Batch{Time: at}), nil)
		if _, when := read(t, packed); when != want {
			t.Errorf("%d became %d, want %d", at, when, want)
		}
	}
}

func TestLinesOfAnyKind(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var fields []entry.Field
		want := map[string]any{}
		for i := range rapid.SampledFrom([]int{0, 1, 13, 14, 15, 16, 70}).Draw(rt, "fields") {
			f := entry.Field{Key: fmt.Sprint("k", i, anyString.Draw(rt, "key")), Value: anyString.Draw(rt, "value")}
			fields = append(fields, f)
			want[string([]rune(f.Key))] = string([]rune(f.Value))
		}
		size := rapid.SampledFrom([]int{0, 1, 31, 32, 255, 256, 65535, 65536, 100_000}).Draw(rt, "size")
		line := strings.Repeat("x", size)
		want["log"] = line
		l := entry.NewLines("log", rapid.Bool().Draw(rt, "whole"), fields...)
		b := &record.Batch{Time: rapid.Int64Range(1e9, 1<<60).Draw(rt, "time")}
		if rapid.Bool().Draw(rt, "part") {
			b.Part, b.FirstSeq = record.Part{Ordinal: 1<<32 - 1}, 1<<63
			id := string(entry.AppendLineID(nil, &stream, b))
			want["partial_message"], want["partial_id"], want["partial_ordinal"], want["partial_last"] = "true", id, "4294967295", "false"
		}
		packed := entry.AppendLine(nil, l.AppendHead(nil, &stream, b), []byte(line))
		got, _ := read(t, packed)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("(-want +got):\n%s", diff)
		}
		if over := len(packed) - len(line); over > l.Overhead() {
			rt.Fatalf("%d bytes beyond the line, at most %d were told", over, l.Overhead())
		}
	})
}

func TestLossAsEntry(t *testing.T) {
	loss := record.Loss{
		Lost: 300, Bytes: 5 << 40, FirstSeq: 12, LastSeq: 311, FirstTime: 1_700_000_000_123_000_000, LastTime: 1_700_000_001_000_000_000,
		Reason: "overflow-newest",
	}
	l := entry.NewLines("log", false, entry.Field{Key: "source", Value: "stderr"})
	got, when := read(t, l.AppendLoss(nil, &loss))
	var object any
	if err := json.Unmarshal(loss.AppendJSON(nil), &object); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"source": "stderr", "log": string(loss.AppendText(nil)), entry.KeyLoss: object}
	if diff := cmp.Diff(want, got); diff != "" || when != loss.FirstTime {
		t.Errorf("at %s (-want +got):\n%s", time.Unix(0, when), diff)
	}
}
