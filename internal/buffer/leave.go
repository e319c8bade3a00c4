package buffer

import (
	"sync/atomic"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// elsewhere is in the place of a reason where records are neither admitted nor lost:
// whoever hands them over takes them to another buffer.
const elsewhere ledger.Reason = ""

// Leave makes admission wait no more: what would have to wait for room, and what waits
// for it now, is given back to whoever hands it over, and counted nowhere. It is for a
// buffer to which nothing is to go any more. What has room is still admitted.
func (b *Buffer) Leave() {
	b.mu.Lock()
	defer b.unlock()
	b.leaving = true
	b.changed.Broadcast()
}

// parted gives back what is left of a chunk. Where some of it is admitted, its source
// hears of the chunk when both have told: that which is here, and that which goes on.
func (b *Buffer) parted(a *arrival) *record.Chunk {
	rest, r := *a.Chunk, a.receipt
	if r == nil {
		return &rest
	}
	r.last, r.left = r.last-uint64(rest.Count), r.left-rest.Count
	if b.chunks[r.key] == r {
		delete(b.chunks, r.key) // It is not the whole chunk.
	}
	if r.told {
		// Some of the chunk is lost, and its source sends all of it again.
		rest.Done = nil
		return &rest
	}
	both := &joint{done: r.done}
	r.done, rest.Done = both.told, both.told
	if r.left <= 0 {
		b.receive(r, true)
	}
	b.complete(a)
	return &rest
}

// joint tells a source when two have told.
type joint struct {
	one, failed atomic.Bool
	done        func(ok bool)
}

func (j *joint) told(ok bool) {
	if !ok {
		j.failed.Store(true)
	}
	if !j.one.CompareAndSwap(false, true) {
		j.done(!j.failed.Load())
	}
}
