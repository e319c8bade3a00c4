package route_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/route"
)

// leg notes what it is handed, and keeps what it is to tell.
type leg struct {
	name  string
	level record.Level
	waits bool
	body  int
	log   *[]string
	held  []func(ok bool)

	chunks []record.Chunk
	passed []record.Origin
	most   int           // of a record; 0 is any
	full   chan struct{} // admission waits for it, unless it is nil
	// leaves makes the leg one that is in use no more: it is called, and what is handed
	// over is given back, but for so many records of a chunk, or bytes of lines.
	leaves func()
	keeps  int
	missed int64
}

func (l *leg) Sink() string        { return l.name }
func (l *leg) Level() record.Level { return l.level }
func (l *leg) Waits() bool         { return l.waits }
func (l *leg) MaxBody() int        { return l.body }

func (l *leg) MaxRecord() int {
	if l.most == 0 {
		return math.MaxInt
	}
	return l.most
}

func (l *leg) Miss(_ string, _, n int64) { l.missed += n }

func (l *leg) Pass(o record.Origin) { l.passed = append(l.passed, o) }

func (l *leg) Admit(c *record.Chunk) *record.Chunk {
	if l.full != nil {
		<-l.full
	}
	if l.leaves != nil {
		l.leaves()
		return l.giveBack(c)
	}
	*l.log = append(*l.log, fmt.Sprintf("%s gets %s at %s", l.name, c.Tag, c.Level))
	l.chunks = append(l.chunks, *c)
	if c.Done != nil {
		l.held = append(l.held, c.Done)
	}
	return nil
}

func (l *leg) Lines(tag string, _ []byte, _ int64, lines []byte, _ bool) []byte {
	if l.leaves != nil {
		l.leaves()
		return lines[l.keeps:]
	}
	*l.log = append(*l.log, fmt.Sprintf("%s gets %s: %s", l.name, tag, lines))
	return nil
}

func (l *leg) Body(tag string, _ []byte, _ int64, body []byte, _ record.Part) bool {
	if l.leaves != nil {
		l.leaves()
		return false
	}
	*l.log = append(*l.log, fmt.Sprintf("%s gets %s: part %s", l.name, tag, body))
	return true
}

// prefixed matches tags that begin with text.
func prefixed(text string) func(string) bool {
	return func(tag string) bool { return strings.HasPrefix(tag, text) }
}

// world is a router with two routes, of which the first has two legs.
type world struct {
	*route.Router
	log                 []string
	a, b, c, stray, bad *leg
	strays              []string
}

func newWorld() *world {
	w := &world{}
	w.a = &leg{name: "a", level: record.LevelDelivered, waits: true, body: 100, log: &w.log}
	w.b = &leg{name: "b", level: record.LevelKernel, body: 50, log: &w.log}
	w.c = &leg{name: "c", level: record.LevelPower, body: 70, log: &w.log}
	w.stray = &leg{name: "stray", level: record.LevelDelivered, waits: true, body: 10, log: &w.log}
	w.bad = &leg{name: "bad", level: record.LevelDelivered, waits: true, body: 10, log: &w.log}
	w.Router = route.NewRouter(w.table())
	return w
}

func (w *world) table() *route.Table {
	return route.NewTable([]*route.Route{
		{Name: "first", Match: prefixed("app."), Legs: []route.Leg{w.a, w.b}},
		{Name: "second", Match: prefixed("a"), Legs: []route.Leg{w.c}},
	}, &route.Route{Name: "unmatched", Legs: []route.Leg{w.stray}}, &route.Route{Name: "invalid", Legs: []route.Leg{w.bad}}, func(c *record.Chunk) { w.strays = append(w.strays, c.Tag) })
}

// TestFirstMatchWins, a leg that waits comes after one that does not, and what no
// route takes goes to the leg for that.
func TestFirstMatchWins(t *testing.T) {
	w := newWorld()
	for range 2 { // The second time by heart.
		for _, tag := range []string{"app.x", "apple", "", "sys"} {
			w.Admit(&record.Chunk{Tag: tag, Level: route.AsRoute})
		}
	}
	w.Reject(&record.Chunk{Tag: "app.x", Level: record.LevelMemory})
	once := []string{
		"b gets app.x at kernel", "a gets app.x at delivered", "c gets apple at power", "stray gets  at delivered", "stray gets sys at delivered",
	}
	want := append(append(once, once...), "bad gets app.x at memory")
	if diff := cmp.Diff(want, w.log); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(w.strays, []string{"", "sys", "", "sys"}) {
		t.Errorf("told of %q", w.strays)
	}
}

// TestMiss: every leg of a tag's route hears of what is gone, and no leg of what no route
// takes.
func TestMiss(t *testing.T) {
	w := newWorld()
	w.Miss("app.x", 1, 20)
	w.Miss("app.x", 2, 1)
	w.Miss("sys", 1, 5)
	if w.a.missed != 21 || w.b.missed != 21 || w.c.missed != 0 || w.stray.missed != 0 || w.bad.missed != 0 {
		t.Errorf("a %d, b %d, c %d, stray %d, bad %d; want 21 at a and b", w.a.missed, w.b.missed, w.c.missed, w.stray.missed, w.bad.missed)
	}
}

// TestLongTag: one that no disk buffer could keep goes nowhere, whatever matches it.
func TestLongTag(t *testing.T) {
	w := newWorld()
	longest := "app." + strings.Repeat("x", record.MaxName-4)
	w.Admit(&record.Chunk{Tag: longest, Level: record.LevelMemory})
	w.Admit(&record.Chunk{Tag: longest + "x", Level: record.LevelMemory})
	if len(w.a.chunks) != 1 || len(w.b.chunks) != 1 || len(w.bad.chunks) != 1 || len(w.strays) != 1 {
		t.Errorf("%d, %d and %d chunks", len(w.a.chunks), len(w.b.chunks), len(w.bad.chunks))
	}
}

// TestTooLong: a record that one leg cannot hold goes to the dead letters for that
// leg alone, in pieces; its neighbours go their way, the chunk is told when
// everything has told, and nothing of it passes for the whole chunk.
func TestTooLong(t *testing.T) {
	key := record.Origin{Key: [16]byte{1}}
	chunk := func(told *[]bool, sizes ...int) *record.Chunk {
		c := &record.Chunk{Tag: "app.x", Level: record.LevelPower, Origin: key, Count: len(sizes), Done: func(ok bool) { *told = append(*told, ok) }}
		for i, n := range sizes {
			body := strings.Repeat(string(rune('a'+i)), n)
			c.Bodies, _ = record.AppendBody(append(make([]byte, 0, len(c.Bodies)+n+record.FrameSize), c.Bodies...), []byte(body))
		}
		return c
	}
	for _, c := range []struct {
		sizes []int
		fit   string
		long  []int
		lost  bool // what became of the dead letters
	}{
		{[]int{5, 100 << 10, 6}, "aaaaa cccccc", []int{32 << 10, 32 << 10, 32 << 10, 4 << 10}, false},
		{[]int{2000, 5, 2001}, "bbbbb", []int{2000, 2001}, true},
		{[]int{2000}, "", []int{2000}, false},
	} {
		w := newWorld()
		w.a.most = 1000
		var told []bool
		w.Admit(chunk(&told, c.sizes...))
		if len(w.b.chunks) != 1 || w.b.chunks[0].Count != len(c.sizes) {
			t.Errorf("the other leg gets %d chunks", len(w.b.chunks))
		}
		if got := strings.Join(bodies(w.a), " "); got != c.fit {
			t.Errorf("the leg gets %q, want %q", got, c.fit)
		}
		var long []int
		for _, piece := range bodies(w.bad) {
			long = append(long, len(piece))
		}
		if diff := cmp.Diff(c.long, long); diff != "" {
			t.Error(diff)
		}
		for _, part := range append(w.a.chunks, w.bad.chunks...) {
			if !part.Origin.Known() || part.Origin.Key == key.Key {
				t.Error("a part passes for the chunk")
			}
		}
		rest := w.b.chunks[0].Origin
		if c.fit == "" && !slices.Equal(w.a.passed, []record.Origin{rest}) || c.fit != "" && w.a.chunks[0].Origin != rest {
			t.Errorf("the legs do not have one key: %v, %v", w.a.passed, rest)
		}
		checkKnown(t, w, chunk(new([]bool), c.sizes...))
		if w.bad.chunks[0].Level != record.LevelDelivered {
			t.Errorf("the dead letters are to be at %s", w.bad.chunks[0].Level)
		}
		for _, done := range append(w.a.held, w.b.held...) {
			done(true)
		}
		if len(told) != 0 {
			t.Error("told before the dead letters were there")
		}
		w.bad.held[0](!c.lost)
		if !slices.Equal(told, []bool{!c.lost}) {
			t.Errorf("told %v", told)
		}
	}
}

// checkKnown sends a chunk again of which parts are known as settled: those are not
// handed over once more, and the others are with the keys that they had.
func checkKnown(t *testing.T, before *world, c *record.Chunk) {
	t.Helper()
	long, fit := before.bad.chunks[0].Origin, before.b.chunks[0].Origin
	for _, known := range [][]record.Origin{{long}, {fit}, {long, fit}} {
		w := newWorld()
		w.a.most = 1000
		again, told := *c, 0
		again.Known = func(key [16]byte) bool {
			return slices.ContainsFunc(known, func(o record.Origin) bool { return o.Key == key })
		}
		again.Done = func(ok bool) { told++ }
		w.Admit(&again)
		for _, l := range []struct {
			*leg
			part record.Origin
		}{{w.bad, long}, {w.b, fit}} {
			want := !slices.Contains(known, l.part)
			if got := len(l.chunks) == 1 && l.chunks[0].Origin == l.part; got != want || !want && len(l.chunks) > 0 {
				t.Errorf("%s is handed its part: %t, want %t", l.name, got, want)
			}
			for _, done := range l.held {
				done(true)
			}
		}
		for _, done := range w.a.held {
			done(true)
		}
		if told != 1 {
			t.Errorf("told %d times", told)
		}
	}
}

// TestTooLongMessages: of a message that is too long one dead letter says where it is; a
// dead letter that has become too long stays what it is.
func TestTooLongMessages(t *testing.T) {
	partition := record.Partition{Topic: "orders", ID: [16]byte{1}, Number: 3}
	fill := func(letter string, n int) []byte { return []byte(strings.Repeat(letter, n)) }
	for _, c := range []struct {
		name     string
		key, len int
		headers  []byte
		beside   bool // key and headers are kept
	}{
		{"value", 5, 70 << 10, record.AppendHeader(nil, nil, fill("h", 9)), true},
		{"key", 40 << 10, 10, nil, false},
		{"headers", 1, 0, record.AppendHeader(nil, nil, fill("h", 40<<10)), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := record.Message{Time: 9, Offset: 41, Form: record.FormJSON, Key: fill("k", c.key), Headers: c.headers, Value: fill("v", c.len)}
			short := record.Message{Offset: 42, Value: []byte("short")}
			chunk := record.Chunk{
				Tag: "app.x", Encoding: record.EncodingMessage, Count: 2, Partition: partition,
				Bodies: record.AppendMessage(record.AppendMessage(nil, &m), &short),
			}
			w := newWorld()
			w.a.most = 1000
			w.Admit(&chunk)
			if len(w.a.chunks) != 1 || w.a.chunks[0].Count != 1 || w.a.chunks[0].Partition != partition || len(w.bad.chunks) != 1 {
				t.Fatalf("the leg gets %+v", w.a.chunks)
			}
			long := w.bad.chunks[0]
			var got record.Message
			if all := bodies(w.bad); len(all) != 1 || long.Count != 1 || !record.ReadMessage([]byte(all[0]), &got) {
				t.Fatalf("%d letters of one message, in %+v", len(all), long)
			}
			want := fmt.Sprintf("a record of %d bytes, more than the ", m.Size()-record.FrameSize)
			if got.Offset != 41 || got.Time != 9 || got.Form != record.FormText || !strings.HasPrefix(string(got.Value), want) ||
				!strings.HasSuffix(string(got.Value), "it is at "+partition.Coordinates(41)) || long.Partition != partition || long.Refusal.Reason != "too-large" {
				t.Errorf("the letter is %+v of %+v, %+v", got, long.Partition, long.Refusal)
			}
			if c.beside != (string(got.Key) == string(m.Key)) || len(c.headers) > 0 && c.beside != (string(got.Headers) == string(m.Headers)) {
				t.Errorf("it has a key of %d bytes and headers of %d", len(got.Key), len(got.Headers))
			}
		})
	}
	w := newWorld()
	w.a.most = 1000
	m, told := record.Message{Offset: 41, Value: fill("v", 2000)}, []bool(nil)
	taken := w.AdmitTo(w.a.name, &record.Chunk{
		Tag: "app.x", Encoding: record.EncodingMessage, Count: 1, Partition: partition, Bodies: record.AppendMessage(nil, &m),
		Done: func(ok bool) { told = append(told, ok) },
	})
	if taken || len(w.a.chunks)+len(w.bad.chunks) > 0 || len(told) > 0 {
		t.Errorf("a letter that is too long is taken: %t; the legs get %d and %d chunks, and its store is told %v", taken, len(w.a.chunks), len(w.bad.chunks), told)
	}
}

// bodies are the records that a leg has got.
func bodies(l *leg) (all []string) {
	for _, c := range l.chunks {
		n := 0
		for rest := c.Bodies; len(rest) > 0; n++ {
			var body []byte
			body, _, rest = record.Next(rest)
			all = append(all, string(body))
		}
		if n != c.Count {
			all = append(all, fmt.Sprintf("%d records, and a count of %d", n, c.Count))
		}
	}
	return all
}

// TestManyTags: a flood of tags costs no memory for ever, and each goes its way.
func TestManyTags(t *testing.T) {
	w := newWorld()
	for i := range 20_000 {
		w.Admit(&record.Chunk{Tag: fmt.Sprint("app.", i), Level: record.LevelMemory})
	}
	if len(w.log) != 40_000 || len(w.strays) != 0 {
		t.Errorf("%d admissions, %d strays", len(w.log), len(w.strays))
	}
}

// TestDone: a chunk is kept where all legs keep it, and told once.
func TestDone(t *testing.T) {
	for _, c := range []struct{ a, b, want bool }{{true, true, true}, {true, false, false}, {false, true, false}, {false, false, false}} {
		w := newWorld()
		var told []bool
		w.Admit(&record.Chunk{Tag: "app.x", Level: record.LevelPower, Done: func(ok bool) { told = append(told, ok) }})
		w.b.held[0](c.b)
		if len(told) != 0 {
			t.Fatal("told before every leg was")
		}
		w.a.held[0](c.a)
		if !slices.Equal(told, []bool{c.want}) {
			t.Errorf("%v, %v: told %v", c.a, c.b, told)
		}
	}
}

// TestLines go to every leg, and are cut to what the smallest takes.
func TestLines(t *testing.T) {
	w := newWorld()
	if n := w.MaxBody("app.x"); n != 50 {
		t.Errorf("the largest body has %d bytes", n)
	}
	if both, one, none := w.Level("app.x"), w.Level("apple"), w.Level("sys"); both != record.LevelDelivered || one != record.LevelPower || none != record.LevelDelivered {
		t.Errorf("the legs vouch at %v, %v and %v", both, one, none)
	}
	w.Lines("app.x", 1, []byte("one\n"), true)
	w.Body("apple", 1, []byte("two"), record.Part{Ordinal: 1})
	w.Lines("sys", 1, []byte("three\nfour\n"), true)
	if diff := cmp.Diff([]string{"b gets app.x: one\n", "a gets app.x: one\n", "c gets apple: part two", "stray gets sys: three\nfour\n"}, w.log); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(w.strays, []string{"sys"}) {
		t.Errorf("told of %q", w.strays)
	}
}

// TestSwap: who is in the old table ends there, who comes goes to the new one, and
// the old one's legs are known to get nothing more.
func TestSwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.c.full = make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() { w.Admit(&record.Chunk{Tag: "apple", Level: record.LevelMemory}) })
		synctest.Wait()
		left := w.Swap(route.NewTable(nil, &route.Route{Legs: []route.Leg{w.stray}}, &route.Route{Legs: []route.Leg{w.bad}}, func(*record.Chunk) {}))
		w.Admit(&record.Chunk{Tag: "apple", Level: record.LevelMemory})
		synctest.Wait()
		select {
		case <-left:
			t.Fatal("somebody is still in the old table")
		default:
		}
		close(w.c.full)
		all.Wait()
		<-left
		if diff := cmp.Diff([]string{"stray gets apple at memory", "c gets apple at memory"}, w.log); diff != "" {
			t.Error(diff)
		}
		if unused := w.Swap(w.table()); unused != nil {
			<-unused // Nobody is in it.
		}
	})
}

// TestOneSink: what was refused by one sink goes there again and nowhere else, and to
// all of its route where that leads there no more. What no route takes is not dropped.
func TestOneSink(t *testing.T) {
	w := newWorld()
	for _, to := range []struct{ sink, tag string }{{"a", "app.web"}, {"c", "app.web"}, {"b", "app.web"}, {"a", "ab"}, {"a", "x"}} {
		w.log = append(w.log, to.sink+" "+to.tag)
		w.AdmitTo(to.sink, &record.Chunk{Tag: to.tag, Level: record.LevelDelivered})
	}
	want := []string{
		"a app.web", "a gets app.web at delivered",
		"c app.web", "b gets app.web at delivered", "a gets app.web at delivered",
		"b app.web", "b gets app.web at delivered",
		"a ab", "c gets ab at delivered",
		"a x", "bad gets x at delivered",
	}
	if diff := cmp.Diff(want, w.log); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"x"}, w.strays); diff != "" {
		t.Error(diff)
	}
}
