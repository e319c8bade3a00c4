package run

import (
	"log/slog"
	"runtime/debug"
	"testing"
)

// collected is a source that receives in the Go heap.
type collected struct {
	Source
	size int64
}

func (c collected) InHeap() int64 { return c.size }

// TestHeapOfSources: what sources receive in the Go heap is added to its limit, and
// its collector has the room.
func TestHeapOfSources(t *testing.T) {
	const large = 64 << 20
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	defer debug.SetGCPercent(debug.SetGCPercent(heapGrowth))
	for name, c := range map[string]struct {
		sources []*source
		limit   int64
		growth  int
	}{
		"none does": {[]*source{{Source: nil}}, 20 << 20, heapGrowth},
		"one does":  {[]*source{{Source: nil}, {Source: collected{size: large}}}, large + heapBeside, heapGrowthIn},
	} {
		t.Run(name, func(t *testing.T) {
			var h heap
			h.limit.Store(20 << 20)
			h.within.Store(inHeap(c.sources))
			h.start(slog.New(slog.DiscardHandler))
			defer h.stop()
			if got := debug.SetMemoryLimit(-1); got < c.limit || c.growth == heapGrowth && got >= large {
				t.Errorf("the limit of the heap is %d, want %d", got, c.limit)
			}
			if got := debug.SetGCPercent(heapGrowth); got != c.growth {
				t.Errorf("the heap may grow by %d per cent, want %d", got, c.growth)
			}
		})
	}
}
