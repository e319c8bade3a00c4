package diskbuffer_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
)

// plan asks for a plan.
func plan(disk *disktest.Disk) (*diskbuffer.Plan, error) {
	dir := disk.Open()
	p, err := diskbuffer.PlanRepair(dir)
	return p, errors.Join(err, dir.Close())
}

// repair does what a plan says.
func repair(disk *disktest.Disk, p *diskbuffer.Plan) error {
	dir := disk.Open()
	err := diskbuffer.Repair(dir, p)
	return errors.Join(err, dir.Close())
}

// payloads are what can be read, with its place.
func payloads(disk *disktest.Disk) (map[diskbuffer.Position]string, diskbuffer.Report, error) {
	r, frames, err := look(disk)
	all := make(map[diskbuffer.Position]string)
	for _, f := range frames {
		all[f.First] = string(f.Payload)
	}
	return all, r, err
}

// TestRepair: whatever the damage, all that could be read before can be read
// afterwards, what is lost stays lost, and all that was taken out is kept.
func TestRepair(t *testing.T) {
	closings(t, func(t *testing.T, w *whole) {
		w.damages(func(what string, disk *disktest.Disk) {
			watched(t, what, func() {
				if err := w.repaired(disk); err != nil {
					t.Errorf("%s, clean %t: %v", what, w.clean, err)
				}
			})
		})
	})
}

func (w *whole) repaired(disk *disktest.Disk) error {
	before, was, err := payloads(disk)
	if err != nil {
		return err
	}
	p, err := plan(disk)
	if err != nil {
		return err
	}
	damaged := disk.Clone(2)
	if err := repair(disk, p); err != nil {
		return wrong("repair: %v, the plan was %+v", err, p)
	}
	if err := w.same(disk, before, was); err != nil {
		return err
	}
	again, err := plan(disk)
	if err != nil {
		return err
	}
	if len(again.Steps) > 0 {
		return wrong("after the repair there is more to do: %+v, the first plan was %+v", again.Steps, p.Steps)
	}
	if len(again.Beyond) == 0 && !again.Report.Whole() {
		return wrong("nothing is left to do, and it is not whole: %+v", again.Report)
	}
	return kept(damaged, disk)
}

// same says whether all that could be read still can.
func (w *whole) same(disk *disktest.Disk, before map[diskbuffer.Position]string, was diskbuffer.Report) error {
	after, is, err := payloads(disk)
	if err != nil {
		return err
	}
	for at, payload := range before {
		if after[at] != payload {
			return wrong("the frame at %+v cannot be read any more", at)
		}
	}
	if is.Lost != was.Lost || is.Settled != was.Settled || is.End != was.End || is.Offered < was.Offered {
		return wrong("the report was %+v and is %+v", was, is)
	}
	return nil
}

// kept fails unless every run of bytes that a segment had stands somewhere.
func kept(before, after *disktest.Disk) error {
	var all []byte
	for _, name := range after.Names() {
		all = append(all, after.Bytes(name)...)
	}
	for _, name := range before.Names() {
		old, is := before.Bytes(name), after.Bytes(name)
		if bytes.Equal(old, is) || name == "lock" {
			continue
		}
		for at := 0; at < len(old); at += 16 {
			if piece := old[at:min(at+16, len(old))]; !parts(all, piece, 3) {
				return wrong("bytes %d to %d of %s are nowhere", at, at+16, name)
			}
		}
	}
	return nil
}

// parts says whether a piece is there in at most so many parts.
func parts(all, piece []byte, most int) bool {
	if bytes.Contains(all, piece) {
		return true
	}
	for n := len(piece) - 1; n > 0 && most > 1; n-- {
		if bytes.Contains(all, piece[:n]) {
			return parts(all, piece[n:], most-1)
		}
	}
	return false
}

// TestRepairIsKilled at each of its calls, and loses power there: nothing that
// could be read is gone, and another repair ends the work.
func TestRepairIsKilled(t *testing.T) {
	w := newWhole(t, false)
	segments := w.segments()
	broken := w.disk.Clone(5)
	first := segments[len(segments)-3]
	broken.Flip(first, broken.Size(first)/2, 1)
	broken.Flip(segments[len(segments)-2], 20, 1)
	broken.Zero(segments[len(segments)-1], 0, broken.Size(segments[len(segments)-1]))
	broken.Duplicate(segments[0], segmentName(77))
	broken.Flip("cursor", 4096+20, 1)
	before, was, err := payloads(broken)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan(broken)
	if err != nil || len(p.Steps) < 5 {
		t.Fatalf("the plan is %+v, %v", p, err)
	}
	lucks := uint64(8)
	if testing.Short() {
		lucks = 1
	}
	for n, off := 1, true; off; n++ {
		for luck := range lucks {
			disk := broken.Clone(uint64(n)*1000 + luck*77)
			disk.CutAt(n)
			if err := repair(disk, p); !disk.Off() {
				if off = false; err != nil {
					t.Fatal(err)
				}
				break
			}
			disk.Restart()
			if err := errors.Join(w.same(disk, before, was), kept(broken, disk)); err != nil {
				t.Fatalf("the power goes at call %d: %v\n%v", n, err, disk)
			}
			if err := w.repaired(disk); err != nil {
				t.Fatalf("the power goes at call %d, the next repair: %v\n%v", n, err, disk)
			}
		}
	}
}

// TestRepairRefuses what is in use, or not what was planned for.
func TestRepairRefuses(t *testing.T) {
	w := newWhole(t, true)
	broken := w.disk.Clone(1)
	name := w.segments()[0]
	broken.Flip(name, 300, 1)
	p, err := plan(broken)
	if err != nil {
		t.Fatal(err)
	}
	user := broken.Open()
	if err := user.Lock(); err != nil {
		t.Fatal(err)
	}
	if err := repair(broken, p); !errors.Is(err, diskbuffer.ErrLocked) {
		t.Errorf("a buffer in use: %v", err)
	}
	if err := user.Close(); err != nil {
		t.Fatal(err)
	}
	broken.Flip(w.segments()[1], 300, 1)
	if err := repair(broken, p); !errors.Is(err, diskbuffer.ErrChanged) {
		t.Errorf("a buffer that has changed: %v", err)
	}
	for _, n := range broken.Names() {
		if strings.HasSuffix(n, ".bad") {
			t.Errorf("%s was set aside", n)
		}
	}
}
