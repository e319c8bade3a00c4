package deadletter

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/record"
)

// readAll lists everything; what comes must be what was put, under the numbers of
// its series. It returns the numbers.
func readAll(t *testing.T, s *Store, q Query) (map[int]bool, Report) {
	t.Helper()
	got := make(map[int]bool)
	report, err := s.List(t.Context(), q, func(e *Entry) error {
		n := int(e.Seq)
		want := series(n)
		if err := same(e, &want); err != nil || got[n] {
			return fmt.Errorf("letter %d, seen before: %v: %w", n, got[n], err)
		}
		got[n] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, report
}

// series is a letter with a body that is long now and then.
func series(n int) record.Letter {
	l := letter(n)
	if n%50 == 0 {
		l.Body = bytes.Repeat(l.Body, 10_000)
	}
	return l
}

// filled is the file of a store of n letters of the series.
func filled(t testing.TB, n int) []byte {
	t.Helper()
	dir := filepath.Join(memoryDir(t), "x")
	s := mustOpen(t, dir, Options{})
	var letters []record.Letter
	for i := range n {
		letters = append(letters, series(i))
	}
	put(t, s, letters...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, fileName(1)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// restore makes a store of one file.
func restore(t testing.TB, dir string, text []byte) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, fileName(1)), text, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// TestEveryDamagedPage is read around, and what it cost is an exact number; and the
// store takes letters again, whatever page it was.
func TestEveryDamagedPage(t *testing.T) {
	const letters = 300
	whole := filled(t, letters)
	dir := filepath.Join(memoryDir(t), "damaged")
	pages, stride := len(whole)/pageSize, 1
	if raceDetector || os.Getenv("SPILLWAY_CI") == "" && os.Getenv("SPILLWAY_LONG") == "" {
		stride = 20
	}
	if testing.Short() {
		stride = 60
	}
	lost, unknown, aside := 0, 0, 0
	for page := 0; page < pages; page += min(stride, max(1, page)) {
		text := bytes.Clone(whole)
		random := rand.New(rand.NewPCG(uint64(page), 1))
		for i := range pageSize {
			text[page*pageSize+i] = byte(random.Uint32())
		}
		restore(t, dir, text)
		s, err := OpenExisting(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, report := readAll(t, s, Query{})
		// The same with a filter that all letters pass, which SQLite decides in part.
		again, _ := readAll(t, s, Query{Destination: "search"})
		if len(again) != len(got) {
			t.Errorf("page %d: found %d letters, and %d with a filter", page, len(got), len(again))
		}
		switch {
		case len(got) == letters && len(report.Damage) == 0:
			// The page holds an index, or nothing.
		case len(report.Damage) != 1 || report.Damage[0].Error == nil:
			t.Errorf("page %d: %d of %d letters, and the report is %+v", page, len(got), letters, report)
		case report.Damage[0].Lost < 0:
			unknown++
		case report.Damage[0].Lost != int64(letters-len(got)):
			t.Errorf("page %d: %d of %d letters are there, %d are said to be lost: %v", page, len(got), letters, report.Damage[0].Lost,
				report.Damage[0].Error)
		default:
			lost += letters - len(got)
		}
		if err := s.Close(); err != nil && !damaged(err) {
			t.Error(err)
		}
		aside += putsAgain(t, dir, page, len(got))
	}
	t.Logf("%d pages: %d letters lost in all, %d times nobody can say how many; %d files set aside", pages, lost, unknown, aside)
	if lost == 0 || unknown == 0 || aside == 0 {
		t.Error("some kind of damage did not occur, so it was not tested")
	}
}

// putsAgain puts letters into a damaged store, and reports how many files were set
// aside. What could be read before can be read after.
func putsAgain(t *testing.T, dir string, page, before int) int {
	t.Helper()
	told := 0
	s, err := Open(dir, Options{Damaged: func(error) { told++ }})
	if err != nil {
		t.Errorf("page %d: %v", page, err)
		return 0
	}
	for n := 1000; n < 1040; n++ {
		if err := s.Put(t.Context(), []record.Letter{series(n)}); err != nil {
			t.Errorf("page %d: %v", page, err)
		}
	}
	got, _ := readAll(t, s, Query{})
	if len(got) < before+40 {
		t.Errorf("page %d: found %d letters, want the %d that could be read before and 40 new ones", page, len(got), before)
	}
	sum, err := s.Summary(t.Context())
	if err != nil || len(sum.Aside) != told {
		t.Errorf("page %d: the summary is %+v, and %d files are told to be set aside (%v)", page, sum, told, err)
	}
	if err := s.Close(); err != nil && !damaged(err) {
		t.Error(err)
	}
	return told
}

// TestAChangedByteIsSeen: SQLite has no checksums, the rows have.
func TestAChangedByteIsSeen(t *testing.T) {
	const letters = 100
	whole := filled(t, letters)
	at := bytes.Index(whole, []byte("line 77 of the series"))
	inRest := bytes.LastIndex(whole, []byte("line 50 of the series"))
	dir := filepath.Join(memoryDir(t), "damaged")
	for n, at := range map[int]int{77: at, 50: inRest} {
		text := bytes.Clone(whole)
		text[at] ^= 1
		restore(t, dir, text)
		s, err := OpenExisting(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, report := readAll(t, s, Query{})
		if len(got) != letters-1 || got[n] || len(report.Damage) != 1 || report.Damage[0].Lost != 1 {
			t.Errorf("letter %d: found %d letters, %+v", n, len(got), report)
		}
		if _, err := s.Get(t.Context(), int64(n)+1); err == nil {
			t.Errorf("letter %d is said to be whole", n)
		} else {
			contains(t, err, "damaged")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAFileOfSomebodyElse is left alone; one of a newer program is none of ours.
func TestAFileOfSomebodyElse(t *testing.T) {
	dir := filepath.Join(memoryDir(t), "x")
	restore(t, dir, []byte("this is no database, and never was one; it is long enough to be looked at, though, and no header\n"))
	var told error
	s := mustOpen(t, dir, Options{Damaged: func(err error) { told = err }})
	put(t, s, series(1))
	contains(t, told, fileName(1), "set aside")
	if got, report := readAll(t, s, Query{}); !got[1] || len(report.Damage) != 1 || report.Damage[0].Lost != -1 {
		t.Errorf("found %v, %+v", got, report)
	}
	text := filled(t, 1)
	copy(text[60:], []byte{0, 0, 0, version + 1})
	restore(t, dir, text)
	newer := mustOpen(t, dir, Options{})
	contains(t, newer.Put(t.Context(), []record.Letter{series(1)}), "newer spillway", fileName(1))
	if got := filesOf(t, dir); slices.Contains(got, fileName(2)) {
		t.Errorf("the files are %q; that of a newer program is not damaged", got)
	}
}

// TestADiskThatIsFull takes no letter and loses none, and takes letters again when
// there is room.
func TestADiskThatIsFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("mounting a small file system needs root: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	filler := filepath.Join(dir, "filler")
	s, err := Open(filepath.Join(dir, "letters"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filler, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; err == nil && n < 1000; n++ {
		l := letter(n)
		l.Body = bytes.Repeat([]byte("x"), 20_000)
		err = s.Put(t.Context(), []record.Letter{l})
	}
	if !errors.Is(err, ErrFull) {
		t.Errorf("after %d letters the error is %v, want ErrFull", n, err)
	}
	contains(t, err, "room on the disk")
	if got := all(t, s, Query{}); len(got) != n-1 {
		t.Errorf("%d letters are there, %d were put", len(got), n-1)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	put(t, s, letter(n))
	if got := all(t, s, Query{}); len(got) != n {
		t.Errorf("%d letters are there, %d were put", len(got), n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// FuzzDamage changes bytes of a store in any way. Nothing may panic, and what is
// read is what was put.
func FuzzDamage(f *testing.F) {
	whole := filled(f, 60)
	f.Add(uint32(0), []byte("SQLite format 4"), uint32(0))
	f.Add(uint32(100), []byte{0x0d, 0xff, 0xff, 0xff, 0xff}, uint32(0))
	f.Add(uint32(5*pageSize), bytes.Repeat([]byte{0xff}, 300), uint32(0))
	f.Add(uint32(2*pageSize+8), []byte{0x7f, 0xff}, uint32(3*pageSize))
	f.Add(uint32(0), []byte{}, uint32(10))
	base := memoryDir(f)
	f.Fuzz(func(t *testing.T, at uint32, change []byte, cut uint32) {
		text := bytes.Clone(whole)
		copy(text[int(at)%len(text):], change)
		if cut > 0 {
			text = text[:int(cut)%len(text)]
		}
		dir, err := os.MkdirTemp(base, "fuzz")
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}()
		restore(t, dir, text)
		s, err := OpenExisting(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.List(t.Context(), Query{IDs: []int64{1}}, func(*Entry) error { return nil }); errors.Is(err, errNewer) {
			return
		}
		got, _ := readAll(t, s, Query{})
		if err := s.Close(); err != nil && !damaged(err) {
			t.Error(err)
		}
		if s, err = Open(dir, Options{}); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil && !damaged(err) {
				t.Error(err)
			}
		}()
		put(t, s, series(1000))
		if after, _ := readAll(t, s, Query{}); !after[1000] || len(after) < len(got) {
			t.Errorf("%d letters, then %d with the one that was put", len(got), len(after))
		}
	})
}
