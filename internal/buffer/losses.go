package buffer

import (
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// lose counts arriving records as received and dropped, and keeps the run for
// the marker.
func (b *Buffer) lose(st *stream, t int64, c ledger.Count, why ledger.Reason) {
	first := st.seq + 1
	st.seq += uint64(c.Records)
	st.account.Received(c)
	st.account.Dropped(why, c)
	if why == ledger.Returned {
		return
	}
	run := &st.lost
	if run.Lost == 0 && len(b.waiting) == 0 && !b.hasBacklog() && st.evicted.Lost > 0 {
		// Nothing stands between these and the records that were evicted before them.
		run = &st.evicted
	}
	b.streams.tells(st)
	run.Add(record.Loss{
		Stream: st.Index, Lost: c.Records, Bytes: c.Bytes, FirstSeq: first, LastSeq: st.seq,
		FirstTime: t, LastTime: t, Reason: string(why),
	})
}

// Miss numbers n records of the stream of that name that are gone before anybody could
// receive them, and tells of them by a marker, at their place. They are no part of the
// balance. Only a chunk of the stream that is being admitted in pieces is waited for: its
// numbers follow each other.
func (b *Buffer) Miss(name string, t, n int64) {
	if n <= 0 {
		return
	}
	b.mu.Lock()
	defer b.unlock()
	st := b.opened(nil, name)
	if st == nil && !b.roomForStream() {
		name = ledger.OtherStreams
	}
	if st == nil {
		st = b.streamOf(nil, name)
	}
	st.users++
	defer func() { st.users-- }()
	b.awaitPieces(st)
	first := st.seq + 1
	st.seq += uint64(n)
	b.streams.tells(st)
	st.lost.Add(record.Loss{Stream: st.Index, Lost: n, FirstSeq: first, LastSeq: st.seq, FirstTime: t, LastTime: t, Reason: record.Missed})
	b.poke()
}
