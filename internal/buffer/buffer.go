// Package buffer is the bounded queue between the sources and delivery, and the
// only place where a record is refused for want of room.
//
// Batches are written one after the other into blocks of memory, in the order
// of admission; the last block is the tail, into which the next record goes. A
// request takes a stretch of waiting batches and leaves them where they are; a
// block goes back to the arena when the last of its records is settled. What
// counts against the limit is the memory mapped for blocks plus a reserve for
// the senders, so bodies, framing, headers, slack and requests in flight are
// all inside it.
//
// When there is no room, the mode decides: blocking waits; non-blocking holds
// waiting blocks compressed, and when that is not enough drops the newest or
// the oldest records, whose number, place and reason a loss marker tells in the
// stream itself; spill has a second half on the disk, which the buffer writes
// to and reads back as one queue.
//
// The buffer knows one lock. The ledger's lock is taken inside it, never the
// other way round.
package buffer

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/spillway/spillway/internal/budget"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// Mode is what the buffer does when it is full.
type Mode string

// The modes.
const (
	Blocking    Mode = "blocking"
	NonBlocking Mode = "non-blocking"
	Spill       Mode = "spill"
)

// Config says how a buffer behaves.
type Config struct {
	// Limit is the most bytes the buffer holds, all counted; at least MinLimit.
	Limit int64
	Mode  Mode
	// DropOldest makes room by dropping waiting records instead of the arriving
	// one.
	DropOldest bool
	// MaxBlock bounds how long admission waits in blocking mode; 0 is for ever.
	MaxBlock time.Duration
	// Disk is what mode spill has beside memory; the buffer owns it from New on.
	Disk *Disk
	// NoLossMarkers keeps the marks of lost records out of the stream.
	NoLossMarkers bool
	// Sink are the limits of the destination, to which requests are gathered.
	Sink sink.Limits
	// Settled, where it is set, is told the keys of chunks of which every record is
	// settled and none was lost, before a disk forgets them: who remembers them from
	// then on leaves no moment in which nobody does. It is called under the buffer's
	// lock, must not come back to the buffer, and keeps nothing of the slice.
	Settled func(keys [][16]byte)
}

// MinLimit is the smallest buffer, in bytes.
const MinLimit = 64 << 10

// Buffer is one bounded queue. Its methods may be called by several goroutines
// at once.
type Buffer struct {
	cfg   Config
	sizes sizes
	// body and piece are those of sizes, for those who ask without the lock.
	body, piece atomic.Int64
	arena       *budget.Arena
	ledger      *ledger.Ledger
	// ready holds a token when there may be something new to take.
	ready chan struct{}

	// turn is held while a source hands over what it read at once; mu is taken
	// inside it.
	turn sync.Mutex

	mu       sync.Mutex
	changed  sync.Cond // room was made, or the buffer was abandoned
	streams  table
	chunks   map[[16]byte]*receipt // by their keys, those of which a source waits to hear
	expected int                   // receipts of which a source waits to hear
	awaited  int                   // those of them for which a sender waits
	left     int                   // receipts of what another process has left behind
	// unfinished are chunks that another process has admitted in part, by stream and
	// number.
	unfinished []unfinished
	charged    int64    // bytes of the limit that streams and receipts take
	answers    []answer // for the sources, when the lock is given back
	time       int64    // the latest of all streams

	tail    *block       // where the next record goes; nil at first
	open    record.Batch // the batch at the end of the tail that may still grow
	openAt  int          // its offset, or -1
	marker  markerSize   // of the marker before it that is not admitted yet
	waiting []*block     // blocks with batches that no request has taken, in order
	pending volume       // what waits in them

	flight     int   // requests taken and not settled
	flightHeld int64 // bytes of blocks that they hold
	underWay   []*whole
	gaveUp     bool // max-block has passed since there was room
	abandoned  bool
	leaving    bool  // see Leave
	fault      error // the last failure to get memory
	packing    packer
	settling   settling
	disk       *disk // nil unless the mode is Spill
}

// volume is an amount of records as a request to the sink counts it.
type volume struct {
	events, cost int
}

// block is one piece of the arena with the batches in it.
type block struct {
	mem    []byte // the batches, unless they are compressed
	packed []piece
	raw    int  // length before compression, or 0
	used   int  // bytes of batches
	taken  int  // offset of the first batch that is not wholly taken
	skip   int  // records of that batch that are taken
	items  int  // records and markers here that are not settled
	queued bool // it is in waiting
	stiff  bool // compression gains nothing

	// What follows is for a buffer with a disk: how much of the block is stored
	// there, from where to where; how much of its beginning no longer waits; up to where
	// it may be offered; whether it is in the list of what is held; and whether all of
	// it was in requests of a predecessor.
	stored int
	place  diskbuffer.Place
	end    diskbuffer.Position
	gone   diskbuffer.Position
	sure   int
	listed bool
	again  bool

	decoder *zstd.Decoder
}

// New returns an empty buffer that counts in l.
func New(cfg Config, l *ledger.Ledger) *Buffer {
	cfg.Limit = max(cfg.Limit, MinLimit)
	if cfg.Disk != nil && cfg.Disk.Found != nil {
		// What was written before must find room when it is read.
		cfg.Limit = max(cfg.Limit, cfg.Disk.Found.Meta.Limit)
	}
	b := &Buffer{cfg: cfg, ledger: l, ready: make(chan struct{}, 1), openAt: -1}
	b.resize()
	b.streams, b.chunks = newTable(), make(map[[16]byte]*receipt)
	b.changed.L = &b.mu
	b.arena = budget.NewArena(b.sizes.data, b.sizes.block)
	if cfg.Disk != nil {
		b.newDisk(*cfg.Disk)
	}
	return b
}

// Ready has a token when something may have become ready to take or settled.
func (b *Buffer) Ready() <-chan struct{} { return b.ready }

func (b *Buffer) poke() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// State is what the buffer holds at a moment.
type State struct {
	Limit     int64      `json:"limit"`           // bytes
	Held      int64      `json:"held"`            // bytes handed out of the arena
	Peak      int64      `json:"peak"`            // bytes, the most so far
	Waiting   int        `json:"waiting"`         // records and markers
	InFlight  int        `json:"in_flight"`       // requests
	Window    int        `json:"window"`          // requests, the most at once
	Abandoned bool       `json:"-"`               // admission drops everything
	Disk      *DiskState `json:"disk,omitempty"`  // in mode spill
	Fault     string     `json:"fault,omitempty"` // the last failure to get or give back memory
}

// State returns what the buffer holds now.
func (b *Buffer) State() State {
	b.mu.Lock()
	defer b.unlock()
	s := State{
		Limit: b.cfg.Limit, Held: b.arena.Held(), Peak: b.arena.Peak(), Waiting: b.pending.events,
		InFlight: b.flight, Window: b.sizes.window, Abandoned: b.abandoned,
	}
	if b.fault != nil {
		s.Fault = b.fault.Error()
	}
	if b.disk != nil {
		s.Disk = b.diskState()
		s.Waiting += s.Disk.Backlog
	}
	return s
}

// Balance draws the ledger's balance against what is held here, while nothing
// moves.
func (b *Buffer) Balance() ledger.Balance {
	b.mu.Lock()
	defer b.unlock()
	held := make(map[string]ledger.Count, len(b.streams.all))
	for _, st := range b.streams.all {
		name := st.account.Name() // Not every stream has an account of its own.
		held[name] = held[name].Plus(st.held)
	}
	return b.ledger.Balance(held)
}

// Idle reports that nothing waits, nothing is in flight and no loss is untold.
func (b *Buffer) Idle() bool {
	b.mu.Lock()
	defer b.unlock()
	if b.disk != nil && b.disk.handedOver {
		return b.flight == 0
	}
	return b.pending.events == 0 && b.flight == 0 && !b.hasBacklog() && (b.abandoned || !b.untold())
}

// Trim gives memory that is not in use back to the system.
func (b *Buffer) Trim() error {
	b.mu.Lock()
	defer b.unlock()
	b.releaseTail()
	if b.flight == 0 && len(b.waiting) == 0 {
		b.packing.trim()
	}
	return b.arena.Trim()
}

// sizes are the numbers that follow from the limit, in bytes.
type sizes struct {
	data    int64 // for blocks: the limit less the reserve
	block   int
	request int // the most that one request holds, as the sink counts
	window  int // requests in flight
	flight  int64
	body    int
	piece   int // the most that one batch of a chunk takes, with its header
	// receipts is of how many chunks sources may wait to hear, and left of how many that
	// another process has left behind it is known when they are sent again.
	receipts, left int
	// streams is of how many something may be held at once.
	streams int
}

// SendWindow is the memory that one request in flight takes from the reserve:
// the piece of it that is being encoded and sent.
const SendWindow = 32 << 10

func sizesFor(cfg Config) sizes {
	// The reserve holds what the senders need, so that a full buffer can always
	// be emptied. What waits can be held compressed and what is in flight cannot,
	// so where that makes room most of the buffer is left to what waits.
	reserve, share := cfg.Limit/8, int64(4)
	if cfg.Mode == NonBlocking {
		reserve, share = cfg.Limit/16, 8
	}
	reserve = min(max(reserve, 2*4096), 1<<20)
	s := sizes{
		data: cfg.Limit - reserve,
		// One read of a pipe, framed, fits into the largest.
		block:   int(min(max(cfg.Limit/64, 4<<10), 80<<10)),
		request: int(cfg.Limit / share),
		window:  min(max(int(reserve/SendWindow), 1), max(cfg.Sink.InFlight, 1)),
		body:    int(cfg.Limit/4) - record.HeaderSize - record.FrameSize,
	}
	s.piece = min(int(cfg.Limit/4)-record.LossSize, diskbuffer.MaxPayload/2)
	s.receipts = freeReceipts + int(s.data/8/receiptCost)
	s.left = int(min(freeLeft+s.data/4/leftCost, maxLeft))
	s.streams = maxStreams + int(s.data/4/streamCost)
	if n := cfg.Sink.RequestBytes; n > 0 {
		s.request = min(s.request, n)
		s.body = min(s.body, n-cfg.Sink.PerEvent)
	}
	if n := cfg.Sink.BodyBytes; n > 0 {
		s.body = min(s.body, n)
	}
	s.flight = s.data
	if cfg.Mode != Blocking {
		// What is in flight cannot make room, so it may not be everything.
		s.flight = s.data / share
	}
	return s
}
