package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// small is a writer of a store whose segments hold a few lines each.
func small(t testing.TB, dir, run string) *Sink {
	t.Helper()
	o := options(dir)
	o.MaxSize, o.Run = 64<<10, run // A bound smaller than New would take.
	s, _ := openFaulty(t, o)
	t.Cleanup(func() { s.Close() })
	return s
}

// kill ends a writer as SIGKILL would: its locks are gone, and nothing else.
func kill(t testing.TB, s *Sink) string {
	t.Helper()
	name := s.segment.name()
	if err := errors.Join(s.log.Close(), s.store.folder.Close()); err != nil {
		t.Fatal(err)
	}
	s.segment = nil
	return name
}

func appendTo(t testing.TB, dir, name, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestReadWithoutAStore(t *testing.T) {
	err := Read(t.Context(), filepath.Join(tempDir(t), "none"), Query{}, func(Entry) error { return nil })
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
	want(t, texts(t, tempDir(t), Query{Tail: 3}))
}

func TestWhatAKilledWriterLeaves(t *testing.T) {
	dir := tempDir(t)
	s := small(t, dir, "killed")
	sinktest.Deliver(t, s, at(1, "one"), at(2, "two"))
	name := kill(t, s)
	appendTo(t, dir, name, `{"time":"2026-11-20T18:00:03Z","run":"ki`)
	for _, tail := range []int{0, 2, 9} {
		var damage []Damage
		want(t, texts(t, dir, Query{Tail: tail, Damaged: func(d Damage) { damage = append(damage, d) }}), "one", "two")
		if len(damage) != 1 || damage[0].Size != 40 || damage[0].Segment != name || !errors.Is(damage[0].Err, errCutOff) {
			t.Errorf("the damage with tail %d is %+v", tail, damage)
		}
	}
	// The next writer names the segment and begins one of its own.
	next := small(t, dir, "next")
	sinktest.Deliver(t, next, at(4, "four"))
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range names(t, dir) {
		if strings.HasSuffix(name, openEnd) {
			t.Errorf("%s is left", name)
		}
		if g, ok := parseName(name); ok && g.writer == s.next.writer && (g.records != 2 || g.bytes != 6) {
			t.Errorf("the killed writer's segment is called %s", name)
		}
	}
	want(t, texts(t, dir, Query{}), "one", "two", "four")
}

func TestDamageInTheMiddleIsLeftOut(t *testing.T) {
	dir := tempDir(t)
	s := small(t, dir, "damaged")
	sinktest.Deliver(t, s, at(1, "one"))
	long := strings.Repeat("x", maxLine+200_000)
	appendTo(t, dir, s.segment.name(), "\x00\x00\x00\n"+long+"\n{}\n")
	sinktest.Deliver(t, s, at(2, "two"))
	var sizes []int64
	for _, tail := range []int{0, 5} {
		sizes = nil
		got := texts(t, dir, Query{Tail: tail, Damaged: func(d Damage) { sizes = append(sizes, d.Size) }})
		want(t, got, "one", "two")
		if diff := gocmp.Diff([]int64{4, int64(len(long)) + 1, 3}, sizes); diff != "" {
			t.Errorf("damage (-want +got):\n%s", diff)
		}
	}
}

func TestLinesThatAreTooLong(t *testing.T) {
	text := "a\n" + strings.Repeat("x", maxLine+200_000) + "\nb\n" + strings.Repeat("y", maxLine+200_000)
	forwards := newLines(strings.NewReader(text), 0, int64(len(text)))
	var got []string
	for {
		line, err := forwards.next()
		if err == io.EOF {
			break
		}
		var bad *badLine
		if errors.As(err, &bad) {
			line = fmt.Appendf(nil, "%d bytes at %d", bad.size, bad.offset)
		}
		got = append(got, string(line))
	}
	want(t, got, "a", fmt.Sprint(maxLine+200_001, " bytes at 2"), "b")
	if n := forwards.rest(); n != maxLine+200_000 {
		t.Errorf("%d bytes are left", n)
	}
	backwards := newBackLines(strings.NewReader(text), int64(len(text)))
	got = nil
	for {
		line, offset, err := backwards.previous()
		if err == io.EOF {
			break
		}
		got = append(got, fmt.Sprint(string(line), " at ", offset))
	}
	want(t, got, fmt.Sprint("b at ", maxLine+200_003), "a at 0")
}

// reading is a reader that has listed the folder.
func reading(t *testing.T, dir string, q Query, got *[]string) *reader {
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	q.Damaged = func(d Damage) { t.Errorf("damage: %+v", d) }
	r := newReader(root, q, func(e Entry) error { *got = append(*got, text(e)); return nil })
	t.Cleanup(func() { r.close() }) //nolint:errcheck // It only reads.
	if err := r.look(); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestASegmentThatIsNamedOrDeletedMeanwhile(t *testing.T) {
	for _, tail := range []int{0, 9} {
		dir := tempDir(t)
		named, deleted := small(t, dir, "named"), small(t, dir, "deleted")
		sinktest.Deliver(t, named, at(1, "named"))
		sinktest.Deliver(t, deleted, at(2, "deleted"))
		var got []string
		r := reading(t, dir, Query{Tail: tail}, &got)
		if err := errors.Join(named.Close(), os.Remove(filepath.Join(dir, deleted.segment.name()))); err != nil {
			t.Fatal(err)
		}
		if tail > 0 {
			if err := r.seekTail(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.merge(t.Context()); err != nil {
			t.Fatal(err)
		}
		want(t, got, "named")
	}
}

func TestWhatIsWrittenMeanwhileIsNotOfTheTail(t *testing.T) {
	dir := tempDir(t)
	s := small(t, dir, "run")
	sinktest.Deliver(t, s, at(1, "one"), at(2, "two"))
	var got []string
	r := reading(t, dir, Query{Tail: 2}, &got)
	if err := r.seekTail(t.Context()); err != nil {
		t.Fatal(err)
	}
	sinktest.Deliver(t, s, at(3, "three"))
	if err := r.merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, got, "one", "two")
}

func TestALineThatIsCompletedMeanwhile(t *testing.T) {
	dir := tempDir(t)
	s := small(t, dir, "run")
	sinktest.Deliver(t, s, at(1, "one"))
	appendTo(t, dir, s.segment.name(), `{"time":`)
	var got []string
	r := reading(t, dir, Query{}, &got)
	r.emit = func(e Entry) error {
		if got = append(got, text(e)); len(got) == 1 {
			appendTo(t, dir, s.segment.name(), `"2026-11-20T18:00:05Z","run":"run","stream":"stdout","seq":2,"text":"two"}`+"\n")
			kill(t, s)
		}
		return nil
	}
	if err := r.merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, got, "one", "two")
}

func TestALineThatIsBeingWrittenIsNoDamage(t *testing.T) {
	dir := tempDir(t)
	s := small(t, dir, "alive")
	sinktest.Deliver(t, s, at(1, "one"))
	appendTo(t, dir, s.segment.name(), `{"time":`)
	for _, tail := range []int{0, 5} {
		want(t, texts(t, dir, Query{Tail: tail, Damaged: func(d Damage) { t.Errorf("damage %+v", d) }}), "one")
	}
}

// history is what several writers have written, in the order of reading.
type history struct {
	dir     string
	entries []told
}

// told is an entry as the model of the reader knows it.
type told struct {
	sort         time.Time
	writer       string
	time         time.Time
	stream, text string
}

// write makes a history of up to four writers, some of which are still there.
func write(rt *rapid.T, t testing.TB) history {
	h := history{dir: tempDir(rt)}
	n := 0
	for w := range rapid.IntRange(1, 4).Draw(rt, "writers") {
		o := options(h.dir)
		o.MaxSize, o.Run = 1<<20, fmt.Sprint("run ", w) // 16 KiB to a segment, and nothing expires.
		s, _ := openFaulty(t, o)
		var latest time.Time
		var numbers sinktest.Numbering
		for range rapid.IntRange(0, 12).Draw(rt, "requests") {
			var events []sinktest.Event
			for range rapid.IntRange(1, 9).Draw(rt, "events") {
				n++
				e := at(rapid.IntRange(0, 30).Draw(rt, "second"), fmt.Sprint("entry ", n, strings.Repeat(".", rapid.SampledFrom([]int{0, 20, 3000}).Draw(rt, "long"))))
				e.Stream = rapid.Uint32Range(0, 1).Draw(rt, "stream")
				events = append(events, e)
				if e.Time.After(latest) {
					latest = e.Time
				}
				h.entries = append(h.entries, told{latest, s.next.writer, e.Time, sinktest.Streams[e.Stream], e.Body})
			}
			if out := s.Send(t.Context(), numbers.NewRequest(events...)); out.Verdict != sink.Delivered {
				rt.Fatal(out.Err)
			}
		}
		switch rapid.IntRange(0, 2).Draw(rt, "ends by") {
		case 0:
			if err := s.Close(); err != nil {
				rt.Fatal(err)
			}
		case 1:
			if s.segment != nil {
				kill(t, s)
			}
		default:
			rt.Cleanup(func() { s.Close() })
		}
	}
	slices.SortStableFunc(h.entries, func(a, b told) int { return cmp.Or(a.sort.Compare(b.sort), cmp.Compare(a.writer, b.writer)) })
	return h
}

// choose is the model of a query.
func (h history) choose(q Query) []string {
	got := []string{}
	for _, e := range h.entries {
		if !e.time.Before(q.Since) && (q.Until.IsZero() || e.time.Before(q.Until)) &&
			(len(q.Streams) == 0 || slices.Contains(q.Streams, e.stream)) {
			got = append(got, e.text)
		}
	}
	if q.Tail > 0 {
		got = got[max(len(got)-q.Tail, 0):]
	} else if q.Tail == NoTail {
		got = []string{}
	}
	return got
}

func TestQueries(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := write(rt, t)
		moment := func(name string) time.Time {
			if n := rapid.IntRange(-20, 32).Draw(rt, name); n >= 0 {
				return epoch.Add(time.Duration(n) * time.Second)
			}
			return time.Time{}
		}
		for range 6 {
			q := Query{
				Since: moment("since"), Until: moment("until"), Tail: max(rapid.IntRange(-5, 60).Draw(rt, "tail"), NoTail),
				Streams: rapid.SampledFrom([][]string{nil, {"stderr"}, {"stdout", "other"}, {"stdout", "stderr"}}).Draw(rt, "streams"),
				Damaged: func(d Damage) { rt.Fatalf("damage: %+v", d) },
			}
			got := texts(t, h.dir, q)
			if diff := gocmp.Diff(h.choose(q), got); diff != "" {
				rt.Fatalf("%+v (-want +got):\n%s", q, diff)
			}
		}
	})
}

func TestFollow(t *testing.T) {
	for _, tail := range []int{0, 1, NoTail} {
		synctest.Test(t, func(t *testing.T) {
			dir := tempDir(t)
			s := small(t, dir, "first")
			sinktest.Deliver(t, s, at(1, "old"), at(2, "last"))
			wanted := map[int][]string{0: {"old", "last"}, 1: {"last"}, NoTail: nil}[tail]

			ctx, cancel := context.WithCancel(t.Context())
			var got []string
			done := make(chan error)
			go func() {
				done <- Read(ctx, dir, Query{Tail: tail, Follow: true, Damaged: func(d Damage) { t.Errorf("damage: %+v", d) }},
					func(e Entry) error { got = append(got, text(e)); return nil })
			}()
			step := func(add ...string) {
				t.Helper()
				time.Sleep(2 * pollInterval)
				synctest.Wait()
				wanted = append(wanted, add...)
				want(t, got, wanted...)
			}
			step()
			sinktest.Deliver(t, s, at(3, "new"))
			step("new")
			for i := range 9 { // Into further segments.
				body := fmt.Sprint(i, strings.Repeat(".", 300))
				sinktest.Deliver(t, s, at(4+i, body))
				wanted = append(wanted, body)
			}
			step()
			other := small(t, dir, "other")
			sinktest.Deliver(t, other, at(5, "of another"))
			step("of another")
			appendTo(t, dir, other.segment.name(), `{"time":`)
			step()
			appendTo(t, dir, other.segment.name(), `"2026-11-20T18:00:05Z","run":"other","stream":"stdout","seq":2,"text":"in two writes"}`+"\n")
			step("in two writes")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			kill(t, other)
			third := small(t, dir, "third")
			sinktest.Deliver(t, third, at(6, "of a third"))
			step("of a third")
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("the end is %v", err)
			}
		})
	}
}

func TestFollowEndsAtUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := tempDir(t)
		s := small(t, dir, "run")
		now := time.Now()
		sinktest.Deliver(t, s, sinktest.Event{Time: now, Body: "in time"}, sinktest.Event{Time: now.Add(time.Hour), Body: "too late"})
		want(t, texts(t, dir, Query{Follow: true, Until: now.Add(time.Minute)}), "in time")
		if waited := time.Since(now); waited < time.Minute || waited > time.Minute+2*pollInterval {
			t.Errorf("it took %v", waited)
		}
	})
}

func TestAnErrorOfTheCallerEndsTheReading(t *testing.T) {
	dir := tempDir(t)
	s := small(t, dir, "run")
	sinktest.Deliver(t, s, at(1, "one"), at(2, "two"))
	enough, n := errors.New("enough"), 0
	err := Read(t.Context(), dir, Query{}, func(Entry) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("%d entries, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tail := range []int{0, 1} {
		if err := Read(ctx, dir, Query{Tail: tail}, func(Entry) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("with tail %d and a context that has ended: %v", tail, err)
		}
	}
}

func TestMarkersKeepTheirPlace(t *testing.T) {
	dir := tempDir(t)
	a, b := small(t, dir, "a"), small(t, dir, "b")
	// The marker is older than what was written before it.
	marker := sinktest.Event{Time: at(2, "").Time, Stream: 1, Loss: &record.Loss{Lost: 1, Reason: "max-block"}}
	sinktest.Deliver(t, a, at(1, "a1"), at(5, "a5"), marker, at(5, "a5 again"))
	sinktest.Deliver(t, b, at(3, "b3"), at(6, "b6"))
	got := texts(t, dir, Query{})
	for i := range got {
		got[i], _, _ = strings.Cut(got[i], " {")
	}
	want(t, got, "a1", "b3", "a5", "spillway-loss", "a5 again", "b6")
	for n := range got {
		if tail := texts(t, dir, Query{Tail: n + 1}); len(tail) != n+1 || !strings.HasPrefix(tail[0], got[len(got)-n-1]) {
			t.Errorf("the last %d are %v", n+1, tail)
		}
	}
}
