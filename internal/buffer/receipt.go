package buffer

import (
	"math"
	"slices"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// receipt is what a source still waits for of a chunk that is held. It exists
// from admission until the source is told.
type receipt struct {
	first, last uint64 // sequence numbers of the chunk's records in its stream
	left        int    // records that are not settled
	end         uint64 // events of the store behind the chunk; notStored, where it is not there
	key         [16]byte
	level       record.Level
	told        bool
	open        bool // the chunk is not admitted as a whole yet
	unsynced    bool // a sync failed: power is reached by settling alone
	done        func(ok bool)
}

const notStored = math.MaxUint64

// receipts are those of one stream, in the order of its numbers.
type receipts struct {
	all  []*receipt
	gone int // of all, those that were told
}

// answer is what a source is told when the lock is given back.
type answer struct {
	done func(ok bool)
	ok   bool
}

// unlock gives the lock back, and then tells the sources what became of their
// chunks: what they do then may come back here.
func (b *Buffer) unlock() {
	answers := b.answers
	b.answers = nil
	b.mu.Unlock()
	for _, a := range answers {
		a.done(a.ok)
	}
}

// tellSource has a source told what became of its chunk.
func (b *Buffer) tellSource(done func(ok bool), ok bool) {
	if done != nil {
		b.answers = append(b.answers, answer{done, ok})
	}
}

// mayExpect makes sure that there is room for one more receipt, where a chunk needs
// one: sources that ask to be told and send on without waiting must not take memory
// without end.
func (b *Buffer) mayExpect(c *record.Chunk) (ledger.Reason, bool) {
	if c.Done == nil || c.Level == record.LevelMemory || b.expected < b.sizes.receipts {
		return "", true
	}
	patience := patience{buffer: b}
	defer patience.end()
	for b.expected >= b.sizes.receipts {
		switch {
		case b.abandoned:
			return ledger.Shutdown, false
		case b.cfg.Mode == NonBlocking || b.disk != nil && b.disk.WhenFull != Block:
			return ledger.OverflowNewest, false
		case b.gaveUp:
			return ledger.MaxBlock, false
		}
		patience.wait()
	}
	return "", true
}

// vouch tells the source of a chunk that was just admitted, or keeps its receipt.
// Where it is admitted in pieces this comes before the first and complete behind the
// last.
func (b *Buffer) vouch(a *arrival) {
	written := b.disk != nil && b.disk.writing
	if a.Done == nil || !a.pieces && (a.Level == record.LevelMemory || a.Level == record.LevelKernel && written) {
		b.tellSource(a.Done, true)
		return
	}
	count := uint64(a.Count)
	r := &receipt{left: a.Count, end: notStored, key: a.Origin.Key, level: a.Level, open: a.pieces, done: a.Done}
	if r.first = a.stream.seq + 1; !a.pieces {
		r.first -= count
	}
	r.last = r.first + count - 1
	a.stream.receipts.all = append(a.stream.receipts.all, r)
	b.expected++
	if r.key != ([16]byte{}) {
		b.chunks[r.key] = r
	}
	a.receipt = r
	if written && !a.pieces {
		b.written(r)
	}
}

// complete ends the admission of a chunk in pieces.
func (b *Buffer) complete(a *arrival) {
	r := a.receipt
	if r == nil || r.told {
		return
	}
	r.open = false
	switch {
	case r.level == record.LevelMemory:
		b.receive(a.stream, r, true)
	case b.disk != nil && b.disk.writing:
		b.written(r)
		if r.level == record.LevelKernel {
			b.receive(a.stream, r, true)
		}
	}
	a.stream.receipts.forget()
}

// written notes that all of a chunk is in the store.
func (b *Buffer) written(r *receipt) {
	d := b.disk
	r.end = d.Store.End().Events
	if r.level == record.LevelPower && !r.unsynced {
		d.wanted = max(d.wanted, r.end)
		b.hurry()
	}
}

// settledRecords has the receipts of st told what became of n of its records from first
// on: they are settled, or lost.
func (b *Buffer) settledRecords(st *stream, first uint64, n int64, lost bool) {
	all := st.receipts.all
	if len(all) == 0 {
		return
	}
	last := first + uint64(n) - 1
	i, _ := slices.BinarySearchFunc(all, first, func(r *receipt, seq uint64) int {
		if r.last < seq {
			return -1
		}
		return 1
	})
	for ; i < len(all) && all[i].first <= last; i++ {
		r := all[i]
		r.left -= int(min(r.last, last) - max(r.first, first) + 1)
		switch {
		case r.told:
		case lost:
			b.receive(st, r, false)
		case r.left <= 0:
			b.receive(st, r, true)
		}
	}
	st.receipts.forget()
}

// receive ends a receipt.
func (b *Buffer) receive(st *stream, r *receipt, ok bool) {
	if r.told {
		return
	}
	b.tellSource(r.done, ok)
	r.told, r.done = true, nil
	st.receipts.gone++
	b.expected--
	if b.chunks[r.key] == r {
		delete(b.chunks, r.key)
	}
}

// forget forgets the receipts that were told: those at the beginning, and all
// once they are most.
func (rs *receipts) forget() {
	n := 0
	for n < len(rs.all) && rs.all[n].told {
		n++
	}
	clear(rs.all[:n])
	rs.all, rs.gone = rs.all[n:], rs.gone-n
	if 2*rs.gone > len(rs.all) {
		rs.all, rs.gone = slices.DeleteFunc(rs.all, func(r *receipt) bool { return r.told }), 0
	}
	if len(rs.all) == 0 {
		rs.all = nil
	}
}

// stored notes that everything that is held is in the store, and tells the sources
// to which that is enough.
func (b *Buffer) stored() {
	b.eachReceipt(func(st *stream, r *receipt) {
		if r.open {
			return
		}
		b.written(r)
		if r.level <= record.LevelKernel {
			b.receive(st, r, true)
		}
	})
}

// synced tells the sources to which it is enough that what the store has up to the
// given event survives the machine.
func (b *Buffer) synced(end uint64) {
	b.eachReceipt(func(st *stream, r *receipt) {
		if r.level <= record.LevelPower && !r.open && !r.unsynced && r.end <= end {
			b.receive(st, r, true)
		}
	})
}

// notSynced notes that nobody knows what of the store survives the machine behind
// the given event, and that no later sync will tell.
func (b *Buffer) notSynced(from uint64) {
	b.eachReceipt(func(_ *stream, r *receipt) { r.unsynced = r.unsynced || r.open || r.end > from })
}

// eachReceipt calls f for all receipts that were not told.
func (b *Buffer) eachReceipt(f func(st *stream, r *receipt)) {
	if b.expected == 0 {
		return
	}
	for _, st := range b.streams.all {
		for _, r := range st.receipts.all {
			if !r.told {
				f(st, r)
			}
		}
		st.receipts.forget()
	}
}

// disappoint tells all sources that wait that their chunks may be lost to them: the
// process ends.
func (b *Buffer) disappoint() {
	b.eachReceipt(func(st *stream, r *receipt) { b.receive(st, r, false) })
}

// Attach has done told of a chunk that is held already, when it reaches the level,
// and reports whether there is such a chunk: then it is not to be admitted again.
func (b *Buffer) Attach(origin record.Origin, level record.Level, done func(ok bool)) bool {
	b.mu.Lock()
	defer b.unlock()
	r := b.chunks[origin.Key]
	if r == nil {
		return false
	}
	before := r.done
	r.level = max(r.level, level)
	r.done = func(ok bool) {
		if before != nil {
			before(ok)
		}
		done(ok)
	}
	return true
}

// lossOf reports whether records that were dropped for this reason are lost to
// their source: a chunk of them must not be acknowledged. What the destination
// refuses for good is settled.
func lossOf(why ledger.Reason) bool { return !why.Rejected() }
