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

// maxAgain is how much goes into one frame of what is written once more, in bytes:
// a frame for each range would take more room than was kept.
const maxAgain = 1 << 20

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
		index := 0
		runs[i].batches(&index, func(_ int, batch *record.Batch) bool {
			copied = record.AppendBatch(copied, batch)
			return true
		})
		if len(copied) < maxAgain {
			continue
		}
		if err := d.again(copied); err != nil {
			return at, err
		}
		copied = copied[:0]
	}
	return at, d.again(copied)
}

// again writes batches to the end of the store for a second time.
func (d *disk) again(batches []byte) error {
	if len(batches) == 0 {
		return nil
	}
	place, err := d.Store.AppendAgain(batches)
	if err != nil {
		return err
	}
	if n := len(d.moved); n > 0 && d.moved[n-1].to == place.Position {
		d.moved[n-1].to = d.Store.End()
	} else {
		d.moved = append(d.moved, moved{place, d.Store.End()})
	}
	return nil
}

// roomFor says beforehand where there is no room for ranges, since a part of them
// is of no use there and would be written again at each try.
func (b *Buffer) roomFor(runs []run) error {
	full := diskbuffer.FullError{}
	for i := range runs {
		full.Need += int64(runs[i].to - runs[i].from + 2*(record.HeaderSize+record.MaxExtra))
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
//
// Where records of one key must stay in order nothing is moved: a successor delivers
// what is settled behind it once more, in its place.
func (b *Buffer) closeGaps() error {
	d := b.disk
	if b.cfg.Sink.Keyed {
		return nil
	}
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

// unpin relocates what is not settled of the requests in flight, and what of them is
// left to the disk already, so that room which is made behind them comes free.
func (b *Buffer) unpin() error {
	d := b.disk
	behind, end := b.behindOrder(), d.Store.End()
	var failed error
	for _, w := range d.order {
		if at, ok := w.start(); !ok || at.Events >= behind.Events || w.open == 0 && !w.kept {
			continue
		}
		var at diskbuffer.Position
		if at, failed = b.relocate(w.undelivered()); failed != nil {
			break
		}
		w.moved = &at
	}
	if d.Store.End() == end || !d.syncs() {
		return failed
	}
	// Where they were they may be deleted next, so here they must be as durable.
	_, err := d.Store.Sync()
	b.doubtSync(err)
	return errors.Join(failed, err)
}

// readAgain reports whether a successor reads what was moved of a request.
func (b *Buffer) readAgain(w *whole) bool {
	return w.moved != nil && w.moved.Events >= b.behindOrder().Events
}

// takeBack counts again what a successor finds though it is settled here, because a
// copy of it, or something before it, is left behind: it is going to be delivered
// a second time. Where only memory has something, that is lost.
func (b *Buffer) takeBack() error {
	d := b.disk
	all, held := b.streams.sorted(), int64(0)
	for _, st := range all {
		held += st.held.Records
	}
	if int64(d.Store.Usage().Pending.Records) == held {
		return nil
	}
	left, err := d.Store.Left()
	if err != nil {
		return err
	}
	for _, st := range all {
		there := ledger.Count{Records: int64(left[st.Index].Records), Bytes: int64(left[st.Index].Bytes)}
		if c := there.Minus(st.held); c.Records > 0 {
			st.account.Recovered(c)
		} else if c.Records < 0 {
			st.account.Dropped(ledger.Shutdown, st.held.Minus(there))
		} else {
			continue
		}
		st.held = there
		b.weigh(st)
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

// againReserve is the room on the disk that is kept for writing once more what is
// in flight, in bytes: at the end, and where room is made behind it for what
// arrives, which may come twice before that is written.
func (b *Buffer) againReserve() int64 {
	most := b.sizes.flight + int64(b.sizes.request)
	most += most / 16 // Headers of frames, and of batches that are cut.
	if b.disk.WhenFull == DropOldestFull {
		most *= 2
	}
	return min(most, b.disk.Store.Usage().Max/2)
}
