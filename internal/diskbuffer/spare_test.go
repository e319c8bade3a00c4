package diskbuffer_test

import (
	"errors"
	"testing"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
)

// TestSpare: what is kept for AppendSpare is there when nothing else finds room,
// whichever bound is reached.
func TestSpare(t *testing.T) {
	const spare = 16 << 10
	for name, bound := range map[string]struct {
		options  diskbuffer.Options
		capacity int64
	}{
		"max":      {diskbuffer.Options{Max: 64 << 10, Segment: 8 << 10}, 1 << 30},
		"min free": {diskbuffer.Options{Max: 1 << 20, MinFree: 100 << 10, Segment: 8 << 10}, 164 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(3)
			w.disk, w.options = disktest.New(3), bound.options
			w.disk.SetCapacity(bound.capacity)
			if err := w.step('o'); err != nil {
				t.Fatal(err)
			}
			w.store.Spare(spare)
			if full := w.fill(t); full == nil {
				t.Fatal("nothing is full")
			}
			moved := 0
			for {
				payload := w.payload(20)
				place, err := w.store.AppendSpare(payload)
				if errors.Is(err, diskbuffer.ErrFull) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				w.appended(payload, place)
				moved += len(payload)
			}
			if moved < spare/2 || moved > 2*spare {
				t.Errorf("%d bytes found room where %d were kept", moved, spare)
			}
			if err := w.store.Close(true); err != nil {
				t.Fatal(err)
			}
			if err := w.survivors(true); err != nil {
				t.Fatal(err)
			}
		})
	}
}
