package buffer

import (
	"crypto/rand"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// stream is the buffer's side of a record.Stream. The buffer's lock guards it.
type stream struct {
	*record.Stream
	account *ledger.Account
	source  []byte // of the text that was received last
	seq     uint64 // number of the last record received
	time    int64  // of the last record received: times never go back
	moment  volume // what was admitted in the moment of that time
	held    ledger.Count
	markers int // that are made, and neither delivered nor given up
	// lost is the run of arriving records dropped since the last admitted one,
	// evicted the run of waiting ones dropped before the oldest that is kept.
	lost, evicted record.Loss
	// rejected are the runs that the destination refused, or a damaged disk lost, and
	// that no marker tells yet.
	rejected []record.Loss
	// again are those of markers that are left to the disk though they may be delivered.
	// None becomes part of another: whoever reads it twice must see that it is the same.
	again   []record.Loss
	telling bool // it is among those that may have a loss to tell
	// announced: the disk knows it; recovered: from there we do, and no source has
	// opened it yet.
	announced, recovered bool
	// last is the newest request that holds records of this stream, and lastMoment
	// the time, in units of the sink's order, of its newest.
	last       *Request
	lastMoment int64
	receipts   receipts
	// users are calls that admit a chunk of it; pieces says that one of them does so
	// in pieces. used: since the stream was last looked at for being forgotten.
	users  int
	pieces bool
	used   bool
	holds  bool // it is counted in holding
}

// untold reports whether a loss waits for its marker.
func (st *stream) untold() bool {
	return st.lost.Lost > 0 || st.evicted.Lost > 0 || len(st.rejected) > 0 || len(st.again) > 0
}

// release takes records off what is held, which are counted elsewhere. Where damage
// has taken records nobody knows how long they were, until nothing else is held:
// then what is left of the bytes was theirs, or what is missing was never said.
func (st *stream) release(c ledger.Count) {
	st.held = st.held.Minus(c)
	if left := st.held.Bytes; st.held.Records == 0 && left != 0 {
		st.held.Bytes = 0
		if left > 0 {
			st.account.Dropped(ledger.DiskDamage, ledger.Count{Bytes: left})
		} else {
			st.account.Recovered(ledger.Count{Bytes: -left})
		}
	}
}

// marked counts markers as made, or with fewer than 0 as never made.
func (st *stream) marked(n int) {
	st.markers += n
	st.account.Markers(int64(n), 0)
}

// Open adds a stream and returns it. Its records are numbered from 1, or on from
// where they were where the disk knows a stream of that name, or one of which
// damage has taken the name.
func (b *Buffer) Open(name string) *record.Stream {
	b.mu.Lock()
	defer b.unlock()
	for _, known := range [...]func(*stream) bool{
		func(st *stream) bool { return st.Name == name },
		// Sources open their streams in the same order each time.
		func(st *stream) bool { return st.Name == diskbuffer.LostName(st.Index) },
	} {
		for _, st := range b.streams.sorted() {
			if st.recovered && known(st) {
				st.recovered = false
				return st.Stream
			}
		}
	}
	return b.newStream(name).Stream
}

// streamOf is the stream of a source, or that of the name, which begins anew where
// there is none: it may have been forgotten.
func (b *Buffer) streamOf(s *record.Stream, name string) *stream {
	if st := b.opened(s, name); st != nil {
		return st
	}
	if s != nil {
		name = s.Name
	}
	return b.newStream(name)
}

// opened is the stream of a source, or that of the name, or nil.
func (b *Buffer) opened(s *record.Stream, name string) *stream {
	if s != nil {
		if st := b.streams.last; st != nil && st.Stream == s {
			return st
		}
		if st := b.streams.at(s.Index); st != nil && st.Stream == s {
			return st
		}
		name = s.Name
	}
	st := b.streams.named[name]
	if st != nil {
		st.recovered = false
	}
	return st
}

// streamFor is streamOf for a chunk whose tag anybody may have chosen: where there is
// no room for one more stream it waits, by the mode, or says for which reason the
// chunk must go, and under which stream that is counted: ledger.OtherStreams.
func (b *Buffer) streamFor(s *record.Stream, c *record.Chunk) (st *stream, why ledger.Reason, ok bool) {
	if st := b.opened(s, c.Tag); st != nil || s != nil {
		return b.streamOf(s, c.Tag), "", true
	}
	patience := patience{buffer: b}
	defer patience.end()
	for !b.roomForStream() {
		switch {
		case b.abandoned:
			return b.streamOf(nil, ledger.OtherStreams), ledger.Shutdown, false
		case b.disk != nil && b.reclaim():
			continue
		case b.cfg.Mode == NonBlocking || b.disk != nil && b.disk.WhenFull != Block:
			return b.streamOf(nil, ledger.OtherStreams), ledger.OverflowNewest, false
		case b.gaveUp:
			return b.streamOf(nil, ledger.OtherStreams), ledger.MaxBlock, false
		case !patience.wait():
			return nil, elsewhere, false
		}
		if st := b.opened(nil, c.Tag); st != nil {
			return st, "", true // Another chunk of it came first.
		}
	}
	return b.streamOf(nil, c.Tag), "", true
}

// roomForStream reports whether there is room for one more stream of which something
// is held, or a loss is to be told. Where nothing is held nothing can be waited for.
func (b *Buffer) roomForStream() bool {
	t := &b.streams
	return t.holding+len(t.telling) < b.sizes.streams || t.holding+len(t.tellers()) < b.sizes.streams ||
		b.pending.events == 0 && b.flight == 0 && !b.hasBacklog()
}

// weigh counts a stream among those of which something is held, or no longer, after
// what is held has changed.
func (b *Buffer) weigh(st *stream) {
	t := &b.streams
	holds := st.held.Records > 0
	if holds == st.holds {
		return
	}
	if st.holds = holds; holds {
		t.holding++
	} else {
		t.holding--
	}
	b.charge()
}

// charge counts against the limit what the heap holds beside the records: streams and
// receipts, but for the first of them. It does so by whole pages.
func (b *Buffer) charge() {
	const page = 4 << 10
	n := int64(max(b.streams.holding-maxStreams, 0))*streamCost +
		int64(max(b.expected-freeReceipts, 0))*receiptCost + int64(max(b.left-freeLeft, 0))*leftCost
	if n = (n + page - 1) &^ (page - 1); n == b.charged {
		return
	}
	b.charged = n
	if err := b.arena.Beside(n); err != nil {
		b.fault = err
	}
}

// newStream adds a stream, whose numbering begins.
func (b *Buffer) newStream(name string) *stream {
	for range looks {
		if len(b.streams.all) < maxStreams {
			break
		}
		b.forgetOne()
	}
	s := &record.Stream{Index: b.streams.next, Name: name}
	rand.Read(s.Incarnation[:]) // It never fails: see crypto/rand.
	st := &stream{Stream: s, account: b.ledger.Open(name), used: true}
	b.streams.add(st)
	return st
}

// forgetOne looks at one stream, and forgets it where nothing of it is held and it
// was not used since it was looked at last.
func (b *Buffer) forgetOne() {
	t := &b.streams
	st := t.order[0]
	t.order[0] = nil
	t.order = t.order[1:]
	if st.used || !b.forgettable(st) {
		st.used = false
		t.order = append(t.order, st)
		return
	}
	t.remove(st)
}

// forgettable reports whether nothing refers to a stream.
func (b *Buffer) forgettable(st *stream) bool {
	if st.held.Records > 0 || st.markers > 0 || st.users > 0 || st.untold() || len(st.receipts.all) > 0 {
		return false
	}
	if st.last != nil && st.last.whole.open > 0 {
		return false
	}
	return b.disk == nil || !st.announced || b.disk.Store.Forget(st.Index)
}

// Streams returns the streams by their index.
func (b *Buffer) Streams() []*record.Stream {
	b.mu.Lock()
	defer b.unlock()
	var all []*record.Stream
	for _, st := range b.streams.sorted() {
		all = append(all, st.Stream)
	}
	return all
}
