package statedir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// open opens a state directory below dir.
func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// write appends a line to the exit lines.
func write(t *testing.T, d *Dir, line string) {
	t.Helper()
	f, err := d.Exits()
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(line + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

// TestEverythingIsForItsOwnerAlone, whatever the umask lets through: there are
// names of containers in it, and lines of what they write.
func TestEverythingIsForItsOwnerAlone(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "above", "state")
	d := open(t, path)
	want := map[string]fs.FileMode{filepath.Dir(path): fs.ModeDir | 0o700, path: fs.ModeDir | 0o700, d.ExitsPath(): 0o600}
	for _, name := range []string{Local, Run, Log} {
		sub, err := d.Sub(name)
		if err != nil || sub != filepath.Join(path, name) {
			t.Errorf("the folder %s is %s: %v", name, sub, err)
		}
		want[sub] = fs.ModeDir | 0o700
	}
	write(t, d, "{}")
	for path, mode := range want {
		info, err := os.Stat(path)
		if err != nil || info.Mode() != mode {
			t.Errorf("%s has the mode %v (%v), want %v", path, info.Mode(), err, mode)
		}
	}
}

func TestOpenTwiceAndAgain(t *testing.T) {
	path := t.TempDir()
	one, two := open(t, path), open(t, path)
	if one.Path() != path {
		t.Errorf("the path is %s, want %s", one.Path(), path)
	}
	for _, d := range []*Dir{one, two, one} {
		if _, err := d.Sub(Run); err != nil {
			t.Error(err)
		}
		write(t, d, "{}")
	}
	if got := read(t, one.ExitsPath()); got != "{}\n{}\n{}\n" {
		t.Errorf("the exit lines are %q", got)
	}
}

// TestOpenWhereNoDirectoryCanBe says which other one to choose how.
func TestOpenWhereNoDirectoryCanBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below"), ""} {
		_, err := Open(path)
		if err == nil {
			t.Errorf("%q was opened", path)
			continue
		}
		for _, part := range []string{strings.TrimSuffix(path, "/below"), "--state-dir", "SPILLWAY_STATE_DIR"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the error does not say %q: %v", part, err)
			}
		}
	}
}

// TestExitsAreRotated when they are larger than 10 MiB, and kept for one turn.
func TestExitsAreRotated(t *testing.T) {
	d := open(t, t.TempDir())
	rotated := d.ExitsPath() + ".1"
	full := strings.Repeat("x", exitsMax-1) + "\n"
	if err := os.WriteFile(d.ExitsPath(), []byte(full), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, d, "fits")
	if got := read(t, d.ExitsPath()); got != full+"fits\n" || read(t, rotated) != "" {
		t.Errorf("with 10 MiB the file has %d bytes, the rotated one %d", len(got), len(read(t, rotated)))
	}
	write(t, d, "next")
	if got := read(t, d.ExitsPath()); got != "next\n" || read(t, rotated) != full+"fits\n" {
		t.Errorf("beyond 10 MiB the file has %d bytes, the rotated one %d", len(got), len(read(t, rotated)))
	}
	if err := os.WriteFile(d.ExitsPath(), []byte(full+"again\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, d, "last")
	if got := read(t, d.ExitsPath()); got != "last\n" || read(t, rotated) != full+"again\n" {
		t.Errorf("the second time the file has %d bytes, the rotated one %d", len(got), len(read(t, rotated)))
	}
}

// TestALongLifeOutlastsARotation: the file is opened at the start of a process
// and written at its end.
func TestALongLifeOutlastsARotation(t *testing.T) {
	d := open(t, t.TempDir())
	f, err := d.Exits()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.ExitsPath(), exitsMax+1); err != nil {
		t.Fatal(err)
	}
	write(t, d, "another")
	_, err = f.WriteString("mine\n")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, d.ExitsPath()+".1"); !strings.HasSuffix(got, "\x00mine\n") {
		t.Errorf("the rotated file ends with %q", got[max(len(got)-10, 0):])
	}
}

// TestManyRotateAtOnce: processes start together, and each finds the file too
// large. One of them rotates, and no line is lost.
func TestManyRotateAtOnce(t *testing.T) {
	const processes = 8
	full := bytes.Repeat([]byte{'x'}, exitsMax+1)
	for range 30 {
		d := open(t, t.TempDir())
		if err := os.WriteFile(d.ExitsPath(), full, 0o600); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range processes {
			all.Go(func() {
				f, err := d.Exits()
				if err == nil {
					_, err = f.WriteString("line\n")
					err = errors.Join(err, f.Close())
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		rotated := read(t, d.ExitsPath()+".1")
		if lines := strings.Count(read(t, d.ExitsPath())+rotated, "line\n"); lines != processes || len(rotated) < len(full) {
			t.Fatalf("%d of %d lines are there, and %d of %d bytes from before", lines, processes, len(rotated), len(full))
		}
	}
}

// TestHash makes names that any file system takes, and always the same.
func TestHash(t *testing.T) {
	if got := Hash("default/abc/1"); got != "832e80752bfbc6c0" {
		t.Errorf("the hash is %s", got)
	}
	seen := make(map[string]string)
	for i := range 10_000 {
		for _, name := range []string{fmt.Sprint(i), fmt.Sprintf("../%d\x00/", i)} {
			h := Hash(name)
			if other, twice := seen[h]; twice {
				t.Fatalf("%q and %q have the hash %s", name, other, h)
			}
			seen[h] = name
			if len(h) != 16 || strings.Trim(h, "0123456789abcdef") != "" {
				t.Fatalf("%q has the hash %q", name, h)
			}
		}
	}
}
