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
// limit below what is in use would make it collect garbage without end, and
// thousands of connections are in use: then the heap gets a quarter more than that.
type heap struct {
	limit  atomic.Int64
	within atomic.Int64 // of which sources receive in so much
	ticker *time.Ticker
	over   chan struct{}
	ended  chan struct{}
}

// heapLook is how often it looks, heapRoom what the runtime has at least beside
// what is in use, in bytes.
const (
	heapLook = 500 * time.Millisecond
	heapRoom = 8 << 20
)

// start begins to look, at the program's text as well.
func (h *heap) start(log *slog.Logger) {
	debug.SetGCPercent(heapGrowth)
	h.ticker, h.over, h.ended = time.NewTicker(heapLook), make(chan struct{}), make(chan struct{})
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	last, growth := int64(0), heapGrowth
	set := func() {
		if want := h.growth(); want != growth {
			debug.SetGCPercent(want)
			growth = want
		}
		metrics.Read(samples)
		used := int64(samples[0].Value.Uint64() + samples[1].Value.Uint64())
		if now := max(h.limit.Load(), h.within.Load()+heapBeside, used+used/4+heapRoom); now != last {
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
