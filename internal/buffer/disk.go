package buffer

import (
	"crypto/sha256"
	"encoding/binary"
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

// keeps reports whether what was given up is left to the disk.
func (b *Buffer) keeps(n *run, fate Fate) bool {
	d := b.disk
	return d != nil && d.handedOver && fate.Dropped == ledger.Shutdown && (n.block == nil || n.block.stored >= n.to)
}
