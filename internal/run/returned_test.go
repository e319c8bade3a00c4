package run_test

import (
	"testing"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/run"
)

// TestWhatASourceStillHasIsNotLost: a run that ends while a destination is away counts
// what nobody has vouched for as returned, and tells its source so; what was vouched
// for as being in memory is lost.
func TestWhatASourceStillHasIsNotLost(t *testing.T) {
	r := newRig(t)
	r.places["three"].is(true)
	s := r.start(r.file(1<<20, "a: three", "b: two three"))
	waits := s.hand("a", numbered("a", 100)...)
	both := s.hand("b", numbered("b", 10)...)
	lost := s.handAt(record.LevelMemory, "a", numbered("m", 5)...)
	r.expect(lost, true)
	p := r.places["two"]
	r.await("one leg to deliver", func(report run.Report) bool { return report.Delivered == 10 && len(p.has()) == 10 })
	report := r.stop(0)
	r.expect(waits, false)
	r.expect(both, false)
	if report.Received != 125 || report.Delivered != 10 || report.ByReason[ledger.Returned] != 110 || report.ByReason[ledger.Shutdown] != 5 ||
		report.Pending != 0 || report.Lost() != 5 {
		t.Errorf("the balance is %+v", report.Sheet)
	}
}
