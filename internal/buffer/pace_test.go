package buffer_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/record"
)

// race is a source of chunks beside a destination, in virtual time.
type race struct {
	*lives
	t    *testing.T
	stop chan struct{}
	done chan struct{}
}

// newRace begins with a destination that takes a request of 256 KiB in such intervals,
// and that has just taken as much as memory holds.
func newRace(t *testing.T, every time.Duration) *race {
	l := &lives{
		tb: t, disk: disktest.New(1), level: buffer.Kernel, delivered: map[string]int{}, random: rand.New(rand.NewPCG(1, 1)),
		options: diskbuffer.Options{Max: 1 << 30}, limit: 1 << 20,
	}
	l.begin()
	r := &race{lives: l, t: t, stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for {
			select {
			case <-r.stop:
				return
			case <-time.After(every):
			}
			if l.take() {
				l.settle(0, buffer.Fate{})
			}
		}
	}()
	for range 40 {
		r.chunk(record.LevelKernel)
		time.Sleep(every / 2)
	}
	r.backlog(0)
	return r
}

// chunk hands over some 64 KiB and returns how long that took.
func (r *race) chunk(level record.Level) time.Duration {
	r.t.Helper()
	begin := time.Now()
	text := strings.Repeat("x", 64<<10)
	answered := false
	r.buf.Admit(nil, &record.Chunk{
		Tag: "app", Time: begin.UnixNano(), Encoding: record.EncodingEntry, Bodies: []byte(entry(text)), Count: 1, Level: level,
		Done: func(ok bool) { answered = ok },
	})
	if level <= record.LevelKernel && !answered {
		r.t.Fatal("a chunk was admitted, and its source is not told")
	}
	r.check()
	return time.Since(begin)
}

// halt stops the destination.
func (r *race) halt() {
	close(r.stop)
	<-r.done
}

func (r *race) backlog(want int) {
	r.t.Helper()
	if s := r.buf.State(); s.Disk.Backlog != want {
		r.t.Fatalf("only the disk has %d records, want %d", s.Disk.Backlog, want)
	}
}

// keepsPace has a destination take so long for each request, and holds that no chunk
// takes more than most and none is left to the disk alone.
func keepsPace(t *testing.T, request, most time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		r := newRace(t, request)
		for range 200 {
			if took := r.chunk(record.LevelKernel); took > most {
				t.Fatalf("a chunk took %s", took)
			}
			r.backlog(0)
		}
		r.halt()
		r.finish()
	})
}

// TestPaceOfTheDestination: who waits to be told is held back to the pace of a
// destination that takes what memory holds in no time, rather than that all of it is
// read back from the disk.
func TestPaceOfTheDestination(t *testing.T) {
	keepsPace(t, 10*time.Millisecond, 20*time.Millisecond)
}

// TestPaceOfLargeRequests: a destination that takes its time for each request has not
// stopped.
func TestPaceOfLargeRequests(t *testing.T) {
	keepsPace(t, 60*time.Millisecond, 100*time.Millisecond)
}

// TestPaceComesBack: a short backlog does not outlive its cause.
func TestPaceComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRace(t, 10*time.Millisecond)
		for r.buf.State().Disk.Backlog == 0 {
			if took := r.chunk(record.LevelMemory); took > 0 {
				t.Fatalf("a chunk took %s though its source waits for nothing", took)
			}
		}
		for range 200 {
			if took := r.chunk(record.LevelPower); took > 20*time.Millisecond {
				t.Fatalf("a chunk took %s", took)
			}
		}
		r.backlog(0)
		r.halt()
		r.finish()
	})
}

// TestPaceOfADestinationThatStops: it is waited for until it is clear that it has.
func TestPaceOfADestinationThatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRace(t, 10*time.Millisecond)
		r.halt()
		var took time.Duration
		for range 200 {
			took += r.chunk(record.LevelKernel)
		}
		if took > 40*time.Millisecond {
			t.Errorf("chunks waited for %s while nothing left", took)
		}
		if r.buf.State().Disk.Backlog == 0 {
			t.Error("nothing is on the disk alone")
		}
		r.finish()
	})
}

// TestPaceOfWhoWaitsForNothing: lines are never held back.
func TestPaceOfWhoWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRace(t, 10*time.Millisecond)
		r.halt()
		begin := time.Now()
		r.hand(4000)
		if took := time.Since(begin); took > 0 {
			t.Errorf("lines waited for %s", took)
		}
		if r.buf.State().Disk.Backlog == 0 {
			t.Error("nothing is on the disk alone")
		}
		r.finish()
	})
}
