package run_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/run"
)

// TestTheEndWithoutADeadlineIsBounded: a sink that does not come back from an attempt
// which was cut off holds up the end for minutes, not for ever. What it has is on the
// disk, given back to its source, or counted as dropped, and the other leg, whose
// destination is away for longer than that, is waited for.
func TestTheEndWithoutADeadlineIsBounded(t *testing.T) {
	for pattern, says := range map[string]string{
		"app.**":       "1 are given back to their source",
		"app.** spill": `to the sink "one" still held 3 records`,
	} {
		t.Run(pattern, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				hangs := &stuck{place: place{name: "hangs"}, release: make(chan struct{})}
				r.stuck = hangs
				f := r.file(256<<10, pattern+": one", "sys: two")
				f.Sinks[0].Type = "hangs"
				r.places["two"].is(true)
				s := r.start(f)
				held := s.hand("app.x", "a")
				r.await("it hangs", func(p run.Report) bool { return p.Legs[0].Buffer.InFlight == 1 })
				lost := s.handAt(record.LevelMemory, "app.x", "b", "c")
				r.expect(lost, true)
				waits := s.hand("sys", "d")
				time.AfterFunc(10*time.Minute, func() { r.places["two"].is(false) })
				start := time.Now()
				report, err := r.Stop(time.Time{})
				if took := time.Since(start); took < 10*time.Minute || took > 11*time.Minute {
					t.Errorf("the end took %v", took)
				}
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("the end says %v", err)
				}
				r.expect(waits, true)
				r.balances(report)
				if pattern == "app.**" {
					r.expect(held, false)
					if report.Pending != 0 || report.ByReason[ledger.Returned] != 1 || report.ByReason[ledger.Shutdown] != 2 || report.Lost() != 2 {
						t.Errorf("%+v", report.Sheet)
					}
				} else if report.Pending != 3 || report.Dropped != 0 {
					t.Errorf("%+v", report.Sheet)
				}
				close(hangs.release)
				s.due.Wait()
				synctest.Wait()
				r.balances(r.Report())
				if pattern == "app.**" {
					return
				}
				// The next run has what was left, and may deliver it once more.
				r.expect(held, false)
				r.start(r.file(256<<10, pattern+": one", "sys: two"))
				report = r.stop(time.Minute)
				if report.Recovered != 3 || report.Delivered != 3 || report.PossibleDuplicates == 0 {
					t.Errorf("the next run says %+v", report.Sheet)
				}
			})
		})
	}
}

// TestHasten bounds an end that has no deadline: a second signal.
func TestHasten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		hangs := &stuck{place: place{name: "hangs"}, release: make(chan struct{})}
		r.stuck = hangs
		f := r.file(256<<10, "**: one")
		f.Sinks[0].Type = "hangs"
		s := r.start(f)
		held := s.hand("app.x", "a")
		time.AfterFunc(10*time.Second, func() { r.Hasten(time.Now().Add(time.Second)) })
		start := time.Now()
		report, err := r.Stop(time.Time{})
		if took := time.Since(start); err == nil || took > 16*time.Second {
			t.Errorf("after %v the end says %v", took, err)
		}
		if r.balances(report); report.Pending != 0 || report.ByReason[ledger.Returned] != 1 {
			t.Errorf("%+v", report.Sheet)
		}
		r.expect(held, false)
		close(hangs.release)
		s.due.Wait()
	})
}
