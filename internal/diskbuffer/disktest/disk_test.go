package disktest_test

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"syscall"
	"testing"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
)

// seeds is enough for each thing that may happen to happen.
const seeds = 300

// create makes a file with bytes that are durable, name and all.
func create(t *testing.T, dir diskbuffer.FS, name string, data []byte) diskbuffer.File {
	t.Helper()
	f, err := dir.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{f.WriteAt(0, data), f.Sync(), dir.Sync()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// TestCut writes a part of a durable file anew: what was durable stays, and of the
// rest each sector may be the old or the new one, in any combination.
func TestCut(t *testing.T) {
	var whole, none, some, torn, grown int
	for seed := range uint64(seeds) {
		d := disktest.New(seed)
		f := create(t, d.Open(), "f", bytes.Repeat([]byte("o"), 16384))
		if err := f.WriteAt(8192, bytes.Repeat([]byte("n"), 6000), bytes.Repeat([]byte("n"), 6000)); err != nil {
			t.Fatal(err)
		}
		d.Restart()
		got := d.Bytes("f")
		if len(got) != 16384 && len(got) != 20192 {
			t.Fatalf("seed %d: the size is %d", seed, len(got))
		}
		if !bytes.Equal(got[:8192], bytes.Repeat([]byte("o"), 8192)) {
			t.Fatalf("seed %d: what was durable and not written again is changed", seed)
		}
		count := bytes.Count(got[8192:16384], []byte("n"))
		switch {
		case count == 0:
			none++
		case count == 8192:
			whole++
		case count%512 == 0:
			some++
		default:
			torn++
			if !d.Tears() {
				t.Fatalf("seed %d: %d bytes are new, on a disk that does not tear", seed, count)
			}
		}
		if len(got) > 16384 {
			grown++
		}
		if err := f.Sync(); !errors.Is(err, disktest.ErrPower) {
			t.Fatalf("seed %d: a file of before the cut says %v", seed, err)
		}
	}
	if whole == 0 || none == 0 || some == 0 || torn == 0 || grown == 0 || grown == seeds {
		t.Errorf("of %d: %d whole, %d none, %d some, %d torn, %d grown; each must happen", seeds, whole, none, some, torn, grown)
	}
}

// TestCutOfNames: each change since the directory was synced happened or not.
func TestCutOfNames(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(seeds) {
		d := disktest.New(seed)
		dir := d.Open()
		for _, name := range []string{"a", "b"} {
			create(t, dir, name, []byte(name))
		}
		if _, err := dir.Create("c"); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{dir.Remove("a"), dir.Rename("b", "d")} {
			if err != nil {
				t.Fatal(err)
			}
		}
		d.Restart()
		key := ""
		for _, name := range d.Names() {
			key += name
		}
		seen[key]++
	}
	for _, want := range []string{"ab", "abc", "acd", "ad", "b", "bc", "cd", "d"} {
		if seen[want] == 0 {
			t.Errorf("after %d cuts the names were never %q: %v", seeds, want, seen)
		}
	}
	if len(seen) != 8 {
		t.Errorf("names that cannot be: %v", seen)
	}
}

// TestFailedSyncLosesPages: what a failed sync lost does not come back by another.
func TestFailedSyncLosesPages(t *testing.T) {
	lost, forgotten := 0, 0
	for seed := range uint64(seeds) {
		d := disktest.New(seed)
		f := create(t, d.Open(), "f", make([]byte, 100))
		if err := f.WriteAt(0, bytes.Repeat([]byte("n"), 100)); err != nil {
			t.Fatal(err)
		}
		d.Fail(1, disktest.Fault{Err: syscall.EIO})
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("a sync that must fail: %v", err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if d.Bytes("f")[99] != 'n' {
			forgotten++
		}
		d.Restart()
		if d.Bytes("f")[99] != 'n' {
			lost++
		}
	}
	if lost == 0 || lost == seeds || forgotten == 0 || forgotten == seeds {
		t.Errorf("of %d: %d lost, %d not even in the cache", seeds, lost, forgotten)
	}
}

// TestKill: what a process wrote stays, its handles are dead, its lock is free.
func TestKill(t *testing.T) {
	d := disktest.New(1)
	dir := d.Open()
	if err := dir.Lock(); err != nil {
		t.Fatal(err)
	}
	if err := d.Open().Lock(); !errors.Is(err, diskbuffer.ErrLocked) {
		t.Fatalf("locked twice: %v", err)
	}
	f, err := dir.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.WriteAt(0, []byte("text")); err != nil {
		t.Fatal(err)
	}
	d.Kill()
	if _, err := dir.List(); !errors.Is(err, disktest.ErrPower) {
		t.Errorf("a handle of the dead process: %v", err)
	}
	if err := d.Open().Lock(); err != nil {
		t.Errorf("lock after the kill: %v", err)
	}
	if got := d.Bytes("f"); string(got) != "text" {
		t.Errorf("the file is %q", got)
	}
}

// TestFaults: the planned call fails, as often as planned, and a short one does
// a part.
func TestFaults(t *testing.T) {
	d := disktest.New(1)
	f := create(t, d.Open(), "f", nil)
	d.Fail(2, disktest.Fault{Err: syscall.EIO, Times: 2})
	var got []bool
	for range 5 {
		got = append(got, f.WriteAt(0, []byte("x")) != nil)
	}
	if want := []bool{false, true, true, false, false}; !slices.Equal(got, want) || !d.Failed() {
		t.Errorf("which failed: %v, want %v", got, want)
	}
	parts := map[int]bool{}
	for range 50 {
		d.Put("f", nil)
		f, err := d.Open().Open("f", true)
		if err != nil {
			t.Fatal(err)
		}
		d.Fail(1, disktest.Fault{Err: syscall.ENOSPC, Short: true})
		if err := f.WriteAt(0, []byte("ab"), []byte("c")); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("short write: %v", err)
		}
		parts[d.Size("f")] = true
	}
	if len(parts) != 3 || parts[3] {
		t.Errorf("sizes after short writes: %v", parts)
	}
	d.SetCapacity(10)
	g, err := d.Open().Create("g")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.WriteAt(0, make([]byte, 100)); !errors.Is(err, syscall.ENOSPC) || d.Size("g")+d.Size("f") != 10 {
		t.Errorf("a write beyond the capacity: %v; %v", err, d)
	}
	if _, err := d.Open().Open("h", false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open what is not there: %v", err)
	}
}

// TestCutAt: the call in which the power goes was made or not.
func TestCutAt(t *testing.T) {
	made := 0
	for seed := range uint64(seeds) {
		d := disktest.New(seed)
		f := create(t, d.Open(), "f", make([]byte, 8))
		d.CutAt(2)
		if err := f.WriteAt(0, []byte("new text")); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); !errors.Is(err, disktest.ErrPower) || !d.Off() {
			t.Fatalf("the call of the cut: %v", err)
		}
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, disktest.ErrPower) {
			t.Fatalf("a call after the cut: %v", err)
		}
		d.Restart()
		if string(d.Bytes("f")) == "new text" {
			made++
		}
	}
	if made < seeds/2 || made == seeds {
		t.Errorf("synced in %d of %d", made, seeds)
	}
}
