package buffer_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// TestOldestGoWhileAnyWait: with drop-oldest no arriving record is refused as long as
// an older one waits, however small the disk, whatever is in flight, and also when
// everything is left to the disk already.
func TestOldestGoWhileAnyWait(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int64{64 << 10, 256 << 10}).Draw(t, "limit")
		l := &lives{
			tb: t, disk: disktest.New(1), whenFull: buffer.DropOldestFull, delivered: map[string]int{}, lossy: true, sink: cloud,
			level:  rapid.SampledFrom([]buffer.Durability{buffer.Memory, buffer.Kernel, buffer.Power}).Draw(t, "level"),
			random: rand.New(rand.NewPCG(1, 1)), options: diskbuffer.Options{Max: 2 * limit}, limit: limit,
		}
		l.begin()
		defer func() { l.stop() }()
		longest := rapid.SampledFrom([]int{0, 100, 3000, l.buf.MaxBody() / 3, l.buf.MaxBody()}).Draw(t, "longest")
		fates := []buffer.Fate{{}}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"hand", "hand", "hand", "hand", "take", "settle", "leave"}).Draw(t, "step") {
			case "take":
				l.take()
			case "settle":
				if len(l.flight) > 0 {
					l.settle(l.random.IntN(len(l.flight)), fates[l.random.IntN(len(fates))])
				}
			case "leave":
				if l.random.IntN(20) == 0 && l.buf.HandOver() {
					fates = []buffer.Fate{{}, {Dropped: ledger.Shutdown}}
				}
			case "hand":
				l.flood(longest)
			}
		}
		if l.buf.HandOver() {
			l.end()
		}
	})
}

// flood hands over what one read brings of lines of at most so many bytes, of which
// none may be refused while something waits.
func (l *lives) flood(longest int) {
	var lines []byte
	for len(lines) < 20_000 {
		shorter := l.random.IntN(longest+1) * l.random.IntN(2)
		lines = append(lines, bytes.Repeat([]byte("x"), longest-shorter)...)
		lines = append(lines, '\n')
	}
	waiting, before := l.buf.State().Waiting, l.buf.Balance().ByReason[ledger.OverflowNewest]
	l.buf.Lines(l.stream, time.Now().UnixNano(), lines, true)
	if n := l.buf.Balance().ByReason[ledger.OverflowNewest] - before; n > 0 && waiting > 0 {
		l.Fatalf("%d lines are refused while %d wait: %+v, %+v", n, waiting, l.buf.State(), l.buf.State().Disk)
	}
	l.check()
}

// TestOldestGoThoughMemoryIsShort: what is in flight and the longest record that has
// no room on the disk leave no memory for reading what is to be dropped.
func TestOldestGoThoughMemoryIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Kernel, buffer.DropOldestFull)
		for i := range 40 {
			size := l.buf.MaxBody()
			if i == 0 {
				size -= size / 5
			}
			l.buf.Lines(l.stream, time.Now().UnixNano(), append(bytes.Repeat([]byte("x"), size), '\n'), true)
			if i < 2 && !l.take() {
				t.Fatal("the window does not hold two requests")
			}
		}
		l.check()
		if b := l.buf.Balance(); b.ByReason[ledger.OverflowNewest] > 0 || b.ByReason[ledger.OverflowOldest] == 0 {
			t.Errorf("dropped: %v", b.ByReason)
		}
	})
}

// TestOldestStayWhereTheDiskFails: room is not what a disk wants that fails, so what
// waits stays, and is delivered.
func TestOldestStayWhereTheDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Kernel, buffer.DropOldestFull)
		l.hand(2000)
		l.disk.Fail(1, disktest.Fault{Err: unix.EIO, Times: 6})
		l.hand(20)
		if b := l.buf.Balance(); b.ByReason[ledger.DiskFailed] == 0 || b.ByReason[ledger.DiskFailed] != b.Dropped {
			t.Errorf("dropped: %v", b.ByReason)
		}
		l.drain()
		l.books()
	})
}

// TestWhatIsPromisedSurvivesBeingMoved: a chunk of which its source was told that it
// survives a power cut does, also where room was made behind it on a full disk that
// is not synced otherwise.
func TestWhatIsPromisedSurvivesBeingMoved(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) { promised(t, seed) })
	}
}

func promised(t *testing.T, seed uint64) {
	l := &lives{
		tb: t, disk: disktest.New(seed), level: buffer.Kernel, whenFull: buffer.DropOldestFull, sink: cloud,
		delivered: map[string]int{}, lossy: true,
		random: rand.New(rand.NewPCG(1, 1)), options: diskbuffer.Options{Max: 256 << 10}, limit: 128 << 10,
	}
	l.begin()
	t.Cleanup(func() { l.stop() })
	safe := false
	chunk := &record.Chunk{
		Tag: "app", Time: time.Now().UnixNano(), Encoding: record.EncodingEntry, Bodies: []byte(entry("precious")), Count: 1,
		Origin: record.Origin{Key: [16]byte{1}}, Level: record.LevelPower, Done: func(ok bool) { safe = ok },
	}
	l.buf.Admit(nil, chunk)
	time.Sleep(time.Second)
	if !l.take() || !safe {
		t.Fatal("the chunk is not on the disk for good, or not in flight")
	}
	l.stop()
	l.hand(1000)
	if l.buf.Balance().ByReason[ledger.OverflowOldest] == 0 {
		t.Fatal("the disk is not full")
	}
	l.disk.Restart()
	l.begin()
	found := false
	for {
		r := l.buf.Take(true)
		if r == nil {
			break
		}
		for _, b := range r.Batches() {
			found = found || b.Encoding == record.EncodingEntry && bytes.Contains(b.Frames, []byte("precious"))
		}
		l.buf.Settle(r, buffer.Fate{})
	}
	if !found {
		t.Errorf("seed %d: what was promised is gone", seed)
	}
}
