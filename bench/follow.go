package main

import (
	"context"
	"time"
)

// pollEvery is how exactly a follower sees a record leave.
const pollEvery = 20 * time.Millisecond

// follower watches at the sandbox how many lines have arrived, so that afterwards, with the generator's timetable, the
// age of the oldest line that was still missing is known for each look. It needs no clock but this process's and the
// generator's, and takes nothing that the logger says for granted.
type follower struct {
	cancel context.CancelFunc
	done   chan []look
}

// look is one answer of the sandbox.
type look struct {
	at      time.Time
	arrived int64
}

func (f *follower) start(ctx context.Context, s *server) {
	ctx, f.cancel = context.WithCancel(ctx)
	f.done = make(chan []look, 1)
	go func() {
		var looks []look
		tick := time.NewTicker(pollEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				f.done <- looks
				return
			case <-tick.C:
			}
			at := time.Now()
			// A failed look is one look less; a sandbox that stays away fails the run at its end.
			if a, err := s.report(ctx); err == nil {
				looks = append(looks, look{at, a.distinct})
			}
		}
	}()
}

// stop ends the watch and returns the greatest age of a missing line, in seconds. Lines are evenly paced: line n of N
// was due n/N of the run's time after its start. Without a start it returns 0.
func (f *follower) stop(g generated) float64 {
	if f.cancel == nil {
		return 0
	}
	f.cancel()
	latest := 0.0
	for _, l := range <-f.done {
		if l.arrived < g.Lines {
			due := g.Seconds * float64(l.arrived) / float64(g.Lines)
			latest = max(latest, l.at.Sub(g.FirstWriteAt).Seconds()-due)
		}
	}
	return latest
}
