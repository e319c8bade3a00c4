package file

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// settled waits until nothing is done in the background.
func (s *Sink) settled() {
	s.files.care.mu.Lock()
	done := s.files.care.done
	s.files.care.mu.Unlock()
	if done != nil {
		<-done
	}
}

func TestRotationBySize(t *testing.T) {
	for _, c := range []struct {
		compress Compression
		ending   string
		reader   func(io.Reader) (io.Reader, error)
	}{
		{NoCompression, "", func(r io.Reader) (io.Reader, error) { return r, nil }},
		{Gzip, ".gz", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
		{Zstd, ".zst", func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r, zstd.WithDecoderConcurrency(1)) }},
	} {
		dir := t.TempDir()
		o := options(t, dir+"/{tag}.log")
		o.MaxSize, o.Compress, o.Format = 100, c.compress, Text
		s := open(t, o, osDisk{})
		for i := range 10 {
			sinktest.Deliver(t, s, lines(strings.Repeat("x", 60), fmt.Sprint("second ", i), strings.Repeat("y", 60))...)
		}
		s.settled()
		total := 0
		for _, name := range names(t, dir) {
			f, err := os.Open(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			var r io.Reader = f
			if name != "stdout.log" {
				if !strings.HasSuffix(name, "Z"+c.ending) {
					t.Errorf("the name %s", name)
				}
				if r, err = c.reader(f); err != nil {
					t.Fatal(err)
				}
			}
			total += countLines(t, bufio.NewScanner(r))
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if total != 30 {
			t.Errorf("%d lines with compression %d, want 30", total, c.compress)
		}
		if err := s.files.care.err(); err != nil {
			t.Error(err)
		}
	}
}

func TestOldFilesGo(t *testing.T) {
	dir := t.TempDir()
	// What is not ours stays, and what a compression left half done goes.
	for _, name := range []string{"stdout.log.old", "stdout.log.20230101T000000.000000000Z.gz", "stdout.log.20230101T000000.000000000Z.gz.tmp", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := options(t, dir+"/{tag}.log")
	o.MaxSize, o.MaxFile, o.Format = 1, 3, Text
	s := open(t, o, osDisk{})
	for i := range 6 {
		sinktest.Deliver(t, s, lines(fmt.Sprint(i))...)
		s.settled()
	}
	var got []string
	for _, name := range names(t, dir) {
		got = append(got, strings.TrimSpace(sinktest.Content(t, filepath.Join(dir, name))))
	}
	// other, stdout.log, two rotated ones by age, stdout.log.old
	if diff := cmp.Diff([]string{"x", "5", "3", "4", "x"}, got); diff != "" {
		t.Errorf("%q (-want +got):\n%s", names(t, dir), diff)
	}
}

func TestRotationByTheClock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one")
	o := options(t, path)
	o.RotateEvery, o.Format = time.Hour, Text
	if err := os.WriteFile(path, []byte("of yesterday\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(path, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	s := open(t, o, osDisk{})
	sinktest.Deliver(t, s, lines("first")...)
	if got := sinktest.Content(t, path); got != "first\n" {
		t.Errorf("%q", got)
	}
	s.files.open[path].period-- // an hour later
	sinktest.Deliver(t, s, lines("second", "third")...)
	if got, all := sinktest.Content(t, path), names(t, filepath.Dir(path)); got != "second\nthird\n" || len(all) != 3 {
		t.Errorf("%q in %q", got, all)
	}
}

// faulty is a disk on which chosen operations fail; they are counted from 1.
type faulty struct {
	disk
	sinktest.Faults
	mu sync.Mutex // files are synced at the same time
	// What a power cut would take: files with what was not synced, and folders.
	unsynced map[any]bool
}

// dirty notes that something wants to be synced, or is.
func (d *faulty) dirty(what any, dirty bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unsynced == nil {
		d.unsynced = make(map[any]bool)
	}
	if dirty {
		d.unsynced[what] = true
	} else {
		delete(d.unsynced, what)
	}
}

func (d *faulty) open(path string, fileMode, dirMode os.FileMode) (handle, about, error) {
	if err := d.Count(); err != nil {
		return nil, about{}, err
	}
	f, a, err := d.disk.open(path, fileMode, dirMode)
	if err != nil {
		return nil, a, err
	}
	for _, dir := range a.made {
		d.dirty(dir, true)
	}
	return &faultyFile{f, d}, a, nil
}

func (d *faulty) same(h handle, path string) bool { return d.disk.same(h.(*faultyFile).handle, path) }

func (d *faulty) rename(from, to string) error {
	if err := d.Count(); err != nil {
		return err
	}
	d.dirty(filepath.Dir(to), true)
	return d.disk.rename(from, to)
}

func (d *faulty) syncDir(dir string) error {
	if err := d.Count(); err != nil {
		return err
	}
	d.dirty(dir, false)
	return nil
}

type faultyFile struct {
	handle
	disk *faulty
}

// Write fails after it has written a half.
func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.disk.Count(); err != nil {
		n, wrong := f.handle.Write(p[:len(p)/2])
		return n, errors.Join(err, wrong)
	}
	f.disk.dirty(f, true)
	return f.handle.Write(p)
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.disk.Count(); err != nil {
		return err
	}
	return f.handle.Truncate(size)
}

// Datasync is not worth the time of a real one.
func (f *faultyFile) Datasync() error {
	if err := f.disk.Count(); err != nil {
		return err
	}
	f.disk.dirty(f, false)
	return nil
}

// all reads all lines of a path, the oldest first.
func all(t *rapid.T, path string) string {
	older, _, err := (&caretaker{disk: osDisk{}}).older(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var text []byte
	for _, name := range append(older, path) {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		text = append(text, b...)
	}
	return string(text)
}

// torn tells whether a file still has what a failed attempt has written to it: the
// attempt has said so, and one that ends before it comes to that file need not.
func torn(s *Sink) bool {
	for _, err := range s.files.failed {
		if is := new(tornError); errors.As(err, &is) {
			return true
		}
	}
	return false
}

// TestFaultsAnywhere: whatever operation fails, nothing of an attempt that was not
// delivered is there, and in the end everything is there once, in order, also
// after a new process.
func TestFaultsAnywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "file")
		if err != nil {
			rt.Fatal(err)
		}
		rt.Cleanup(func() { os.RemoveAll(dir) })
		o := options(t, dir+"/new/{tag}.log")
		o.Format = Text
		o.MaxSize = rapid.SampledFrom([]int64{0, 1, 30, 300}).Draw(rt, "max-size")
		d := &faulty{disk: osDisk{}}
		d.Fail(rapid.SliceOfN(rapid.IntRange(1, 40), 0, 12).Draw(rt, "failing")...)
		s, err := newSink(o, d)
		if err != nil {
			rt.Fatal(err)
		}
		want := make(map[string]string)
		compare := func() {
			for _, tag := range sinktest.Streams {
				if diff := cmp.Diff(want[tag], all(rt, dir+"/new/"+tag+".log")); diff != "" {
					rt.Fatalf("%s (-want +got):\n%s", tag, diff)
				}
			}
		}
		n := 0
		for range rapid.IntRange(1, 8).Draw(rt, "requests") {
			var events []sinktest.Event
			for range rapid.IntRange(1, 10).Draw(rt, "lines") {
				n++
				stream := uint32(rapid.IntRange(0, 1).Draw(rt, "stream"))
				events = append(events, sinktest.Event{Stream: stream, Time: second, Body: fmt.Sprint("line ", n)})
			}
			for len(events) > 0 {
				out := s.Send(t.Context(), sinktest.NewRequest(events...))
				if out.Err != nil && !errors.Is(out.Err, syscall.ENOSPC) || out.Verdict == sink.Refuse || len(out.Rejected) > 0 {
					rt.Fatalf("the outcome is %+v", out)
				}
				for what := range d.unsynced {
					// A file of which nothing is delivered, since it takes nothing back, need not be.
					if _, isFile := what.(*faultyFile); out.Verdict == sink.Delivered && !(isFile && out.Unsure) {
						rt.Fatalf("delivered, and not synced: %v", d.unsynced)
					}
				}
				var again []sinktest.Event
				if out.Verdict == sink.Retry {
					again = events
				}
				next := 0
				for _, span := range append(out.Again, sink.Span{First: len(events), End: len(events)}) {
					if out.Verdict == sink.Delivered {
						for _, e := range events[next:span.First] {
							want[sinktest.Streams[e.Stream]] += e.Body + "\n"
						}
					}
					again = append(again, events[span.First:span.End]...)
					next = span.End
				}
				events = again
				if !out.Unsure && !torn(s) {
					compare()
				}
			}
			if rapid.IntRange(0, 3).Draw(rt, "restart") == 0 {
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				if s, err = newSink(o, d); err != nil {
					rt.Fatal(err)
				}
			}
		}
		compare()
		if err := s.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}
