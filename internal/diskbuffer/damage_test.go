package diskbuffer_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
)

// whole is a small buffer without damage: several segments of several frames,
// two streams, loss markers, and a settled prefix that ends within a frame of the
// oldest segment that is left.
type whole struct {
	*model
	disk    *disktest.Disk
	options diskbuffer.Options
	settled diskbuffer.Position
	clean   bool
	// stored are the frames of the files that are left, as they stand there.
	stored map[int][]byte
}

func segmentName(n uint64) string { return fmt.Sprintf("%016x.seg", n) }

// newWhole makes one; without clean its process was killed.
func newWhole(t testing.TB, clean bool) *whole {
	t.Helper()
	w := &whole{
		model: newModel(7), disk: disktest.New(7), options: diskbuffer.Options{Max: 1 << 20, Segment: 1600}, clean: clean,
		stored: map[int][]byte{},
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := diskbuffer.Create(w.disk.Open(), testMeta, w.options)
	must(err)
	must(s.AddStream(w.newStream()))
	for i := range 18 {
		if i == 4 {
			must(s.AddStream(w.newStream()))
		}
		payload := w.payload(40)
		place, err := s.Append(payload)
		must(err)
		w.appended(payload, place)
	}
	for i, f := range w.frames {
		if f.place.Segment == w.frames[0].place.Segment+1 && f.end.Events-f.at.Events > 2 {
			w.settled = w.position(w.frames[i+1].at.Events + 1)
			break
		}
	}
	must(s.Settle(w.settled))
	must(s.Offer(w.settled.Events + 2))
	must(s.Tidy())
	if clean {
		must(s.Close(true))
	}
	w.disk.Kill()
	for i, f := range w.frames {
		if data := w.disk.Bytes(segmentName(f.place.Segment)); data != nil {
			data = data[f.place.Offset:]
			w.stored[i] = data[:64+binary.LittleEndian.Uint32(data[8:])]
		}
	}
	if n := len(w.segments()); n < 4 || w.settled.Events == 0 {
		t.Fatalf("the buffer has %d segments and %+v settled: %v", n, w.settled, w.disk)
	}
	return w
}

func (w *whole) segments() (all []string) {
	for _, name := range w.disk.Names() {
		if strings.HasSuffix(name, ".seg") {
			all = append(all, name)
		}
	}
	return all
}

// hit says which frames stand in no segment any more as they were written.
func (w *whole) hit(disk *disktest.Disk) map[int]bool {
	all := map[int]bool{}
	for i, frame := range w.stored {
		all[i] = true
		for _, name := range disk.Names() {
			if strings.HasSuffix(name, ".seg") && bytes.Contains(disk.Bytes(name), frame) {
				delete(all, i)
			}
		}
	}
	return all
}

// badSlots is how many states of the cursor are damaged. After a clean close the
// last one stands in both slots, else in one of them.
func (w *whole) badSlots(disk *disktest.Disk) (bad int) {
	was, is := w.disk.Bytes("cursor"), disk.Bytes("cursor")
	for _, at := range []int{0, 4096} {
		if len(is) < at+64 || !bytes.Equal(was[at:at+64], is[at:at+64]) {
			bad++
		}
	}
	return bad
}

// check opens the damaged disk and reads it. All but the hit frames must come
// back, those that do not must be counted, and the store must go on.
func (w *whole) check(disk *disktest.Disk) error {
	hit, bad := w.hit(disk), w.badSlots(disk)
	lenient := bad == 2 || bad == 1 && !w.clean
	m := *w.model
	m.frames = append([]frame(nil), w.frames...)
	s, found, err := diskbuffer.Open(disk.Open(), w.options)
	if err != nil {
		return wrong("open: %v", err)
	}
	// Without a cursor, nothing tells that there was anything before the oldest
	// frame that is left.
	if found.Settled.Events > w.settled.Events && bad < 2 || !lenient && found.Settled != w.settled {
		return wrong("settled is %+v, it was %+v", found.Settled, w.settled)
	}
	// An end that nobody promised is where the last good frame ends.
	end := found.Settled
	for i, f := range w.frames {
		if w.clean && !lenient || !hit[i] {
			end = f.end
		}
	}
	if found.End.Events < end.Events || found.End.Events > w.end.Events {
		return wrong("the end is %+v, it was %+v and at least %+v is there", found.End, w.end, end)
	}
	out, err := m.readAll(s, found.Settled)
	if err != nil {
		return err
	}
	if err := counts(found, out); err != nil {
		return err
	}
	lost := found.End.Records - found.Settled.Records
	for i, f := range w.frames {
		switch {
		case out.read[i] && hit[i]:
			return wrong("the damaged frame at %+v came back", f.at)
		case out.read[i]:
			lost -= f.end.Records - max(f.at.Records, min(f.end.Records, found.Settled.Records))
		case !hit[i] && f.end.Events > w.settled.Events:
			return wrong("the good frame at %+v did not come back", f.at)
		}
	}
	if out.lost != lost {
		return wrong("%d records are said to be lost, %d are", out.lost, lost)
	}
	return w.goOn(&m, disk, s, found, out)
}

// goOn writes to a store that was damaged, and reads that back, at once and
// after it was opened again.
func (w *whole) goOn(m *model, disk *disktest.Disk, s *diskbuffer.Store, found *diskbuffer.Found, out outcome) error {
	m.cut(found.End)
	m.streams, m.seqs = nil, append([]uint64(nil), m.seqs...)
	m.streams = append(m.streams, found.Streams...)
	if len(m.streams) == 0 {
		if err := s.AddStream(m.newStream()); err != nil {
			return wrong("a stream after the damage: %v", err)
		}
	}
	payload := m.payload(40)
	place, err := s.Append(payload)
	if err != nil || place.Position != m.end {
		return wrong("append after the damage, at %+v: %+v, %v", m.end, place, err)
	}
	m.appended(payload, place)
	last := len(m.frames) - 1
	lost := out.lost
	if err := m.readOn(s, &out); err != nil || !out.read[last] || out.lost != lost {
		return wrong("what was appended after the damage: %+v, %v", out, err)
	}
	if err := s.Close(true); err != nil {
		return wrong("close after the damage: %v", err)
	}
	s, again, err := diskbuffer.Open(disk.Open(), w.options)
	if err != nil || again.Settled != found.Settled || again.End != m.end {
		return wrong("opened again: %+v, %v; it was %+v", again, err, found)
	}
	reread, err := m.readAll(s, again.Settled)
	if err != nil || reread.lost != lost || len(reread.read) != len(out.read) {
		return wrong("read again: %+v, %v; it was %+v", reread, err, out)
	}
	return s.Close(false)
}

// damage runs one case.
func (w *whole) damage(t *testing.T, what string, do func(d *disktest.Disk)) {
	t.Helper()
	watched(t, what, func() {
		disk := w.disk.Clone(1)
		do(disk)
		if err := w.check(disk); err != nil {
			t.Errorf("%s, clean %t: %v", what, w.clean, err)
		}
	})
}

// closings runs a test on a buffer that was closed and on one that was not.
func closings(t *testing.T, run func(t *testing.T, w *whole)) {
	for _, clean := range []bool{true, false} {
		t.Run(map[bool]string{true: "closed", false: "killed"}[clean], func(t *testing.T) {
			t.Parallel()
			w := newWhole(t, clean)
			w.damage(t, "nothing", func(*disktest.Disk) {})
			run(t, w)
		})
	}
}

// exhaustive says that no place is left out. Otherwise every third is tried, and
// fewer of the killed buffer, which is like the closed one almost everywhere, and
// of what is unused in the cursor. With -short, which is for the race detector, it is
// every 31st, since one goroutine does it all.
func exhaustive() bool {
	return os.Getenv("SPILLWAY_CI") != "" || os.Getenv("SPILLWAY_LONG") != ""
}

// step is how far it is from one place that is tried to the next.
func (w *whole) step(file string, at int) int {
	switch {
	case exhaustive():
		return 1
	case testing.Short():
		return 31
	case file == "cursor" && at > 64 && at < 4090:
		return 31
	case !w.clean:
		return 11
	}
	return 3
}

// TestFlips flips bits of every byte of every file.
func TestFlips(t *testing.T) {
	var all atomic.Int64
	closings(t, func(t *testing.T, w *whole) {
		for _, name := range w.disk.Names() {
			for at := 0; at < w.disk.Size(name); at += w.step(name, at) {
				masks := []byte{1 << w.random.IntN(8)}
				if os.Getenv("SPILLWAY_LONG") != "" {
					masks = []byte{1, 2, 4, 8, 16, 32, 64, 128, 0xff, 0x55}
				}
				for _, mask := range masks {
					w.damage(t, fmt.Sprintf("%s: byte %d ^ %#x", name, at, mask), func(d *disktest.Disk) {
						d.Flip(name, at, mask)
					})
					all.Add(1)
				}
				if t.Failed() {
					return
				}
			}
		}
	})
	t.Cleanup(func() { t.Logf("%d flips", all.Load()) })
}

// TestTruncations cuts every file at every place.
func TestTruncations(t *testing.T) {
	closings(t, func(t *testing.T, w *whole) {
		for _, name := range w.disk.Names() {
			for size := 0; size < w.disk.Size(name); size += w.step(name, size) {
				w.damage(t, fmt.Sprintf("%s cut to %d", name, size), func(d *disktest.Disk) {
					d.Shorten(name, size)
				})
				if t.Failed() {
					return
				}
			}
		}
	})
}

// TestFiles takes files away, zeroes, doubles and swaps them.
func TestFiles(t *testing.T) {
	closings(t, func(t *testing.T, w *whole) {
		segments := w.segments()
		names := w.disk.Names()
		for _, name := range names {
			w.damage(t, name+" missing", func(d *disktest.Disk) { d.Delete(name) })
			w.damage(t, name+" empty", func(d *disktest.Disk) { d.Put(name, nil) })
			w.damage(t, name+" zeroed", func(d *disktest.Disk) { d.Zero(name, 0, d.Size(name)) })
			for at := 0; at < w.disk.Size(name); at += 512 {
				to := min(at+512, w.disk.Size(name))
				w.damage(t, fmt.Sprintf("%s zeroed from %d to %d", name, at, to), func(d *disktest.Disk) {
					d.Zero(name, at, to)
				})
			}
			for _, other := range names {
				w.pair(t, name, other)
			}
		}
		for _, name := range segments {
			for _, number := range []uint64{0, 1, 0x99, 1<<64 - 1} {
				w.damage(t, fmt.Sprintf("%s again as %d", name, number), func(d *disktest.Disk) {
					d.Duplicate(name, segmentName(number))
				})
			}
		}
		w.damage(t, "no segment at all", func(d *disktest.Disk) {
			for _, name := range segments {
				d.Delete(name)
			}
		})
		w.damage(t, "foreign files", func(d *disktest.Disk) {
			for _, name := range []string{"x", "zz.seg", "buffer.json.new", "cursor.old", "0000000000000001", "00000000000000g1.seg"} {
				d.Duplicate(segments[1], name)
			}
		})
	})
}

// pair damages two files by one another.
func (w *whole) pair(t *testing.T, a, b string) {
	if a == b {
		return
	}
	w.damage(t, a+" swapped with "+b, func(d *disktest.Disk) { d.Swap(a, b) })
	w.damage(t, a+" in the place of "+b, func(d *disktest.Disk) { d.Duplicate(a, b) })
	w.damage(t, a+" and "+b+" missing", func(d *disktest.Disk) {
		d.Delete(a)
		d.Delete(b)
	})
}

// TestManyDamages puts several flips, zeroed ranges and cuts into one buffer.
func TestManyDamages(t *testing.T) {
	closings(t, func(t *testing.T, w *whole) {
		for n := range map[bool]int{true: 2000, false: 150}[exhaustive()] {
			disk, what := w.disk.Clone(1), fmt.Sprintf("case %d:", n)
			for range 2 + w.random.IntN(5) {
				names := disk.Names()
				name := names[w.random.IntN(len(names))]
				size := disk.Size(name)
				if size == 0 {
					continue
				}
				from := w.random.IntN(size)
				to := from + 1 + w.random.IntN(size-from)
				switch w.random.IntN(3) {
				case 0:
					to = from + 1
					disk.Flip(name, from, 1<<w.random.IntN(8))
				case 1:
					disk.Zero(name, from, to)
				case 2:
					to = size
					disk.Shorten(name, from)
				}
				what += fmt.Sprintf(" %s %d-%d", name, from, to)
			}
			watched(t, what, func() {
				if err := w.check(disk); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			})
		}
	})
}
