package diskbuffer

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/record"
)

var update = flag.Bool("update", false, "write the golden files anew")

var goldenMeta = Meta{
	Identity: "exec/logs", Made: time.Date(2026, 11, 20, 18, 3, 15, 0, time.UTC), Limit: 10 << 20,
	Incarnation: [12]byte{0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, About: []byte(`{"sink":"cloudwatch"}`),
}

// one makes a payload of one batch, a second apart from the one before.
func one(stream uint32, first uint64, bodies ...string) []byte {
	mem := make([]byte, record.HeaderSize)
	b := record.Batch{Stream: stream, Kind: record.KindRecords, FirstSeq: first, Time: 1_795_200_195_000_000_000 + int64(first)*1e9}
	for _, body := range bodies {
		var added record.Added
		mem, added = record.AppendBody(mem, []byte(body))
		b.Count, b.Bytes, b.Repair = b.Count+added.Count, b.Bytes+added.Bytes, b.Repair+added.Repair
	}
	record.PutHeader(mem, &b, len(mem)-record.HeaderSize)
	return mem
}

// goldenOrigin is that of the chunk in the golden files.
var goldenOrigin = record.Origin{
	Key: [16]byte{0xc0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Position: 3, Count: 5,
}

// chunk makes a payload of one batch of two entries of the forward protocol.
func chunk(stream uint32, first uint64, origin record.Origin) []byte {
	entries := []byte("\x92\xd7\x00\x6b\x00\x00\x00\x00\x00\x00\x01\x81\xa7message\xa5hello\x92\x01\x80")
	return record.AppendBatch(nil, &record.Batch{
		Stream: stream, Kind: record.KindRecords, Encoding: record.EncodingEntry, FirstSeq: first,
		Time: 1_795_200_195_000_000_000 + int64(first)*1e9, Count: 2, Bytes: len(entries), Origin: origin, Frames: entries,
	})
}

// message makes a payload of one batch of two messages of a partition, which may be
// replayed or refused.
func message(stream uint32, first uint64, original record.Identity, refusal record.Refusal) []byte {
	p := record.Partition{Topic: "orders", ID: [16]byte{0xd0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Number: 3}
	b := record.Batch{
		Stream: stream, Kind: record.KindRecords, Encoding: record.EncodingMessage, FirstSeq: first,
		Time: 1_795_200_195_000_000_000 + int64(first)*1e9, Partition: p.Append(nil), Original: original,
	}
	if refusal.Known() {
		b.Refusal = refusal.Append(nil)
	}
	for _, m := range []record.Message{
		{
			Time: 1_795_200_000_000_000_000, Offset: 41, Form: record.FormJSON, Key: []byte("k"), Value: []byte(`{"a":1}`),
			Headers: record.AppendHeader(record.AppendHeader(nil, []byte("trace"), []byte("7")), []byte("none"), nil),
		},
		{Time: 1_795_200_000_001_000_000, Offset: 43, Key: []byte{}, Null: true},
	} {
		b.Frames = record.AppendMessage(b.Frames, &m)
		b.Count, b.Bytes = b.Count+1, b.Bytes+m.Size()-record.FrameSize
	}
	return record.AppendBatch(nil, &b)
}

// openDir opens a directory of a test.
func openDir(t testing.TB, path string) FS {
	t.Helper()
	dir, err := OpenDir(path, Owner{-1, -1})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// golden makes the buffer of which the golden files are a copy.
func golden(t *testing.T, path string) {
	t.Helper()
	s, err := Create(openDir(t, path), goldenMeta, Options{Max: 1 << 20, Segment: 800})
	must(t, err)
	must(t, s.AddStream(Stream{Index: 0, Name: "stdout", Incarnation: [12]byte{0xb0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}))
	add := func(payload []byte) {
		_, err := s.Append(payload)
		must(t, err)
	}
	add(one(0, 1, "first line", "", "not UTF-8: \xff"))
	must(t, s.AddStream(Stream{Index: 1, Name: "stderr"}))
	add(append(one(1, 1, "an error"), one(0, 4, "second batch of a payload")...))
	add(record.AppendLoss(nil, record.Loss{
		Stream: 0, Lost: 2, Bytes: 9, FirstSeq: 5, LastSeq: 6, FirstTime: 1_795_200_200_000_000_000, LastTime: 1_795_200_201_000_000_000,
		Reason: "overflow-newest",
	}))
	add(chunk(1, 2, Origin{}.Origin))
	add(chunk(0, 7, goldenOrigin))
	add(one(0, 9, "in the third segment"))
	add(slices.Concat(
		message(1, 4, record.Identity{}, record.Refusal{}),
		message(1, 6, record.Identity{Key: [16]byte{0xe0, 15: 0xef}, Number: 77}, record.Refusal{}),
		message(1, 8, record.Identity{}, record.Refusal{Reason: "tombstone"}),
	))
	must(t, s.Offer(5))
	must(t, s.Settle(Position{4, 4}))
	must(t, s.Close(true))
}

// TestGolden holds the format to files that were written once: a buffer that an
// earlier version left behind must be readable.
func TestGolden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "buffer")
	golden(t, path)
	for _, name := range []string{metaName, cursorName, segmentName(1), segmentName(2), segmentName(3), segmentName(4)} {
		got, err := os.ReadFile(filepath.Join(path, name))
		must(t, err)
		file := filepath.Join("testdata", "golden", name)
		if *update {
			must(t, os.MkdirAll(filepath.Dir(file), 0o755))
			must(t, os.WriteFile(file, got, 0o644))
		}
		want, err := os.ReadFile(file)
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s is written otherwise (-want +got):\n%s", name, diff)
		}
	}
}

// TestReadGolden reads the golden files themselves.
func TestReadGolden(t *testing.T) {
	s, found := openGolden(t, "golden")
	want := &Found{
		Meta: goldenMeta, Settled: Position{4, 4}, End: Position{17, 16}, Offered: 5, Clean: true,
		Streams: []Stream{
			{
				Index: 0, Name: "stdout", Records: 7, Bytes: 96, LastSeq: 9, LastTime: 1_795_200_204_000_000_000,
				Incarnation: [12]byte{0xb0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
			},
			{Index: 1, Name: "stderr", Records: 9, Bytes: 283, LastSeq: 9, LastTime: 1_795_200_203_000_000_000},
		},
		Pending: []Count{{4, 74}, {8, 275}},
		Partitions: map[[16]byte]int64{
			(&record.Partition{ID: [16]byte{0xd0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Number: 3}).Key(): 43,
		},
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	var origins []Origin
	if all := s.Origins(10, func(o Origin) { origins = append(origins, o) }); !all {
		t.Error("not all origins are found")
	}
	if diff := cmp.Diff([]Origin{{goldenOrigin, 2, 0, 7, 8}}, origins); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
	payload := append(one(1, 1, "an error"), one(0, 4, "second batch of a payload")...)
	readGolden(t, s, Position{3, 3}, payload)
}

// TestReadEarlier reads a buffer of a version that knew no incarnations and no
// origins.
func TestReadEarlier(t *testing.T) {
	s, found := openGolden(t, "earlier")
	want := &Found{
		Meta: goldenMeta, Settled: Position{4, 4}, End: Position{7, 6}, Offered: 5, Clean: true,
		Streams: []Stream{
			{Index: 0, Name: "stdout", Records: 5, Bytes: 68, LastSeq: 7, LastTime: 1_795_200_202_000_000_000},
			{Index: 1, Name: "stderr", Records: 1, Bytes: 8, LastSeq: 1, LastTime: 1_795_200_196_000_000_000},
		},
		Pending: []Count{{2, 46}, {0, 0}},
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	payload := append(one(1, 1, "an error"), one(0, 4, "second batch of a payload")...)
	readGolden(t, s, Position{3, 3}, payload)
}

func openGolden(t *testing.T, name string) (*Store, *Found) {
	t.Helper()
	path := t.TempDir()
	must(t, os.CopyFS(path, os.DirFS(filepath.Join("testdata", name))))
	s, found, err := Open(openDir(t, path), Options{Max: 1 << 20})
	must(t, err)
	return s, found
}

// readGolden reads to the end, and looks at what is read first.
func readGolden(t *testing.T, s *Store, first Position, payload []byte) {
	t.Helper()
	dst := make([]byte, 4096)
	c, err := s.Read(dst)
	must(t, err)
	if c.First != first || !bytes.HasPrefix(dst[:c.N], payload) {
		t.Errorf("read %+v, %q", c, dst[:c.N])
	}
	for err == nil {
		_, err = s.Read(dst)
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %v", err)
	}
	must(t, s.Close(false))
}
