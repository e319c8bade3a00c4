package diskbuffer_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
)

// lookout is a directory that notes what is asked for ahead and what is read, by
// file, and counts open files.
type lookout struct {
	diskbuffer.FS
	mu    sync.Mutex
	asked map[string]int64 // the end of it
	read  map[string]int64
	// late are the files that were read before anything was asked for of them, most
	// is the furthest that was asked for before it was read, in bytes.
	late []string
	most int64
	open int
}

type lookoutFile struct {
	diskbuffer.File
	dir  *lookout
	name string
}

func (w *lookout) Open(name string, write bool) (diskbuffer.File, error) {
	f, err := w.FS.Open(name, write)
	if err != nil || write {
		return f, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open++
	return lookoutFile{f, w, name}, nil
}

func (f lookoutFile) Close() error {
	f.dir.mu.Lock()
	defer f.dir.mu.Unlock()
	f.dir.open--
	return f.File.Close()
}

func (f lookoutFile) Ahead(from, to int64) {
	w := f.dir
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[f.name] = to
	lead := int64(0)
	for name, end := range w.asked {
		lead += end - w.read[name]
	}
	w.most = max(w.most, lead)
}

func (f lookoutFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	w := f.dir
	w.mu.Lock()
	defer w.mu.Unlock()
	if off > 0 && w.asked[f.name] == 0 && !slices.Contains(w.late, f.name) {
		w.late = append(w.late, f.name)
	}
	w.read[f.name] = max(w.read[f.name], off+int64(n))
	return n, err
}

// TestReadAhead: a long backlog is asked for before it is read, across the ends of
// segments too, but never far before, and no file stays open.
func TestReadAhead(t *testing.T) {
	const volume, most = 96 << 20, 16 << 20
	disk := disktest.New(1)
	store, err := diskbuffer.Create(disk.Open(), testMeta, diskbuffer.Options{Max: 1 << 30, Segment: 20 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.AddStream(diskbuffer.Stream{Name: "stdout"}); err != nil {
		t.Fatal(err)
	}
	payload := lines(1 << 20)
	for n := 0; n < volume; n += len(payload) {
		if _, err := store.Append(payload); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(true); err != nil {
		t.Fatal(err)
	}
	for name, upto := range map[string]int{"to the end": volume, "to the middle": volume / 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &lookout{FS: disk.Open(), asked: map[string]int64{}, read: map[string]int64{}}
				store, _, err := diskbuffer.Open(w, diskbuffer.Options{Max: 1 << 30})
				if err != nil {
					t.Fatal(err)
				}
				w.late, w.read = nil, map[string]int64{} // What Open has read.
				for n, dst := 0, make([]byte, 2<<20); n < upto; {
					c, err := store.Read(dst)
					if err != nil {
						t.Fatal(err)
					}
					n += c.N
					synctest.Wait()
				}
				if err := store.Close(false); err != nil {
					t.Fatal(err)
				}
				if w.open != 0 {
					t.Errorf("%d files are left open", w.open)
				}
				if asked := total(w.asked); asked < int64(upto)*9/10 || len(w.late) > 1 {
					t.Errorf("%d bytes were asked for of %d; %q were read before, want the first alone", asked, upto, w.late)
				}
				if w.most > most+2<<20 {
					t.Errorf("%d bytes were asked for ahead of the reader, want at most %d", w.most, most)
				}
			})
		})
	}
}

func total(of map[string]int64) (sum int64) {
	for _, n := range of {
		sum += n
	}
	return sum
}
