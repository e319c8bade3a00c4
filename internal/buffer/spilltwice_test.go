package buffer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
)

// TestWhatNeverArrivedIsNoDuplicate: of what a process leaves behind in good order,
// the next one tells as possible duplicates what an attempt may have brought to the
// destination, and nothing that was only tried.
func TestWhatNeverArrivedIsNoDuplicate(t *testing.T) {
	type fate string
	const tried, unsure, answered fate = "tried", "unsure", "answered"
	for name, c := range map[string]struct {
		fates []fate // of requests of 10 records each
		// between are how many processes take it over and leave it behind as it is.
		between  int
		possible int64
		left     int64
	}{
		"refused connections":         {[]fate{tried, tried, tried}, 0, 0, 30},
		"no answer":                   {[]fate{unsure, unsure, unsure}, 0, 30, 30},
		"the first had no answer":     {[]fate{unsure, tried, tried}, 0, 10, 30},
		"up to the one in the middle": {[]fate{tried, unsure, tried}, 0, 20, 30},
		"the first was delivered":     {[]fate{answered, unsure, tried}, 0, 10, 20},
		"all but one was delivered":   {[]fate{answered, answered, tried}, 0, 0, 10},
		"no answer, and then a rest":  {[]fate{unsure, tried, tried}, 2, 10, 30},
		// What is written once more is told to have been in a request.
		"one behind it was delivered": {[]fate{tried, answered, tried}, 0, 10, 20},
	} {
		for _, level := range []buffer.Durability{buffer.Memory, buffer.Kernel, buffer.Power} {
			t.Run(name+", "+string(level), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := small(t, level, buffer.Block)
					for range c.fates {
						l.hand(10)
						time.Sleep(time.Second) // What is to be synced before it is offered is.
						if !l.take() {
							t.Fatal("there is nothing to take")
						}
					}
					l.buf.HandOver()
					for _, fate := range c.fates {
						of := buffer.Fate{Dropped: ledger.Shutdown}
						switch fate {
						case unsure:
							l.flight[0].Repeat([]sink.Span{{End: 10}})
						case answered:
							of = buffer.Fate{}
						}
						l.buf.Settle(l.flight[0], of)
						l.flight = l.flight[1:]
					}
					for range c.between {
						if err := l.leave(); err != nil {
							t.Fatal(err)
						}
						l.buf.HandOver()
					}
					if err := l.leave(); err != nil {
						t.Fatal(err)
					}
					if l.begun.Recovered != c.left {
						t.Errorf("%d records are recovered, want %d", l.begun.Recovered, c.left)
					}
					l.drain()
					if b := l.buf.Balance(); b.PossibleDuplicates != c.possible || b.Delivered != c.left || b.Pending != 0 {
						t.Errorf("%d may have been delivered twice, want %d of %d: %+v", b.PossibleDuplicates, c.possible, c.left, b.Sheet)
					}
				})
			})
		}
	}
}

// TestAKillTellsAllThatWasOffered, since nobody knows how the attempts ended; and the
// processes after it do not know better.
func TestAKillTellsAllThatWasOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Kernel, buffer.Block)
		l.hand(10)
		l.take()
		l.hand(10)
		l.kill()
		l.begin()
		l.take()
		l.buf.HandOver()
		l.buf.Settle(l.flight[0], buffer.Fate{Dropped: ledger.Shutdown})
		l.flight = nil
		if err := l.leave(); err != nil {
			t.Fatal(err)
		}
		l.drain()
		if b := l.buf.Balance(); b.PossibleDuplicates != 10 || b.Delivered != 20 || b.Unaccounted != 0 {
			t.Errorf("the balance is %+v, want 10 possible duplicates of 20", b.Sheet)
		}
	})
}

// TestAMarkerThatComesTwiceIsTheSame: a marker of which an attempt had no answer is left
// to the next process as it was. As a part of another it would tell readers of records
// that they have been told of.
func TestAMarkerThatComesTwiceIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small(t, buffer.Kernel, buffer.Block)
		for range 2 {
			l.hand(10)
			if !l.take() {
				t.Fatal("there is nothing to take")
			}
		}
		// Both requests are refused, and each marker is on its way when the process ends.
		for range 2 {
			l.buf.Settle(l.flight[0], buffer.Fate{Dropped: ledger.RejectedInvalid})
			l.flight = l.flight[1:]
			if !l.take() {
				t.Fatal("there is no marker to take")
			}
		}
		l.buf.HandOver()
		l.flight[0].Repeat([]sink.Span{{End: l.flight[0].Events()}})
		l.buf.Settle(l.flight[0], buffer.Fate{Dropped: ledger.Shutdown})
		l.buf.Settle(l.flight[1], buffer.Fate{Dropped: ledger.Shutdown})
		l.flight = nil
		if err := l.leave(); err != nil {
			t.Fatal(err)
		}
		var told [][2]uint64
		for r := l.buf.Take(true); r != nil; r = l.buf.Take(true) {
			for _, loss := range markers(&sending{request: r}) {
				told = append(told, [2]uint64{loss.FirstSeq, loss.LastSeq})
			}
			l.buf.Settle(r, buffer.Fate{})
		}
		if diff := cmp.Diff([][2]uint64{{1, 10}, {11, 20}}, told); diff != "" {
			t.Errorf("the markers of the next process (-want +got):\n%s", diff)
		}
		if b := l.buf.Balance(); b.Unaccounted != 0 || b.Pending != 0 || b.Markers.Delivered != 2 {
			t.Errorf("the balance is %+v", b.Sheet)
		}
		l.stop()
		if err := l.buf.Close(); err != nil {
			t.Error(err)
		}
	})
}
