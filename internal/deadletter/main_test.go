package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/spillway/spillway/internal/record"
)

// TestMain makes this binary the second process of some tests as well.
func TestMain(m *testing.M) {
	if what := os.Getenv("DEADLETTER_CHILD"); what != "" {
		if err := child(what, os.Getenv("DEADLETTER_DIR")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func mustOpen(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !t.Failed() {
			t.Error(err)
		}
	})
	return s
}

// letter is the n-th of a series.
func letter(n int) record.Letter {
	return record.Letter{
		Destination: "search", Source: "app", Tag: "app.web", Origin: fmt.Sprintf("0123456789abcdef/%d", n), Seq: uint64(n),
		Time: 1e18 + int64(n), Encoding: record.EncodingText, Body: fmt.Appendf(nil, "line %d of the series", n), Status: 400,
		Reason: "rejected-invalid", Detail: "mapper_parsing_exception: failed to parse field [n]", Attempts: 1, First: 1e18, Last: 1e18 + int64(n),
	}
}

func put(t testing.TB, s *Store, letters ...record.Letter) {
	t.Helper()
	if err := s.Put(context.Background(), letters); err != nil {
		t.Fatal(err)
	}
}

// all lists what matches; nothing may be damaged.
func all(t testing.TB, s *Store, q Query) (entries []Entry) {
	t.Helper()
	report, err := s.List(context.Background(), q, func(e *Entry) error {
		entries = append(entries, *e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Damage) > 0 || report.Matched != int64(len(entries)) {
		t.Errorf("the report is %+v for %d entries", report, len(entries))
	}
	last := int64(0)
	for _, e := range entries {
		if e.ID <= last {
			t.Errorf("letter %d stands behind letter %d", e.ID, last)
		}
		last = e.ID
	}
	return entries
}

// same holds an entry to a letter.
func same(e *Entry, l *record.Letter) error {
	a, b := e.Letter, *l
	if e.Size != int64(len(b.Body)) {
		return fmt.Errorf("the size is %d, want %d", e.Size, len(b.Body))
	}
	if string(a.Body) != string(b.Body) {
		return fmt.Errorf("a body of %d bytes differs from that of %d which was put", len(a.Body), len(b.Body))
	}
	a.Body, b.Body = nil, nil
	if x, y := fmt.Sprintf("%#v", a), fmt.Sprintf("%#v", b); x != y {
		return errors.New(cmp.Or(x, "") + "\nwant\n" + y)
	}
	return nil
}

func filesOf(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func storeDir(t testing.TB) string { return filepath.Join(t.TempDir(), "dead ?letters%20") }

func contains(t testing.TB, err error, all ...string) {
	t.Helper()
	for _, text := range all {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("the error is %v, want it to say %q", err, text)
		}
	}
}

// memoryDir is a directory in memory where there is one: a test that makes very many
// commits, and does not test that they are synced, has no need to wait for a disk.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "deadletter")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
