package diskbuffer_test

import (
	"strings"
	"testing"
)

// TestReclaimSyncsNothing: room that a full disk needs at once waits for no sync, and
// who comes after a kill misses nothing by it.
func TestReclaimSyncsNothing(t *testing.T) {
	before, after := 0, 0
	for seed := range uint64(100) {
		w := newWorld(seed)
		w.options.Segment = 4 << 10
		if err := w.step('o'); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			for range 20 {
				if err := w.step([]rune("aaap")[w.random.IntN(4)]); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			if w.random.IntN(2) == 0 {
				if err := w.store.Settle(w.end); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				w.settled, w.written = w.end.Events, w.end.Events
			}
			before += w.store.Usage().Segments
			w.disk.Watch = func(call string) {
				if strings.Contains(strings.ToLower(call), "sync") {
					t.Errorf("seed %d: call %s", seed, call)
				}
			}
			if err := w.store.Reclaim(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			w.disk.Watch = nil
			if w.store.Reclaimable() {
				t.Errorf("seed %d: there is more to reclaim", seed)
			}
			after += w.store.Usage().Segments
			w.store = nil
			w.disk.Kill()
			if err := w.survivors(true); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if err := w.begin(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if err := w.store.Close(true); err != nil {
			t.Fatal(err)
		}
	}
	if after >= before {
		t.Errorf("%d segments were there and %d are left", before, after)
	}
}
