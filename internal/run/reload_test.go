package run_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/run"
)

// TestReloadLeavesAloneWhatIsTheSame, delivers what a leg holds that is gone, and
// takes what comes after it by the new routes.
func TestReloadLeavesAloneWhatIsTheSame(t *testing.T) {
	r := newRig(t)
	r.places["two"].is(true)
	s := r.start(r.file(1<<20, "app.**: one", "sys: two"))
	r.expect(s.hand("app.x", "a"), true)
	held := s.hand("sys", "b")
	f := r.file(1<<20, "app.**: one", "sys: three")
	f.Sources = append([]runfile.Source{}, f.Sources...)
	f.Routes[0].Where, f.Sources[0].Where = "spillway.yaml:17:3", "spillway.yaml:2:3" // A line that moves is the same line.
	if _, err := r.Reload(f); err != nil {
		t.Fatal(err)
	}
	r.expect(s.hand("app.x", "c"), true)
	r.expect(s.hand("sys", "d"), true)
	if r.places["one"].opened != 1 || len(r.sources) != 1 || s.stopped.Load() {
		t.Errorf("the leg to one was made %d times, the source %d times", r.places["one"].opened, len(r.sources))
	}
	if p := r.Report(); p.Pending != 1 || !p.Legs[len(p.Legs)-1].Leaving {
		t.Errorf("the leg that is gone holds %d: %+v", p.Pending, p.Legs)
	}
	r.places["two"].is(false)
	r.expect(held, true)
	r.await("the leg that is gone has ended", func(p run.Report) bool { return len(p.Legs) == 3 && r.places["two"].closes() == 1 })
	report := r.stop(time.Minute)
	for name, want := range map[string][]string{"one": {"app.x a", "app.x c"}, "two": {"sys b"}, "three": {"sys d"}} {
		if diff := cmp.Diff(want, r.places[name].has()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if report.Received != 4 || report.Delivered != 4 {
		t.Errorf("the balance forgets a leg that is gone: %+v", report.Sheet)
	}
}

// TestFailedReloadChangesNothing: whatever of the new file cannot be had.
func TestFailedReloadChangesNothing(t *testing.T) {
	for _, c := range []struct {
		broken string
		change func(*runfile.File)
	}{
		{"three", func(*runfile.File) {}},
		{"in", func(f *runfile.File) { f.Sources[0].Type = "another" }},
	} {
		t.Run(c.broken, func(t *testing.T) {
			r := newRig(t)
			s := r.start(r.file(1<<20, "app.**: one"))
			r.broken = c.broken
			f := r.file(1<<20, "app.**: two", "**: three")
			c.change(f)
			since := r.Report().FileSince
			if _, err := r.Reload(f); err == nil || !strings.Contains(err.Error(), "not used") {
				t.Fatalf("the reload says %v", err)
			}
			if p := r.Report(); p.FileRefused == nil || !strings.Contains(p.FileRefused.Error, "it cannot be opened") || since.IsZero() || p.FileSince != since {
				t.Errorf("the report says %+v, in use since %v", p.FileRefused, p.FileSince)
			}
			r.expect(s.hand("app.x", "a"), true)
			r.expect(s.hand("sys", "b"), true)
			if p := r.Report(); len(p.Legs) != 2 || p.DeadLettered != 1 || s.stopped.Load() {
				t.Errorf("something has changed: %+v", p)
			}
			// One that is used ends the trouble.
			if _, err := r.Reload(r.file(1<<20, "app.**: one")); err != nil || r.Report().FileRefused != nil {
				t.Errorf("%v, %+v", err, r.Report().FileRefused)
			}
			r.stop(time.Minute)
			if diff := cmp.Diff([]string{"app.x a"}, r.places["one"].has()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestReloadChangesASource: the new one is there before the old one stops, and what
// the old one has taken is still answered.
func TestReloadChangesASource(t *testing.T) {
	r := newRig(t)
	r.places["one"].is(true)
	s := r.start(r.file(1<<20, "**: one"))
	held := s.hand("tag", "a")
	f := r.file(1<<20, "**: one")
	f.Sources[0].Type = "another"
	if _, err := r.Reload(f); err != nil {
		t.Fatal(err)
	}
	next := r.sources[1]
	if !s.stopped.Load() || !next.started.Load() || next.o.Instead != run.Source(s) {
		t.Error("the source was not changed for the other")
	}
	told := next.hand("tag", "b")
	r.places["one"].is(false)
	r.expect(held, true)
	r.expect(told, true)
	if report := r.stop(time.Minute); report.RecordsIn != 2 || report.Received != 2 {
		t.Errorf("%d records in, %d received", report.RecordsIn, report.Received)
	}
}

// TestRecordsInAfterAReload: the numbers of a source go on in the one that takes its
// place, and no record is counted twice for it.
func TestRecordsInAfterAReload(t *testing.T) {
	r := newRig(t)
	s := r.start(r.file(1<<20, "**: one"))
	r.expect(s.hand("tag", "a", "b"), true)
	f := r.file(1<<20, "**: one")
	f.Sources[0].Kafka = &runfile.KafkaSource{}
	if _, err := r.Reload(f); err != nil {
		t.Fatal(err)
	}
	next := r.sources[1]
	next.before = s
	r.expect(next.hand("tag", "c"), true)
	if n := r.Report().RecordsIn; n != 3 {
		t.Errorf("%d records in after the change, want 3", n)
	}
	if n := r.stop(time.Minute).RecordsIn; n != 3 {
		t.Errorf("%d records in at the end, want 3", n)
	}
}

// TestStopFreesAWaitingSource: a source that waits for room of a leg to a
// destination that is away hears no when the run ends.
func TestStopFreesAWaitingSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.places["one"].is(true)
		s := r.start(r.file(64<<10, "**: one"))
		refused := make(chan struct{})
		go func() {
			defer close(refused)
			for <-s.handAt(0, "tag", noise(1000)) {
			}
		}()
		r.waits(refused)
		report := r.stop(200 * time.Millisecond)
		r.goesOn(refused)
		if report.Pending != 0 {
			t.Errorf("%d are pending without a disk", report.Pending)
		}
	})
}

// TestWhatASourceDropsIsInTheBalance, under its reason, as long as it is there and after
// it has ended.
func TestWhatASourceDropsIsInTheBalance(t *testing.T) {
	r := newRig(t)
	s := r.start(r.file(1<<20, "**: one"))
	s.own = ledger.New()
	s.own.Open("tag").PassedOver(ledger.Tombstone, ledger.Count{Records: 2, Bytes: 40})
	r.expect(s.hand("tag", "a"), true)
	same := func(p run.Report) {
		t.Helper()
		if p.Received != 3 || p.Dropped != 2 || p.ByReason[ledger.Tombstone] != 2 || p.Unaccounted != 0 || len(p.Streams) != 1 {
			t.Errorf("%+v", p.Balance)
		}
	}
	same(r.Report())
	f := r.file(1<<20, "**: one")
	f.Sources[0].Type = "another"
	if _, err := r.Reload(f); err != nil {
		t.Fatal(err)
	}
	same(r.Report())
	same(r.stop(time.Minute))
}
