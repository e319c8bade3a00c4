package buffer

import (
	"cmp"
	"slices"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/record"
)

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
