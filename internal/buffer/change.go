package buffer

import "github.com/spillway/spillway/internal/sink"

// Rebind makes another destination, of these limits, the one to which requests are
// gathered, and reports whether it did: not while something is in flight that was
// gathered for the one before. What waits may hold records that are longer than
// those limits allow; each then leaves alone.
func (b *Buffer) Rebind(to sink.Limits) bool {
	b.mu.Lock()
	defer b.unlock()
	if b.flight > 0 {
		return false
	}
	more, another := to.PerEvent-b.cfg.Sink.PerEvent, to.OrderedBy != b.cfg.Sink.OrderedBy
	b.cfg.Sink = to
	b.resize()
	b.pending.cost += b.pending.events * more
	for _, st := range b.streams.all {
		if st.moment.cost += st.moment.events * more; another {
			st.moment = volume{}
		}
	}
	b.poke()
	return true
}

// Change changes how a buffer in use behaves: Limit, DropOldest, MaxBlock,
// NoLossMarkers, and where there is no disk Mode, which stays one without. whenFull is
// for a buffer that has a disk.
//
// What is held stays. Where the limit becomes less than that, nothing is admitted
// until there is room below it. A buffer with a disk keeps at least the limit at which
// it was made, because what is on the disk must find room when it is read, and takes
// the largest records that such a buffer takes.
func (b *Buffer) Change(cfg Config, whenFull WhenFull) {
	b.mu.Lock()
	defer b.unlock()
	b.cfg.Limit = max(cfg.Limit, MinLimit)
	b.cfg.DropOldest, b.cfg.MaxBlock, b.cfg.NoLossMarkers = cfg.DropOldest, cfg.MaxBlock, cfg.NoLossMarkers
	if b.disk == nil {
		b.cfg.Mode = cfg.Mode
	} else {
		b.cfg.Limit = max(b.cfg.Limit, b.disk.limit)
		b.disk.WhenFull = whenFull
	}
	b.resize()
	if err := b.arena.SetLimit(b.sizes.data); err != nil {
		b.fault = err
	}
	if b.disk != nil {
		b.disk.Store.Spare(b.againReserve())
	}
	b.gaveUp = false
	b.changed.Broadcast()
	b.poke()
}

// resize takes the numbers from the limit once more. Blocks stay as large as they
// are: those that are kept for the next record have that size.
func (b *Buffer) resize() {
	b.sizes = sizesFor(b.cfg)
	if b.disk != nil {
		small := b.cfg
		small.Limit = b.disk.limit
		least := sizesFor(small)
		b.sizes.piece, b.sizes.body = least.piece, least.body
	}
	b.body.Store(int64(b.sizes.body))
	b.piece.Store(int64(b.sizes.piece))
}
