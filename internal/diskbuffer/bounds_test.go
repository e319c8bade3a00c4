package diskbuffer_test

import (
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
)

// TestFull fills a store until it refuses, by each of its bounds, makes room by
// settling, and goes on. No byte is ever beyond the bound, and nothing that was
// accepted is lost.
func TestFull(t *testing.T) {
	for name, bound := range map[string]struct {
		options  diskbuffer.Options
		capacity int64
	}{
		"max":      {diskbuffer.Options{Max: 64 << 10, Segment: 4 << 10}, 1 << 30},
		"device":   {diskbuffer.Options{Max: 1 << 20, Segment: 4 << 10}, 64 << 10},
		"min free": {diskbuffer.Options{Max: 1 << 20, MinFree: 100 << 10, Segment: 4 << 10}, 164 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(3)
			w.disk, w.options = disktest.New(3), bound.options
			w.disk.SetCapacity(bound.capacity)
			for _, step := range "o" {
				if err := w.step(step); err != nil {
					t.Fatal(err)
				}
			}
			for round := range 3 {
				refused := w.fill(t)
				t.Logf("round %d: %d frames of %d bytes, refused: %v", round, len(w.frames), w.store.Usage().Bytes, refused)
				if size := w.store.Usage().Bytes; size < 40<<10 || size > 64<<10 {
					t.Errorf("it is full with %d bytes of %d", size, 64<<10)
				}
				if err := w.readOn(w.store, &w.out); err != nil {
					t.Fatal(err)
				}
				if err := w.whole(w.out, diskbuffer.Position{Events: w.settled}, w.end); err != nil {
					t.Fatal(err)
				}
				half := w.position(w.settled + (w.end.Events-w.settled)*3/4)
				for _, err := range []error{w.store.Settle(half), w.store.Tidy()} {
					if err != nil {
						t.Fatalf("a full store does not settle: %v", err)
					}
				}
				w.settled = half.Events
			}
			if err := w.store.Close(true); err != nil {
				t.Fatalf("a full store does not close: %v", err)
			}
			if err := w.survivors(true); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// fill appends until the store refuses, and returns what it says.
func (w *world) fill(t *testing.T) *diskbuffer.FullError {
	t.Helper()
	for {
		payload := w.payload(100)
		place, err := w.store.Append(payload)
		size := int64(0)
		for _, name := range w.disk.Names() {
			size += int64(w.disk.Size(name))
		}
		if size > w.options.Max {
			t.Fatalf("%d bytes of at most %d: %v", size, w.options.Max, w.disk)
		}
		var full *diskbuffer.FullError
		if errors.As(err, &full) {
			return full
		}
		if err != nil {
			t.Fatal(err)
		}
		w.appended(payload, place)
	}
}

// TestTogether runs all methods at once, as the buffer does: one writer, one
// reader that settles what it read, one that syncs and one that tidies.
func TestTogether(t *testing.T) {
	w := newWorld(5)
	w.options = diskbuffer.Options{Max: 1 << 30, Segment: 8 << 10}
	if err := w.step('o'); err != nil {
		t.Fatal(err)
	}
	const frames = 2000
	payloads := make([][]byte, frames)
	ends := make([]diskbuffer.Position, frames)
	for i := range payloads {
		payloads[i] = w.payload(100)
		w.appended(payloads[i], diskbuffer.Place{})
		ends[i] = w.end
	}
	s := w.store
	var all, helpers sync.WaitGroup
	done := make(chan struct{})
	helper := func(what string, run func() error) {
		helpers.Go(func() {
			for {
				if err := run(); err != nil {
					t.Errorf("%s: %v", what, err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	var synced diskbuffer.Position
	helper("sync", func() error {
		p, err := s.Sync()
		if p.Events < synced.Events {
			return wrong("synced %+v after %+v", p, synced)
		}
		synced = p
		return err
	})
	helper("tidy", s.Tidy)
	helper("usage", func() error {
		if u := s.Usage(); u.Pending.Records > u.Pending.Events || u.Bytes <= 0 {
			return wrong("usage %+v", u)
		}
		return nil
	})
	all.Go(func() {
		for _, p := range payloads {
			if _, err := s.Append(p); err != nil {
				t.Errorf("append: %v", err)
				return
			}
		}
	})
	all.Go(func() {
		out, dst := &w.out, make([]byte, 64<<10)
		for out.end != w.end && !t.Failed() {
			c, err := s.Read(dst)
			if err != nil && err != io.EOF {
				t.Errorf("read: %v", err)
				return
			}
			if err := w.chunk(c, dst, out); err != nil {
				t.Error(err)
				return
			}
			for _, err := range []error{s.Offer(out.end.Events), s.Settle(out.end)} {
				if err != nil {
					t.Error(err)
				}
			}
		}
	})
	watched(t, "all at once", all.Wait)
	close(done)
	watched(t, "sync and tidy", helpers.Wait)
	if p, err := s.Sync(); err != nil || p != w.end {
		t.Errorf("the last sync: %+v, %v; written was up to %+v", p, err, w.end)
	}
	if u := s.Usage(); u.Pending != (diskbuffer.Position{}) {
		t.Errorf("pending at the end: %+v", u)
	}
	if err := s.Remove(); err != nil {
		t.Error(err)
	}
	if names := w.disk.Names(); len(names) > 0 {
		t.Errorf("left: %v", names)
	}
}
