package jsonfile

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(path string) Options {
	return Options{Path: path, MaxSize: NoMaxSize, MaxFile: 1}
}

// open returns a sink that is closed when the test ends, with d for its disk.
func open(t testing.TB, o Options, d disk) *Sink {
	t.Helper()
	s, err := newSink(o, d)
	return sinktest.Opened(t, s, err)
}

func lines(bodies ...string) []sinktest.Event {
	return sinktest.Lines(time.Unix(1_700_000_000, 0).UTC(), bodies...)
}

// entry is a line of the file, as anybody's JSON decoder sees it.
type entry struct {
	Log    *string
	Stream string
	Attrs  map[string]string
	Time   time.Time
}

// readFiles reads the file and its older ones, oldest first.
func readFiles(path string) ([]entry, error) {
	var names []string
	for n := 0; ; n++ {
		name := path
		if n > 0 {
			name = fmt.Sprintf("%s.%d", path, n)
		}
		if _, err := os.Stat(name + gzipped); err == nil {
			name += gzipped
		} else if _, err := os.Stat(name); err != nil {
			break
		}
		names = append([]string{name}, names...)
	}
	var all []entry
	for _, name := range names {
		some, err := readFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func readFile(name string) (all []entry, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, gzipped) {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, err
		}
	}
	for b := bufio.NewReader(r); ; {
		line, err := b.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s ends within a line: %q: %w", name, line, err)
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil || e.Log == nil {
			return nil, fmt.Errorf("%s: not an entry: %q: %w", name, line, err)
		}
		all = append(all, e)
	}
}

// readBack is readFiles for the conformance suite.
func readBack(path string) ([]sinktest.Entry, error) {
	all, err := readFiles(path)
	entries := make([]sinktest.Entry, len(all))
	for i, e := range all {
		entries[i] = sinktest.Entry{Stream: e.Stream, Time: e.Time, Text: strings.TrimSuffix(*e.Log, "\n")}
	}
	return entries, err
}

func TestConformance(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"one file":   func(*Options) {},
		"rotated":    func(o *Options) { o.MaxSize, o.MaxFile = 100_000, 200 },
		"compressed": func(o *Options) { o.MaxSize, o.MaxFile, o.Compress = 1_000_000, 100, true },
	} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Destination {
				o := options(filepath.Join(t.TempDir(), "c.log"))
				change(&o)
				d := &faulty{disk: osDisk{}}
				s, err := newSink(o, d)
				if err != nil {
					t.Fatal(err)
				}
				return sinktest.Destination{
					Sink: s,
					Read: func() ([]sinktest.Entry, error) {
						if s.log.packing != nil {
							<-s.log.packing.done
						}
						return readBack(o.Path)
					},
					Fail:   func() { d.Fail(1) },
					Traits: sinktest.Traits{Exact: true},
				}
			})
		})
	}
}

func TestEntriesAreThoseOfDocker(t *testing.T) {
	o := options(filepath.Join(t.TempDir(), "c.log"))
	o.Attrs = []byte(`{"tag":"web"}`)
	s := open(t, o, osDisk{})
	at := time.Date(2026, 11, 20, 19, 3, 15, 120_000_000, time.FixedZone("", 3600))
	part := func(n uint32, last bool) record.Part { return record.Part{Ordinal: n, Last: last} }
	sinktest.Deliver(t, s,
		sinktest.Event{Time: at, Body: "plain"},
		sinktest.Event{Time: at, Body: "", Stream: 1},
		sinktest.Event{Time: at, Body: "<a href=\"x\">\t&\u2028\xff\\\x01\r"},
		sinktest.Event{Time: at.Truncate(time.Second), Body: "one, ", Part: part(1, false)},
		sinktest.Event{Time: at.Truncate(time.Second), Body: "two", Part: part(2, true)},
		sinktest.Event{Time: at, Loss: &record.Loss{Lost: 2, Bytes: 9, Reason: "overflow-newest"}},
	)
	want := `{"log":"plain\n","stream":"stdout","attrs":{"tag":"web"},"time":"2026-11-20T18:03:15.12Z"}
{"log":"\n","stream":"stderr","attrs":{"tag":"web"},"time":"2026-11-20T18:03:15.12Z"}
{"log":"\u003ca href=\"x\"\u003e\u0009\u0026\u2028\ufffd\\\u0001\r\n","stream":"stdout","attrs":{"tag":"web"},"time":"2026-11-20T18:03:15.12Z"}
{"log":"one, ","stream":"stdout","attrs":{"tag":"web"},"time":"2026-11-20T18:03:15Z"}
{"log":"two\n","stream":"stdout","attrs":{"tag":"web"},"time":"2026-11-20T18:03:15Z"}
{"log":"spillway-loss {\"lost\":2,\"bytes\":9,\"first_seq\":5,\"last_seq\":6,\"first_time\":\"2026-11-20T18:03:15.12Z\",\"last_time\":\"2026-11-20T18:03:15.12Z\",\"reason\":\"overflow-newest\"}\n","stream":"stdout","attrs":{"tag":"web"},"time":"2026-11-20T18:03:15.12Z"}
`
	if diff := cmp.Diff(want, sinktest.Content(t, o.Path)); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
}

func TestARequestIsOneWrite(t *testing.T) {
	d := &faulty{disk: osDisk{}}
	s := open(t, options(filepath.Join(t.TempDir(), "c.log")), d)
	body := strings.Repeat("x", 900)
	many := make([]string, 1000)
	for i := range many {
		many[i] = body
	}
	before := d.writes
	sinktest.Deliver(t, s, lines(many...)...)
	if n := d.writes - before; n != 1 {
		t.Errorf("%d writes for a request of %d bytes", n, 1000*len(body))
	}
}

func TestModesWhateverTheUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := t.TempDir()
	o := options(filepath.Join(dir, "a", "b", "c.log"))
	o.MaxSize, o.MaxFile, o.Compress = 10, 3, true
	s := open(t, o, osDisk{})
	for range 3 {
		sinktest.Deliver(t, s, lines("a line")...)
	}
	<-s.log.packing.done
	want := map[string]fs.FileMode{
		"a": fs.ModeDir | dirMode, "a/b": fs.ModeDir | dirMode,
		"a/b/c.log": fileMode, "a/b/c.log.1.gz": fileMode, "a/b/c.log.2.gz": fileMode,
	}
	got := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		got[strings.TrimPrefix(path, dir+"/")] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}
}

func TestAnExistingFileIsContinued(t *testing.T) {
	for name, old := range map[string]string{"whole": "old\n", "torn": "old\n{\"log\":\"to", "empty": ""} {
		t.Run(name, func(t *testing.T) {
			o := options(filepath.Join(t.TempDir(), "c.log"))
			if err := os.WriteFile(o.Path, []byte(old), 0o600); err != nil {
				t.Fatal(err)
			}
			sinktest.Deliver(t, open(t, o, osDisk{}), lines("new")...)
			if old != "" {
				old = strings.TrimSuffix(old, "\n") + "\n"
			}
			if want := old + `{"log":"new\n","stream":"stdout","time":"2023-11-14T22:13:20Z"}` + "\n"; sinktest.Content(t, o.Path) != want {
				t.Errorf("got %q, want %q", sinktest.Content(t, o.Path), want)
			}
		})
	}
}

func TestBadOptions(t *testing.T) {
	good := Options{Path: "x", MaxSize: 1000, MaxFile: 2, Compress: true}
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no path":           {func(o *Options) { o.Path = "" }, "log-path"},
		"no size":           {func(o *Options) { o.MaxSize = 0 }, "max-size"},
		"negative size":     {func(o *Options) { o.MaxSize = -2 }, "max-size"},
		"no files":          {func(o *Options) { o.MaxFile = 0 }, "max-file"},
		"compress one file": {func(o *Options) { o.MaxFile = 1 }, "compress"},
		"compress unsized":  {func(o *Options) { o.MaxSize = NoMaxSize }, "compress"},
	} {
		o := good
		c.change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, want one about %s", name, err, c.want)
		}
	}
}

func TestAFileThatCannotBeOpenedIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	blocker := filepath.Join(dir, "d")
	if err := os.WriteFile(blocker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, options(filepath.Join(blocker, "c.log")), osDisk{})
	if err := s.Check(t.Context()); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("Check says %v, want %v", err, syscall.ENOTDIR)
	}
	r := sinktest.NewRequest(lines("kept")...)
	if out := s.Send(t.Context(), r); out.Verdict != sink.Retry || !errors.Is(out.Err, syscall.ENOTDIR) || !out.Config || out.Unsure {
		t.Errorf("the outcome is %+v", out)
	}
	if err := os.Remove(blocker); err != nil {
		t.Fatal(err)
	}
	if out := s.Send(t.Context(), r); out.Verdict != sink.Delivered {
		t.Errorf("the outcome is %+v", out)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestADirectoryOrPipeIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "pipe")} {
		s := open(t, options(path), osDisk{})
		if out := s.Send(t.Context(), sinktest.NewRequest(lines("x")...)); out.Verdict != sink.Retry || !out.Config {
			t.Errorf("%s: the outcome is %+v", path, out)
		}
	}
}

func TestNoAllocationForARecord(t *testing.T) {
	o := options(filepath.Join(t.TempDir(), "c.log"))
	allocations := func(records int) float64 {
		s := open(t, o, osDisk{})
		r := sinktest.NewRequest(lines(strings.Fields(strings.Repeat("word ", records))...)...)
		return testing.AllocsPerRun(5, func() {
			if out := s.Send(context.Background(), r); out.Verdict != sink.Delivered {
				t.Fatal(out.Err)
			}
		})
	}
	if few, many := allocations(10), allocations(1000); many > few {
		t.Errorf("%v allocations for 1000 records, %v for 10", many, few)
	}
}
