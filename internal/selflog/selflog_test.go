package selflog

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/google/go-cmp/cmp"
)

// openTest opens the pair of dir, which is closed when the test ends.
func openTest(t *testing.T, dir string) *pair {
	t.Helper()
	p, err := openPair(filepath.Join(dir, "x"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return p
}

func write(t *testing.T, p *pair, entry string) {
	t.Helper()
	if n, err := p.Write([]byte(entry)); n != len(entry) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(entry), err)
	}
}

// contents are what is in both files, the older first.
func contents(t *testing.T, dir string) [2]string {
	t.Helper()
	var texts [2]string
	var times [2]time.Time
	for i := range texts {
		path := filepath.Join(dir, fmt.Sprintf("x.%d.log", i))
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[i], times[i] = string(text), info.ModTime()
	}
	if times[0].After(times[1]) {
		texts[0], texts[1] = texts[1], texts[0]
	}
	return texts
}

// line is an entry of size bytes, told apart by its number.
func line(number, size int) string {
	head := fmt.Sprintf("%d ", number)
	return head + strings.Repeat("x", size-len(head)-1) + "\n"
}

// touch makes a file of the pair the one that was written at a time.
func touch(t *testing.T, dir string, i int, at time.Time) {
	t.Helper()
	if err := os.Chtimes(filepath.Join(dir, fmt.Sprintf("x.%d.log", i)), at, at); err != nil {
		t.Fatal(err)
	}
}

// TestPairKeepsTheLastEntries: at least half a megabyte of them and at most one,
// whole and in order.
func TestPairKeepsTheLastEntries(t *testing.T) {
	dir := t.TempDir()
	p := openTest(t, dir)
	const size, entries = 1000, 3000
	for i := range entries {
		write(t, p, line(i, size))
		if i%97 > 0 {
			continue
		}
		sizes := 0
		for _, f := range p.files {
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if info.Size() > halfSize {
				t.Fatalf("after %d entries a file has %d bytes", i+1, info.Size())
			}
			sizes += int(info.Size())
		}
		if kept := sizes / size; kept < min(i+1, halfSize/size) {
			t.Fatalf("of %d entries %d are kept", i+1, kept)
		}
	}
	touch(t, dir, 1-p.now, time.Now().Add(-time.Hour)) // Both were written within one tick of the clock.
	all := contents(t, dir)
	text := all[0] + all[1]
	kept := len(text) / size
	for i := range kept {
		if want := line(entries-kept+i, size); text[i*size:(i+1)*size] != want {
			t.Fatalf("entry %d of the kept is %.20q, want %.20q", i, text[i*size:], want)
		}
	}
}

// TestPairTurnsAtTheByte: an entry that fits exactly stays in its file.
func TestPairTurnsAtTheByte(t *testing.T) {
	dir := t.TempDir()
	p := openTest(t, dir)
	write(t, p, line(0, halfSize-100))
	first := p.now
	write(t, p, line(1, 100))
	if p.now != first || p.size != halfSize {
		t.Errorf("an entry that fits to the byte went to file %d, of %d bytes now", p.now, p.size)
	}
	write(t, p, line(2, 10))
	if p.now == first || p.size != 10 {
		t.Errorf("an entry that does not fit went to file %d, of %d bytes now", p.now, p.size)
	}
}

// TestPairGoesOnWhereItWas: in the file that was written last, behind what is
// there.
func TestPairGoesOnWhereItWas(t *testing.T) {
	for newer := range 2 {
		dir := t.TempDir()
		p := openTest(t, dir)
		for i, f := range p.files {
			if _, err := fmt.Fprintf(f, "before in %d\n", i); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		touch(t, dir, newer, now)
		touch(t, dir, 1-newer, now.Add(-time.Second))
		write(t, openTest(t, dir), "after\n")
		want := [2]string{fmt.Sprintf("before in %d\n", 1-newer), fmt.Sprintf("before in %d\nafter\n", newer)}
		if got := contents(t, dir); got != want {
			t.Errorf("with file %d the newer one, there is %q, want %q", newer, got, want)
		}
	}
}

// TestPairHasManyWriters within a process, and two processes of one name, which
// are the loggers of one container: no entry is torn or overwritten.
func TestPairHasManyWriters(t *testing.T) {
	dir := t.TempDir()
	processes := []*pair{openTest(t, dir), openTest(t, dir)}
	var all sync.WaitGroup
	want := make(map[string]bool)
	for i := range 8 {
		for j := range 50 {
			want[strings.TrimSpace(line(1000*i+j, 100+i))] = true
		}
		all.Go(func() {
			for j := range 50 {
				if _, err := processes[i%2].Write([]byte(line(1000*i+j, 100+i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	texts := contents(t, dir)
	got := make(map[string]bool)
	for text := range strings.Lines(texts[0] + texts[1]) {
		got[strings.TrimSpace(text)] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("not the entries that were written (-want +got):\n%.1000s", diff)
	}
}

func TestPairIsForItsOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	openTest(t, dir)
	for i := range 2 {
		info, err := os.Stat(filepath.Join(dir, fmt.Sprintf("x.%d.log", i)))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("file %d has the mode %v: %v", i, info.Mode(), err)
		}
	}
}

func TestPairThatCannotBeOpened(t *testing.T) {
	p, err := openPair(filepath.Join(t.TempDir(), "missing", "x"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "open the program's own log") || p != nil {
		t.Errorf("a pair in a folder that is missing: %v, %v", p, err)
	}
}

// TestOpenWritesObjects, one to a line, with the fields of the options.
func TestOpenWritesObjects(t *testing.T) {
	if journal.Enabled() {
		t.Skip("this machine has a journal, to which the log goes")
	}
	dir := t.TempDir()
	log, closer, err := Open(Options{Dir: dir, Name: "x", Program: "p", Level: slog.LevelInfo, Fields: []any{"container_id", "c1"}})
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("not this")
	log.Warn("a message\nof two lines", "error", errors.New("cause"))
	if err := closer.Close(); err != nil {
		t.Fatal(err)
	}
	texts := contents(t, dir)
	var got []map[string]any
	for scanner := bufio.NewScanner(strings.NewReader(texts[0] + texts[1])); scanner.Scan(); {
		var entry map[string]any
		if err := json.Unmarshal(scanner.Bytes(), &entry); err != nil {
			t.Fatal(err)
		}
		delete(entry, "time")
		got = append(got, entry)
	}
	want := []map[string]any{{"level": "WARN", "msg": "a message\nof two lines", "error": "cause", "container_id": "c1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the log has other entries (-want +got):\n%s", diff)
	}
}

// TestSweep removes the logs of programs that are long gone, once there are many.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	add := func(name string, age time.Duration) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	left := func() int {
		if err := sweep(dir, now); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	for i := range keepFiles {
		age := keepAge
		if i%2 > 0 {
			age += time.Second
		}
		add(fmt.Sprintf("%d.log", i), age)
	}
	if n := left(); n != keepFiles {
		t.Errorf("of %d files %d are left, want all", keepFiles, n)
	}
	add("new.log", 0)
	if n := left(); n != keepFiles/2+1 {
		t.Errorf("of %d files, %d of them old, %d are left", keepFiles+1, keepFiles/2, n)
	}
	if err := sweep(filepath.Join(dir, "missing"), now); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("sweeping where there is nothing: %v", err)
	}
}

// TestSweepLeavesWhatIsInUse: a program that had nothing to say for a week may
// yet have.
func TestSweepLeavesWhatIsInUse(t *testing.T) {
	dir := t.TempDir()
	p := openTest(t, dir)
	old := time.Now().Add(-2 * keepAge)
	for i := range keepFiles {
		path := filepath.Join(dir, fmt.Sprintf("gone-%d.log", i))
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, old, old)); err != nil {
			t.Fatal(err)
		}
	}
	touch(t, dir, 0, old)
	touch(t, dir, 1, old)
	if err := sweep(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	write(t, p, "still here\n")
	if got := contents(t, dir); got[1] != "still here\n" {
		t.Errorf("the log is %q", got)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%d files are left (%v), want the two in use", len(entries), err)
	}
}

// TestJournalFields: keys as the journal allows them, groups in front.
func TestJournalFields(t *testing.T) {
	h := &journalHandler{level: slog.LevelInfo}
	if h.Enabled(t.Context(), slog.LevelDebug) || !h.Enabled(t.Context(), slog.LevelInfo) {
		t.Error("the level is not kept to")
	}
	one := h.WithAttrs([]slog.Attr{slog.Int("a", 1)})
	two := one.WithGroup("g").WithAttrs([]slog.Attr{slog.Int("b", 2)})
	other := one.WithAttrs([]slog.Attr{slog.Int("c", 3)}) // It shares nothing with two.
	keys := func(h slog.Handler) []string {
		var all []string
		for _, a := range h.(*journalHandler).attrs {
			all = append(all, fieldName(a.Key))
		}
		return all
	}
	if got, want := keys(two), []string{"A", "G_B"}; !slices.Equal(got, want) {
		t.Errorf("the fields are %q, want %q", got, want)
	}
	if got, want := keys(other), []string{"A", "C"}; !slices.Equal(got, want) {
		t.Errorf("the fields are %q, want %q", got, want)
	}
	for key, want := range map[string]string{"container_id": "CONTAINER_ID", "Größe-1": "GR__E_1", "": ""} {
		if got := fieldName(key); got != want {
			t.Errorf("the key %q is the field %q, want %q", key, got, want)
		}
	}
}
