package buffer

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"github.com/spillway/spillway/internal/diskbuffer"
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
	r := &receipt{stream: a.stream, left: a.Count, end: notStored, key: a.Origin.Key, level: a.Level, open: a.pieces, done: a.Done}
	if r.first = a.stream.seq + 1; !a.pieces {
		r.first -= count
	}
	r.last = r.first + count - 1
	a.stream.receipts.all = append(a.stream.receipts.all, r)
	b.expect(1)
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
		b.expect(-1)
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
	b.expect(-1)
	r.done = nil
}

// expect counts receipts of which a source waits to hear.
func (b *Buffer) expect(n int) {
	b.expected += n
	b.charge()
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

// Attach has done told of a chunk that is held already, as Chunk.Done would be, and
// reports whether there is one of that key, admitted by this process and not told
// yet, or left behind by another and not settled: then it is a resend, which is not
// to be admitted again. What waited for the chunk before is told, too.
func (b *Buffer) Attach(origin record.Origin, level record.Level, done func(ok bool)) bool {
	b.mu.Lock()
	defer b.unlock()
	r := b.chunks[origin.Key]
	if r == nil {
		return false
	}
	if b.has(r, level) {
		b.tellSource(done, true)
		return true
	}
	before := r.done
	if before == nil {
		b.expect(1)
		r.level, r.done = level, done
	} else {
		r.level = max(r.level, level)
		r.done = func(ok bool) {
			before(ok)
			done(ok)
		}
	}
	if r.level == record.LevelPower && r.end != notStored && !r.open && !r.unsynced {
		b.awaitSync(r)
	}
	return true
}

// has reports whether a chunk has reached the level.
func (b *Buffer) has(r *receipt, level record.Level) bool {
	if r.open || r.returned {
		return false
	}
	switch level {
	case record.LevelMemory:
		return true
	case record.LevelKernel:
		return r.end != notStored
	case record.LevelPower:
		return r.end != notStored && !r.unsynced && r.end <= b.disk.durable.Events
	}
	return false
}

// admission is one admission of a chunk: its sender's key, and the number that its
// first record has in the stream. A chunk that was not known when it was sent again
// was admitted twice, and what came between is no part of either.
type admission struct {
	key   [16]byte
	index uint32
	first uint64
}

// recoverChunks finds out which chunks another process has left behind. One that is
// not there as a whole, because that process ended while it was admitted, is not
// known: it is to be sent again, and was never acknowledged. What is there of it counts
// as possible duplicates.
func (b *Buffer) recoverChunks() {
	found := make(map[admission]*receipt)
	all := b.disk.Store.Origins(b.sizes.left, func(o diskbuffer.Origin) { b.recoverChunk(found, o) })
	settled := b.disk.Found.Settled.Events
	for _, r := range found {
		if !r.whole && r.end > settled {
			b.unfinished = append(b.unfinished, unfinished{r.stream.Index, r.first, r.last})
		}
		if !r.whole || !all && r.position > 0 || r.end <= settled {
			continue
		}
		if other := b.chunks[r.key]; other == nil || other.end < r.end {
			b.chunks[r.key] = r
		}
	}
	slices.SortFunc(b.unfinished, func(a, b unfinished) int {
		return cmp.Or(cmp.Compare(a.stream, b.stream), cmp.Compare(a.last, b.last))
	})
	for _, r := range b.chunks {
		r.stream.receipts.all = append(r.stream.receipts.all, r)
	}
	b.left = len(b.chunks)
	b.charge()
	for _, st := range b.streams.all {
		slices.SortFunc(st.receipts.all, func(a, b *receipt) int { return cmp.Compare(a.first, b.first) })
	}
}

// unfinished are records of a chunk of which another process has admitted no more before
// it ended. Its sender sends all of it again, and nothing tells that from a new chunk.
type unfinished struct {
	stream      uint32
	first, last uint64
}

// comesAgain reports whether records are of such a chunk, so that the destination is to
// have them twice.
func (b *Buffer) comesAgain(batch *record.Batch) bool {
	if !batch.Origin.Known() {
		return false
	}
	i, _ := slices.BinarySearchFunc(b.unfinished, batch, func(u unfinished, batch *record.Batch) int {
		return cmp.Or(cmp.Compare(u.stream, batch.Stream), cmp.Compare(u.last, batch.FirstSeq))
	})
	return i < len(b.unfinished) && b.unfinished[i].stream == batch.Stream && b.unfinished[i].first <= batch.FirstSeq
}

// recoverChunk takes over one batch of a chunk. A batch may be there twice, at its
// place and moved to the end; then both are going to be settled.
func (b *Buffer) recoverChunk(found map[admission]*receipt, o diskbuffer.Origin) {
	st := b.streams.at(o.Stream)
	if st == nil {
		return
	}
	of := admission{o.Key, o.Stream, o.FirstSeq - uint64(o.Position)}
	r := found[of]
	if r == nil {
		r = &receipt{stream: st, first: o.FirstSeq, key: o.Key, position: o.Position}
		found[of] = r
	}
	end := o.At + uint64(o.Records)
	r.first, r.last = min(r.first, o.FirstSeq), max(r.last, o.FirstSeq+uint64(o.Records)-1)
	r.position = min(r.position, o.Position)
	r.left += int(min(end-b.disk.Found.Settled.Events, uint64(o.Records)))
	r.end = max(r.end, end)
	r.whole = r.whole || o.Position+o.Records == o.Count
}

// lossOf reports whether records that were dropped for this reason are lost to
// their source: a chunk of them must not be acknowledged. What the destination
// refuses for good is settled.
func lossOf(why ledger.Reason) bool { return !why.Rejected() }
