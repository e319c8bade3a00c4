package buffer_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// lives is a buffer in mode spill through the lives of several processes, and
// what went in and came out of it.
type lives struct {
	tb
	disk    *disktest.Disk
	options diskbuffer.Options
	level   buffer.Durability
	limit   int64
	// lossy: records may be dropped, as whenFull says.
	lossy    bool
	whenFull buffer.WhenFull
	sink     sink.Limits
	random   *rand.Rand

	life
	handed    []string
	delivered map[string]int
	possible  int64 // duplicates that the ledgers admit
	told      int64 // records that delivered markers tell of
}

// life is one process.
type life struct {
	buf    *buffer.Buffer
	stream *record.Stream
	flight []*buffer.Request
	last   uint64
	begun  ledger.Balance
	stop   func()
}

// begin starts a process that takes over what the last one left.
func (l *lives) begin() {
	l.Helper()
	disk := &buffer.Disk{Durability: l.level, WhenFull: cmp.Or(l.whenFull, buffer.Block)}
	disk.Store, disk.Found = openStore(l, l.disk.Open, l.limit, l.options)
	l.life = life{buf: buffer.New(buffer.Config{Limit: l.limit, Mode: buffer.Spill, Disk: disk, Sink: l.sink}, ledger.New())}
	l.begun = l.buf.Balance()
	l.stream = l.buf.Open("stdout")
	l.stop = keeping(l.buf)
}

// hand hands over n lines.
func (l *lives) hand(n int) {
	for range n {
		text := fmt.Sprintf("%d %s", len(l.handed), unlike(len(l.handed), 100+l.random.IntN(900)))
		l.handed = append(l.handed, text)
		l.buf.Lines(l.stream, time.Now().UnixNano(), []byte(text+"\n"), true)
	}
	l.check()
}

// take takes a request, if there is one.
func (l *lives) take() bool {
	r := l.buf.Take(true)
	if r == nil {
		return false
	}
	for _, b := range r.Batches() {
		if b.Kind == record.KindLoss {
			if !l.lossy {
				l.Fatalf("there is a marker of %+v", b.Loss())
			}
			continue
		}
		// What several requests brought out of order may be moved behind the rest.
		if b.FirstSeq <= l.last && l.sink.InFlight == 1 {
			l.Fatalf("record %d comes after %d", b.FirstSeq, l.last)
		}
		l.last = b.FirstSeq + uint64(b.Count) - 1
	}
	l.flight = append(l.flight, r)
	return true
}

// settle ends a request that is in flight.
func (l *lives) settle(i int, fate buffer.Fate) {
	r := l.flight[i]
	l.flight = append(l.flight[:i], l.flight[i+1:]...)
	// What got no answer may be there all the same.
	repeated := fate.Dropped == ledger.Shutdown && l.random.IntN(2) == 0
	if repeated {
		r.Repeat([]sink.Span{{End: r.Events()}})
	}
	if fate.Dropped == "" || repeated {
		for _, b := range r.Batches() {
			if b.Kind == record.KindLoss {
				l.told += b.Loss().Lost
				continue
			}
			for frames := b.Frames; len(frames) > 0; {
				var body []byte
				body, _, frames = b.Next(frames)
				l.delivered[string(body)]++
			}
		}
	}
	l.buf.Settle(r, fate)
	l.check()
}

// check holds the books to the one equation.
func (l *lives) check() {
	l.Helper()
	b := l.buf.Balance()
	if b.Unaccounted != 0 || b.Bytes.Unaccounted != 0 || b.Dropped != 0 && !l.lossy {
		l.Fatalf("the balance is %+v", b.Sheet)
	}
	if s := l.buf.State(); s.Held > s.Limit || s.Fault != "" || s.Disk.Trouble != "" && !l.lossy {
		l.Fatalf("the state is %+v, %+v", s, s.Disk)
	}
}

// drain delivers all there is.
func (l *lives) drain() {
	l.Helper()
	drainAll(l, l.buf, l.take, l.settleAll)
}

func (l *lives) settleAll() {
	for len(l.flight) > 0 {
		l.settle(0, buffer.Fate{})
	}
}

// deliverUntil delivers whatever comes until a source is done.
func (l *lives) deliverUntil(done <-chan struct{}) {
	for {
		for l.take() {
		}
		l.settleAll()
		time.Sleep(time.Second)
		select {
		case <-done:
			return
		default:
		}
	}
}

// kill ends the process without a word.
func (l *lives) kill() {
	l.disk.Kill()
	l.possible += l.buf.Balance().PossibleDuplicates
	l.stop()
}

// end ends the process as it should: what is not delivered is left behind.
func (l *lives) end() {
	l.Helper()
	if !l.buf.HandOver() {
		l.Fatalf("the disk does not take what is held: %+v", l.buf.State().Disk)
	}
	l.hand(20)
	for len(l.flight) > 0 {
		l.settle(l.random.IntN(len(l.flight)), []buffer.Fate{{}, {Dropped: ledger.Shutdown}}[l.random.IntN(2)])
	}
	if !l.buf.Idle() {
		l.Fatalf("it is not idle: %+v", l.buf.State())
	}
	l.stop()
	if err := l.buf.Close(); err != nil {
		l.Fatalf("close: %v", err)
	}
	left := l.buf.Balance()
	if n := left.ByReason[ledger.Shutdown]; n > 0 {
		l.Fatalf("%d records are dropped, though the disk has taken what was held", n)
	}
	l.possible += left.PossibleDuplicates
	l.begin()
	if got := l.begun; got.Recovered != left.Pending || got.Bytes.Recovered != left.Bytes.Pending || got.Pending != left.Pending {
		l.Fatalf("%d records, %d bytes were left behind; %d, %d were recovered and %d, %d are pending", left.Pending,
			left.Bytes.Pending, got.Recovered, got.Bytes.Recovered, got.Pending, got.Bytes.Pending)
	}
}

// finish delivers everything and holds what came out to what went in.
func (l *lives) finish() {
	l.Helper()
	l.drain()
	l.stop()
	b := l.buf.Balance()
	l.possible += b.PossibleDuplicates
	if err := l.buf.Close(); err != nil {
		l.Fatalf("close: %v", err)
	}
	if names := l.disk.Names(); len(names) > 0 || b.Pending != 0 {
		l.Fatalf("%q are left of an empty buffer, %d are pending", names, b.Pending)
	}
	twice := int64(0)
	for i, text := range l.handed {
		if n := l.delivered[text]; n == 0 {
			l.Fatalf("line %d of %d is lost", i, len(l.handed))
		} else if n > 1 {
			twice++ // However often: a record is told once.
		}
	}
	if twice > l.possible {
		l.Fatalf("%d lines came twice, and %d were said to be possible duplicates", twice, l.possible)
	}
}

// TestSpillKeepsEverything: whatever happens, in whatever order, through the ends
// of processes, good and bad, every line is delivered, and every one that is
// delivered twice was told to be possible.
func TestSpillKeepsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			seed := rapid.Uint64().Draw(t, "seed")
			level := rapid.SampledFrom([]buffer.Durability{buffer.Memory, buffer.Kernel, buffer.Power}).Draw(t, "level")
			l := &lives{
				tb: t, disk: disktest.New(seed), level: level, delivered: map[string]int{},
				random: rand.New(rand.NewPCG(seed, 1)), options: diskbuffer.Options{Max: 1 << 30, Segment: 256 << 10},
				limit: rapid.SampledFrom([]int64{buffer.MinLimit, 1 << 20}).Draw(t, "limit"),
			}
			l.sink = cloud
			l.sink.InFlight = rapid.SampledFrom([]int{1, 16}).Draw(t, "in flight")
			l.begin()
			t.Cleanup(func() { l.stop() })
			t.Repeat(map[string]func(*rapid.T){
				"hand":  func(*rapid.T) { l.hand(1 + l.random.IntN(20)) },
				"burst": func(*rapid.T) { l.hand(1 + l.random.IntN(500)) },
				"take":  func(*rapid.T) { l.take() },
				"settle": func(t *rapid.T) {
					if len(l.flight) == 0 {
						t.Skip()
					}
					l.settle(l.random.IntN(len(l.flight)), buffer.Fate{})
				},
				"tick": func(*rapid.T) { time.Sleep(150 * time.Millisecond) },
				"end":  func(*rapid.T) { l.end() },
				"kill": func(t *rapid.T) {
					if level == buffer.Memory {
						t.Skip()
					}
					l.kill()
					l.begin()
				},
			})
			l.finish()
		})
	})
}
