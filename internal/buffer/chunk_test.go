package buffer_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// TestLargeChunk: a chunk larger than a block is cut between its records, and
// comes out as one.
func TestLargeChunk(t *testing.T) {
	for _, mode := range []buffer.Mode{buffer.Blocking, buffer.NonBlocking} {
		m := newModel(t, buffer.Config{Limit: 1 << 20, Mode: mode}, 1)
		texts := make([]string, 700)
		for i := range texts {
			texts[i] = unlike(i, 1000)
		}
		c := m.chunk(m.streams[0], someday, record.LevelDelivered, texts...)
		r := m.take(true)
		batches := 0
		for range r.request.Batches() {
			batches++
		}
		if batches < 1 || len(c.answers) > 0 {
			t.Errorf("%s: %d batches, answers %v", mode, batches, c.answers)
		}
		m.checkBooks()
		m.finish()
		if diff := cmp.Diff([]bool{true}, c.answers); diff != "" {
			t.Errorf("%s: answers (-want +got):\n%s", mode, diff)
		}
	}
}

// TestChunkLargerThanTheBuffer: one that waits takes it in pieces, while the first
// are delivered; one that does not refuses it as a whole.
func TestChunkLargerThanTheBuffer(t *testing.T) {
	texts := make([]string, 300)
	for i := range texts {
		texts[i] = unlike(i, 1000)
	}
	t.Run("blocking", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := &machine{model: newModel(t, buffer.Config{Mode: buffer.Blocking}, 2), now: someday}
			var c *sent
			m.admit(func() { c = m.chunk(m.streams[0], someday, record.LevelDelivered, texts...) })
			m.finish()
			if diff := cmp.Diff([]bool{true}, c.answers); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
		})
	})
	t.Run("non-blocking", func(t *testing.T) {
		m := newModel(t, buffer.Config{Mode: buffer.NonBlocking, DropOldest: true}, 2)
		before := m.chunk(m.streams[0], someday, record.LevelDelivered, "before")
		c := m.chunk(m.streams[0], someday, record.LevelDelivered, texts...)
		if diff := cmp.Diff([]bool{false}, c.answers); diff != "" || len(before.answers) > 0 {
			t.Errorf("answers (-want +got):\n%s, and of the one before %v", diff, before.answers)
		}
		m.finish()
	})
	t.Run("abandoned", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(t, buffer.Config{Mode: buffer.Blocking}, 1)
			c := new(sent)
			go func() { c = m.chunk(m.streams[0], someday, record.LevelDelivered, texts...) }()
			synctest.Wait()
			m.buf.Abandon()
			m.over = true
			synctest.Wait()
			if diff := cmp.Diff([]bool{false}, c.answers); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			if b := m.buf.Balance(); b.Received != 300 || b.Dropped != 300 || b.Unaccounted != 0 {
				t.Errorf("the balance is %+v", b.Sheet)
			}
		})
	})
}

// TestRecordLargerThanABlock: a record that no block holds is dropped and counted,
// and the others of its chunk are not lost with it.
func TestRecordLargerThanABlock(t *testing.T) {
	b := buffer.New(buffer.Config{Mode: buffer.Blocking}, ledger.New())
	bodies := entry("first") + entry(strings.Repeat("x", 40_000)) + entry("last")
	var answers []bool
	b.Admit(nil, &record.Chunk{
		Tag: "app", Time: someday, Encoding: record.EncodingEntry, Bodies: []byte(bodies), Count: 3, Level: record.LevelDelivered,
		Origin: record.Origin{Key: [16]byte{1}}, Done: func(ok bool) { answers = append(answers, ok) },
	})
	r := b.Take(true)
	var seqs []uint64
	for _, batch := range r.Batches() {
		seqs = append(seqs, batch.FirstSeq)
		if batch.Kind == record.KindRecords && batch.Origin.Position != uint32(batch.FirstSeq-1) {
			t.Errorf("record %d has the origin %+v", batch.FirstSeq, batch.Origin)
		}
	}
	b.Settle(r, buffer.Fate{})
	got := b.Balance()
	if diff := cmp.Diff([]uint64{1, 2, 3}, seqs); diff != "" {
		t.Errorf("the record, the marker and the record (-want +got):\n%s", diff)
	}
	if got.Delivered != 2 || got.ByReason[ledger.RejectedTooLong] != 1 || got.Unaccounted != 0 || len(answers) != 1 || !answers[0] {
		t.Errorf("the balance is %+v, answers %v", got.Sheet, answers)
	}
}

// TestMaxBlockRefusesAWholeChunk: what was told false was not admitted at all.
func TestMaxBlockRefusesAWholeChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, buffer.Config{Limit: 1 << 20, Mode: buffer.Blocking, MaxBlock: time.Second}, 1)
		texts := make([]string, 500)
		for i := range texts {
			texts[i] = unlike(i, 1000)
		}
		first := m.chunk(m.streams[0], someday, record.LevelDelivered, texts...)
		second := m.chunk(m.streams[0], someday, record.LevelDelivered, texts...)
		if b := m.buf.Balance(); len(first.answers) > 0 || len(second.answers) != 1 || second.answers[0] || b.Dropped != 500 {
			t.Errorf("answers %v and %v, %d dropped", first.answers, second.answers, b.Dropped)
		}
		m.finish()
	})
}

// TestReceiptsAreBounded: sources that ask to be told and send on without waiting
// take no memory without end; they wait like for any other room, and what the heap
// holds of them beyond the first is part of the limit.
func TestReceiptsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, free, cost = 1 << 20, 4096, 512
		const reserve = limit / 8
		b := buffer.New(buffer.Config{Limit: limit, Mode: buffer.Blocking}, ledger.New())
		sent, told := 0, 0
		one := []byte(entry("x"))
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 6000 {
				b.Admit(nil, &record.Chunk{
					Tag: "app", Encoding: record.EncodingEntry, Bodies: one, Count: 1, Level: record.LevelDelivered,
					Done: func(ok bool) {
						if ok {
							told++
						}
					},
				})
				sent++
			}
		}()
		synctest.Wait()
		if want := free + (limit-reserve)/8/cost; sent != want {
			t.Errorf("%d chunks are admitted and not told, want %d", sent, want)
		}
		records := int64(sent * (len(one) + record.HeaderSize))
		if held := b.State().Held; held < records+int64(sent-free)*cost || held > limit {
			t.Errorf("%d bytes are held, of which records take %d", held, records)
		}
		if !b.Stalled() {
			t.Error("nothing is in flight, and nobody is said to wait")
		}
		for told < 6000 {
			req := b.Take(true)
			if b.Stalled() {
				t.Error("somebody is said to wait for more than what is in flight")
			}
			b.Settle(req, buffer.Fate{})
			synctest.Wait()
		}
		<-done
		if b.Stalled() {
			t.Error("somebody is said to wait, and all are told")
		}
		if got := b.Balance(); got.Delivered != 6000 || got.Unaccounted != 0 {
			t.Errorf("the balance is %+v", got.Sheet)
		}
		if held := b.State().Held; held > 100<<10 {
			t.Errorf("%d bytes are held though nothing waits", held)
		}
	})
}

// TestManyTags: streams of which nothing is held are forgotten beyond 1,024. One
// that returns is a new one, and everything is accounted for.
func TestManyTags(t *testing.T) {
	tags := shorter(20_000, 100_000)
	b := buffer.New(buffer.Config{Limit: 1 << 20, Mode: buffer.Blocking, Sink: sink.Limits{InFlight: 4}}, ledger.New())
	one := []byte(entry("x"))
	send := func(tag string) {
		b.Admit(nil, &record.Chunk{Tag: tag, Encoding: record.EncodingEntry, Bodies: one, Count: 1})
	}
	incarnations := map[[12]byte]bool{}
	next := uint32(0)
	settle := func() {
		r := b.Take(true)
		for _, batch := range r.Batches() {
			s := r.Stream(batch.Stream)
			if s.Index != batch.Stream || s.Index < next || incarnations[s.Incarnation] {
				t.Fatalf("stream %d, %x comes after %d", s.Index, s.Incarnation, next)
			}
			incarnations[s.Incarnation], next = true, s.Index+1
		}
		b.Settle(r, buffer.Fate{})
	}
	for i := range tags {
		send(fmt.Sprint("tag", i))
		if i%100 == 99 {
			settle()
		}
	}
	send("tag0")
	settle()
	if n := len(b.Streams()); n > 4200 {
		t.Errorf("%d streams are kept", n)
	}
	if got := b.Balance(); got.Delivered != int64(tags+1) || got.Unaccounted != 0 || len(got.Streams) != ledger.MaxNamedStreams+1 {
		t.Errorf("the balance is %+v with %d streams", got.Sheet, len(got.Streams))
	}
}

// TestManyTagsOnADisk: the disk forgets streams, too, once nothing of them is there,
// and knows those of which something is.
func TestManyTagsOnADisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tags := shorter(18_000, 30_000)
		l := &levels{T: t, disk: disktest.New(1)}
		l.begin(buffer.Kernel)
		one := []byte(entry("x"))
		for i := range tags {
			l.buf.Admit(nil, &record.Chunk{Tag: fmt.Sprint("tag", i), Encoding: record.EncodingEntry, Bodies: one, Count: 1})
			if i%1000 == 999 && i < tags-1 {
				l.settle()
				time.Sleep(time.Second)
			}
		}
		if n := len(l.buf.Streams()); n > 4*4096 {
			t.Errorf("%d streams are kept", n)
		}
		before := l.buf.Balance()
		l.end(false)
		l.begin(buffer.Kernel)
		if got := l.buf.Balance(); got.Recovered != 1000 || before.Pending != 1000 || before.Unaccounted != 0 {
			t.Errorf("%d are recovered of %d", got.Recovered, before.Pending)
		}
		r := l.buf.Take(true)
		i := tags - 1000
		for _, batch := range r.Batches() {
			if s := r.Stream(batch.Stream); s.Name != fmt.Sprint("tag", i) || s.Incarnation == [12]byte{} {
				t.Fatalf("a batch is of %+v, not of tag%d", s, i)
			}
			i++
		}
		l.buf.Settle(r, buffer.Fate{})
		if b := l.buf.Balance(); i != tags || b.Pending != 0 || b.Unaccounted != 0 {
			t.Errorf("the last is tag%d, the balance %+v", i-1, b.Sheet)
		}
		l.end(true)
	})
}

// TestChunkIsSentAsAWhole: a request ends before a chunk that does not fit as a
// whole, unless that is its first.
func TestChunkIsSentAsAWhole(t *testing.T) {
	for _, c := range []struct {
		plain        bool // entries alone; else the third chunk is of messages
		chunks, sent []int
	}{
		{true, []int{3, 4, 7, 1}, []int{3, 4, 5, 3}},
		{false, []int{4, 3, 4, 4}, []int{4, 3, 4, 4}},
	} {
		m := newModel(t, buffer.Config{Limit: 1 << 20, Mode: buffer.Blocking, Sink: sink.Limits{Events: 5, InFlight: 9}}, 1)
		m.plain = c.plain
		for _, n := range c.chunks {
			m.chunk(m.streams[0], someday, record.LevelDelivered, make([]string, n)...)
		}
		var sizes []int
		for s := m.take(true); s != nil; s = m.take(true) {
			sizes = append(sizes, len(s.events))
		}
		if diff := cmp.Diff(c.sent, sizes); diff != "" {
			t.Errorf("events of the requests (-want +got):\n%s", diff)
		}
		m.finish()
	}
}

// TestChunksInPiecesAmongOthers: chunks of one stream come from several connections, and some of them are larger than a
// block. Whatever waits for room meanwhile, each source is told once, and all of a chunk has numbers that follow each
// other.
func TestChunksInPiecesAmongOthers(t *testing.T) {
	const senders, each = 4, 100
	b := buffer.New(buffer.Config{Limit: 384 << 10, Mode: buffer.Blocking, Sink: sink.Limits{InFlight: 4}}, ledger.New())
	var sent, told, refused atomic.Int64
	var sending, taking sync.WaitGroup
	sentAll := make(chan struct{})
	for g := range senders {
		sending.Go(func() {
			for n := range each {
				c := &record.Chunk{Tag: "tag", Encoding: record.EncodingText, Level: record.LevelDelivered, Done: func(ok bool) {
					told.Add(1)
					if !ok {
						refused.Add(1)
					}
				}}
				for size := (n*7919*13 + g*131) % (1 << 20); len(c.Bodies) <= size; c.Count++ {
					c.Bodies, _ = record.AppendBody(c.Bodies, make([]byte, 32<<10))
				}
				sent.Add(int64(c.Count))
				b.Admit(nil, c)
			}
		})
	}
	taking.Go(func() {
		for over := false; ; {
			r := b.Take(true)
			if r != nil {
				b.Settle(r, buffer.Fate{})
				continue
			}
			if over {
				return
			}
			select {
			case <-sentAll:
				over = true // What there is now is the last.
			default:
				runtime.Gosched()
			}
		}
	})
	sending.Wait()
	close(sentAll)
	taking.Wait()
	if told.Load() != senders*each || refused.Load() != 0 {
		t.Errorf("%d of %d sources were told, %d of them no", told.Load(), senders*each, refused.Load())
	}
	if got := b.Balance(); got.Delivered != sent.Load() || got.Unaccounted != 0 {
		t.Errorf("of %d records: %+v", sent.Load(), got.Sheet)
	}
}
