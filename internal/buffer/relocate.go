package buffer

import (
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/record"
)

// The store remembers what is settled as one place: everything before it. A
// request that is not settled holds that place, whatever is settled behind it.
// Where that must not be, its events are written once more, at the end.

// relocate writes ranges of events to the end of the store and returns where
// they begin there. They keep their streams, numbers and times.
func (b *Buffer) relocate(runs []run) (diskbuffer.Position, error) {
	at := b.disk.Store.End()
	var copied []byte
	for i := range runs {
		if runs[i].block == nil {
			continue
		}
		copied = copied[:0]
		index := 0
		runs[i].batches(&index, func(_ int, batch *record.Batch) bool {
			copied = appendBatch(copied, batch)
			return true
		})
		if _, err := b.disk.Store.Append(copied); err != nil {
			return at, err
		}
	}
	return at, nil
}

// appendBatch appends a batch, or what was cut out of one, in its layout.
func appendBatch(dst []byte, batch *record.Batch) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, record.HeaderSize)...)
	dst = append(dst, batch.Frames...)
	record.PutHeader(dst[at:], batch, len(batch.Frames))
	return dst
}

// closeGaps makes the store's one place tell exactly what is left behind: what
// ended undelivered before something that is settled is relocated.
func (b *Buffer) closeGaps() error {
	d := b.disk
	next, kept := b.behindOrder(), len(d.order)
	for ; kept > 0; kept-- {
		w := d.order[kept-1]
		if w.moved != nil || w.keptEvents != w.events || w.end() != next {
			break
		}
		next, _ = w.start()
	}
	for _, w := range d.order[:kept] {
		if !w.kept {
			continue
		}
		if _, err := b.relocate(w.keptRuns); err != nil {
			return err
		}
	}
	d.order = d.order[kept:]
	return nil
}

// behindOrder is the position of the first event that no request has taken.
func (b *Buffer) behindOrder() diskbuffer.Position {
	for _, blk := range b.waiting {
		if at, ok := blk.position(blk.gone); ok {
			return at
		}
	}
	if b.disk.backlog {
		return b.disk.from
	}
	return b.disk.Store.End()
}

// unpin relocates the requests in flight, so that room which is made behind them
// comes free.
func (b *Buffer) unpin() error {
	d := b.disk
	behind := b.behindOrder()
	for _, w := range d.order {
		if at, ok := w.start(); !ok || at.Events >= behind.Events || w.open == 0 {
			continue
		}
		at, err := b.relocate(w.runs)
		if err != nil {
			return err
		}
		w.moved = &at
	}
	return nil
}

// start is the position of the request's first event, if the store has it.
func (w *whole) start() (diskbuffer.Position, bool) {
	if w.moved != nil {
		return *w.moved, true
	}
	return w.first.position(w.before)
}

// end is the position behind the request's last event.
func (w *whole) end() diskbuffer.Position { return plus(w.last.place.Position, w.after) }

// unpinReserve is the room on the disk that is left for relocating what is in
// flight, in bytes.
func (b *Buffer) unpinReserve() int64 {
	if b.disk.WhenFull != DropOldestFull {
		return 0
	}
	return 2 * (b.sizes.flight + int64(b.sizes.request))
}
