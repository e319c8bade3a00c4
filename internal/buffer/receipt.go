package buffer

import (
	"math"
	"slices"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// receipt is what a source still waits for, or may, of a chunk that is held. It
// exists from admission until the source is told, and where another process has left
// the chunk behind until all of it is settled.
type receipt struct {
	stream      *stream
	first, last uint64 // sequence numbers of the chunk's records in its stream
	left        int    // records that are not settled
	end         uint64 // events of the store behind the chunk; notStored, where it is not there
	key         [16]byte
	level       record.Level
	told        bool
	open        bool // the chunk is not admitted as a whole yet
	unsynced    bool // a sync failed: power is reached by settling alone
	returned    bool // some of it is given back to the source, which is to hear false
	// sender says that a sender waits for the destination, and may send nothing more
	// before. Of messages of Kafka none does: further ones are read meanwhile.
	sender bool
	// position is that of the first known record of a chunk that another process
	// has left behind; whole says that its last one is known, too.
	position uint32
	whole    bool
	// done is nil while nobody waits: for what was left behind, until it is sent
	// again.
	done func(ok bool)
}

const notStored = math.MaxUint64

// What counts against the limit, in bytes, but for the first of each: a receipt of
// which a source waits to hear, with what that source holds of the chunk meanwhile;
// and one of what was left behind.
const (
	receiptCost  = 512
	freeReceipts = 4 << 10
	leftCost     = 192
	freeLeft     = 4 << 10
	maxLeft      = 64 << 10
)

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
	if len(b.answers) == 0 {
		b.mu.Unlock()
		return
	}
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
func (b *Buffer) mayExpect(a *arrival) (ledger.Reason, bool) {
	if a.Done == nil || a.Level == record.LevelMemory || b.expected < b.sizes.receipts {
		return "", true
	}
	patience := patience{buffer: b, until: a.until()}
	defer patience.end()
	for b.expected >= b.sizes.receipts {
		switch {
		case b.abandoned:
			return ledger.Shutdown, false
		case b.cfg.Mode == NonBlocking || b.disk != nil && b.disk.WhenFull != Block:
			return ledger.OverflowNewest, false
		case b.gaveUp:
			return ledger.MaxBlock, false
		case !patience.wait():
			return elsewhere, false
		}
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
	r := &receipt{
		stream: a.stream, left: a.Count, end: notStored, key: a.Origin.Key, level: a.Level, open: a.pieces, done: a.Done,
		sender: a.Encoding == record.EncodingEntry && b.waitsForSink(a.Level),
	}
	if r.first = a.stream.seq + 1; !a.pieces {
		r.first -= count
	}
	r.last = r.first + count - 1
	a.stream.receipts.all = append(a.stream.receipts.all, r)
	b.expect(r, 1)
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
		b.receive(r, true)
	case b.disk != nil && b.disk.writing:
		b.written(r)
		if r.level == record.LevelKernel {
			b.receive(r, true)
		}
	}
	a.stream.receipts.forget()
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
			b.receive(r, false)
		case r.left <= 0:
			b.receive(r, true)
		}
	}
	st.receipts.forget()
}

// receive ends a receipt.
func (b *Buffer) receive(r *receipt, ok bool) {
	if r.told {
		return
	}
	ok = ok && !r.returned
	if r.done != nil {
		b.tellSource(r.done, ok)
		b.expect(r, -1)
	}
	if r.whole {
		b.left--
		b.charge()
	}
	r.told, r.done = true, nil
	r.stream.receipts.gone++
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

// expect counts a receipt of which a source waits to hear, or, with -1, no longer.
func (b *Buffer) expect(r *receipt, n int) {
	b.expected += n
	if r.sender {
		b.awaited += n
	}
	b.charge()
}

// waitsForSink reports that what waits for a level waits for the destination: no disk reaches it.
func (b *Buffer) waitsForSink(level record.Level) bool {
	return level == record.LevelDelivered || level != record.LevelMemory && (b.disk == nil || !b.disk.writing)
}

// Stalled reports that a sender waits to hear of something that is held while nothing is in
// flight: who sends one record at a time, and the next when the last is acknowledged, gets on
// no faster than what is held leaves.
func (b *Buffer) Stalled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.awaited > 0 && b.flight == 0
}

// lossOf reports whether records that were dropped for this reason are lost to
// their source: a chunk of them must not be acknowledged. What the destination
// refuses for good is settled.
func lossOf(why ledger.Reason) bool { return !why.Rejected() }
