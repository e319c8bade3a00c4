package buffer

import (
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// Admit admits a chunk, whole or not at all; see source.Chunks.
func (b *Buffer) Admit(s *record.Stream, c *record.Chunk) {
	b.mu.Lock()
	defer b.unlock()
	st := b.streamOf(s, c.Tag)
	at, _ := b.stamp(st, c.Time, len(c.Bodies))
	batch := record.Batch{
		Stream: st.Index, Kind: record.KindRecords, Encoding: c.Encoding, Time: at, FirstSeq: st.seq + 1,
		Origin: record.Origin{Key: c.Origin.Key, Count: uint32(c.Count)},
	}
	added := c.Added()
	need := batch.Head() + len(c.Bodies)
	for {
		if b.beginChunk(st, &batch, need) {
			used := b.tail.used + copy(b.tail.mem[b.tail.used:], c.Bodies)
			if b.admitted(st, used, added) {
				b.openAt = -1
				b.vouch(st, c)
				return
			}
		}
		if why, ok := b.makeRoom(st, need); !ok {
			b.lose(st, at, ledger.Count{Records: int64(added.Count), Bytes: int64(added.Bytes)}, why)
			b.tellSource(c.Done, !lossOf(why))
			return
		}
	}
}

// beginChunk begins a batch of its own at the end of the tail, of need bytes, or
// reports that the tail has no such room.
func (b *Buffer) beginChunk(st *stream, batch *record.Batch, need int) bool {
	if !b.fitsTail(st, need) {
		return false
	}
	b.tellLost(st)
	batch.FirstSeq = st.seq + 1
	b.open, b.openAt = *batch, b.tail.used
	b.tail.used += batch.Head()
	return true
}

// vouch tells the source of a chunk that was just admitted, or keeps its receipt.
func (b *Buffer) vouch(st *stream, c *record.Chunk) {
	written := b.disk != nil && b.disk.writing
	if c.Level == record.LevelMemory || c.Level == record.LevelKernel && written {
		b.tellSource(c.Done, true)
		return
	}
	r := &receipt{
		first: st.seq - uint64(c.Count) + 1, last: st.seq, left: c.Count, key: c.Origin.Key, level: c.Level, done: c.Done,
		end: notStored,
	}
	if written {
		r.end = b.disk.Store.End().Events
	}
	b.expect(st, r)
}

// streamOf is the stream of that name, which begins anew where there is none.
func (b *Buffer) streamOf(s *record.Stream, name string) *stream {
	if s != nil {
		return b.streams[s.Index]
	}
	if st := b.named[name]; st != nil {
		return st
	}
	return b.newStream(name)
}
