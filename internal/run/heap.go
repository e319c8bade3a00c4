package run

import (
	"log/slog"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/spillway/spillway/internal/config/runfile"
)

// heapBeside is what the Go runtime may hold beside what is received: options, the
// balance, the scratch of compression, and some 5 MiB of its own. In bytes.
const heapBeside = 14 << 20

// heapGrowth is how much the Go heap may grow between collections, in per cent.
// Nothing is allocated for a record, so that collecting twice as often as usual
// costs little, and half of what is garbage counts for nothing. Where a source
// receives in the heap everything is garbage soon, and it may grow up to its limit.
const (
	heapGrowth   = 50
	heapGrowthIn = 200
)

// heapLimit is the share of the Go heap. Records that wait are outside of it, and
// so are messages that are read, and the chunks that are remembered.
func heapLimit(file *runfile.File) int64 { return receiving(file)/4 + heapBeside }

// Collected is a Source that holds what it receives in the Go heap.
type Collected interface {
	// InHeap is how much of its memory that may be, in bytes.
	InHeap() int64
}

// inHeap is what sources may hold in the Go heap, in bytes.
func inHeap(sources []*source) (n int64) {
	for _, s := range sources {
		if c, ok := s.Source.(Collected); ok {
			n += c.InHeap()
		}
	}
	return n
}

// heap holds the Go heap to its limit, as long as that leaves the collector room. A
// limit near what is in use would make it collect for each thing that is allocated,
// and thousands of connections are in use: then the limit is what lets the heap grow
// by a quarter.
type heap struct {
	limit  atomic.Int64
	within atomic.Int64 // of which sources receive in so much
	ticker *time.Ticker
	over   chan struct{}
	ended  chan struct{}
}

// heapLook is how often it looks.
const heapLook = 500 * time.Millisecond

// heapRoom is what the heap may grow at least between collections, and what the
// runtime keeps free below a limit (memoryLimitHeapGoal in runtime/mgcpacer.go). In
// bytes.
const (
	heapRoom     = 2 << 20
	heapHeadroom = 1 << 20
)

// heapUse is what the runtime holds, in bytes, as runtime/metrics names it.
type heapUse struct {
	total, released, free, objects, live int64
}

// heapUseNames are the names of its fields.
var heapUseNames = [...]string{
	"/memory/classes/total:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes",
	"/memory/classes/heap/objects:bytes", "/gc/heap/live:bytes",
}

// least is the lowest limit that lets the heap grow. All that is no object counts
// against a limit too: what describes connections to the runtime, stacks, and the
// unused ends of pages, more than a KiB for each connection.
func (u heapUse) least() int64 {
	beside := u.total - u.released - u.free - u.objects
	goal := u.live + max(u.live/4, heapRoom)
	return beside + goal + max(heapHeadroom, goal/32)
}

// readHeap says what the runtime holds.
func readHeap(samples []metrics.Sample) heapUse {
	metrics.Read(samples)
	at := func(i int) int64 { return int64(samples[i].Value.Uint64()) }
	return heapUse{total: at(0), released: at(1), free: at(2), objects: at(3), live: at(4)}
}

// start begins to look, at the program's text as well.
func (h *heap) start(log *slog.Logger) {
	debug.SetGCPercent(heapGrowth)
	h.ticker, h.over, h.ended = time.NewTicker(heapLook), make(chan struct{}), make(chan struct{})
	samples := make([]metrics.Sample, len(heapUseNames))
	for i, name := range heapUseNames {
		samples[i].Name = name
	}
	last, growth := int64(0), heapGrowth
	set := func() {
		if want := h.growth(); want != growth {
			debug.SetGCPercent(want)
			growth = want
		}
		if now := max(h.limit.Load(), h.within.Load()+heapBeside, readHeap(samples).least()); now != last {
			debug.SetMemoryLimit(now)
			last = now
		}
	}
	set()
	program := divideText(log)
	go func() {
		defer close(h.ended)
		for {
			select {
			case <-h.over:
				return
			case <-h.ticker.C:
				set()
				program.look(log)
			}
		}
	}()
}

func (h *heap) growth() int {
	if h.within.Load() > 0 {
		return heapGrowthIn
	}
	return heapGrowth
}

// stop ends it.
func (h *heap) stop() {
	h.ticker.Stop()
	close(h.over)
	<-h.ended
}
