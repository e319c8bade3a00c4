package buffer

import (
	"errors"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// The store remembers what is settled as one place: everything before it. A
// request that is not settled holds that place, whatever is settled behind it.
// Where that must not be, its events are written once more, at the end.

// moved is a stretch of the store that holds events of requests in flight for a
// second time. Nobody else must read them.
type moved struct {
	place diskbuffer.Place
	to    diskbuffer.Position
}

// jump shortens a stretch of the backlog that ends at end, and begins where
// reading is, to where the next moved one begins, and reports where to go on.
func (d *disk) jump(end *diskbuffer.Position) (moved, bool) {
	for _, m := range d.moved {
		if m.to.Events <= d.from.Events {
			continue // It stays in the list: what was read may be unloaded again.
		}
		if m.place.Position.Events >= end.Events {
			break
		}
		*end = m.place.Position
		return m, true
	}
	return moved{}, false
}

// relocate writes ranges of events to the end of the store and returns where
// they begin there. They keep their streams, numbers and times.
func (b *Buffer) relocate(runs []run) (diskbuffer.Position, error) {
	d := b.disk
	// The places of a block are counted from its first, so it must not go on behind
	// what is written here.
	b.leaveTail()
	at := d.Store.End()
	if err := b.roomFor(runs); err != nil {
		return at, err
	}
	var copied []byte
	for i := range runs {
		if runs[i].block == nil {
			continue
		}
		copied = copied[:0]
		index := 0
		runs[i].batches(&index, func(_ int, batch *record.Batch) bool {
			copied = record.AppendBatch(copied, batch)
			return true
		})
		place, err := d.Store.AppendSpare(copied)
		if err != nil {
			d.copies = append(d.copies, &whole{moved: &at, copied: b.records(runs[:i])})
			return at, err
		}
		if n := len(d.moved); n > 0 && d.moved[n-1].to == place.Position {
			d.moved[n-1].to = d.Store.End()
		} else {
			d.moved = append(d.moved, moved{place, d.Store.End()})
		}
	}
	return at, nil
}

// records counts the records of ranges, by stream.
func (b *Buffer) records(runs []run) map[*stream]ledger.Count {
	counts := make(map[*stream]ledger.Count)
	for i := range runs {
		index := 0
		runs[i].batches(&index, func(_ int, batch *record.Batch) bool {
			if st := b.streams.at(batch.Stream); runs[i].block != nil && batch.Kind == record.KindRecords {
				counts[st] = counts[st].Plus(ledger.Count{Records: int64(batch.Count), Bytes: int64(batch.Bytes)})
			}
			return true
		})
	}
	return counts
}

// roomFor says beforehand where there is no room for ranges, since a part of them
// is of no use there and would be written again at each try.
func (b *Buffer) roomFor(runs []run) error {
	full := diskbuffer.FullError{}
	for i := range runs {
		full.Need += int64(runs[i].to - runs[i].from + 2*(record.HeaderSize+record.OriginSize))
	}
	u := b.disk.Store.Usage()
	if full.Used, full.Max = u.Bytes, u.Max; full.Used+full.Need > full.Max {
		return &full
	}
	return nil
}

// closeGaps makes the store's one place tell exactly what is left behind: what
// ended undelivered before something that is settled is relocated, unless it was
// already, to what is left behind.
func (b *Buffer) closeGaps() error {
	d := b.disk
	next, kept := b.behindOrder(), len(d.order)
	for ; kept > 0; kept-- {
		w := d.order[kept-1]
		if b.readAgain(w) {
			continue
		}
		if w.moved != nil || w.keptEvents != w.events || w.end() != next {
			break
		}
		next, _ = w.start()
	}
	for _, w := range d.order[:kept] {
		if !w.kept || b.readAgain(w) {
			continue
		}
		if _, err := b.relocate(w.keptRuns); err != nil {
			return err
		}
		// They were in requests, so they may be delivered already.
		if err := d.Store.Offer(d.Store.End().Events); err != nil {
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
	behind, end := b.behindOrder(), d.Store.End()
	var failed error
	for _, w := range d.order {
		if at, ok := w.start(); !ok || at.Events >= behind.Events || w.open == 0 {
			continue
		}
		if failed = errHalfSettled; w.open < w.all {
			break
		}
		var at diskbuffer.Position
		if at, failed = b.relocate(w.runs); failed != nil {
			break
		}
		w.moved = &at
	}
	if d.Store.End() == end {
		return failed
	}
	// Whoever finds them there must know that they may be delivered already. Where
	// they were they may be deleted next, so here they must be as durable.
	err := errors.Join(failed, d.Store.Offer(d.Store.End().Events))
	if d.Durability == Power {
		_, syncErr := d.Store.Sync()
		err = errors.Join(err, syncErr)
	}
	return err
}

// errHalfSettled: the memory of the part that is settled may be gone.
var errHalfSettled = errors.New("a request of which a part is settled stays where it is on the disk")

// readAgain reports whether a successor reads what was moved of a request.
func (b *Buffer) readAgain(w *whole) bool {
	return w.moved != nil && w.moved.Events >= b.behindOrder().Events
}

// settledMoved sees to a request that was moved and of which something is settled
// now: a copy of it is on the disk.
func (b *Buffer) settledMoved(w *whole) {
	d := b.disk
	switch {
	case w.moved == nil:
	case d.handedOver:
		b.takeBack(w)
	case w.open == 0:
		d.copies = append(d.copies, w)
	}
}

// takeBack counts again what was settled of a request, where a successor finds a
// copy of it: it is going to be delivered a second time.
func (b *Buffer) takeBack(w *whole) {
	if !b.readAgain(w) {
		return
	}
	for st, c := range w.copied {
		st.held = st.held.Plus(c)
		st.account.Recovered(c)
	}
	w.copied = nil
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
