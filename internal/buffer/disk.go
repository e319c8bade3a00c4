package buffer

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// Durability is what of a buffer with a disk survives.
type Durability string

// The levels of durability.
const (
	Memory Durability = "memory" // only what memory cannot hold is written
	Kernel Durability = "kernel" // every record is written before it is offered: it survives the process
	Power  Durability = "power"  // and synced: it survives the machine
)

// WhenFull is what happens when the disk is full, too.
type WhenFull string

// What a full disk makes of an arriving record.
const (
	Block          WhenFull = "block"
	DropNewestFull WhenFull = "drop-newest"
	DropOldestFull WhenFull = "drop-oldest"
)

// Disk is the second, larger half of a buffer in mode spill.
type Disk struct {
	Store      *diskbuffer.Store
	Durability Durability
	WhenFull   WhenFull
	// Found is what was left in the store by another process, or nil.
	Found *diskbuffer.Found
}

// Close gives back a disk of which no buffer was made; an empty one is removed.
func (d *Disk) Close() error {
	if d.Store.Usage().Pending.Events == 0 {
		return d.Store.Remove()
	}
	return d.Store.Close(false)
}

// disk is what the buffer knows of its other half. The queue is, in order: what
// is in requests, what waits in memory, and then the backlog, which only the
// store has. While there is a backlog, what arrives is written to its end and
// forgotten, and what waits is read from its beginning.
//
// While writing is on, everything held is in the store; otherwise a prefix of
// it is.
type disk struct {
	Disk
	// limit is the buffer's when the disk was made, by this process or another: what is
	// written must find room in one of that size when it is read.
	limit   int64
	writing bool
	backlog bool
	// from is where the backlog begins, and next what of it is read next.
	from diskbuffer.Position
	// unread is about how many bytes of it are not read.
	unread int64
	pace   pace
	// held are the blocks of which something is not settled, in order, and order
	// the requests.
	held  []*block
	order []*whole
	moved []moved
	// loading: a block is being read, without the lock.
	loading bool
	// offered is up to where a predecessor may have delivered already.
	offered uint64
	// doubtful is up to where what is left to the disk may be delivered already.
	doubtful uint64
	// durable is up to where the store is synced; level power offers nothing beyond
	// it.
	durable diskbuffer.Position
	// syncing are the receipts of which a source waits for the store to be synced, and
	// wanted is up to where.
	syncing []*receipt
	wanted  uint64
	// trouble is why the last write failed; nil after one that did not.
	trouble error
	// handedOver: nothing leaves any more, all is left to the disk.
	handedOver bool
	chores     chan struct{}
	urgent     chan struct{} // a source waits for a sync
	tidied     time.Time     // belongs to Keep
}

// syncs reports whether something of what the store holds may have been promised to
// survive a power cut: by the level, to a source that waited for a sync, or by a
// predecessor.
func (d *disk) syncs() bool { return d.Durability == Power || d.wanted > 0 || d.Found != nil }

// newDisk takes over what a predecessor left.
func (b *Buffer) newDisk(given Disk) {
	d := &disk{Disk: given, limit: b.cfg.Limit, chores: make(chan struct{}, 1), urgent: make(chan struct{}, 1)}
	b.disk = d
	d.writing = d.Durability != Memory
	d.Store.Spare(b.againReserve())
	if d.Found == nil {
		return
	}
	d.limit = max(d.Found.Meta.Limit, MinLimit)
	b.resize()
	d.from, d.offered, d.durable = d.Found.Settled, d.Found.Offered, d.Found.Settled
	if d.Found.Clean {
		d.durable = d.Found.End
	}
	// What a process that was killed has written may have to be synced.
	b.chore()
	for i, s := range d.Found.Streams {
		b.recover(s, d.Found.Pending[i])
	}
	if d.from.Events < d.Found.End.Events {
		d.backlog, d.writing, d.unread = true, true, d.Store.Usage().Bytes
		b.recoverChunks()
	}
}

// recover takes over a stream, and counts what of it is pending.
func (b *Buffer) recover(s diskbuffer.Stream, pending diskbuffer.Count) {
	c := ledger.Count{Records: int64(pending.Records), Bytes: int64(pending.Bytes)}
	if s.Incarnation == ([12]byte{}) {
		s.Incarnation = numberingOf(b.disk.Found.Meta.Incarnation, s.Index)
	}
	st := &stream{
		Stream: &record.Stream{Index: s.Index, Name: s.Name, Incarnation: s.Incarnation}, account: b.ledger.Open(s.Name),
		recovered: true, announced: true, seq: s.LastSeq, time: s.LastTime, held: c,
	}
	st.account.Recovered(c)
	b.streams.add(st)
	b.weigh(st)
	b.time = max(b.time, st.time)
}

// numberingOf is the incarnation of a stream of which the disk does not know it, because
// it was written before there were any, or is damaged: the same whenever that disk is
// taken over, and no other stream's. Without it records of two streams would be one and
// the same to a destination that knows them by their numbers.
func numberingOf(disk [12]byte, index uint32) (incarnation [12]byte) {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint32(append([]byte("spillway stream 1"), disk[:]...), index))
	copy(incarnation[:], sum[:])
	return incarnation
}

// persist writes a stretch of the tail to the store, where that is due. If it
// returns false, nothing of it counts as written.
func (b *Buffer) persist(from, to int) bool {
	d := b.disk
	if d == nil || !d.writing {
		return true
	}
	if err := b.append(b.tail, from, to); err != nil {
		d.trouble = err
		b.tail.used, b.openAt = from, -1
		b.chore()
		return false
	}
	d.trouble, b.gaveUp = nil, false
	// What is written is a frame of its own, so the batch in it cannot grow.
	b.openAt = -1
	return true
}

// append writes a stretch of a block to the store, as its next frame.
func (b *Buffer) append(blk *block, from, to int) error {
	d := b.disk
	if err := b.announce(); err != nil {
		return err
	}
	place, err := d.Store.Append(blk.mem[from:to])
	if err != nil {
		return err
	}
	if from == 0 {
		blk.place = place
	}
	blk.stored, blk.end = to, d.Store.End()
	if d.Durability == Power {
		b.chore()
	}
	return nil
}

// announce makes the streams known to the store that it does not know yet.
func (b *Buffer) announce() error {
	for len(b.streams.unannounced) > 0 {
		st := b.streams.unannounced[0]
		// What is held is about to be written, and goes on from there.
		last := st.seq - uint64(st.held.Records)
		s := diskbuffer.Stream{Index: st.Index, Name: st.Name, Incarnation: st.Incarnation, LastSeq: last, LastTime: st.time}
		if err := b.disk.Store.AddStream(s); err != nil {
			return err
		}
		st.announced = true
		b.streams.unannounced = b.streams.unannounced[1:]
	}
	b.streams.unannounced = nil
	return nil
}

// writeAll puts everything that is held into the store, in order, so that memory
// may be taken from what waits. It reports whether all of it is there.
func (b *Buffer) writeAll() bool {
	d := b.disk
	b.openAt = -1
	for _, blk := range b.unsettled() {
		if blk.stored == blk.used {
			continue
		}
		if err := b.append(blk, blk.stored, blk.used); err != nil {
			d.trouble = err
			b.chore()
			return false
		}
	}
	d.trouble = nil
	d.writing = true
	b.offerFlight()
	b.stored()
	return true
}

// unsettled returns the blocks of which something is not settled, in order.
func (b *Buffer) unsettled() []*block {
	d := b.disk
	d.held = slices.DeleteFunc(d.held, func(blk *block) bool {
		blk.listed = blk.items > 0
		return !blk.listed
	})
	return d.held
}

// hold lists a block that has something to settle.
func (b *Buffer) hold(blk *block) {
	if b.disk == nil || blk.listed {
		return
	}
	b.unsettled()
	blk.listed = true
	b.disk.held = append(b.disk.held, blk)
}

// forgetTail makes the tail empty again: what it holds is in the backlog now.
func (b *Buffer) forgetTail() {
	b.disk.unread += int64(b.tail.used)
	b.tail.used, b.tail.stored, b.openAt = 0, 0, -1
	b.chore()
	if b.pending.events == 0 {
		b.poke()
	}
}

// settled is up to where everything in the store is settled.
func (b *Buffer) settled() diskbuffer.Position {
	d := b.disk
	d.order = slices.DeleteFunc(d.order, func(w *whole) bool { return w.open == 0 && !w.kept })
	at := b.behindOrder()
	for _, w := range d.order {
		if from, ok := w.start(); ok && from.Events < at.Events {
			at = from
		}
	}
	return at
}

// position is where the store has the block's events from the given one on, if
// it has the first of them.
func (blk *block) position(from diskbuffer.Position) (diskbuffer.Position, bool) {
	at := plus(blk.place.Position, from)
	return at, blk.stored > 0 && at.Events < blk.end.Events
}

func plus(p, q diskbuffer.Position) diskbuffer.Position {
	return diskbuffer.Position{Events: p.Events + q.Events, Records: p.Records + q.Records}
}

// remember moves the store's cursor to where everything is settled.
func (b *Buffer) remember() {
	d := b.disk
	if d == nil {
		return
	}
	settled := b.settled()
	if err := d.Store.Settle(settled); err != nil {
		b.fault = err
	}
	for len(d.moved) > 0 && d.moved[0].to.Events <= settled.Events {
		d.moved = d.moved[1:]
	}
	b.chore()
}

// chore wakes the keeper.
func (b *Buffer) chore() {
	select {
	case b.disk.chores <- struct{}{}:
	default:
	}
}

// hurry wakes the keeper though it has just looked.
func (b *Buffer) hurry() {
	b.chore()
	select {
	case b.disk.urgent <- struct{}{}:
	default:
	}
}

// refused tells under which reason an arriving record goes that the disk does
// not take.
func (d *disk) refused() ledger.Reason {
	if errors.Is(d.trouble, diskbuffer.ErrFull) {
		return ledger.OverflowNewest
	}
	return ledger.DiskFailed
}

// retryEvery is how long a disk that failed, or is full because of others, is
// left alone.
const retryEvery = time.Second

// DiskState is what the disk holds at a moment.
type DiskState struct {
	Limit      int64      `json:"limit"`    // bytes
	Used       int64      `json:"used"`     // bytes, of all files
	Free       int64      `json:"free"`     // bytes, of the file system
	Segments   int        `json:"segments"` // files
	Backlog    int        `json:"backlog"`  // records and markers that only the disk holds
	Durability Durability `json:"durability"`
	Trouble    string     `json:"trouble,omitempty"` // why the last write failed
}

func (b *Buffer) diskState() *DiskState {
	d := b.disk
	u := d.Store.Usage()
	s := &DiskState{
		Limit: u.Max, Used: u.Bytes, Free: u.Free, Segments: u.Segments, Durability: d.Durability,
	}
	if d.backlog {
		s.Backlog = int(d.Store.End().Events - d.from.Events)
	}
	if d.trouble != nil {
		s.Trouble = d.trouble.Error()
	}
	return s
}

func (b *Buffer) hasBacklog() bool { return b.disk != nil && b.disk.backlog }

// sure is up to where the block may be offered to the destination.
func (b *Buffer) sure(blk *block) int {
	if b.disk == nil || b.disk.Durability != Power {
		return blk.used
	}
	return blk.sure
}

// offer leaves word in the store of what a request holds, and remembers the
// request's place.
func (b *Buffer) offer(r *Request) {
	d, w := b.disk, r.whole
	if w.first == nil {
		return // Markers only, and none of them stored.
	}
	d.order = append(d.order, w)
	for _, n := range r.runs {
		if n.block != nil {
			w.events += n.events
		}
	}
	if w.last.stored == 0 {
		return
	}
	at := min(plus(w.last.place.Position, w.after).Events, w.last.end.Events)
	if err := d.Store.Offer(at); err != nil {
		b.fault = err
	}
}

// offerFlight leaves word of requests in flight whose events the store has only
// now: whoever finds them there must know that they may be delivered.
func (b *Buffer) offerFlight() {
	for _, w := range b.disk.order {
		if w.open == 0 || w.last.stored == 0 {
			continue
		}
		at := min(plus(w.last.place.Position, w.after).Events, w.last.end.Events)
		if err := b.disk.Store.Offer(at); err != nil {
			b.fault = err
		}
	}
}

// offeredBefore reports whether a predecessor may have delivered the event at
// the given index of the block.
func (b *Buffer) offeredBefore(blk *block, at uint64) bool {
	return b.disk != nil && blk != nil && blk.stored > 0 && (blk.again || blk.place.Position.Events+at < b.disk.offered)
}

// fetchedAgain reports whether a batch was admitted by a predecessor already: a source
// reads a partition again from the last commit, and what was on the disk by then is
// there, or was delivered. What is recovered is the first of the two.
func (b *Buffer) fetchedAgain(blk *block, at uint64, batch *record.Batch) bool {
	if b.disk == nil || b.disk.Found == nil || len(b.disk.Found.Partitions) == 0 {
		return false
	}
	if blk != nil && blk.stored > 0 && blk.place.Position.Events+at < b.disk.Found.End.Events {
		return false
	}
	key, first, _, ok := batch.Offsets()
	if !ok {
		return false
	}
	had, known := b.disk.Found.Partitions[key]
	return known && first <= had
}

// keeps reports whether what was given up is left to the disk.
func (b *Buffer) keeps(n *run, fate Fate) bool {
	d := b.disk
	return d != nil && d.handedOver && fate.Dropped == ledger.Shutdown && (n.block == nil || n.block.stored >= n.to)
}
