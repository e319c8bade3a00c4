package buffer_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// levels is a buffer with a disk, of which a source of each level waits to hear.
type levels struct {
	*testing.T
	disk         *disktest.Disk
	fails, after atomic.Int64
	buf          *buffer.Buffer
	mu           sync.Mutex
	answers      map[record.Level][]bool
	idempotent   bool
	stop         func()
}

func (l *levels) begin(durability buffer.Durability) {
	l.Helper()
	options := diskbuffer.Options{Max: 1 << 30}
	dir := func() diskbuffer.FS {
		return flaky{l.disk.Open(), &l.fails, &l.after, errors.New("input/output error")}
	}
	store, found := openStore(l, dir, 0, options)
	l.buf = buffer.New(buffer.Config{
		Limit: 1 << 20, Mode: buffer.Spill, Disk: &buffer.Disk{Store: store, Found: found, Durability: durability, WhenFull: buffer.Block},
		Sink: sink.Limits{Idempotent: l.idempotent},
	}, ledger.New())
	l.answers = map[record.Level][]bool{}
	l.stop = keeping(l.buf)
	synctest.Wait()
}

func (l *levels) end(clean bool) {
	l.Helper()
	l.stop()
	if clean {
		if err := l.buf.Close(); err != nil {
			l.Fatal(err)
		}
	} else {
		l.disk.Kill()
	}
}

func (l *levels) each(f func(record.Level, record.Origin, func(bool))) {
	for level := record.LevelMemory; level <= record.LevelDelivered; level++ {
		f(level, record.Origin{Key: [16]byte{1, byte(level)}}, func(ok bool) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.answers[level] = append(l.answers[level], ok)
		})
	}
}

func (l *levels) admit() {
	l.each(func(level record.Level, origin record.Origin, done func(bool)) {
		bodies := entry("one") + entry("two")
		l.buf.Admit(nil, &record.Chunk{
			Tag: "app", Encoding: record.EncodingEntry, Bodies: []byte(bodies), Count: 2, Origin: origin, Level: level, Done: done,
		})
	})
}

func (l *levels) attach() {
	l.Helper()
	l.each(func(level record.Level, origin record.Origin, done func(bool)) {
		if !l.buf.Attach(origin, level, done) {
			l.Errorf("the chunk that waits for %s is not known", level)
		}
	})
}

// want compares what was told, by level.
func (l *levels) want(when string, memory, kernel, power, delivered []bool) {
	l.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	want := map[record.Level][]bool{}
	for level, answers := range [][]bool{memory, kernel, power, delivered} {
		if answers != nil {
			want[record.Level(level)] = answers
		}
	}
	if diff := cmp.Diff(want, l.answers); diff != "" {
		l.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func (l *levels) settle() {
	l.Helper()
	r := l.buf.Take(true)
	if r == nil {
		l.Fatal("there is nothing to take")
	}
	l.buf.Settle(r, buffer.Fate{})
}

var yes, no = []bool{true}, []bool{false}

// TestLevels tells each source when its level is reached, at each durability.
func TestLevels(t *testing.T) {
	for durability, check := range map[buffer.Durability]func(*levels){
		buffer.Memory: func(l *levels) {
			l.want("admitted", yes, nil, nil, nil)
			if !l.buf.HandOver() {
				l.Error("nothing is handed over")
			}
			l.want("handed over, which is written and synced", yes, yes, yes, nil)
		},
		buffer.Kernel: func(l *levels) {
			l.want("admitted", yes, yes, yes, nil)
			l.buf.HandOver()
		},
		buffer.Power: func(l *levels) {
			l.want("admitted", yes, yes, yes, nil)
			l.buf.HandOver()
		},
	} {
		t.Run(string(durability), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &levels{T: t, disk: disktest.New(1)}
				l.begin(durability)
				l.admit()
				check(l)
				l.end(true)
				l.want("closed", yes, yes, yes, no)

				l.begin(durability)
				l.attach()
				l.want("recovered after a clean close", yes, yes, yes, nil)
				l.settle()
				l.want("settled", yes, yes, yes, yes)
				l.end(true)
			})
		})
	}
}

// TestLevelsWithoutADisk: kernel and power are reached by settling.
func TestLevelsWithoutADisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &levels{T: t, answers: map[record.Level][]bool{}, buf: buffer.New(buffer.Config{Mode: buffer.Blocking}, ledger.New())}
		l.admit()
		l.want("admitted", yes, nil, nil, nil)
		l.settle()
		l.want("settled", yes, yes, yes, yes)
		l.admit()
		if err := l.buf.Close(); err != nil {
			t.Error(err)
		}
		l.want("closed", []bool{true, true}, []bool{true, false}, []bool{true, false}, []bool{true, false})
	})
}

// TestLevelsAfterAKill: what another process has left behind has reached the kernel,
// and power only with a sync.
func TestLevelsAfterAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &levels{T: t, disk: disktest.New(1)}
		l.begin(buffer.Kernel)
		l.admit()
		l.end(false)
		l.begin(buffer.Kernel)
		l.attach()
		l.want("synced", yes, yes, yes, nil)
		l.attach()
		l.settle()
		l.want("settled", []bool{true, true}, []bool{true, true}, []bool{true, true}, []bool{true, true})
		l.each(func(level record.Level, origin record.Origin, done func(bool)) {
			if l.buf.Attach(origin, level, done) {
				t.Errorf("the settled chunk that waited for %s is still known", level)
			}
		})
		l.end(true)
	})
}

// TestPowerIsNotPromisedAfterAFailedSync: nobody knows what of it is on the disk, and
// a later sync does not tell; that it is delivered does.
func TestPowerIsNotPromisedAfterAFailedSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &levels{T: t, disk: disktest.New(1)}
		l.begin(buffer.Power)
		time.Sleep(time.Second)
		synctest.Wait()
		l.fails.Store(1000)
		l.each(func(level record.Level, origin record.Origin, done func(bool)) {
			if level != record.LevelPower {
				return
			}
			l.after.Store(3) // A look at the free space, a new segment, its first frame.
			l.buf.Admit(nil, &record.Chunk{
				Tag: "app", Encoding: record.EncodingEntry, Bodies: []byte(entry("one")), Count: 1, Origin: origin, Level: level, Done: done,
			})
		})
		l.want("the sync failed", nil, nil, nil, nil)
		l.fails.Store(0)
		var later []bool
		l.buf.Admit(nil, &record.Chunk{
			Tag: "app", Encoding: record.EncodingEntry, Bodies: []byte(entry("two")), Count: 1, Level: record.LevelPower,
			Done: func(ok bool) { later = append(later, ok) },
		})
		time.Sleep(10 * time.Second)
		l.want("a later one did not", nil, nil, nil, nil)
		if diff := cmp.Diff(yes, later); diff != "" {
			t.Errorf("what the later one is about (-want +got):\n%s", diff)
		}
		l.settle()
		l.want("settled", nil, nil, yes, nil)
		l.stop()
		if err := l.buf.Close(); err != nil {
			t.Log(err)
		}
	})
}

// TestAcksDoNotWaitForTheClock: syncs follow each other at once while a source waits
// for one.
func TestAcksDoNotWaitForTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &levels{T: t, disk: disktest.New(1)}
		l.begin(buffer.Power)
		start := time.Now()
		told := 0
		for n := range 50 {
			l.buf.Admit(nil, &record.Chunk{
				Tag: "app", Encoding: record.EncodingEntry, Bodies: []byte(entry("x")), Count: 1, Level: record.LevelPower,
				Done: func(ok bool) { told++ },
			})
			synctest.Wait()
			if told != n+1 {
				t.Fatalf("%d of %d are told", told, n+1)
			}
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("50 acks took %s", took)
		}
		l.buf.Abandon()
		l.end(true)
	})
}
