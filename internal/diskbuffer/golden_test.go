package diskbuffer

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
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
	s, err := Create(openDir(t, path), goldenMeta, Options{Max: 1 << 20, Segment: 700})
	must(t, err)
	must(t, s.AddStream(Stream{Index: 0, Name: "stdout"}))
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
	add(one(0, 7, "in the second segment"))
	must(t, s.Offer(5))
	must(t, s.Settle(Position{4, 4}))
	must(t, s.Close(true))
}

// TestGolden holds the format to files that were written once: a buffer that an
// earlier version left behind must be readable.
func TestGolden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "buffer")
	golden(t, path)
	for _, name := range []string{metaName, cursorName, segmentName(1), segmentName(2), segmentName(3)} {
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
	path := t.TempDir()
	must(t, os.CopyFS(path, os.DirFS(filepath.Join("testdata", "golden"))))
	s, found, err := Open(openDir(t, path), Options{Max: 1 << 20})
	must(t, err)
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
	dst := make([]byte, 4096)
	c, err := s.Read(dst)
	must(t, err)
	payload := append(one(1, 1, "an error"), one(0, 4, "second batch of a payload")...)
	if c.First != (Position{3, 3}) || !bytes.HasPrefix(dst[:c.N], payload) || c.Events != 4 || c.Records != 3 {
		t.Errorf("read %+v, %q", c, dst[:c.N])
	}
	if _, err := s.Read(dst); !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %v", err)
	}
	must(t, s.Close(false))
}
