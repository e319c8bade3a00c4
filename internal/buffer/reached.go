package buffer

import (
	"errors"
	"slices"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/record"
)

// written notes that all of a chunk is in the store.
func (b *Buffer) written(r *receipt) {
	d := b.disk
	r.end = d.Store.End().Events
	if r.level == record.LevelPower && !r.unsynced {
		b.awaitSync(r)
	}
}

// awaitSync has a receipt told when the store is synced up to its end.
func (b *Buffer) awaitSync(r *receipt) {
	d := b.disk
	d.syncing = append(d.syncing, r)
	d.wanted = max(d.wanted, r.end)
	b.hurry()
}

// stored notes that everything that is held is in the store, and tells the sources
// to which that is enough.
func (b *Buffer) stored() {
	b.eachReceipt(func(r *receipt) {
		if r.open || r.end != notStored {
			return
		}
		b.written(r)
		if r.level <= record.LevelKernel {
			b.receive(r, true)
		}
	})
}

// synced tells the sources to which it is enough that what the store has up to the
// given event survives the machine.
func (b *Buffer) synced(end uint64) {
	d := b.disk
	d.syncing = slices.DeleteFunc(d.syncing, func(r *receipt) bool {
		if r.done == nil || r.unsynced || r.level > record.LevelPower {
			return true
		}
		if r.end > end {
			return false
		}
		b.reached(r)
		return true
	})
}

// reached tells a source that its chunk has reached the level. One that another
// process has left behind is still known when it is sent again.
func (b *Buffer) reached(r *receipt) {
	if !r.whole {
		b.receive(r, true)
		r.stream.receipts.forget()
		return
	}
	b.tellSource(r.done, !r.returned)
	b.expect(r, -1)
	r.done = nil
}

// notSynced notes that nobody knows what of the store survives the machine behind
// the given event, and that no later sync will tell.
func (b *Buffer) notSynced(from uint64) {
	for _, st := range b.streams.all {
		for _, r := range st.receipts.all {
			r.unsynced = r.unsynced || r.open || r.end > from && r.end != notStored
		}
	}
}

// doubtSync is notSynced where a sync failed that somebody else than the keeper has
// made: the store does not try that again, so that the keeper will not hear of it.
func (b *Buffer) doubtSync(err error) {
	if failed := new(diskbuffer.SyncError); errors.As(err, &failed) {
		b.notSynced(failed.From.Events)
	}
}

// eachReceipt calls f for all receipts of which a source waits to hear.
func (b *Buffer) eachReceipt(f func(r *receipt)) {
	if b.expected == 0 {
		return
	}
	for _, st := range b.streams.all {
		for _, r := range st.receipts.all {
			if r.done != nil {
				f(r)
			}
		}
		st.receipts.forget()
	}
}

// disappoint tells all sources that wait that their chunks may be lost to them: the
// process ends.
func (b *Buffer) disappoint() {
	b.eachReceipt(func(r *receipt) { b.receive(r, false) })
}

// doubt tells the sources of a stream's chunks that these may be lost: damage has
// taken records, and nobody knows which.
func (b *Buffer) doubt(st *stream) {
	for _, r := range st.receipts.all {
		b.receive(r, false)
	}
	st.receipts.forget()
}
