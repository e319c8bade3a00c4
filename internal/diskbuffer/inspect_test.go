package diskbuffer_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/record"
)

// look inspects a disk and returns what was visited. It fails where the report
// contradicts itself.
func look(disk *disktest.Disk) (diskbuffer.Report, []diskbuffer.Frame, error) {
	var frames []diskbuffer.Frame
	dir := disk.Open()
	r, err := diskbuffer.Inspect(dir, func(f diskbuffer.Frame) error {
		f.Payload = bytes.Clone(f.Payload)
		frames = append(frames, f)
		return nil
	})
	if err := errors.Join(err, dir.Close()); err != nil {
		return r, frames, wrong("inspect: %v", err)
	}
	if r.Records+r.Lost != r.End.Records-r.Settled.Records || r.DamagedBytes < 0 || r.Lost > 0 && r.Whole() {
		return r, frames, wrong("the report contradicts itself: %+v", r)
	}
	var pending diskbuffer.Position
	for _, f := range frames {
		skip := f.Settled
		measure(f.Payload, func(b *record.Batch) {
			n := min(skip, b.Count)
			skip -= n
			pending.Events += uint64(b.Count - n)
			if b.Kind == record.KindRecords {
				pending.Records += uint64(b.Count - n)
			}
		})
	}
	if pending.Records != r.Records || pending.Events-pending.Records != r.Markers {
		return r, frames, wrong("%+v was visited, the report is %+v", pending, r)
	}
	return r, frames, nil
}

// TestInspect: a buffer without damage is whole, and all of it is visited in its
// order.
func TestInspect(t *testing.T) {
	for _, clean := range []bool{true, false} {
		w := newWhole(t, clean)
		calls := w.disk.Calls()
		disk := w.disk.Clone(1)
		r, frames, err := look(disk)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Whole() || r.Lost != 0 || r.Records != w.end.Records-w.settled.Records || r.End != w.end || r.Settled != w.settled ||
			r.Clean != clean || r.Identity != testMeta.Identity || !bytes.Equal(r.About, testMeta.About) || r.Segments != len(w.segments()) {
			t.Errorf("clean %t: the report is %+v, the model ends at %+v, settled %+v", clean, r, w.end, w.settled)
		}
		if diff := cmp.Diff(w.streams, r.Streams); diff != "" {
			t.Errorf("clean %t: other streams (-want +got):\n%s", clean, diff)
		}
		at := len(w.frames) - len(frames)
		for i, f := range frames {
			want := w.frames[at+i]
			if f.First != want.at || !bytes.Equal(f.Payload, want.payload) || f.File != segmentName(want.place.Segment) || f.Offset != want.place.Offset {
				t.Fatalf("frame %d is %+v, want %+v", i, f, want)
			}
			if name := f.StreamName(0); name != "stream0" {
				t.Errorf("stream 0 is called %q", name)
			}
		}
		if w.disk.Calls() != calls {
			t.Error("the test looked at the wrong disk")
		}
	}
}

// damages calls try with one clone for each kind of damage in many places.
func (w *whole) damages(try func(what string, disk *disktest.Disk)) {
	one := func(what string, do func(d *disktest.Disk)) {
		disk := w.disk.Clone(1)
		do(disk)
		try(what, disk)
	}
	step := 37
	if os.Getenv("SPILLWAY_LONG") != "" {
		step = 1
	}
	names := w.disk.Names()
	for _, name := range names {
		size := w.disk.Size(name)
		for at := w.random.IntN(step); at < size; at += step {
			one(fmt.Sprintf("%s: byte %d", name, at), func(d *disktest.Disk) { d.Flip(name, at, 1<<w.random.IntN(8)) })
			one(fmt.Sprintf("%s cut to %d", name, at), func(d *disktest.Disk) { d.Shorten(name, at) })
		}
		one(name+" missing", func(d *disktest.Disk) { d.Delete(name) })
		one(name+" zeroed", func(d *disktest.Disk) { d.Zero(name, 0, size) })
		for _, other := range names {
			if other != name && strings.HasSuffix(name, ".seg") && strings.HasSuffix(other, ".seg") {
				one(name+" over "+other, func(d *disktest.Disk) { d.Duplicate(name, other) })
				one(name+" swapped with "+other, func(d *disktest.Disk) { d.Swap(name, other) })
			}
		}
		if strings.HasSuffix(name, ".seg") {
			one(name+" twice", func(d *disktest.Disk) { d.Duplicate(name, segmentName(1000)) })
			one(name+" and all behind it missing", func(d *disktest.Disk) {
				for _, other := range names {
					if strings.HasSuffix(other, ".seg") && other >= name {
						d.Delete(other)
					}
				}
			})
		}
	}
	one("foreign files", func(d *disktest.Disk) {
		d.Put("notes.txt", []byte("x"))
		d.Put("zzzzzzzzzzzzzzzz.seg", []byte("x"))
	})
}

// TestInspectAgreesWithTheStore: what a check says of a damaged buffer is what
// delivering from it brings.
func TestInspectAgreesWithTheStore(t *testing.T) {
	closings(t, func(t *testing.T, w *whole) {
		w.damages(func(what string, disk *disktest.Disk) {
			watched(t, what, func() {
				if err := w.agree(disk); err != nil {
					t.Errorf("%s, clean %t: %v", what, w.clean, err)
				}
			})
		})
	})
}

// agree inspects, and then opens and reads.
func (w *whole) agree(disk *disktest.Disk) error {
	r, _, err := look(disk)
	if err != nil {
		return err
	}
	s, found, err := diskbuffer.Open(disk.Clone(1).Open(), w.options)
	if err != nil {
		return wrong("open: %v", err)
	}
	m := *w.model
	out, err := m.readAll(s, found.Settled)
	if err != nil {
		return err
	}
	if r.Settled != found.Settled || r.End != found.End || r.Lost != out.lost || r.Offered != found.Offered {
		return wrong("the check says %+v; the store found %+v and lost %d", r, found, out.lost)
	}
	return s.Close(false)
}

// TestLive: what a process has not finished to write, and what it deletes
// meanwhile, is no damage.
func TestLive(t *testing.T) {
	path := t.TempDir()
	dir, err := diskbuffer.OpenDir(path, diskbuffer.Owner{UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	options := diskbuffer.Options{Max: 1 << 20, Segment: 1600}
	s, err := diskbuffer.Create(dir, testMeta, options)
	if err != nil {
		t.Fatal(err)
	}
	m := newModel(3)
	if err := s.AddStream(m.newStream()); err != nil {
		t.Fatal(err)
	}
	add := func(n int) {
		for range n {
			payload := m.payload(40)
			place, err := s.Append(payload)
			if err != nil {
				t.Fatal(err)
			}
			m.appended(payload, place)
		}
	}
	add(20)
	// The process goes on while it is inspected: all but the end is settled and
	// deleted after the first frame was seen.
	settled := m.frames[15].at
	r := inspectPath(t, path, func() {
		if err := errors.Join(s.Settle(settled), s.Tidy()); err != nil {
			t.Fatal(err)
		}
	})
	if !r.Locked || !r.Whole() || r.End != m.end || r.Settled.Events != 0 && r.Settled != settled {
		t.Errorf("a buffer in use: %+v, the model ends at %+v", r, m.end)
	}
	// It has begun to write a frame.
	name := segmentName(m.frames[19].place.Segment)
	f, err := os.OpenFile(path+"/"+name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("\xf5SPF half a frame")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if r := inspectPath(t, path, nil); !r.Locked || !r.Whole() || r.End != m.end {
		t.Errorf("a frame that is being written: %+v", r)
	}
	if err := s.Close(false); err != nil {
		t.Fatal(err)
	}
	if r := inspectPath(t, path, nil); r.Locked || r.Whole() || r.Lost != 0 || r.DamagedBytes != 17 || r.End != m.end {
		t.Errorf("a torn end: %+v", r)
	}
}

// inspectPath inspects a real directory, with something that happens at the first
// frame.
func inspectPath(t *testing.T, path string, first func()) diskbuffer.Report {
	t.Helper()
	dir, err := diskbuffer.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := diskbuffer.Inspect(dir, func(diskbuffer.Frame) error {
		if first != nil {
			first()
			first = nil
		}
		return nil
	})
	if err := errors.Join(err, dir.Close()); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestOpenReadOnlyChangesNothing, whatever is asked of it.
func TestOpenReadOnlyChangesNothing(t *testing.T) {
	dir, err := diskbuffer.OpenReadOnly(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, created := dir.Create("x")
	_, opened := dir.Open("x", true)
	for what, err := range map[string]error{
		"create": created, "open": opened, "remove": dir.Remove("x"), "rename": dir.Rename("x", "y"), "lock": dir.Lock(),
	} {
		if !errors.Is(err, os.ErrPermission) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if entries, err := dir.List(); err != nil || len(entries) > 0 {
		t.Errorf("there is %v, %v", entries, err)
	}
	if err := dir.Close(); err != nil {
		t.Error(err)
	}
	if _, err := diskbuffer.OpenReadOnly("/nonexistent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// TestVisitEndsIt: an error of the visitor is the one that comes back.
func TestVisitEndsIt(t *testing.T) {
	w := newWhole(t, true)
	visits := 0
	_, err := diskbuffer.Inspect(w.disk.Open(), func(diskbuffer.Frame) error {
		visits++
		return errWrong
	})
	if !errors.Is(err, errWrong) || visits != 1 {
		t.Errorf("after %d visits: %v", visits, err)
	}
}

// TestInspectErrors: a disk that cannot be read is an error, and no report of
// damage.
func TestInspectErrors(t *testing.T) {
	w := newWhole(t, true)
	for n := 1; ; n++ {
		disk := w.disk.Clone(1)
		disk.Fail(n, disktest.Fault{Err: errWrong})
		_, err := diskbuffer.Inspect(disk.Open(), nil)
		if !disk.Failed() {
			return
		}
		if !errors.Is(err, errWrong) {
			t.Fatalf("call %d fails: %v", n, err)
		}
	}
}

// FuzzInspect: whatever a directory holds, it is told and repaired without a
// panic, and a repair takes nothing away that could be read.
func FuzzInspect(f *testing.F) {
	for _, clean := range []bool{true, false} {
		w := newWhole(f, clean)
		names := w.segments()
		f.Add(w.disk.Bytes(names[0]), w.disk.Bytes(names[1]), w.disk.Bytes("cursor"), w.disk.Bytes("buffer.json"))
		f.Add(w.disk.Bytes(names[1])[200:], w.disk.Bytes(names[0]), []byte(nil), []byte("{}"))
	}
	f.Fuzz(func(t *testing.T, first, second, cursor, meta []byte) {
		disk := disktest.New(1)
		for name, data := range map[string][]byte{segmentName(1): first, segmentName(2): second, "cursor": cursor, "buffer.json": meta} {
			if data != nil {
				disk.Put(name, data)
			}
		}
		if err := (&whole{}).repaired(disk); err != nil {
			t.Fatal(err)
		}
	})
}
