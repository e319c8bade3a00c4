package buffer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/ledger"
)

// leave ends the process, of which everything is settled, and begins the next
// one. What the first says it leaves behind must be what the second finds.
func (l *lives) leave() (closing error) {
	l.Helper()
	l.stop()
	closing = l.buf.Close()
	left := l.buf.Balance()
	l.possible += left.PossibleDuplicates
	if left.Unaccounted != 0 || left.Bytes.Unaccounted != 0 {
		l.Fatalf("the last balance is %+v", left.Sheet)
	}
	l.begin()
	// How many bytes were in what a failed sync took nobody knows.
	known := !errors.Is(closing, unix.EIO)
	if got := l.begun; got.Recovered != left.Pending || got.Bytes.Recovered != left.Bytes.Pending && known {
		l.Fatalf("%d records, %d bytes were left behind; %d, %d were recovered (%v)", left.Pending, left.Bytes.Pending,
			got.Recovered, got.Bytes.Recovered, closing)
	}
	return closing
}

// fill hands over lines until the disk takes no more, and gives up on the last.
func (l *lives) fill() {
	l.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !l.buf.State().Abandoned {
			l.hand(10)
		}
	}()
	time.Sleep(time.Minute)
	select {
	case <-done:
		l.Fatalf("the disk is not full: %+v", l.buf.State().Disk)
	default:
	}
	l.buf.HandOver()
	l.buf.Abandon()
	<-done
}

// TestAFullDiskHasRoomForTheEnd: what was in flight when a process ends is written
// behind what is settled, though the disk is full and its owner chose to wait.
func TestAFullDiskHasRoomForTheEnd(t *testing.T) {
	for _, level := range []buffer.Durability{buffer.Memory, buffer.Kernel} {
		t.Run(string(level), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := small(t, level, buffer.Block)
				for range 3 {
					l.hand(50)
					time.Sleep(time.Second)
					l.take()
				}
				l.fill()
				l.settle(1, buffer.Fate{})
				for len(l.flight) > 0 {
					l.settle(0, buffer.Fate{Dropped: ledger.Shutdown})
				}
				if err := l.leave(); err != nil {
					t.Errorf("close: %v", err)
				}
				if l.begun.Recovered == 0 {
					t.Error("nothing is left behind")
				}
				l.drain()
			})
		})
	}
}

// TestADiskThatFailsAtTheEnd: where what was in flight cannot be written once more,
// it is left where it is, with what was settled behind it, and the books say so.
func TestADiskThatFailsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Kernel, buffer.Block)
		for range 3 {
			l.hand(50)
			l.take()
		}
		l.buf.HandOver()
		l.settle(2, buffer.Fate{})
		l.settle(0, buffer.Fate{})
		l.settle(0, buffer.Fate{Dropped: ledger.Shutdown})
		l.disk.SetCapacity(0)
		if err := l.leave(); !errors.Is(err, diskbuffer.ErrFull) {
			t.Errorf("close: %v", err)
		}
		l.disk.SetCapacity(1 << 40)
		l.drain()
		twice := int64(0)
		for _, text := range l.handed {
			if l.delivered[text] > 1 {
				twice++
			}
		}
		if said := l.possible + l.buf.Balance().PossibleDuplicates; twice == 0 || twice > said {
			t.Errorf("%d lines came twice, %d were said to be possible", twice, said)
		}
	})
}

// TestASyncThatFailsAtTheEnd: what the disk loses then was left behind, and is told
// to be damaged.
func TestASyncThatFailsAtTheEnd(t *testing.T) {
	// end runs a process to its end; the call that syncs the segment fails if failing
	// says so, and is returned.
	end := func(t *testing.T, seed uint64, failing int) (sync int, l *lives) {
		l = small(t, buffer.Kernel, buffer.Block)
		l.kill()
		l.disk = disktest.New(seed)
		l.begin()
		l.hand(300)
		l.take()
		l.hand(300)
		l.buf.HandOver()
		l.settle(0, buffer.Fate{})
		l.stop()
		l.disk.Watch = func(call string) {
			var name string
			if n, err := fmt.Sscanf(call, "%d: sync %s", &sync, &name); n == 2 && err == nil && strings.HasSuffix(name, ".seg") {
				l.disk.Watch = nil
			}
		}
		if failing > 0 {
			l.disk.Fail(failing-l.disk.Calls(), disktest.Fault{Err: unix.EIO})
		}
		if err := l.leave(); errors.Is(err, unix.EIO) != (failing > 0) {
			t.Errorf("close: %v", err)
		}
		return sync, l
	}
	lost := int64(0)
	for seed := range uint64(20) {
		call := 0
		synctest.Test(t, func(t *testing.T) { call, _ = end(t, seed, 0) })
		synctest.Test(t, func(t *testing.T) {
			_, l := end(t, seed, call)
			l.drain()
			l.books()
			lost += l.buf.Balance().ByReason[ledger.DiskDamage]
		})
	}
	if lost == 0 {
		t.Error("no sync that failed has lost anything")
	}
}

// TestWhatOnlyMemoryHasIsLost where a process ends without a word to the disk.
func TestWhatOnlyMemoryHasIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Memory, buffer.Block)
		l.hand(10)
		l.stop()
		if err := l.buf.Close(); err != nil {
			t.Fatal(err)
		}
		if b := l.buf.Balance(); b.ByReason[ledger.Shutdown] != 10 || b.Pending != 0 || b.Unaccounted != 0 {
			t.Errorf("the balance is %+v", b.Sheet)
		}
	})
}

// TestAHalfSettledRequestMakesRoom: what is open of a request that was cut is moved
// out of the way of what drop-oldest drops.
func TestAHalfSettledRequestMakesRoom(t *testing.T) {
	for part := range 2 {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := small(t, buffer.Kernel, buffer.DropOldestFull)
				l.hand(600)
				time.Sleep(time.Second)
				l.take()
				first, second := l.flight[0].Split(l.flight[0].Events() / 2)
				l.flight = append(l.flight[:0], first, second)
				l.settle(part, buffer.Fate{})
				l.hand(20_000)
				b := l.buf.Balance()
				if b.ByReason[ledger.OverflowOldest] != b.Dropped || b.Dropped == 0 {
					t.Errorf("the dropped are %+v", b.ByReason)
				}
				l.drain()
				if _, last := l.books(); last != len(l.handed)-1 {
					t.Errorf("line %d is the last of %d", last, len(l.handed))
				}
			})
		})
	}
}

// TestPossibleDuplicatesAreWhatWasInRequests, and not what stands before a copy of
// these on the disk.
func TestPossibleDuplicatesAreWhatWasInRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Kernel, buffer.DropOldestFull)
		l.hand(600)
		time.Sleep(time.Second)
		l.take()
		inFlight := int64(l.flight[0].Events())
		for l.buf.Balance().Dropped == 0 {
			l.hand(100)
		}
		l.kill()
		l.flight = nil
		l.begin()
		l.drain()
		if said := l.buf.Balance().PossibleDuplicates; said != inFlight {
			t.Errorf("%d records are said to be possible duplicates, %d were in a request", said, inFlight)
		}
	})
}

// TestTheSmallestDiskHoldsWhatMemoryDoes: what is kept for requests in flight leaves
// drop-oldest enough of a disk that is twice the memory.
func TestTheSmallestDiskHoldsWhatMemoryDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Kernel, buffer.DropOldestFull)
		l.kill()
		l.disk, l.options.Max = disktest.New(1), 2*l.limit
		l.begin()
		l.hand(600)
		time.Sleep(time.Second)
		for l.take() {
		}
		l.hand(20_000)
		if held := l.buf.Balance().Bytes.Pending; held < l.limit*3/4 {
			t.Errorf("%d bytes are held by a memory of %d and a disk of %d", held, l.limit, l.options.Max)
		}
		l.drain()
		l.books()
	})
}
