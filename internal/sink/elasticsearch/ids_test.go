package elasticsearch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/ledger"
)

// A record that is created with an id of its own fields is delivered where it is there.
// Where another record has its id it is a dead letter, unless an attempt of which nobody
// knows how it ended may have brought it there: then it is counted as a possible conflict.
func TestCreateIsNeverASilentLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			w := anyWorld(t, Create)
			for range rapid.IntRange(1, 4).Draw(t, "times") {
				w.hand(rapid.SliceOfN(rapid.SampledFrom(someIDs), 1, 8).Draw(t, "ids")...)
				time.Sleep(time.Duration(rapid.IntRange(0, 1000).Draw(t, "ms")) * time.Millisecond)
			}
			w.end()
			there := map[string]bool{}
			for _, value := range w.docs {
				there[value] = true
			}
			missing := int64(0)
			for i := range w.offset {
				value := fmt.Sprint(i)
				why, dead := w.dead[value]
				switch {
				case dead && why != string(ledger.RejectedConflict) && why != string(ledger.RejectedInvalid): // A whole 400 is of the record, in the end.
					t.Fatalf("record %s is a dead letter for %s", value, why)
				case dead && there[value] && !w.doubt[value]:
					t.Fatalf("record %s is there, and a dead letter", value)
				case !dead && !there[value]:
					if missing++; !w.doubt[value] {
						t.Fatalf("record %s is lost: it counts as delivered and no attempt may have brought it there", value)
					}
				}
			}
			if h := w.deliver.Health(); missing > h.PossibleConflicts {
				t.Fatalf("%d records count as delivered and are not there, of which %d are told to be possible conflicts", missing, h.PossibleConflicts)
			}
		})
	})
}

// Of an id that comes from a field the record that was handed over last is there in the
// end, whatever became of attempts, and though requests of other ids go ahead.
func TestTheLastOfAnIDStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			w := anyWorld(t, rapid.SampledFrom([]Operation{Index, Upsert}).Draw(t, "operation"))
			last := map[string]string{}
			for range rapid.IntRange(1, 6).Draw(t, "times") {
				ids := rapid.SliceOfN(rapid.SampledFrom(someIDs), 1, 8).Draw(t, "ids")
				for i, id := range ids {
					last[id] = fmt.Sprint(w.offset + int64(i))
				}
				w.hand(ids...)
				time.Sleep(time.Duration(rapid.IntRange(0, 500).Draw(t, "ms")) * time.Millisecond)
			}
			w.end()
			if diff := cmp.Diff(last, w.docs); diff != "" || len(w.dead) > 0 {
				t.Fatalf("with %d dead letters there is in the end (-want +got):\n%s", len(w.dead), diff)
			}
		})
	})
}

// Requests whose records have other ids are under way together; those that share one
// are not.
func TestOtherIDsGoAhead(t *testing.T) {
	for _, c := range []struct {
		name string
		ids  []string
		most int
		then []string // the order in which they arrive
	}{
		{"others", []string{"a", "b", "c", "d", "e", "f"}, 4, []string{"1", "2", "3", "4", "5", "0"}},
		{"one", []string{"a", "a", "a"}, 1, []string{"0", "1", "2"}},
		{"both", []string{"a", "b", "a", "c"}, 3, []string{"1", "3", "0", "2"}},
		{"one id in two indices", []string{"a", "d", "a", "d"}, 2, []string{"1", "3", "0", "2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.answers = []answered{{how: "items", items: []string{"ok"}, pause: time.Second}}
				w.spread = true
				w.start(Index, 1, 4)
				for _, id := range c.ids {
					w.hand(id)
					synctest.Wait()
					time.Sleep(10 * time.Millisecond)
				}
				w.deliver.Hurry()
				w.end()
				if diff := cmp.Diff(c.then, w.arrived); diff != "" || w.most > c.most {
					t.Errorf("%d requests at once, want %d at most; in the order of arrival (-want +got):\n%s", w.most, c.most, diff)
				}
			})
		})
	}
}

// A record with which the connection ends each time, as behind something that limits
// sizes and does not say so, is found, and is a dead letter once it is proved by others.
func TestBreaksTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.breaks = "37"
		w.start(Index, 100, 4)
		for i := range 100 {
			w.hand(fmt.Sprint("id", i))
		}
		for i := range 60 {
			time.Sleep(time.Second)
			w.hand(fmt.Sprint("later", i))
		}
		w.end()
		if diff := cmp.Diff(map[string]string{"37": string(ledger.RejectedTooLong)}, w.dead); diff != "" || len(w.docs) != 159 {
			t.Errorf("%d documents are there; dead letters (-want +got):\n%s", len(w.docs), diff)
		}
	})
}

// What a conflict means, for records of one id in a request and in two.
func TestConflictsInChain(t *testing.T) {
	once := func(how string, items ...string) answered { return answered{how: how, items: items} }
	for _, c := range []struct {
		name     string
		ids      []string
		events   int // of a request
		answers  []answered
		foreign  string // an id that another client has by the second attempt
		dead     []string
		possible int64
	}{
		{name: "nothing was tried", ids: []string{"a", "a"}, events: 1, dead: []string{"1"}},
		{name: "it arrived", ids: []string{"a"}, events: 1, answers: []answered{{how: "reset", applied: 1}}, possible: 1},
		{name: "it arrived behind a gateway", ids: []string{"a"}, events: 1, answers: []answered{{how: "503", applied: 1}}, possible: 1},
		{name: "a request was refused", ids: []string{"a", "b"}, events: 2, answers: []answered{once("429")}, foreign: "a", dead: []string{"0"}},
		{name: "the queue was full", ids: []string{"a", "b"}, events: 2, answers: []answered{once("items", "429", "ok")}, foreign: "a", dead: []string{"0"}},
		{name: "another item had an error", ids: []string{"a", "b"}, events: 2, answers: []answered{once("items", "429", "500")}, foreign: "a", dead: []string{"0"}},
		{name: "it had an error itself", ids: []string{"a", "b"}, events: 2, answers: []answered{once("items", "500", "ok")}, foreign: "a", possible: 1},
		{name: "it had an error, and the next has its id", ids: []string{"a", "a"}, events: 2, answers: []answered{once("items", "500", "ok")}, dead: []string{"0"}},
		{name: "both may have arrived", ids: []string{"a", "a"}, events: 2, answers: []answered{{how: "reset", applied: 2}}, dead: []string{"1"}, possible: 1},
		{name: "both had errors, and the second arrived", ids: []string{"a", "a"}, events: 2, answers: []answered{once("items", "429", "500 and done")},
			dead: []string{"0"}, possible: 1},
		{name: "the first arrived, the second was not tried", ids: []string{"a", "a"}, events: 1, answers: []answered{{how: "reset", applied: 1}},
			dead: []string{"1"}, possible: 1},
		{name: "two documents of one id may have arrived", ids: []string{"a", "d"}, events: 2, answers: []answered{{how: "reset", applied: 2}}, possible: 2},
		{name: "halved", ids: []string{"a", "b", "c", "a"}, events: 4, answers: []answered{{how: "503", applied: 1}, once("400")}, dead: []string{"3"}, possible: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.answers = c.answers
				if c.foreign != "" {
					w.others = []foreign{{1, c.foreign}}
				}
				w.spread = true
				w.start(Create, c.events, 2)
				w.hand(c.ids...)
				w.end()
				var dead []string
				for value := range w.dead {
					dead = append(dead, value)
				}
				if diff := cmp.Diff(c.dead, dead); diff != "" {
					t.Errorf("dead letters (-want +got):\n%s", diff)
				}
				if h := w.deliver.Health(); h.PossibleConflicts != c.possible {
					t.Errorf("%d possible conflicts are told, want %d", h.PossibleConflicts, c.possible)
				}
			})
		})
	}
}
