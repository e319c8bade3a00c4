package run_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/run"
)

// TestNextRunDeliversWhatIsLeft: what a run could not deliver stays on the disk,
// and the next one takes it over.
func TestNextRunDeliversWhatIsLeft(t *testing.T) {
	r := newRig(t)
	all := numbered("r", 500)
	r.leave("app.** spill: one", all)
	r.places["one"].is(false)
	s := r.start(r.file(64<<10, "app.** spill: one"))
	r.expect(s.hand("app.x", "new"), true)
	r.await("all is delivered", func(p run.Report) bool { return p.Pending == 0 })
	report := r.stop(time.Minute)
	if report.Recovered != 500 || report.Received != 1 || report.Delivered != 501 {
		t.Errorf("the balance is %+v", report.Sheet)
	}
	r.has("one", "app.x ", append(all, "new"))
}

// leave makes a run of one route to one sink that is away, which leaves records on
// the disk.
func (r *rig) leave(line string, all []string) {
	r.Helper()
	r.places["one"].is(true)
	s := r.start(r.file(64<<10, line))
	for chunk := range slices.Chunk(all, 50) {
		r.expect(s.handAt(record.LevelKernel, "app.x", chunk...), true)
	}
	if report := r.stop(100 * time.Millisecond); report.Pending != int64(len(all)) || report.Dropped != 0 {
		r.Fatalf("%d are left, %d dropped", report.Pending, report.Dropped)
	}
}

// has checks what a place got, each record once.
func (r *rig) has(name, tag string, bodies []string) {
	r.Helper()
	var want []string
	for _, b := range bodies {
		want = append(want, tag+b)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, r.places[name].has()); diff != "" {
		r.Errorf("%s: %s", name, diff)
	}
}

// TestStopAnswersForWhatIsLeft: a chunk that goes to the disk before it has reached
// the level which its source asks for is not vouched for, and its source, which
// waits for that answer, ends all the same.
func TestStopAnswersForWhatIsLeft(t *testing.T) {
	r := newRig(t)
	r.places["one"].is(true)
	s := r.start(r.file(64<<10, "app.** spill: one"))
	told := s.hand("app.x", "a")
	if report := r.stop(100 * time.Millisecond); report.Pending != 1 || report.Dropped != 0 {
		t.Errorf("the balance is %+v", report.Sheet)
	}
	r.expect(told, false)
}

// TestRouteIsGone: a disk buffer whose route is gone goes to the sink of its name,
// and nowhere else.
func TestRouteIsGone(t *testing.T) {
	r := newRig(t)
	all := numbered("r", 300)
	r.leave("app.** spill: one", all)
	r.places["one"].is(false)
	r.start(r.file(64<<10, "** spill: one", "sys: two"))
	r.await("all is delivered", func(p run.Report) bool { return p.Delivered == 300 })
	report := r.stop(time.Minute)
	if report.Recovered != 300 || report.Pending != 0 || len(report.Orphaned) != 0 {
		t.Errorf("the balance is %+v, orphaned %+v", report.Sheet, report.Orphaned)
	}
	r.has("one", "app.x ", all)
}

// TestSinkIsGone: then the buffer is shown and stays, until the sink is back.
func TestSinkIsGone(t *testing.T) {
	r := newRig(t)
	all := numbered("r", 300)
	r.leave("app.** spill: one", all)
	r.places["one"].is(false)
	r.start(r.file(64<<10, "** spill: two"))
	if p := r.Report(); len(p.Orphaned) != 1 || p.Orphaned[0].Route != "app.**" || p.Orphaned[0].Sink != "one" || p.Orphaned[0].Directory == "" {
		t.Fatalf("orphaned: %+v", p.Orphaned)
	}
	if _, err := r.Reload(r.file(64<<10, "** spill: two", "sys: one")); err != nil {
		t.Fatal(err)
	}
	r.await("all is delivered", func(p run.Report) bool { return p.Delivered == 300 && len(p.Orphaned) == 0 })
	r.stop(time.Minute)
	r.has("one", "app.x ", all)
	if len(r.places["two"].has()) != 0 {
		t.Error("records went to another sink than theirs")
	}
}

// TestReloadTakesTheRouteOfABuffer: what a removed leg holds on its disk goes where
// it was going, also after another run.
func TestReloadTakesTheRouteOfABuffer(t *testing.T) {
	r := newRig(t)
	r.places["one"].is(true)
	s := r.start(r.file(64<<10, "app.** spill: one"))
	all := numbered("r", 200)
	for chunk := range slices.Chunk(all, 50) {
		r.expect(s.handAt(record.LevelKernel, "app.x", chunk...), true)
	}
	if _, err := r.Reload(r.file(64<<10, "** spill: two", "sys: one")); err != nil {
		t.Fatal(err)
	}
	r.expect(s.hand("app.x", "new"), true)
	if report := r.stop(200 * time.Millisecond); report.Pending != 200 {
		t.Fatalf("%d are left: %+v", report.Pending, report.Sheet)
	}
	r.places["one"].is(false)
	r.start(r.file(64<<10, "** spill: two", "sys: one"))
	r.await("all is delivered", func(p run.Report) bool { return p.Delivered == 200 })
	r.stop(time.Minute)
	r.has("one", "app.x ", all)
	r.has("two", "app.x ", []string{"new"})
}

// TestLeftOfARenamedRoute: a chunk that two legs of it have left is settled when both
// have delivered it, not before.
func TestLeftOfARenamedRoute(t *testing.T) {
	r := newRig(t)
	r.places["one"].is(true)
	r.places["two"].is(true)
	s := r.start(r.file(64<<10, "app.** spill: one two"))
	told := s.handKeyed('k', "app.x", "x")
	r.await("both hold it", func(p run.Report) bool { return p.Pending == 2 })
	if _, err := r.Stop(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	r.expect(told, false)
	r.places["one"].is(false)
	s = r.start(r.file(64<<10, "** spill: one two"))
	r.await("one has it", func(p run.Report) bool { return p.Delivered == 1 })
	if got := string(s.keys()); got != "" {
		t.Errorf("before the second leg has it settled are %q", got)
	}
	r.places["two"].is(false)
	r.await("both have it", func(p run.Report) bool { return p.Delivered == 2 })
	if _, err := r.Stop(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := string(s.keys()); got != "k" {
		t.Errorf("at the end settled are %q", got)
	}
}
