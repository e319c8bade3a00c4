package run_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/run"
)

// TestLegs: each sink of a route gets every record, a sink that two routes name is
// opened once, totals add up the legs, and records_in counts each record once.
func TestLegs(t *testing.T) {
	r := newRig(t)
	s := r.start(r.file(1<<20, "app.**: one two", "sys: two"))
	r.expect(s.hand("app.x", "a", "b"), true)
	r.expect(s.hand("sys", "c"), true)
	report := r.stop(time.Minute)
	if diff := cmp.Diff([]string{"app.x a", "app.x b"}, r.places["one"].has()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"app.x a", "app.x b", "sys c"}, r.places["two"].has()); diff != "" {
		t.Error(diff)
	}
	if report.RecordsIn != 3 || report.Received != 5 || report.Delivered != 5 || len(report.Legs) != 4 {
		t.Errorf("%d in, %d received in %d legs, %d delivered", report.RecordsIn, report.Received, len(report.Legs), report.Delivered)
	}
	if r.places["two"].opened != 1 {
		t.Errorf("a sink of two routes was opened %d times", r.places["two"].opened)
	}
	for _, stream := range report.Streams {
		if want := map[string]int64{"app.x": 4, "sys": 1}[stream.Stream]; stream.Delivered != want {
			t.Errorf("%d of %s are delivered, want %d", stream.Delivered, stream.Stream, want)
		}
	}
}

// TestAllLegsVouch: a chunk is told when the slowest leg has it.
func TestAllLegsVouch(t *testing.T) {
	r := newRig(t)
	r.places["two"].is(true)
	s := r.start(r.file(1<<20, "**: one two"))
	told := s.hand("tag", "a")
	r.await("one has it", func(run.Report) bool { return len(r.places["one"].has()) == 1 })
	select {
	case <-told:
		t.Fatal("the chunk was told before its second leg had it")
	default:
	}
	r.places["two"].is(false)
	r.expect(told, true)
	r.stop(time.Minute)
}

// TestUnmatched: what no route takes is a dead letter before its source hears of
// it, counted by tag with a sample; with unmatched: drop it is dropped and counted,
// and the source hears the same.
func TestUnmatched(t *testing.T) {
	for _, c := range []struct {
		unmatched runfile.Unmatched
		letters   []string
	}{
		{runfile.UnmatchedDeadLetter, []string{"stray first rejected-unmatched", "stray second rejected-unmatched"}},
		{runfile.UnmatchedDrop, nil},
	} {
		t.Run(string(c.unmatched), func(t *testing.T) {
			r := newRig(t)
			f := r.file(1<<20, "app.**: one")
			f.Unmatched = c.unmatched
			s := r.start(f)
			r.expect(s.hand("stray", "first", "second"), true)
			report := r.stop(time.Minute)
			if diff := cmp.Diff(c.letters, r.letters.got); diff != "" {
				t.Error(diff)
			}
			if got := report.DeadLettered + report.Dropped; got != 2 || len(r.places["one"].has()) != 0 {
				t.Errorf("%d are settled: %+v", got, report.Sheet)
			}
			if len(report.Unmatched) != 1 || report.Unmatched[0].Tag != "stray" || report.Unmatched[0].Records != 2 || report.Unmatched[0].Sample != "first" {
				t.Errorf("unmatched: %+v", report.Unmatched)
			}
		})
	}
}

// TestUnmatchedDropKeepsTheRest: unmatched: drop drops what no route takes. What is no
// record, too long for its route, or of a tag that no disk could keep is a dead letter
// all the same.
func TestUnmatchedDropKeepsTheRest(t *testing.T) {
	r := newRig(t)
	f := r.file(256<<10, "app.**: one")
	f.Unmatched = runfile.UnmatchedDrop
	s := r.start(f)
	long, tag := noise(100_000), "app."+strings.Repeat("t", record.MaxName)
	r.expect(s.hand("stray", "dropped"), true)
	r.expect(s.hand("app.long", "short", long), true)
	r.expect(s.hand(tag, "tagged"), true)
	told := make(chan bool, 1)
	bad := record.Chunk{Tag: "app.bad", Level: record.LevelDelivered, Count: 1, Done: func(ok bool) { told <- ok }}
	bad.Bodies, _ = record.AppendBody(make([]byte, 0, 100), []byte("{no record"))
	s.o.Router.Reject(&bad)
	r.expect(told, true)
	report := r.stop(time.Minute)
	if report.Dropped != 1 || report.ByReason[ledger.RejectedUnmatched] != 1 || report.Delivered != 1 || report.DeadLettered != 6 {
		t.Errorf("%+v", report.Sheet)
	}
	r.has("one", "app.long ", []string{"short"})
	var pieces string
	var others []string
	for _, letter := range r.letters.got {
		if piece, ok := strings.CutPrefix(letter, "app.long "); ok {
			pieces += strings.TrimSuffix(piece, " too-large")
		} else {
			others = append(others, letter)
		}
	}
	if diff := cmp.Diff([]string{tag + " tagged rejected-unmatched", "app.bad {no record rejected-invalid"}, others); diff != "" || pieces != long {
		t.Errorf("%d bytes in pieces of %d; %s", len(pieces), len(long), diff)
	}
	var legs []string
	for _, l := range report.Legs {
		legs = append(legs, l.Route+" "+l.Sink)
	}
	if diff := cmp.Diff([]string{"app.** one", "(invalid) dead-letter", "(unmatched) drop"}, legs); diff != "" {
		t.Error(diff)
	}
}

// TestRefusals: what a source refuses is a dead letter that names the reason, and vouched
// for, whatever unmatched says. A reason that nobody knows is none.
func TestRefusals(t *testing.T) {
	for _, unmatched := range []runfile.Unmatched{runfile.UnmatchedDeadLetter, runfile.UnmatchedDrop} {
		r := newRig(t)
		f := r.file(1<<20, "app.**: one")
		f.Unmatched = unmatched
		s := r.start(f)
		reject := func(body string, why record.Refusal) {
			t.Helper()
			told := make(chan bool, 1)
			c := record.Chunk{
				Tag: "app.a", Level: record.LevelDelivered, Count: 2, Encoding: record.EncodingMessage, Refusal: why, Done: func(ok bool) { told <- ok },
				Partition: record.Partition{Topic: "orders", ID: [16]byte{1}, Number: 3},
			}
			for i := range int64(2) {
				c.Bodies = record.AppendMessage(c.Bodies, &record.Message{Offset: i, Value: []byte(body)})
			}
			s.o.Router.Reject(&c)
			r.expect(told, true)
		}
		var want []string
		for _, why := range []ledger.Reason{ledger.Tombstone, ledger.TooLarge, ledger.Unreadable, ledger.NotJSON, ledger.NotMsgpack, ledger.NoMatch, ledger.NoEntry, ledger.TooDeep} {
			reject("kept "+string(why), record.Refusal{Reason: string(why)})
			want = append(want, string(why), string(why))
		}
		reject("unknown", record.Refusal{Reason: "because"})
		want = append(want, string(ledger.RejectedInvalid), string(ledger.RejectedInvalid))
		report := r.stop(time.Minute)
		if report.Received != 18 || report.DeadLettered != 18 || report.Unaccounted != 0 {
			t.Errorf("%s: %+v", unmatched, report.Sheet)
		}
		var got []string
		for _, letter := range r.letters.got {
			got = append(got, letter[strings.LastIndexByte(letter, ' ')+1:])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: reasons (-want +got):\n%s", unmatched, diff)
		}
	}
}

// TestReloadUnmatched: where the file says something else of what no route takes, what
// is held goes where it was going, and no leg stays that is not in use.
func TestReloadUnmatched(t *testing.T) {
	r := newRig(t)
	f := r.file(1<<20, "app.**: one")
	s := r.start(f)
	want := int64(0)
	for _, unmatched := range []runfile.Unmatched{runfile.UnmatchedDrop, runfile.UnmatchedDrop, runfile.UnmatchedDeadLetter} {
		r.expect(s.hand("stray", "x"), true)
		next := r.file(1<<20, "app.**: one")
		next.Unmatched = unmatched
		if _, err := r.Reload(next); err != nil {
			t.Fatal(err)
		}
		legs := map[runfile.Unmatched]int{runfile.UnmatchedDrop: 3, runfile.UnmatchedDeadLetter: 2}[unmatched]
		r.await("only the legs of the file are there", func(p run.Report) bool { return len(p.Legs) == legs })
		for _, l := range r.Report().Legs {
			if l.Leaving {
				t.Errorf("%s to %s is said to leave", l.Route, l.Sink)
			}
		}
		want++
	}
	if report := r.stop(time.Minute); report.Received != want || report.DeadLettered != 1 || report.Dropped != 2 {
		t.Errorf("%+v", report.Sheet)
	}
}

// TestFullDeadLetters: what should become a dead letter and cannot is pending, and
// not vouched for.
func TestFullDeadLetters(t *testing.T) {
	r := newRig(t)
	r.letters.full = true
	s := r.start(r.file(1<<20, "app.**: one"))
	told := s.hand("stray", "first")
	r.await("the dead letters are seen to be full", func(p run.Report) bool { return p.Legs[1].Health.DeadLetters != "" })
	if p := r.Report(); p.Pending != 1 || p.DeadLettered != 0 {
		t.Errorf("%+v", p.Sheet)
	}
	r.letters.mu.Lock()
	r.letters.full = false
	r.letters.mu.Unlock()
	r.expect(told, true)
	r.stop(time.Minute)
}

// noise is text that does not compress.
func noise(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.IntN(256))
	}
	return string(b)
}

// TestOverflowIsNotVouchedFor: a non-blocking leg drops for itself, and says no.
func TestOverflowIsNotVouchedFor(t *testing.T) {
	r := newRig(t)
	r.places["one"].is(true)
	f := r.file(64<<10, "**: one")
	f.Routes[0].Buffer.Mode = "non-blocking"
	s := r.start(f)
	refused := 0
	for range 200 {
		select {
		case ok := <-s.handAt(record.LevelMemory, "tag", noise(1000)):
			if !ok {
				refused++
			}
		case <-time.After(patience):
			t.Fatal("a non-blocking leg made the source wait")
		}
	}
	report := r.stop(0)
	dropped := report.ByReason[ledger.OverflowNewest]
	if refused == 0 || int64(refused) != dropped {
		t.Errorf("%d chunks were refused, %d records dropped for want of room", refused, dropped)
	}
}

// TestStartFails as a whole: what was opened is closed again.
func TestStartFails(t *testing.T) {
	for _, broken := range []string{"two", "in"} {
		r := newRig(t)
		r.broken = broken
		if _, err := run.Start(r.file(1<<20, "a: one", "b: two"), r.config()); err == nil {
			t.Fatalf("with a broken %s it starts", broken)
		}
		for _, p := range r.places {
			if p.opened != p.closed {
				t.Errorf("with a broken %s: the sink %s was opened %d times and closed %d times", broken, p.name, p.opened, p.closed)
			}
		}
	}
}
