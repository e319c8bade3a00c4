package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// faulty is a folder in which chosen operations fail.
type faulty struct {
	folder
	sinktest.Faults
	dirty bool // something was written and not synced
}

func openFaulty(t testing.TB, o Options) (*Sink, *faulty) {
	t.Helper()
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if o.MaxSize == 0 {
		o.MaxSize = DefaultMaxSize
	}
	d := &faulty{folder: root, Faults: sinktest.Faults{Err: syscall.EIO}}
	return newSink(o, d, func(f *os.File) segmentFile { return &faultyFile{syncedFile{f}, d} }), d
}

func (d *faulty) OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	if err := d.Count(); err != nil {
		return nil, err
	}
	return d.folder.OpenFile(name, flag, mode)
}

func (d *faulty) Rename(from, to string) error {
	if err := d.Count(); err != nil {
		return err
	}
	return d.folder.Rename(from, to)
}

func (d *faulty) Remove(name string) error {
	if err := d.Count(); err != nil {
		return err
	}
	return d.folder.Remove(name)
}

type faultyFile struct {
	syncedFile
	disk *faulty
}

// Write fails after it has written a half.
func (f *faultyFile) Write(p []byte) (int, error) {
	f.disk.dirty = true
	if err := f.disk.Count(); err != nil {
		n, wrong := f.syncedFile.Write(p[:len(p)/2])
		return n, errors.Join(err, wrong)
	}
	return f.syncedFile.Write(p)
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.disk.Count(); err != nil {
		return err
	}
	return f.syncedFile.Truncate(size)
}

// Datasync fails after everything has been written. It does nothing else, to save
// time: no power is cut here.
func (f *faultyFile) Datasync() error {
	if err := f.disk.Count(); err != nil {
		return err
	}
	f.disk.dirty = false
	return nil
}

// TestFaultsAnywhere: whatever operation fails, nothing of a request that was
// not delivered is there, and in the end everything is there once, in order, or
// counted as expired.
func TestFaultsAnywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := tempDir(rt)
		o := options(dir)
		o.MaxSize = 40 << 10 // smaller than New would take, so that much expires
		s, d := openFaulty(t, o)
		d.Fail(rapid.SliceOfN(rapid.IntRange(1, 200), 0, 60).Draw(rt, "failing")...)
		var sent []string
		for n := range 40 {
			var events []sinktest.Event
			var bodies []string
			for m := range rapid.IntRange(1, 12).Draw(rt, "events") {
				bodies = append(bodies, fmt.Sprintf("%d.%d %*d", n, m, rapid.IntRange(0, 200).Draw(rt, "size"), n))
				events = append(events, at(n, bodies[m]))
			}
			r := sinktest.NewRequest(events...)
			for {
				out := s.Send(t.Context(), r)
				if out.Verdict == sink.Delivered {
					if d.dirty {
						rt.Fatal("delivered, but not synced")
					}
					break
				}
				if out.Verdict != sink.Retry || !errors.Is(out.Err, syscall.EIO) {
					rt.Fatalf("the outcome is %+v", out)
				}
				if !out.Unsure {
					checkStore(rt, dir, sent)
				}
			}
			sent = append(sent, bodies...)
		}
		d.Fail()
		if err := s.Close(); err != nil {
			rt.Fatal(err)
		}
		checkStore(rt, dir, sent)
	})
}

// checkStore compares what is there and what has expired with what was sent.
func checkStore(rt *rapid.T, dir string, sent []string) {
	var got []string
	err := Read(rt.Context(), dir, Query{Damaged: func(d Damage) { rt.Fatalf("damage: %+v", d) }}, func(e Entry) error {
		got = append(got, text(e))
		return nil
	})
	records, bytes, wrong := Expired(dir)
	if err := errors.Join(err, wrong); err != nil {
		rt.Fatal(err)
	}
	if int(records)+len(got) != len(sent) {
		rt.Fatalf("%d entries are there and %d have expired of %d", len(got), records, len(sent))
	}
	for _, body := range sent[:records] {
		bytes -= int64(len(body))
	}
	if bytes != 0 {
		rt.Fatalf("the bytes of %d expired records are wrong by %d", records, bytes)
	}
	if !slices.Equal(got, sent[records:]) {
		rt.Fatalf("entries (-want +got):\n%s", cmp.Diff(sent[records:], got))
	}
}

// tempDir is in memory where there is a folder for that, because the store
// syncs.
func tempDir(t interface {
	Fatal(...any)
	Cleanup(func())
}) string {
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = ""
	}
	dir, err := os.MkdirTemp(base, "local")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
