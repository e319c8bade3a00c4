package kafka

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/source/kafka/wire"
)

// piece is what an answer has of one partition: offsets from from up to next.
type piece struct {
	*partition
	want       *want
	stream     uint32
	from, next int64
	end        int64 // the offset behind all that may be read
	last       int   // bytes of the last batch
	ahead      int   // bytes of the one behind it, of which the end was cut off; 0 where there is none
	epoch      int32 // of the leader that wrote its last batch
	block      *block
	batches    []byte            // in the block
	aborted    map[int64][]int64 // by producer, where its aborted transactions begin
}

// newPiece finds out how far an answer goes, without a look into its batches.
func newPiece(w *want, got *kmsg.FetchResponseTopicPartition, b *block) *piece {
	p := &piece{partition: w.partition, want: w, stream: w.stream, from: w.at, next: w.at, epoch: -1, block: b, batches: got.RecordBatches}
	for rest := got.RecordBatches; ; {
		batch, after, ok := wire.Split(rest)
		if !ok {
			p.ahead = wire.SizeOf(rest)
			break
		}
		// Nothing is checked yet, but that nobody has read behind the end.
		if last, ok := lastOffset(batch); ok && last >= p.next && last < got.HighWatermark {
			p.next = last + 1
			p.epoch, p.last = wire.EpochOf(batch), len(batch)
		}
		rest = after
	}
	for _, a := range got.AbortedTransactions {
		if p.aborted == nil {
			p.aborted = make(map[int64][]int64)
		}
		p.aborted[a.ProducerID] = append(p.aborted[a.ProducerID], a.FirstOffset)
	}
	for _, offsets := range p.aborted {
		slices.Sort(offsets)
	}
	return p
}

// lastOffset is that of a batch's last record.
func lastOffset(batch []byte) (int64, bool) {
	if wire.MagicOf(batch) == wire.Magic {
		_, last, ok := wire.Bounds(batch)
		return last, ok
	}
	return wire.OldOffset(batch), true
}

// expect notes that what is behind a piece is asked for next. It reports whether the
// piece is still wanted, and has something.
func (pc *piece) expect() bool {
	p := pc.partition
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stream != pc.stream || p.stopped {
		return false
	}
	if p.lag = max(pc.end-pc.next, 0); pc.next == pc.from {
		return false
	}
	p.fetchAt, p.epoch, p.batch, p.ahead = pc.next, pc.epoch, pc.last, pc.ahead
	return true
}

// worker hands pieces over, one after the other.
type worker struct {
	*Source
	*converter
	line    *line
	records wire.Records
	builder
	// large is what is mapped for records of this worker that are larger than usual.
	large large
	// from is what a large value is copied from, and begins where the present batch begins in
	// its block.
	from   mapped
	begins int
	// recall has the chunk that is being handed over given back, where that is large.
	recall func()
}

func newWorker(s *Source) *worker {
	c, err := newConverter(&s.cfg)
	if err != nil {
		panic("BUG: New has made one of the same: " + err.Error())
	}
	w := &worker{Source: s, converter: c, records: wire.Records{Max: s.cfg.MaxRecord}}
	w.records.Large, w.records.Block, w.records.Ring, w.records.Turn = w.largeWindow, w.largeBlock, w.largeRing, &s.turn
	return w
}

func (w *worker) close() { w.records.Close() }

// piece walks the batches of a piece. What was asked for before the partition went back
// is passed over.
func (w *worker) piece(pc *piece) {
	if !w.begin(pc) {
		return
	}
	defer w.tellDropped()
	defer w.shrink()
	if w.records.Passed = nil; pc.block.aside {
		defer w.guard(pc)()
	}
	w.now = time.Now().UnixNano()
	for rest := pc.batches; !w.over; {
		batch, after, ok := wire.Split(rest)
		if !ok {
			break
		}
		if w.begins = len(pc.batches) - len(rest); pc.block.mapped {
			// Its head is looked at again where it is damaged.
			begin := w.begins
			w.records.Passed = func(at int) { pc.block.passed(begin+wire.HeadSize, begin+at) }
		}
		rest = after
		if wire.MagicOf(batch) != wire.Magic {
			w.oldBatch(pc, batch)
		} else if at, err := w.batch(pc, batch); err != nil && !w.damage(pc, batch, at, err) {
			return
		}
		w.shrink()
	}
	w.flush()
	if w.over {
		return
	}
	pc.mu.Lock()
	gone, damaged := 0, pc.damaged > 0
	if pc.stream == pc.partition.stream && !pc.stopped {
		gone = pc.passed(pc.next)
		pc.walked, pc.damaged = pc.next, 0
	}
	pc.mu.Unlock()
	if gone > 0 {
		w.counts.missed.Add(int64(gone))
		w.cfg.Router.Miss(pc.tag, time.Now().UnixNano(), int64(gone))
	}
	if damaged {
		w.trouble.clear("damage")
	}
}

// guard has a mapped block that cannot be read, as of a disk that fails, end the piece
// alone: it is asked for again.
func (w *worker) guard(pc *piece) (end func()) {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		found := recover()
		if found == nil {
			return
		}
		fault, ok := found.(interface {
			error
			Addr() uintptr
		})
		if !ok {
			panic(found)
		}
		w.count, w.over = 0, true
		pc.giveUp(pc.from)
		pc.standstill(time.Now())
		w.troubled("damage", pc.place, fmt.Errorf("read the batches from offset %d on where they were put aside: %w; they are asked for again", pc.from, fault))
	}
}

// batch hands the records of a batch over. Where it cannot be read, at is the offset of
// the first record that was not.
func (w *worker) batch(pc *piece, batch []byte) (at int64, err error) {
	var h wire.Head
	first, _, ok := wire.Bounds(batch)
	if err := w.records.ReadHead(batch, &h); err != nil || !ok {
		return first, err
	}
	if err := w.records.Begin(batch, &h); err != nil {
		return h.First, err
	}
	if h.Control {
		w.control(pc, &h)
		return 0, nil
	}
	if began := pc.aborted[h.ProducerID]; h.Transactional && len(began) > 0 && h.First >= began[0] {
		w.counts.aborted.Add(w.fresh(h.First, h.Last) * int64(h.Count))
		return 0, nil
	}
	at = h.First
	var rec wire.Record
	for !w.over && w.records.Next(&rec) {
		if at = rec.Offset + 1; rec.Offset >= pc.from {
			w.take(&rec)
		}
	}
	return at, w.records.Err()
}

// control takes the end of a transaction.
func (w *worker) control(pc *piece, h *wire.Head) {
	var rec wire.Record
	if w.records.Next(&rec) && wire.Aborts(rec.Key) {
		if began := pc.aborted[h.ProducerID]; len(began) > 0 {
			pc.aborted[h.ProducerID] = began[1:]
		}
	}
}

// oldBatch takes messages of the formats before 0.11, which the library reads.
func (w *worker) oldBatch(pc *piece, batch []byte) {
	got := kmsg.NewFetchResponseTopicPartition()
	got.Partition, got.RecordBatches = pc.number, batch
	read, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: pc.from, Topic: pc.topic, Partition: pc.number}, &got, kgo.DefaultDecompressor(), nil)
	for _, r := range read.Records {
		rec := wire.Record{
			Offset: r.Offset, Time: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value, Null: r.Value == nil, Size: len(r.Key) + len(r.Value),
		}
		rec.TooLarge = rec.Size > w.cfg.MaxRecord
		w.take(&rec)
	}
	if read.Err != nil {
		w.unreadable(pc, batch, max(wire.OldOffset(batch), pc.from), read.Err)
	}
}

// damageTries is how often a batch that cannot be read is asked for again: it may have
// been damaged on its way.
const damageTries = 3

// damage takes a batch that cannot be read from an offset on. It reports whether to go
// on behind it; else it is asked for once more.
func (w *worker) damage(pc *piece, batch []byte, at int64, err error) bool {
	w.flush()
	at = max(at, pc.from)
	pc.mu.Lock()
	if pc.partition.stream != pc.stream || pc.stopped {
		pc.mu.Unlock()
		return false
	}
	pc.damaged++
	again := pc.damaged < damageTries && !errors.Is(err, wire.ErrUnpacked)
	if again {
		pc.passed(at)
		pc.goBack(at)
		pc.retreat(time.Now())
	} else {
		pc.damaged = 0
	}
	pc.mu.Unlock()
	if again {
		w.troubled("damage", pc.place, fmt.Errorf("read the batch at offset %d: %w; it is asked for again", at, err))
		return false
	}
	w.unreadable(pc, batch, at, err)
	return true
}

// unreadable makes one dead letter of what of a batch cannot be read.
func (w *worker) unreadable(pc *piece, batch []byte, at int64, err error) {
	last, ok := lastOffset(batch)
	if !ok {
		last = at
	}
	w.counts.unreadable.Add(w.fresh(at, at))
	w.trouble.clear("damage") // It is a dead letter now.
	w.event("damage", pc.place, fmt.Errorf("the offsets %d to %d cannot be read: %w", at, last, err))
	w.refuseUnread(ledger.Unreadable, at, 0, fmt.Sprintf("the offsets %d to %d of %s/%d cannot be read: %v", at, last, pc.topic, pc.number, err))
}
