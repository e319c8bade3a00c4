package run

import (
	"log/slog"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
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

// TestHeapHasRoom: with 5,000 idle connections, of which these are the figures, the
// collector's goal leaves something to allocate.
func TestHeapHasRoom(t *testing.T) {
	for name, u := range map[string]heapUse{
		"5,000 connections": {total: 20326 << 10, released: 2816 << 10, free: 536 << 10, objects: 6851 << 10, live: 7477 << 10},
		"nothing":           {total: 13414 << 10, released: 4576 << 10, free: 456 << 10, objects: 1488 << 10, live: 915 << 10},
		"much":              {total: 200 << 20, released: 10 << 20, free: 5 << 20, objects: 120 << 20, live: 100 << 20},
	} {
		// This is how the runtime comes to its goal.
		goal := u.least() - (u.total - u.released - u.free - u.objects)
		goal -= max(heapHeadroom, goal/100*3)
		if goal < u.live+max(u.live/4, heapRoom) {
			t.Errorf("%s: the goal is %d bytes, with %d alive", name, goal, u.live)
		}
	}
}

// TestHeapIsReadByName: the runtime has all that is asked for.
func TestHeapIsReadByName(t *testing.T) {
	samples := make([]metrics.Sample, len(heapUseNames))
	for i, name := range heapUseNames {
		samples[i].Name = name
	}
	runtime.GC()
	if u := readHeap(samples); u.live <= 0 || u.objects <= 0 || u.total <= u.released+u.free+u.objects {
		t.Errorf("%+v", u)
	}
}
