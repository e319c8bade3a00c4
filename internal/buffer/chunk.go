package buffer

import (
	"context"

	"github.com/spillway/spillway/internal/budget"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// arrival is a chunk that is being admitted.
type arrival struct {
	*record.Chunk
	stream *stream
	at     int64
	// receipt is what its source waits for, nil where it need not wait, or is not
	// known to yet.
	receipt *receipt
	pieces  bool
	// held: it has waited for the destination already.
	held bool
}

// until is when the chunk is wanted back.
func (a *arrival) until() context.Context {
	if a.Until == nil {
		return context.Background()
	}
	return a.Until
}

// Admit admits a chunk, whole or not at all; see source.Chunks. Where the buffer
// waits, or a disk fails, in the middle of one that is larger than a block, what is
// left of it may be lost; that is counted, and its Done is told false.
//
// It returns what is to go elsewhere, see Leave, or back to its source, see
// record.Chunk; else nil.
func (b *Buffer) Admit(s *record.Stream, c *record.Chunk) (rest *record.Chunk) {
	b.mu.Lock()
	defer b.unlock()
	st, why, ok := b.streamFor(s, c)
	if !ok {
		return b.refuse(&arrival{Chunk: c, stream: st, at: c.Time}, why)
	}
	st.used = true
	st.users++
	defer func() { st.users-- }()
	b.awaitPieces(st)
	a := arrival{Chunk: c, stream: st}
	a.at, _ = b.stamp(st, c.Time, len(c.Bodies))
	if why, ok := b.mayExpect(&a); !ok {
		return b.refuse(&a, why)
	}
	if len(c.Bodies)+c.Head() > b.sizes.piece {
		return b.admitPieces(&a)
	}
	if why, ok := b.admitPiece(&a, c.Bodies, c.Added(), 0); !ok {
		return b.refuse(&a, why)
	}
	b.vouch(&a)
	return nil
}

// awaitPieces waits until no chunk of a stream is being admitted in pieces: the
// numbers of a chunk's records follow each other. It is asked again after each wait
// for something else.
func (b *Buffer) awaitPieces(st *stream) {
	for st.pieces {
		b.changed.Wait()
	}
}

// admitPiece admits a part of a chunk, or a whole one, as a batch of its own:
// records from the one at index position on. It is copied once and not looked at.
func (b *Buffer) admitPiece(a *arrival, bodies []byte, added record.Added, position int) (ledger.Reason, bool) {
	st := a.stream
	batch := a.Batch(position)
	batch.Stream, batch.Time = st.Index, a.at
	need := batch.Head() + len(bodies)
	for {
		if !a.pieces {
			b.awaitPieces(st)
		}
		if b.keepPace(a, need) {
			b.restamp(a, &batch, len(bodies))
			continue
		}
		if b.fitsTail(st, need) {
			b.tellLost(st)
			batch.FirstSeq = st.seq + 1
			b.open, b.openAt = batch, b.tail.used
			b.tail.used += batch.Head()
			used := b.tail.used + copy(b.tail.mem[b.tail.used:], bodies)
			if b.admitted(st, used, added) {
				b.openAt = -1
				return "", true
			}
		}
		if why, ok := b.makeRoomUntil(a.until(), st, need); !ok {
			return why, false
		}
		b.restamp(a, &batch, len(bodies))
	}
}

// restamp gives a chunk that has waited its time: another chunk of the stream may
// have come first.
func (b *Buffer) restamp(a *arrival, batch *record.Batch, size int) {
	a.at, _ = b.stamp(a.stream, a.at, size)
	batch.Time = a.at
}

// stretch is a piece of a chunk: how many bytes, how many records, and whether a
// block may be so large.
type stretch struct {
	size, count int
	fits        bool
}

// cut cuts a chunk into pieces, each of which fits into a block unless it is a
// single record, and says what they take of the arena.
func (b *Buffer) cut(c *record.Chunk) (pieces []stretch, space int64) {
	head := c.Head()
	for rest := c.Bodies; len(rest) > 0; {
		var p stretch
		p.size, p.count = record.Cut(c.Encoding, rest, b.sizes.piece-head)
		p.fits = p.size+head <= b.sizes.piece
		pieces = append(pieces, p)
		if rest = rest[p.size:]; p.fits {
			space += int64(budget.Size(max(p.size+head, b.arena.BlockSize())))
		}
	}
	return pieces, space
}

// admitPieces admits a chunk that is larger than a block, in pieces that are cut
// between its records.
func (b *Buffer) admitPieces(a *arrival) (back *record.Chunk) {
	pieces, space := b.cut(a.Chunk)
	for first := true; first || a.stream.pieces; first = false {
		b.awaitPieces(a.stream)
		if why, ok := b.roomForAll(space); !ok {
			return b.refuse(a, why)
		}
	}
	a.pieces, a.stream.pieces = true, true
	defer func() {
		a.stream.pieces = false
		b.changed.Broadcast()
	}()
	b.vouch(a)
	position, rest := 0, a.Bodies
	for _, p := range pieces {
		part := record.Chunk{Encoding: a.Encoding, Bodies: rest[:p.size], Count: p.count}
		if !p.fits {
			// A record that no block holds. The others are not lost with it.
			b.lose(a.stream, a.at, ledger.Count{Records: 1, Bytes: int64(part.Added().Bytes)}, ledger.RejectedTooLong)
			b.settledRecords(a.stream, a.stream.seq, 1, false)
		} else if why, ok := b.admitPiece(a, part.Bodies, part.Added(), position); !ok {
			a.Chunk = a.Behind(position, rest)
			return b.refuse(a, why)
		}
		rest = rest[p.size:]
		position += p.count
	}
	b.complete(a)
	return nil
}

// refuse counts what is left of a chunk as received and dropped, and tells its
// source; or it returns it, where it is to go elsewhere.
func (b *Buffer) refuse(a *arrival, why ledger.Reason) (rest *record.Chunk) {
	if why == elsewhere {
		return b.parted(a)
	}
	added := a.Added()
	why = a.reason(why)
	b.lose(a.stream, a.at, ledger.Count{Records: int64(added.Count), Bytes: int64(added.Bytes)}, why)
	switch {
	case a.receipt != nil && why == ledger.Returned:
		a.receipt.open = false
		b.returned(a.receipt, added.Count)
		return nil
	case a.receipt != nil:
		b.receive(a.receipt, false)
		a.stream.receipts.forget()
		return nil
	}
	b.tellSource(a.Done, false)
	return nil
}

// roomForAll reports whether there is, or by the mode may come to be, room for all
// of a chunk that goes into several blocks, which take need bytes. A buffer that
// waits for as long as it takes need not know.
func (b *Buffer) roomForAll(need int64) (ledger.Reason, bool) {
	if b.disk != nil {
		return b.diskForAll(need)
	}
	if b.cfg.Mode == Blocking && b.cfg.MaxBlock == 0 {
		return "", true
	}
	newest, oldest := ledger.OverflowNewest, ledger.OverflowOldest
	if b.cfg.Mode == Blocking {
		newest, oldest = ledger.MaxBlock, ledger.MaxBlock
	}
	patience := patience{buffer: b}
	defer patience.end()
	for evicted := false; need <= b.sizes.data; {
		b.releaseTail()
		switch {
		case b.abandoned:
			return ledger.Shutdown, false
		case b.arena.Held()+need <= b.sizes.data:
			b.gaveUp = b.gaveUp && evicted
			return "", true
		case b.cfg.Mode == Blocking && !b.gaveUp:
			if !patience.wait() {
				return elsewhere, false
			}
		case b.cfg.Mode == NonBlocking && b.pack():
		case !b.cfg.DropOldest || !b.evict(oldest):
			return newest, false
		default:
			evicted = true
		}
	}
	return newest, false
}

// diskForAll is roomForAll where there is a disk: what memory does not hold goes
// there.
func (b *Buffer) diskForAll(need int64) (ledger.Reason, bool) {
	d := b.disk
	for d.WhenFull != Block {
		u := d.Store.Usage()
		switch {
		case !d.writing && b.arena.Held()+need <= b.sizes.data, u.Bytes+need <= u.Max:
			return "", true
		case b.reclaim():
		case d.WhenFull == DropOldestFull && need <= u.Max && b.evictFromDisk():
		default:
			return ledger.OverflowNewest, false
		}
	}
	return "", true
}
