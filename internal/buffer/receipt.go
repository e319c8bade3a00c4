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

// expect keeps a receipt for a chunk of st that was admitted and has not reached
// its level.
func (b *Buffer) expect(st *stream, r *receipt) {
	st.receipts.all = append(st.receipts.all, r)
	if r.key != ([16]byte{}) {
		b.chunks[r.key] = r
	}
}

// settled has the receipts of st told what became of n of its records from first
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
	b.tellSource(r.done, ok)
	r.told, r.done = true, nil
	st.receipts.gone++
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

// stored tells the receipts of which everything is in the store now.
func (b *Buffer) stored() {
	end := b.disk.Store.End().Events
	for _, st := range b.streams {
		for _, r := range st.receipts.all {
			r.end = min(r.end, end)
		}
	}
	b.reached(record.LevelKernel, end)
}

// reached tells the receipts for which the level is enough that what the store has
// up to the given event has reached it.
func (b *Buffer) reached(level record.Level, end uint64) {
	for _, st := range b.streams {
		for _, r := range st.receipts.all {
			if !r.told && r.level <= level && r.end <= end {
				b.receive(st, r, true)
			}
		}
		st.receipts.forget()
	}
}

// disappoint tells all receipts that are left that their chunks may be lost to
// their sources: the process ends.
func (b *Buffer) disappoint() {
	for _, st := range b.streams {
		for _, r := range st.receipts.all {
			if !r.told {
				b.receive(st, r, false)
			}
		}
		st.receipts = receipts{}
	}
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
