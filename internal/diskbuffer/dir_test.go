package diskbuffer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestModes(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	path := filepath.Join(t.TempDir(), "buffer")
	golden(t, path)
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v", info.Mode())
	}
	entries, err := os.ReadDir(path)
	must(t, err)
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		if info.Mode() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
}

func TestOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), "buffer")
	dir, err := OpenDir(path, Owner{UID: 12, GID: 34})
	must(t, err)
	s, err := Create(dir, goldenMeta, Options{Max: 1 << 20})
	must(t, err)
	must(t, s.AddStream(Stream{Name: "stdout"}))
	_, err = s.Append(one(0, 1, "x"))
	must(t, err)
	must(t, s.Close(true))
	must(t, filepath.WalkDir(path, func(name string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err = errors.Join(err, unix.Lstat(name, &st)); err == nil && (st.Uid != 12 || st.Gid != 34) {
			t.Errorf("%s belongs to %d:%d", name, st.Uid, st.Gid)
		}
		return err
	}))
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "buffer")
	s, err := Create(openDir(t, path), goldenMeta, Options{Max: 1 << 20})
	must(t, err)
	if _, _, err := Open(openDir(t, path), Options{Max: 1 << 20}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second store: %v", err)
	}
	if _, err := Create(openDir(t, path), goldenMeta, Options{Max: 1 << 20}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second buffer: %v", err)
	}
	must(t, s.Close(false))
	if _, err := Create(openDir(t, path), goldenMeta, Options{Max: 1 << 20}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a buffer in the place of another: %v", err)
	}
	s, _, err = Open(openDir(t, path), Options{Max: 1 << 20})
	must(t, err)
	must(t, s.Remove())
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after remove: %v", err)
	}
}

// TestLockOfTheGone: who waited for the lock of a buffer that was removed must
// not believe that it has the one that took its place.
func TestLockOfTheGone(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path).(*dir)
	f, err := d.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	must(t, d.root.Remove(lockName))
	if ours, err := d.take(f); ours || err != nil {
		t.Errorf("a lock that was removed: %t, %v", ours, err)
	}
	must(t, os.WriteFile(filepath.Join(path, lockName), nil, 0o600))
	if ours, err := d.take(f); ours || err != nil {
		t.Errorf("a lock that was replaced: %t, %v", ours, err)
	}
	must(t, f.Close())
	must(t, d.Lock())
	must(t, d.Close())
}

// TestNamesStayInside: a link in the directory must not lead out of it.
func TestNamesStayInside(t *testing.T) {
	path, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, []byte("x"), 0o600))
	must(t, os.Symlink(outside, filepath.Join(path, segmentName(1))))
	d := openDir(t, path)
	if f, err := d.Open(segmentName(1), true); err == nil {
		t.Errorf("a link that leads out was opened; close: %v", f.Close())
	}
	all, err := d.List()
	must(t, err)
	if len(all) != 0 {
		t.Errorf("listed %v", all)
	}
	must(t, d.Close())
}

// TestAfter continues short writes.
func TestAfter(t *testing.T) {
	var f file
	pieces := [][]byte{[]byte("ab"), []byte("cde"), []byte("f")}
	for n := range 7 {
		got := string(slices.Concat(f.after(pieces, n)...))
		if want := "abcdef"[n:]; got != want {
			t.Errorf("behind %d bytes: %q, want %q", n, got, want)
		}
	}
	if string(slices.Concat(pieces...)) != "abcdef" {
		t.Error("the caller's pieces were changed")
	}
}

func TestSegmentNames(t *testing.T) {
	for name, want := range map[string]uint64{
		"0000000000000001.seg": 1, "00000000000000ff.seg": 255, "ffffffffffffffff.seg": 1<<64 - 1,
		"00000000000000FF.seg": 0, "1.seg": 0, "0000000000000001": 0, "000000000000000g.seg": 0, "+000000000000001.seg": 0,
	} {
		number, ok := segmentNumber(name)
		if number != want && ok || ok != (want != 0) {
			t.Errorf("%s is %d, %t; want %d", name, number, ok, want)
		}
	}
	for limit, want := range map[int64]int64{
		64 << 10: 8 << 10, 1 << 20: 128 << 10, 4 << 20: 256 << 10, 64 << 20: 4 << 20, 1 << 30: 64 << 20, 100 << 30: 64 << 20,
	} {
		if got := segmentSize(limit); got != want {
			t.Errorf("segments of %d for %d, want %d", got, limit, want)
		}
	}
}
