package buffer_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway/spillway/internal/buffer"
)

// TestAFullDiskIsUsedAgain: once what filled the disk is delivered, the next
// outage finds all of it, and a buffer that keeps its records in memory is not
// held up by what the disk once said.
func TestAFullDiskIsUsedAgain(t *testing.T) {
	for _, level := range []buffer.Durability{buffer.Memory, buffer.Kernel} {
		for _, full := range []buffer.WhenFull{buffer.Block, buffer.DropNewestFull} {
			t.Run(string(level)+", "+string(full), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := small(t, level, full)
					done := make(chan struct{})
					go func() {
						defer close(done)
						l.hand(12_000)
					}()
					time.Sleep(time.Minute)
					l.deliverUntil(done)
					l.drain()
					before := l.buf.Balance().Dropped
					for range 100 {
						start := time.Now()
						l.hand(20)
						if took := time.Since(start); took > 0 {
							t.Fatalf("admission waited %s for an empty disk: %+v", took, l.buf.State().Disk)
						}
					}
					if dropped := l.buf.Balance().Dropped - before; dropped != 0 {
						t.Errorf("%d lines find no room on an empty disk: %+v", dropped, l.buf.State().Disk)
					}
					l.drain()
					l.books()
				})
			})
		}
	}
}

// TestALongRecordAsksTheDiskAgain, though the tail has no room for it.
func TestALongRecordAsksTheDiskAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Kernel, buffer.DropNewestFull)
		l.disk.SetCapacity(0)
		l.hand(1)
		l.disk.SetCapacity(1 << 40)
		time.Sleep(2 * time.Second)
		text := fmt.Sprintf("%d %s", len(l.handed), unlike(1, 100<<10))
		l.handed = append(l.handed, text)
		l.buf.Lines(l.stream, time.Now().UnixNano(), []byte(text+"\n"), true)
		if b := l.buf.Balance(); b.Dropped != 1 {
			t.Errorf("%d lines are dropped, want the first of 2 alone", b.Dropped)
		}
		l.drain()
		l.books()
	})
}

// TestWhatWasMovedIsHandedOverOnce: requests in flight of which a full disk holds a
// copy are left behind once, and where they are settled before their copy is read,
// the books say that they are going to be delivered again.
func TestWhatWasMovedIsHandedOverOnce(t *testing.T) {
	for settled := range 3 {
		t.Run(fmt.Sprint(settled), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := small(t, buffer.Kernel, buffer.DropOldestFull)
				l.hand(600)
				time.Sleep(time.Second)
				for range 3 {
					l.take()
				}
				l.hand(shorter(8000, 20_000))
				for range min(settled, len(l.flight)) {
					l.settle(0, buffer.Fate{})
				}
				l.end()
				l.drain()
				missing, twice := int64(0), int64(0)
				for _, text := range l.handed {
					switch n := l.delivered[text]; n {
					case 0:
						missing++
					default:
						twice += int64(n - 1)
					}
				}
				possible := l.possible + l.buf.Balance().PossibleDuplicates
				if missing != l.told || missing == 0 || twice > possible {
					t.Errorf("%d lines are missing, markers tell of %d; %d came twice, of %d that may have", missing, l.told, twice, possible)
				}
				if b := l.buf.Balance(); b.Pending != 0 || b.Unaccounted != 0 {
					t.Errorf("the balance is %+v", b.Sheet)
				}
			})
		})
	}
}

// TestLinesThatFindNoRoomMakeOneMarker, though a marker alone would find some.
func TestLinesThatFindNoRoomMakeOneMarker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Kernel, buffer.DropNewestFull)
		for i := range 20_001 {
			if i == 20_000 {
				l.drain()
			}
			// All are as long, or a short one might find the room that a long one does not.
			text := fmt.Sprintf("%06d %s", i, unlike(i, 500))
			l.handed = append(l.handed, text)
			l.buf.Lines(l.stream, time.Now().UnixNano(), []byte(text+"\n"), true)
		}
		l.drain()
		if m := l.buf.Balance().Markers; m.Made != 1 {
			t.Errorf("one run of lost lines makes markers %+v", m)
		}
		l.books()
	})
}

// TestNothingIsDroppedForWhatIsSettled: what is delivered makes room at once, and
// not when the disk is tidied next.
func TestNothingIsDroppedForWhatIsSettled(t *testing.T) {
	for _, full := range []buffer.WhenFull{buffer.DropNewestFull, buffer.DropOldestFull} {
		t.Run(string(full), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := small(t, buffer.Kernel, full)
				time.Sleep(time.Second)
				for round := range shorter(5, 20) {
					l.hand(3000)
					for l.take() || len(l.flight) > 0 {
						for len(l.flight) > 0 {
							l.settle(0, buffer.Fate{})
						}
					}
					if dropped := l.buf.Balance().Dropped; dropped != 0 {
						t.Fatalf("round %d: %d lines find no room beside what is delivered: %+v", round, dropped, l.buf.State().Disk)
					}
				}
				l.drain()
				l.books()
			})
		})
	}
}
