package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func options(dir string) Options {
	return Options{Dir: dir, Run: "test"}
}

// open returns a writer that is closed when the test ends.
func open(t testing.TB, o Options) *Sink {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

var epoch = time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC)

// at is a line of that second.
func at(second int, body string) sinktest.Event {
	return sinktest.Event{Time: epoch.Add(time.Duration(second) * time.Second), Body: body}
}

// texts reads what a query chooses, as text.
func texts(t testing.TB, dir string, q Query) []string {
	t.Helper()
	got := []string{}
	if err := Read(t.Context(), dir, q, func(e Entry) error {
		got = append(got, text(e))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func text(e Entry) string {
	if e.Loss != nil {
		return string(e.Loss.AppendText(nil))
	}
	return string(e.Text)
}

func want(t testing.TB, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

func TestConformance(t *testing.T) {
	for name, size := range map[string]int64{"large": 0, "small": 4 << 20} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Destination {
				o := options(tempDir(t))
				o.MaxSize = size
				s, d := openFaulty(t, o)
				return sinktest.Destination{
					Sink:   s,
					Fail:   func() { d.Fail(1) },
					Traits: sinktest.Traits{Bytes: true, Exact: true},
					Read: func() (all []sinktest.Entry, err error) {
						err = Read(context.Background(), o.Dir, Query{}, func(e Entry) error {
							all = append(all, sinktest.Entry{Stream: e.Stream, Time: e.Time, Text: text(e)})
							return nil
						})
						return all, err
					},
				}
			})
		})
	}
}

func TestLinesAreThoseThatAreDocumented(t *testing.T) {
	dir := tempDir(t)
	s := open(t, options(dir))
	part := sinktest.Event{Time: epoch, Body: "<half", Part: record.Part{Ordinal: 1}}
	older := at(-2, "late")
	older.Stream = 1
	sinktest.Deliver(t, s, at(0, `a "line"`), at(0, "\xff\x00"), part, older,
		sinktest.Event{Time: epoch.Add(1500 * time.Millisecond), Loss: &record.Loss{Lost: 2, Bytes: 9, Reason: "shutdown"}})
	wanted := `{"time":"2026-11-20T18:00:00Z","run":"test","stream":"stdout","seq":1,"text":"a \"line\""}
{"time":"2026-11-20T18:00:00Z","run":"test","stream":"stdout","seq":2,"base64":"/wA="}
{"time":"2026-11-20T18:00:00Z","run":"test","stream":"stdout","seq":3,"part":1,"last":false,"text":"<half"}
{"time":"2026-11-20T17:59:58Z","sort":"2026-11-20T18:00:00Z","run":"test","stream":"stderr","seq":1,"text":"late"}
{"time":"2026-11-20T18:00:01.5Z","run":"test","stream":"stdout","seq":4,"loss":{"lost":2,"bytes":9,"first_seq":4,"last_seq":5,"first_time":"2026-11-20T18:00:01.5Z","last_time":"2026-11-20T18:00:01.5Z","reason":"shutdown"}}
`
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	all := slices.DeleteFunc(names(t, dir), func(n string) bool { return n == lockName })
	if len(all) != 1 {
		t.Fatalf("files %v", all)
	}
	b, err := os.ReadFile(filepath.Join(dir, all[0]))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, string(b)); diff != "" {
		t.Errorf("segment (-want +got):\n%s", diff)
	}
	wantName := fmt.Sprintf("%d-%s-000001-%d-%d-4-19-%d.jsonl", epoch.UnixNano(), s.next.writer,
		epoch.Add(-2*time.Second).UnixNano(), epoch.Add(1500*time.Millisecond).UnixNano(), len(wanted))
	if all[0] != wantName {
		t.Errorf("the segment is called %s, want %s", all[0], wantName)
	}
	// What was read, but for the line itself, is what was written.
	var got []Entry
	if err := Read(t.Context(), dir, Query{}, func(e Entry) error {
		e.Text, e.Line = slices.Clone(e.Text), nil
		got = append(got, e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	entries := []Entry{
		{Time: epoch, Run: "test", Stream: "stdout", Seq: 1, Text: []byte(`a "line"`)},
		{Time: epoch, Run: "test", Stream: "stdout", Seq: 2, Text: []byte("\xff\x00")},
		{Time: epoch, Run: "test", Stream: "stdout", Seq: 3, Text: []byte("<half"), Part: record.Part{Ordinal: 1}},
		{Time: epoch.Add(-2 * time.Second), Run: "test", Stream: "stderr", Seq: 1, Text: []byte("late")},
		{Time: epoch.Add(1500 * time.Millisecond), Run: "test", Stream: "stdout", Seq: 4, Loss: &record.Loss{
			Lost: 2, Bytes: 9, FirstSeq: 4, LastSeq: 5, Reason: "shutdown",
			FirstTime: epoch.Add(1500 * time.Millisecond).UnixNano(), LastTime: epoch.Add(1500 * time.Millisecond).UnixNano(),
		}},
	}
	if diff := cmp.Diff(entries, got, cmpopts.IgnoreUnexported(Entry{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(tempDir(t), "state", "local")
	s := open(t, options(dir))
	sinktest.Deliver(t, s, at(0, "x"))
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v, %v", info.Mode(), err)
	}
	for _, name := range names(t, dir) {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != fileMode {
			t.Errorf("%s is %v, %v", name, info.Mode(), err)
		}
	}
}

func TestAWriterThatWritesNothingLeavesNothing(t *testing.T) {
	dir := tempDir(t)
	s := open(t, options(dir))
	if err := errors.Join(s.Check(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("files %v", left)
	}
}

func TestBadOptions(t *testing.T) {
	o := options(tempDir(t))
	o.MaxSize = MinMaxSize - 1
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "1048576") {
		t.Errorf("a store that is too small: %v", err)
	}
	o = options(filepath.Join(tempDir(t), "file", "x"))
	if err := os.WriteFile(filepath.Dir(o.Dir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(o); err == nil {
		t.Error("a folder within a file")
	}
}

func TestAFolderThatIsGoneIsTold(t *testing.T) {
	dir := tempDir(t)
	s := open(t, options(dir))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Check says %v", err)
	}
	if out := s.Send(t.Context(), sinktest.NewRequest(at(0, "x"))); out.Verdict != sink.Retry || !out.Config || out.Unsure {
		t.Errorf("the outcome is %+v", out)
	}
}

func TestAFailedAttemptLeavesNoTime(t *testing.T) {
	dir := tempDir(t)
	s, d := openFaulty(t, options(dir))
	defer s.Close()
	sinktest.Deliver(t, s, at(1, "one"))
	d.Fail(1)
	if out := s.Send(t.Context(), sinktest.NewRequest(at(9, "never"))); out.Verdict != sink.Retry {
		t.Fatalf("the outcome is %+v", out)
	}
	sinktest.Deliver(t, s, at(2, "two"))
	if err := Read(t.Context(), dir, Query{}, func(e Entry) error {
		if e.sort != e.Time.UnixNano() {
			t.Errorf("the place of %s is not its time", e.Line)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestNoAllocationForARecord(t *testing.T) {
	s := open(t, options(tempDir(t)))
	allocations := func(records int) float64 {
		events := make([]sinktest.Event, records)
		for i := range events {
			events[i] = at(i/10, "body"+strings.Repeat("\xff", i%2))
		}
		r := sinktest.NewRequest(events...)
		return testing.AllocsPerRun(5, func() { s.Send(context.Background(), r) })
	}
	if few, many := allocations(10), allocations(1000); many > few {
		t.Errorf("%v allocations for 1000 records, %v for 10", many, few)
	}
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]time.Time{
		"10m":                       epoch.Add(-10 * time.Minute),
		"1h30m":                     epoch.Add(-90 * time.Minute),
		"0s":                        epoch,
		"2026-11-20T18:00:00Z":      epoch,
		"2026-11-20T19:00:00+01:00": epoch,
		"2026-11-20T18:00:00.25Z":   epoch.Add(250 * time.Millisecond),
	} {
		if got, err := ParseTime(s, epoch); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "yesterday", "-10m", "10", "2026-11-20", "2026-11-20T18:00:00"} {
		if got, err := ParseTime(s, epoch); err == nil || !strings.Contains(err.Error(), "10m") {
			t.Errorf("%q is %v, %v", s, got, err)
		}
	}
}
