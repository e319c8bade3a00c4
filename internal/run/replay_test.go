package run_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/deadletter"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/run"
)

// TestReplay: a dead letter goes to the sink that refused it, by its tag, and only
// there; one that no route takes comes back, whatever the file says of such records;
// and one that waits for a destination when the run ends is no less there than before.
func TestReplay(t *testing.T) {
	for _, unmatched := range []runfile.Unmatched{runfile.UnmatchedDeadLetter, runfile.UnmatchedDrop} {
		t.Run(string(unmatched), func(t *testing.T) { testReplay(t, unmatched) })
	}
}

func testReplay(t *testing.T, unmatched runfile.Unmatched) {
	r := newRig(t)
	store, err := deadletter.Open(filepath.Join(r.stateDir, "dead-letters"), deadletter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	letter := func(tag, sink, body string) record.Letter {
		return record.Letter{Destination: sink, Tag: tag, Origin: "00/" + body, Body: []byte(body), Reason: "rejected-invalid", Attempts: 1, First: 1, Last: 1}
	}
	err = store.Put(t.Context(), []record.Letter{
		letter("app.a", "two", "first"), letter("stray", "dead letters", "second"), letter("db.a", "three", "third"), letter("app.a", "gone", "fourth"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Ask(t.Context(), deadletter.Query{}); err != nil {
		t.Fatal(err)
	}
	var sum deadletter.Replayed
	cfg := r.config()
	cfg.DeadLetters = store
	cfg.Replay = func(ctx context.Context, give func(string, *record.Chunk) bool) {
		if sum, err = store.Replay(ctx, func(e *deadletter.Entry, c *record.Chunk) { give(e.Destination, c) }); err != nil {
			t.Error(err)
		}
	}
	r.places["three"].is(true)
	f := r.file(1<<20, "app.**: one two", "db.**: three")
	f.Unmatched = unmatched
	if r.Run, err = run.Start(f, cfg); err != nil {
		t.Fatal(err)
	}
	r.await("what can be settled is", func(p run.Report) bool { return p.Delivered+p.DeadLettered == 4 })
	report := r.stop(time.Millisecond)
	if report.Received != 5 || report.Delivered != 3 || report.DeadLettered != 1 || report.Dropped != 1 {
		t.Errorf("%+v", report.Sheet)
	}
	for name, want := range map[string][]string{"one": {"app.a fourth"}, "two": {"app.a first", "app.a fourth"}, "three": nil} {
		if diff := cmp.Diff(want, r.places[name].has()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if want := (deadletter.Replayed{Given: 4, Removed: 2, Returned: 1, Kept: 1}); sum != want {
		t.Errorf("the replay is %+v, want %+v", sum, want)
	}
	var left []string
	_, err = store.List(t.Context(), deadletter.Query{}, func(e *deadletter.Entry) error {
		left = append(left, e.Tag+" "+e.Origin+" "+string(e.Body))
		return nil
	})
	if diff := cmp.Diff([]string{"stray 00/second second", "db.a 00/third third"}, left); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if n, err := store.Asked(t.Context()); n != 1 || err != nil {
		t.Errorf("%d letters are asked for still, want the one that could not be delivered (%v)", n, err)
	}
}
