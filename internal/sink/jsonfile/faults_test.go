package jsonfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/jsontext"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/appendfile"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// faulty is a disk on which chosen operations fail.
type faulty struct {
	disk
	sinktest.Faults
	writes int
}

func (d *faulty) open(path string) (appendfile.File, int64, error) {
	if err := d.Count(); err != nil {
		return nil, 0, err
	}
	f, size, err := d.disk.open(path)
	return &faultyFile{f, d}, size, err
}

func (d *faulty) rename(from, to string) error {
	return errors.Join(d.Count(), d.disk.rename(from, to))
}

func (d *faulty) remove(path string) error {
	if err := d.Count(); err != nil {
		return err
	}
	return d.disk.remove(path)
}

func (d *faulty) pack(ctx context.Context, path string) (bool, error) { return d.disk.pack(ctx, path) }

type faultyFile struct {
	appendfile.File
	disk *faulty
}

// Write fails after it has written a half.
func (f *faultyFile) Write(p []byte) (int, error) {
	f.disk.writes++
	if err := f.disk.Count(); err != nil {
		n, wrong := f.File.Write(p[:len(p)/2])
		return n, errors.Join(err, wrong)
	}
	return f.File.Write(p)
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.disk.Count(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// history is a random sequence of requests.
func history(rt *rapid.T) [][]sinktest.Event {
	body := rapid.StringN(-1, 60, -1)
	n := 0
	var requests [][]sinktest.Event
	for range rapid.IntRange(1, 8).Draw(rt, "requests") {
		var bodies []string
		for range rapid.IntRange(1, 10).Draw(rt, "lines") {
			n++
			bodies = append(bodies, fmt.Sprintf("%d %s", n, body.Draw(rt, "body")))
		}
		requests = append(requests, lines(bodies...))
	}
	return requests
}

// dir makes a directory for one run of a property.
func dir(rt *rapid.T) string {
	d, err := os.MkdirTemp("", "jsonfile")
	if err != nil {
		rt.Fatal(err)
	}
	rt.Cleanup(func() { os.RemoveAll(d) })
	return d
}

// model is Docker's rotation: the present file first.
type model struct {
	files   []string
	maxSize int
	maxFile int
}

func (m *model) write(entry string) {
	if m.maxSize != NoMaxSize && len(m.files[0]) >= m.maxSize {
		m.files = append([]string{""}, m.files...)
		m.files = m.files[:min(len(m.files), m.maxFile)]
	}
	m.files[0] += entry
}

func TestRotationIsThatOfDocker(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := options(filepath.Join(dir(rt), "c.log"))
		o.MaxFile = rapid.IntRange(1, 5).Draw(rt, "max-file")
		o.MaxSize = rapid.Int64Range(1, 1500).Draw(rt, "max-size")
		m := model{files: []string{""}, maxSize: int(o.MaxSize), maxFile: o.MaxFile}
		s, err := New(o)
		if err != nil {
			rt.Fatal(err)
		}
		for i, events := range history(rt) {
			if i%3 == 2 { // A new process goes on with the same files.
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				if s, err = New(o); err != nil {
					rt.Fatal(err)
				}
			}
			if out := s.Send(t.Context(), sinktest.NewRequest(events...)); out.Verdict != sink.Delivered {
				rt.Fatal(out.Err)
			}
			for _, e := range events {
				m.write(alone(e))
			}
		}
		if err := s.Close(); err != nil {
			rt.Fatal(err)
		}
		var got []string
		for n := range m.maxFile + 2 {
			name := o.Path
			if n > 0 {
				name = fmt.Sprintf("%s.%d", o.Path, n)
			}
			if b, err := os.ReadFile(name); err == nil {
				got = append(got, string(b))
			}
		}
		if diff := cmp.Diff(m.files, got); diff != "" {
			rt.Fatalf("files (-want +got):\n%s", diff)
		}
	})
}

// alone is the entry of one event of the stream stdout.
func alone(e sinktest.Event) string {
	return fmt.Sprintf(`{"log":"%s\n","stream":"stdout","time":"%s"}`+"\n", jsontext.HTML.AppendString(nil, []byte(e.Body)),
		e.Time.Format(time.RFC3339Nano))
}

// TestFaultsAnywhere: whatever operation fails, nothing of a request that was
// not delivered is there, and in the end everything is there once, in order.
func TestFaultsAnywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := options(filepath.Join(dir(rt), "c.log"))
		o.MaxFile = 100 // so that nothing is deleted
		o.MaxSize = rapid.Int64Range(1, 1500).Draw(rt, "max-size")
		d := &faulty{disk: osDisk{}}
		d.Fail(rapid.SliceOfN(rapid.IntRange(1, 40), 0, 12).Draw(rt, "failing")...)
		s, err := newSink(o, d)
		if err != nil {
			rt.Fatal(err)
		}
		want := []string{}
		for _, events := range history(rt) {
			r := sinktest.NewRequest(events...)
			for {
				out := s.Send(t.Context(), r)
				if out.Verdict == sink.Delivered {
					break
				}
				if out.Verdict != sink.Retry || !errors.Is(out.Err, syscall.ENOSPC) {
					rt.Fatalf("the outcome is %+v", out)
				}
				if !out.Unsure {
					compare(rt, o.Path, want)
				}
			}
			for _, e := range events {
				want = append(want, string([]rune(e.Body))+"\n")
			}
			compare(rt, o.Path, want)
		}
		if err := s.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func compare(rt *rapid.T, path string, want []string) {
	all, err := readFiles(path)
	if err != nil {
		rt.Fatal(err)
	}
	got := []string{}
	for _, e := range all {
		got = append(got, *e.Log)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		rt.Fatalf("entries (-want +got):\n%s", diff)
	}
}

func TestABodyLongerThanTheBufferIsTakenBack(t *testing.T) {
	d := &faulty{disk: osDisk{}}
	o := options(filepath.Join(t.TempDir(), "c.log"))
	s := open(t, o, d)
	sinktest.Deliver(t, s, lines("before")...)
	before := sinktest.Content(t, o.Path)
	long := sinktest.NewRequest(lines("short", strings.Repeat("\x01", maxBody-5))...)
	for nth := 1; ; nth++ {
		d.Fail(nth)
		out := s.Send(t.Context(), long)
		if out.Verdict == sink.Delivered {
			if nth < 6 {
				t.Errorf("%d writes for six megabytes", nth-1)
			}
			break
		}
		if sinktest.Content(t, o.Path) != before || out.Unsure {
			t.Fatalf("write %d failed (%v) and left something", nth, out.Err)
		}
	}
	if all, err := readFiles(o.Path); err != nil || len(all) != 3 {
		t.Errorf("%d entries, %v", len(all), err)
	}
}

func TestAFileThatCannotBeCompressedIsKept(t *testing.T) {
	o := options(filepath.Join(t.TempDir(), "c.log"))
	o.MaxSize, o.MaxFile, o.Compress = 1, 9, true
	s := open(t, o, osDisk{})
	// A directory stands where the compressed file is written first.
	blocker := o.Path + ".1" + gzipped + ".tmp"
	if err := os.Mkdir(blocker, 0o700); err != nil {
		t.Fatal(err)
	}
	sinktest.Deliver(t, s, lines("first", "second")...)
	<-s.log.packing.done
	if s.log.packing.err == nil {
		t.Fatal("the compression did not fail")
	}
	sinktest.Deliver(t, s, lines("third")...)
	<-s.log.packing.done
	if err := os.Remove(blocker); err != nil {
		t.Fatal(err)
	}
	sinktest.Deliver(t, s, lines("fourth")...)
	<-s.log.packing.done
	for n := 1; n <= 3; n++ {
		if _, err := os.Stat(fmt.Sprintf("%s.%d%s", o.Path, n, gzipped)); err != nil {
			t.Error(err)
		}
	}
	got, err := readBack(o.Path)
	if err != nil || len(got) != 4 || got[0].Text != "first" || got[3].Text != "fourth" {
		t.Errorf("read back %v, %v", got, err)
	}
}

func TestAFileCutByOthersIsNotMadeLonger(t *testing.T) {
	d := &faulty{disk: osDisk{}}
	o := options(filepath.Join(t.TempDir(), "c.log"))
	s := open(t, o, d)
	sinktest.Deliver(t, s, lines("first")...)
	if err := os.Truncate(o.Path, 0); err != nil {
		t.Fatal(err)
	}
	d.Fail(1)
	out := s.Send(t.Context(), sinktest.NewRequest(lines("second")...))
	if got := sinktest.Content(t, o.Path); out.Verdict != sink.Retry || strings.ContainsRune(got, 0) {
		t.Errorf("outcome %+v, file %q", out, got)
	}
}

func TestARotationThatFailsGoesOnWhereItStopped(t *testing.T) {
	for nth := 1; nth <= 5; nth++ {
		d := &faulty{disk: osDisk{}}
		o := options(filepath.Join(t.TempDir(), "c.log"))
		o.MaxSize, o.MaxFile = 1, 3
		s := open(t, o, d)
		sinktest.Deliver(t, s, lines("first", "second", "third")...)
		d.Fail(nth, nth+1)
		for out := (sink.Outcome{}); out.Verdict != sink.Delivered; {
			out = s.Send(t.Context(), sinktest.NewRequest(lines("fourth")...))
		}
		got, err := readBack(o.Path)
		if err != nil || len(got) != 3 || got[0].Text != "second" || got[2].Text != "fourth" {
			t.Errorf("after operation %d failed: %v, %v", nth, got, err)
		}
	}
}

func TestOnlyARotationStartsACompression(t *testing.T) {
	o := options(filepath.Join(t.TempDir(), "c.log"))
	o.MaxSize, o.MaxFile, o.Compress = 200, 3, true
	s := open(t, o, osDisk{})
	sinktest.Deliver(t, s, lines("1", "2", "3", "4", "5")...)
	first := s.log.packing
	sinktest.Deliver(t, s, lines("6")...)
	if first == nil || s.log.packing != first {
		t.Errorf("the compression is %p after a rotation and %p after none", first, s.log.packing)
	}
}
