package route_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/route"
)

// giveBack is what a leg that leaves does with a chunk.
func (l *leg) giveBack(c *record.Chunk) *record.Chunk {
	batch, rest := record.Batch{Encoding: c.Encoding}, c.Bodies
	for range l.keeps {
		_, _, rest = batch.Next(rest)
	}
	return c.Behind(l.keeps, rest)
}

// TestWhatALegGivesBackGoesByTheNextTable, to the sinks that do not have it yet.
func TestWhatALegGivesBackGoesByTheNextTable(t *testing.T) {
	for _, c := range []struct {
		name   string
		next   []string // sinks of the next table's route
		gone   []string // legs of the present one that leave
		keeps  int      // what b keeps
		want   map[string]int
		strays int
	}{
		{"another sink in its place", []string{"a", "d"}, []string{"b"}, 0, map[string]int{"a": 3, "d": 3}, 0},
		{"the same sink in another buffer", []string{"a", "b"}, []string{"b"}, 0, map[string]int{"a": 3, "next b": 3}, 0},
		{"no other sink", []string{"a"}, []string{"b"}, 0, map[string]int{"a": 3}, 0},
		{"both", []string{"d"}, []string{"a", "b"}, 0, map[string]int{"d": 3}, 0},
		{"a part", []string{"a", "d"}, []string{"b"}, 1, map[string]int{"a": 3, "d": 2}, 0},
		{"both, and of one a part", []string{"d", "b"}, []string{"a", "b"}, 2, map[string]int{"d": 3, "next b": 3}, 0},
		{"no route", nil, []string{"b"}, 0, map[string]int{"a": 3, "stray": 3}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			all := map[string]*leg{"a": w.a, "b": w.b, "stray": w.stray}
			var to []route.Leg
			for _, sink := range c.next {
				name := sink
				if all[sink] != nil && !slices.Contains(c.gone, sink) {
					to = append(to, all[sink])
					continue
				}
				if all[sink] != nil {
					name = "next " + sink
				}
				all[name] = &leg{name: sink, log: &w.log}
				to = append(to, all[name])
			}
			swap := func() {
				var routes []*route.Route
				if to != nil {
					routes = []*route.Route{{Name: "next", Match: prefixed("app."), Legs: to}}
				}
				w.Swap(route.NewTable(routes, &route.Route{Legs: []route.Leg{w.stray}}, &route.Route{Legs: []route.Leg{w.bad}},
					func(c *record.Chunk) { w.strays = append(w.strays, c.Tag) }))
			}
			once := false
			for _, name := range c.gone {
				all[name].leaves = func() {
					if !once {
						once = true
						swap()
					}
				}
			}
			w.b.keeps = c.keeps
			told, bodies := []bool{}, []byte(nil)
			for range 3 {
				bodies, _ = record.AppendBody(append(make([]byte, 0, 3*(record.FrameSize+1)), bodies...), []byte("x"))
			}
			w.Admit(&record.Chunk{Tag: "app.x", Bodies: bodies, Count: 3, Level: record.LevelDelivered, Done: func(ok bool) { told = append(told, ok) }})
			got := map[string]int{}
			for name, l := range all {
				for _, chunk := range l.chunks {
					got[name] += chunk.Count
				}
				for _, done := range l.held {
					done(true)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if !slices.Equal(told, []bool{true}) || len(w.strays) != c.strays {
				t.Errorf("told %v, %d strays", told, len(w.strays))
			}
		})
	}
}

// TestTextThatALegGivesBack goes on likewise.
func TestTextThatALegGivesBack(t *testing.T) {
	w := newWorld()
	d := &leg{name: "d", log: &w.log}
	w.b.keeps = 4
	w.b.leaves = func() {
		w.Swap(route.NewTable([]*route.Route{{Match: prefixed("app."), Legs: []route.Leg{d, w.a}}},
			&route.Route{Legs: []route.Leg{w.stray}}, &route.Route{Legs: []route.Leg{w.bad}}, func(*record.Chunk) {}))
	}
	first := w.Swap(route.NewTable([]*route.Route{{Match: prefixed("app."), Legs: []route.Leg{w.a, w.b}}},
		&route.Route{Legs: []route.Leg{w.stray}}, &route.Route{Legs: []route.Leg{w.bad}}, func(*record.Chunk) {}))
	<-first
	w.Lines("app.x", 1, []byte("one\ntwo\n"), true)
	w.Swap(route.NewTable([]*route.Route{{Match: prefixed("app."), Legs: []route.Leg{w.a, w.b}}},
		&route.Route{Legs: []route.Leg{w.stray}}, &route.Route{Legs: []route.Leg{w.bad}}, func(*record.Chunk) {}))
	w.Body("app.x", 1, nil, record.Part{})
	want := []string{"a gets app.x: one\ntwo\n", "d gets app.x: two\n", "a gets app.x: part ", "d gets app.x: part "}
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(w.log))); diff != "" {
		t.Error(diff)
	}
}

// TestChunkWantedBack goes to no leg any more, and its source is told; where it goes to several, which may have taken
// it, it is not given back.
func TestChunkWantedBack(t *testing.T) {
	for tag, want := range map[string]string{"one": "back", "app.x": "taken", "app.long": "taken"} {
		w := newWorld()
		one := &leg{name: "one", log: &w.log}
		body := "x"
		if tag == "app.long" {
			body, w.b.most = strings.Repeat("x", 2000), 1000 // It goes to one of them, and to where invalid ones go.
		}
		w.Swap(route.NewTable([]*route.Route{{Match: prefixed("app."), Legs: []route.Leg{w.a, w.b}}, {Match: prefixed("one"), Legs: []route.Leg{one}}},
			&route.Route{Legs: []route.Leg{w.stray}}, &route.Route{Legs: []route.Leg{w.bad}}, func(*record.Chunk) {}))
		until, recall := context.WithCancel(t.Context())
		one.leaves = recall
		bodies, _ := record.AppendBody(make([]byte, 0, 2*(record.FrameSize+len(body))), []byte(body))
		got := ""
		w.Admit(&record.Chunk{Tag: tag, Bodies: bodies, Count: 1, Until: until, Done: func(ok bool) {
			got += map[bool]string{true: "taken", false: "back"}[ok]
		}})
		for _, l := range []*leg{w.a, w.b, w.bad} {
			for i, done := range l.held {
				if done(true); l.chunks[i].Until != nil {
					t.Error("a leg may give back what another one has taken")
				}
			}
		}
		if got != want {
			t.Errorf("%s: its source is told %q, expected %q", tag, got, want)
		}
		recall()
	}
}
