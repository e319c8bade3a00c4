package run_test

import (
	"slices"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/run"
)

// handKeyed hands over a chunk that its sender may send again.
func (s *source) handKeyed(key byte, tag, body string) <-chan bool {
	told := make(chan bool, 1)
	c := record.Chunk{Tag: tag, Time: time.Now().UnixNano(), Level: record.LevelDelivered, Count: 1, Done: func(ok bool) { told <- ok }}
	c.Origin.Key[0], c.Known = key, func([16]byte) bool { return false }
	c.Bodies, _ = record.AppendBody(make([]byte, 0, len(body)+record.FrameSize), []byte(body))
	s.records.Add(1)
	s.o.Router.Admit(&c)
	return told
}

// keys are those of which the source was told that they are settled.
func (s *source) keys() (all []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.settled {
		all = append(all, k[0])
	}
	slices.Sort(all)
	return all
}

// TestSettledInAllLegs: the sources hear of a chunk when every leg is done with it,
// once, and before it is acknowledged; one that a leg gets twice is not done with by
// the others.
func TestSettledInAllLegs(t *testing.T) {
	r := newRig(t)
	r.places["two"].is(true)
	s := r.start(r.file(1<<20, "both: one two", "single: three"))
	r.expect(s.handKeyed('s', "single", "x"), true)
	if got := string(s.keys()); got != "s" {
		t.Errorf("settled are %q", got)
	}
	held := s.handKeyed('b', "both", "x")
	r.await("one has it", func(run.Report) bool { return len(r.places["one"].has()) == 1 })
	again := s.handKeyed('b', "both", "x") // As after a restart, which one has survived and two has not.
	r.await("one has it again, or two is asked", func(run.Report) bool { return len(r.places["one"].has()) >= 1 })
	if got := string(s.keys()); got != "s" {
		t.Errorf("before the second leg has it settled are %q", got)
	}
	r.places["two"].is(false)
	r.expect(held, true)
	r.expect(again, true)
	if got := string(slices.Compact(s.keys())); got != "bs" {
		t.Errorf("at the end settled are %q", got)
	}
	r.stop(time.Minute)
}

// TestSettledAcrossAReload: in which legs a chunk is settled is known by their sinks,
// wherever these stand in their route.
func TestSettledAcrossAReload(t *testing.T) {
	r := newRig(t)
	r.places["two"].is(true)
	s := r.start(r.file(1<<20, "both: one two"))
	held := s.handKeyed('b', "both", "x")
	r.await("one has it", func(run.Report) bool { return len(r.places["one"].has()) == 1 })
	if _, err := r.Reload(r.file(1<<20, "both: two one")); err != nil {
		t.Fatal(err)
	}
	r.places["two"].is(false)
	r.expect(held, true)
	if got := string(s.keys()); got != "b" {
		t.Errorf("settled are %q", got)
	}
	r.stop(time.Minute)
}

// TestResendGoesToTheLegsThatHaveItNot: a chunk that one leg has lost, or that the process
// before had not brought to all of its sinks, goes to those alone when it is sent again,
// and is settled in all when they have it.
func TestResendGoesToTheLegsThatHaveItNot(t *testing.T) {
	for _, pattern := range []string{"both", "both spill"} {
		t.Run(pattern, func(t *testing.T) {
			r := newRig(t)
			r.places["two"].is(true)
			s := r.start(r.file(1<<20, pattern+": one two"))
			held := s.handKeyed('b', "both", "x")
			r.await("one has it", func(p run.Report) bool { return p.Delivered == 1 })
			r.stop(100 * time.Millisecond)
			r.expect(held, false)
			s = r.start(r.file(1<<20, pattern+": two one"))
			held = s.handKeyed('b', "both", "x")
			r.places["two"].is(false)
			r.expect(held, true)
			r.stop(time.Minute)
			for _, name := range []string{"one", "two"} {
				r.has(name, "both ", []string{"x"})
			}
			if got := string(s.keys()); got != "b" {
				t.Errorf("settled are %q", got)
			}
		})
	}
}
