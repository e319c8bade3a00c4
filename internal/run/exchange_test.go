package run_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/run"
	"github.com/spillway/spillway/internal/sink"
)

// to makes the sinks of a file lead to another place.
func to(f *runfile.File, place string) *runfile.File {
	f.Sinks = slices.Clone(f.Sinks)
	for i := range f.Sinks {
		f.Sinks[i].Type = place
	}
	return f
}

// TestReloadSendsWhatIsHeldToTheNewAddress: a leg whose sink has changed keeps what it
// holds, in memory and on the disk, and brings it there.
func TestReloadSendsWhatIsHeldToTheNewAddress(t *testing.T) {
	for _, pattern := range []string{"**", "** spill"} {
		t.Run(pattern, func(t *testing.T) {
			r := newRig(t)
			r.places["one"].is(true)
			s := r.start(r.file(256<<10, pattern+": one"))
			all := numbered("r", 200)
			var held []<-chan bool
			for chunk := range slices.Chunk(all, 20) {
				held = append(held, s.hand("app.x", chunk...))
			}
			did, err := r.Reload(to(r.file(256<<10, pattern+": one"), "two"))
			if err != nil {
				t.Fatal(err)
			}
			if len(did.LegsChanged) != 1 || len(did.LegsBegun)+len(did.LegsLeaving)+len(did.Ending) != 0 {
				t.Errorf("the reload says %+v", did)
			}
			for _, told := range held {
				r.expect(told, true)
			}
			if r.places["one"].closes() != 1 {
				t.Error("the sink before was not closed")
			}
			report := r.stop(time.Minute)
			r.has("two", "app.x ", all)
			r.has("one", "app.x ", nil)
			if report.Received != 200 || report.Delivered != 200 {
				t.Errorf("%+v", report.Sheet)
			}
		})
	}
}

// TestReloadGoesOnWithALeg of which the mode and the sizes change, and begins another
// one where what is on the disk cannot go on.
func TestReloadGoesOnWithALeg(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*config.Buffer)
		goesOn bool
	}{
		"larger":       {func(b *config.Buffer) { b.Limit *= 4 }, true},
		"smaller":      {func(b *config.Buffer) { b.Limit /= 4 }, true},
		"non-blocking": {func(b *config.Buffer) { b.Mode = config.NonBlocking }, true},
		"markers":      {func(b *config.Buffer) { b.LossMarkers = false }, true},
		"spill": {func(b *config.Buffer) {
			b.Mode, b.MaxDisk, b.MinFreeDisk, b.WhenFull, b.Durability = config.Spill, 1<<30, 1<<20, config.WhenFullBlock, config.DurabilityMemory
			b.Compression = config.DiskCompressionNone
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.places["one"].is(true)
			s := r.start(r.file(256<<10, "**: one"))
			held := s.hand("app.x", "a")
			f := to(r.file(256<<10, "**: one"), "two")
			c.change(&f.Routes[0].Buffer)
			did, err := r.Reload(f)
			if err != nil {
				t.Fatal(err)
			}
			if goesOn := len(did.LegsChanged) == 1 && len(did.LegsBegun) == 0; goesOn != c.goesOn {
				t.Errorf("the reload says %+v", did)
			}
			// What the other leg held goes to the new place as well.
			r.expect(held, true)
			r.expect(s.hand("app.x", "b"), true)
			r.stop(time.Minute)
			r.has("two", "app.x ", []string{"a", "b"})
		})
	}
}

// TestReloadOfALegThatIsFull: a source that waits in it goes on where the buffer is
// larger, or waits no more.
func TestReloadOfALegThatIsFull(t *testing.T) {
	for name, change := range map[string]func(*config.Buffer){
		"larger":       func(b *config.Buffer) { b.Limit = 1 << 20 },
		"non-blocking": func(b *config.Buffer) { b.Mode = config.NonBlocking },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.places["one"].is(true)
				s := r.start(r.file(64<<10, "**: one"))
				handed := make(chan struct{})
				go func() {
					defer close(handed)
					for range 100 {
						s.handAt(record.LevelMemory, "tag", noise(1000))
					}
				}()
				r.waits(handed)
				f := r.file(64<<10, "**: one")
				change(&f.Routes[0].Buffer)
				if _, err := r.Reload(f); err != nil {
					t.Fatal(err)
				}
				r.goesOn(handed)
				r.places["one"].is(false)
				if report := r.stop(time.Minute); report.Received != 100 || report.Pending != 0 {
					t.Errorf("%+v", report.Sheet)
				}
			})
		})
	}
}

// TestFailedReloadKeepsTheSink: what was prepared for legs that go on is given back.
func TestFailedReloadKeepsTheSink(t *testing.T) {
	r := newRig(t)
	s := r.start(r.file(256<<10, "app.**: one"))
	r.broken = "three"
	f := r.file(256<<10, "app.**: one", "**: three")
	f.Sinks = slices.Clone(f.Sinks)
	f.Sinks[0].Type = "two"
	f.Routes[0].Buffer.Limit *= 2
	if _, err := r.Reload(f); err == nil {
		t.Fatal("it was used")
	}
	r.expect(s.hand("app.x", "a"), true)
	if p := r.Report(); p.Legs[0].Buffer.Limit != 256<<10/4*3 {
		t.Errorf("the buffer's limit is %d now", p.Legs[0].Buffer.Limit)
	}
	r.stop(time.Minute)
	r.has("one", "app.x ", []string{"a"})
}

// stuck is a destination that does not end, whatever it is asked, until it is released.
type stuck struct {
	place
	release chan struct{}
}

func (s *stuck) Send(context.Context, sink.Request) sink.Outcome {
	<-s.release
	return sink.Outcome{}
}

func (s *stuck) Close() error {
	<-s.release
	return s.place.Close()
}

// TestReloadDoesNotWaitForASinkThatHangs: it answers, says so, and later reloads of
// other sinks go on. What takes the place of the sink waits for it, since both may
// write to the same files.
func TestReloadDoesNotWaitForASinkThatHangs(t *testing.T) {
	r := newRig(t)
	hangs := &stuck{place: place{name: "hangs"}, release: make(chan struct{})}
	r.stuck = hangs
	f := to(r.file(256<<10, "app.**: one"), "hangs")
	s := r.start(f)
	held := s.hand("app.x", "a")
	r.await("it hangs", func(p run.Report) bool { return p.Legs[0].Buffer.InFlight == 1 })
	did, err := r.Reload(r.file(256<<10, "app.**: one"))
	if err != nil {
		t.Fatal(err)
	}
	if len(did.Ending) != 1 || len(r.Report().Ending) != 1 {
		t.Errorf("the reload says %+v", did)
	}
	if did, err = r.Reload(r.file(256<<10, "app.**: one", "sys: two")); err != nil || len(did.LegsBegun) != 1 {
		t.Fatalf("the next reload says %+v, %v", did, err)
	}
	r.expect(s.hand("sys", "b"), true)
	if got := r.places["one"].has(); len(got) != 0 {
		t.Errorf("there are two sinks of one name at work: %q", got)
	}
	close(hangs.release)
	r.expect(held, true)
	r.await("all has ended", func(p run.Report) bool { return len(p.Ending) == 0 })
	r.stop(time.Minute)
	if hangs.closes() != 1 {
		t.Error("the sink was not closed")
	}
}

// TestStopDoesNotWaitForASinkThatHangs for ever, and says which leg it was.
func TestStopDoesNotWaitForASinkThatHangs(t *testing.T) {
	r := newRig(t)
	hangs := &stuck{place: place{name: "hangs"}, release: make(chan struct{})}
	r.stuck = hangs
	s := r.start(to(r.file(256<<10, "app.**: one"), "hangs"))
	held := s.hand("app.x", "a")
	r.await("it hangs", func(p run.Report) bool { return p.Legs[0].Buffer.InFlight == 1 })
	report, err := r.Stop(time.Now().Add(10 * time.Millisecond))
	if err == nil || !strings.Contains(err.Error(), `to the sink "one" has not ended`) {
		t.Errorf("the end says %v", err)
	}
	// What it holds goes with the process, and its source is told so.
	if r.balances(report); report.Pending != 0 || report.ByReason[ledger.Returned] != 1 || len(report.Ending) == 0 {
		t.Errorf("%+v", report)
	}
	r.expect(held, false)
	close(hangs.release)
	s.due.Wait()
}

// TestLeavingLegsFollowTheirSink: what a leg holds whose route is gone goes to the sink
// of that name, also where that has changed since.
func TestLeavingLegsFollowTheirSink(t *testing.T) {
	r := newRig(t)
	r.places["one"].is(true)
	s := r.start(r.file(256<<10, "app.**: one", "**: three"))
	held := s.hand("app.x", "a")
	// Its route is gone, and so is its sink: it goes on to where it was going.
	if _, err := r.Reload(r.file(256<<10, "**: three")); err != nil {
		t.Fatal(err)
	}
	// The sink is back at another place.
	f := r.file(256<<10, "**: three", "sys: one")
	f.Sinks = slices.Clone(f.Sinks)
	f.Sinks[1].Type = "two"
	if _, err := r.Reload(f); err != nil {
		t.Fatal(err)
	}
	r.expect(held, true)
	r.stop(time.Minute)
	r.has("two", "app.x ", []string{"a"})
}

// TestReloadShrinksALegThatIsFull: a source that waits with more than the new size has
// room for still finds some, when all else has left.
func TestReloadShrinksALegThatIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.places["one"].is(true)
		s := r.start(r.file(1<<20, "**: one"))
		for range 26 {
			s.handAt(record.LevelMemory, "tag", noise(22_000))
		}
		handed := make(chan struct{})
		go func() {
			defer close(handed)
			s.handAt(record.LevelMemory, "tag", noise(60_000), noise(60_000), noise(60_000))
		}()
		r.waits(handed)
		if _, err := r.Reload(r.file(64<<10, "**: one")); err != nil {
			t.Fatal(err)
		}
		r.places["one"].is(false)
		r.goesOn(handed)
		if report := r.stop(time.Minute); report.Received != 29 || report.Delivered != 29 {
			t.Errorf("%+v", report.Sheet)
		}
	})
}

// TestReloadFreesASourceThatWaits in a full leg whose route is gone: what it waits with
// goes by the new routes, nothing of it is lost, and nothing comes twice. A chunk that
// is larger than a block may be here in part already.
func TestReloadFreesASourceThatWaits(t *testing.T) {
	for _, level := range []record.Level{record.LevelMemory, record.LevelDelivered} {
		for _, pattern := range []string{"app.**", "app.** spill"} {
			for size, n := range map[int]int{1000: 1, 9000: 9} {
				t.Run(fmt.Sprint(level, " ", pattern, " ", size, " x ", n), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { testFrees(t, level, pattern, size, n) })
				})
			}
		}
	}
}

// testFrees is that test for chunks of n records of a size.
func testFrees(t *testing.T, level record.Level, pattern string, size, n int) {
	r := newRig(t)
	r.places["one"].is(true)
	f := r.file(64<<10, pattern+": two one")
	f.Routes[0].Buffer.MaxDisk = 128 << 10
	s := r.start(f)
	chunks := 216 / n // More than there is room for, on the disk as well.
	// The source waits with one of them at a time.
	var told []<-chan bool
	handed := make(chan struct{})
	go func() {
		defer close(handed)
		for i := range chunks {
			var bodies []string
			for part := range n {
				bodies = append(bodies, fmt.Sprintf("%03d.%d ", i, part)+noise(size))
			}
			told = append(told, s.handAt(level, "app.x", bodies...))
		}
	}()
	r.waits(handed)
	if _, err := r.Reload(r.file(1<<20, "**: two three")); err != nil {
		t.Fatal(err)
	}
	r.goesOn(handed)
	r.places["one"].is(false)
	for _, c := range told {
		r.expect(c, true)
	}
	r.await("all is delivered", func(p run.Report) bool { return p.Pending == 0 })
	report := r.stop(time.Minute)
	if report.Dropped != 0 || report.Pending != 0 || report.RecordsIn != int64(chunks*n) {
		t.Errorf("%+v", report.Sheet)
	}
	each := func(names ...string) (all []string) {
		for _, name := range names {
			for _, text := range r.places[name].has() {
				all = append(all, strings.Fields(text)[1])
			}
		}
		slices.Sort(all)
		return all
	}
	var want []string
	for i := range chunks {
		for part := range n {
			want = append(want, fmt.Sprintf("%03d.%d", i, part))
		}
	}
	if diff := cmp.Diff(want, each("two")); diff != "" {
		t.Errorf("two, which was in both files: %s", diff)
	}
	if diff := cmp.Diff(want, each("one", "three")); diff != "" {
		t.Errorf("one and then three: %s", diff)
	}
}
