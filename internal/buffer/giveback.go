package buffer

import (
	"slices"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// What the end drops of a chunk that its source still waits to hear of is not lost:
// the source has it, is told false, and sends it again. It is dropped under the reason
// returned, and no marker tells of it.

// givesBack gives n records of st, from number first on, back to the source that waits to
// hear of their chunk, and reports whether there is one. They are of one chunk. The
// source hears when all of the chunk is settled or given back, so that what is left of
// it goes under the same reason.
func (b *Buffer) givesBack(st *stream, first uint64, n int64) bool {
	r := st.receipts.waited(first)
	if r == nil {
		return false
	}
	b.returned(r, int(n))
	return true
}

// returned notes that n records of a chunk are given back.
func (b *Buffer) returned(r *receipt, n int) {
	r.returned = true
	if r.left -= n; r.left <= 0 {
		b.receive(r, false)
		r.stream.receipts.forget()
	}
}

// waited is the receipt of the record of that number, where a source waits to hear more
// than that it is in memory.
func (rs *receipts) waited(seq uint64) *receipt {
	i, _ := slices.BinarySearchFunc(rs.all, seq, func(r *receipt, seq uint64) int {
		if r.last < seq {
			return -1
		}
		return 1
	})
	for ; i < len(rs.all) && rs.all[i].first <= seq; i++ {
		if r := rs.all[i]; r.done != nil && r.level != record.LevelMemory {
			return r
		}
	}
	return nil
}

// reason is why an arriving chunk is dropped that is refused for why.
func (a *arrival) reason(why ledger.Reason) ledger.Reason {
	waits := a.Done != nil && a.Level != record.LevelMemory
	if why == ledger.Shutdown && waits && (a.receipt == nil || !a.receipt.told) {
		return ledger.Returned
	}
	return why
}
