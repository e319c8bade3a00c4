package buffer_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
)

// TestNumbersGoOn: what is written once more, at the end of a process, does not
// set the numbers of its stream back.
func TestNumbersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Kernel, buffer.Block)
		for range 2 {
			l.hand(10)
			l.take()
		}
		l.settle(1, buffer.Fate{})
		if !l.buf.HandOver() {
			t.Fatal("the disk does not take what is held")
		}
		l.settle(0, buffer.Fate{Dropped: ledger.Shutdown})
		l.stop()
		if err := l.buf.Close(); err != nil {
			t.Fatal(err)
		}
		l.begin()
		l.hand(1)
		seen := map[uint64]bool{}
		for l.take() {
			for _, b := range l.flight[0].Batches() {
				for i := range uint64(b.Count) {
					if n := b.FirstSeq + i; seen[n] || n > 10 && n <= 20 {
						t.Errorf("the number %d is given twice", n)
					}
					seen[b.FirstSeq+i] = true
				}
			}
			l.settle(0, buffer.Fate{})
		}
	})
}

// TestUntoldLossesAreLeftBehind though the disk has nothing else of their stream,
// and a damaged disk that has lost nothing but them is no riddle.
func TestUntoldLossesAreLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Memory, buffer.Block)
		l.hand(10)
		l.take()
		l.settle(0, buffer.Fate{Rejected: []sink.Rejection{{First: 3, End: 5, Reason: "rejected-too-old"}}})
		if !l.buf.HandOver() {
			t.Fatal("there is nothing that the disk could refuse")
		}
		l.stop()
		if err := l.buf.Close(); err != nil {
			t.Fatal(err)
		}
		whole := l.disk
		names := whole.Names()
		for _, name := range names {
			for at := range whole.Size(name) {
				l.disk = whole.Clone(1)
				l.disk.Flip(name, at, 0xff)
				l.told = 0
				l.begin()
				l.drain()
				if l.told != 0 && l.told != 2 {
					t.Errorf("%s, byte %d: a marker tells of %d lost records", name, at, l.told)
				}
				l.stop()
			}
		}
		l.disk, l.told = whole, 0
		l.begin()
		l.drain()
		if l.told != 2 {
			t.Errorf("the marker tells of %d lost records, want 2", l.told)
		}
	})
}

// TestAStreamWithoutAName: damage may take the name of a stream, and its records
// and its place stay.
func TestAStreamWithoutAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Kernel, buffer.Block)
		l.hand(10)
		l.kill()
		for _, name := range l.disk.Names() {
			if at := bytes.Index(l.disk.Bytes(name), []byte("stdout")); at >= 0 {
				l.disk.Flip(name, at, 1)
			}
		}
		l.begin()
		if l.stream.Index != 0 {
			t.Errorf("the stream has the index %d", l.stream.Index)
		}
		l.hand(10)
		l.drain()
		l.books()
	})
}

// TestTheTailGoesOnBehindWhatWasMoved: where the disk is smaller than memory, what
// is moved stands between two parts of what memory holds.
func TestTheTailGoesOnBehindWhatWasMoved(t *testing.T) {
	for taken := range 5 {
		t.Run(fmt.Sprint(taken), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := small(t, buffer.Kernel, buffer.DropOldestFull)
				l.options.Max = 1 << 20
				l.kill()
				l.disk = disktest.New(1)
				l.begin()
				l.hand(20)
				l.take()
				l.hand(100)
				for range taken {
					l.take()
					l.hand(10)
				}
				for len(l.flight) > 1 {
					l.settle(len(l.flight)-1, buffer.Fate{})
				}
				l.hand(3)
				l.end()
				l.drain()
				missing := int64(0)
				for _, text := range l.handed {
					if l.delivered[text] == 0 {
						missing++
					}
				}
				if missing != l.told {
					t.Errorf("%d lines are missing, markers tell of %d", missing, l.told)
				}
			})
		})
	}
}
