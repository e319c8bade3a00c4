package run_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/run"
)

// TestLettersNameTheirSource: whatever way a record takes to the dead letters, they say which source it came from, also
// where two sources have one tag.
func TestLettersNameTheirSource(t *testing.T) {
	r := newRig(t)
	file := r.file(1<<20, "app.**: one")
	file.Sources = append(file.Sources, file.Sources[0])
	file.Sources[1].Name = "other"
	var err error
	if r.Run, err = run.Start(file, r.config()); err != nil {
		t.Fatal(err)
	}
	r.places["one"].refuses(true)
	in, other := r.sources[0], r.sources[1]
	now := time.Now().UnixNano()
	r.expect(in.hand("app.a", "refused"), true)
	r.expect(other.hand("app.a", "refused"), true)
	r.expect(in.hand("stray", "unmatched"), true)
	r.expect(other.hand("app.long", "too long: "+strings.Repeat("x", 1<<19)), true)
	in.o.Router.Lines("app.a", now, []byte("line\n"), true)
	other.o.Router.Lines("app.a", now, []byte("line\n"), true)
	in.o.Router.Body("app.a", now, []byte("body"), record.Part{})
	in.records.Add(2)
	other.records.Add(1)
	r.await("all are dead letters", func(p run.Report) bool { return p.Pending == 0 && p.DeadLettered > 5 })
	r.stop(time.Minute)
	var got []string
	for i, letter := range r.letters.got {
		_, body, _ := strings.Cut(letter, " ")
		what, _, _ := strings.Cut(body, " ")
		got = append(got, what[:min(len(what), 9)]+" of "+r.letters.from[i])
	}
	slices.Sort(got)
	for _, of := range []string{"refused of in", "refused of other", "unmatched of in", "line of in", "line of other", "body of in", "too of other"} {
		if !slices.Contains(got, of) {
			t.Errorf("no letter says %q: %q", of, slices.Compact(got))
		}
	}
	if slices.ContainsFunc(r.letters.from, func(from string) bool { return from == "" }) {
		t.Errorf("letters without a source: %q", slices.Compact(got))
	}
}
