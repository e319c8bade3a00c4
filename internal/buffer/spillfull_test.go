package buffer_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/ledger"
)

// small is a buffer whose disk holds a few megabytes.
func small(t *testing.T, level buffer.Durability, full buffer.WhenFull) *lives {
	l := &lives{
		tb: t, disk: disktest.New(1), level: level, whenFull: full, sink: cloud, delivered: map[string]int{}, lossy: true,
		random: rand.New(rand.NewPCG(1, 1)), options: diskbuffer.Options{Max: 4 << 20}, limit: 1 << 20,
	}
	l.begin()
	t.Cleanup(func() { l.stop() })
	return l
}

// books holds what came out, and what the markers tell, to what went in.
func (l *lives) books() (first, last int) {
	l.Helper()
	first, last = -1, -1
	missing := int64(0)
	for i, text := range l.handed {
		switch {
		case l.delivered[text] == 0:
			missing++
			continue
		case first < 0:
			first = i
		}
		last = i
	}
	b := l.buf.Balance()
	if b.Unaccounted != 0 || b.Pending != 0 || b.Bytes.Pending != 0 || b.Dropped != missing || l.told != missing {
		l.Fatalf("%d lines are missing, %d are dropped, markers tell of %d: %+v", missing, b.Dropped, l.told, b.Sheet)
	}
	if b.Markers.Pending != 0 || b.Markers.Made == 0 && missing > 0 {
		l.Fatalf("markers are %+v", b.Markers)
	}
	return first, last
}

// TestDiskFull: a destination that is away holds some requests, and the disk
// fills. Whatever goes, it is counted, told, and what the owner chose.
func TestDiskFull(t *testing.T) {
	for _, level := range []buffer.Durability{buffer.Memory, buffer.Kernel, buffer.Power} {
		for _, full := range []buffer.WhenFull{buffer.DropNewestFull, buffer.DropOldestFull} {
			t.Run(string(level)+", "+string(full), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := small(t, level, full)
					l.hand(600)
					time.Sleep(time.Second)
					for range 3 {
						l.take()
					}
					l.hand(shorter(8000, 20_000))
					if u := l.buf.State().Disk; u.Used > u.Limit || u.Used < u.Limit/2 {
						t.Errorf("%d of %d bytes of the disk are used", u.Used, u.Limit)
					}
					l.drain()
					first, last := l.books()
					if first != 0 {
						t.Errorf("line %d is the first, but the first were in flight", first)
					}
					if oldest := full == buffer.DropOldestFull; oldest != (last == len(l.handed)-1) {
						t.Errorf("the last of %d lines that is there is %d", len(l.handed), last)
					}
					if l.buf.Balance().Delivered < 3000 {
						t.Errorf("only %d lines found room", l.buf.Balance().Delivered)
					}
				})
			})
		}
	}
}

// shorter is the first number with -short, which is for the race detector: of what one goroutine does alone
// more brings it no new order of events.
func shorter(short, whole int) int {
	if testing.Short() {
		return short
	}
	return whole
}

// TestDiskFullBlocks: with block the source waits for room, and loses nothing.
func TestDiskFullBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Kernel, buffer.Block)
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.hand(20_000)
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("20,000 lines found room")
		default:
		}
		l.deliverUntil(done)
		l.drain()
		if l.books(); l.buf.Balance().Dropped != 0 {
			t.Errorf("%d lines are dropped", l.buf.Balance().Dropped)
		}
	})
}

// TestDiskFails: a disk that takes nothing for a while is what a full one is, and
// is used again as soon as it can be.
func TestDiskFails(t *testing.T) {
	for _, full := range []buffer.WhenFull{buffer.Block, buffer.DropNewestFull, buffer.DropOldestFull} {
		t.Run(string(full), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := small(t, buffer.Kernel, full)
				l.hand(100)
				l.disk.SetCapacity(0)
				time.AfterFunc(10*time.Second, func() { l.disk.SetCapacity(1 << 40) })
				start := time.Now()
				l.hand(5)
				if waited := time.Since(start) >= 10*time.Second; waited != (full == buffer.Block) {
					t.Errorf("admission took %s", time.Since(start))
				}
				time.Sleep(11 * time.Second)
				l.hand(100)
				if b := l.buf.Balance(); full == buffer.Block && b.Dropped != 0 || full == buffer.DropNewestFull && b.Dropped != 5 {
					t.Errorf("%d lines are dropped", b.Dropped)
				}
				l.drain()
				l.books()
			})
		})
	}
}

// TestPowerOffersWhatIsSynced: nothing leaves before it is on the disk for good.
func TestPowerOffersWhatIsSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Power, buffer.Block)
		l.stop()
		l.hand(10)
		if l.take() {
			t.Error("records leave that are not synced")
		}
		l.stop = keeping(l.buf)
		time.Sleep(time.Second)
		if !l.take() {
			t.Fatal("records do not leave that are synced")
		}
		l.disk.Restart()
		l.stop()
		l.flight = nil
		l.begin()
		if l.begun.Recovered != 10 {
			t.Errorf("%d records are there after a power cut, want 10", l.begun.Recovered)
		}
		l.drain()
		l.books()
	})
}

// TestDamageIsTold: records that a damaged disk lost are dropped by name, and a
// marker tells of them.
func TestDamageIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Kernel, buffer.Block)
		l.hand(1000)
		l.kill()
		for _, name := range l.disk.Names() {
			if size := l.disk.Size(name); size > 200_000 {
				l.disk.Zero(name, 100_000, 101_000)
			}
		}
		l.begin()
		l.drain()
		if b := l.buf.Balance(); b.Recovered != 1000 || b.ByReason[ledger.DiskDamage] == 0 || b.Delivered == 0 {
			t.Errorf("the balance is %+v", b.Sheet)
		}
		l.books()
	})
}
