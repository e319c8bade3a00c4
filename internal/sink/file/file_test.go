package file

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
	"github.com/spillway/spillway/internal/template"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options are those of JSON below dir.
func options(t testing.TB, path string) Options {
	t.Helper()
	p, err := template.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Path: p, TextKey: "log", LogKey: "log", TimeKey: "time", TagKey: "tag"}
}

// open returns a sink that is closed when the test ends, with d for its disk.
func open(t testing.TB, o Options, d disk) *Sink {
	t.Helper()
	s, err := newSink(o, d)
	return sinktest.Opened(t, s, err)
}

var second = time.Unix(1_700_000_000, 0).UTC()

func lines(bodies ...string) []sinktest.Event { return sinktest.Lines(second, bodies...) }

// packed makes events of whole entries.
func packed(entries ...string) []sinktest.Event {
	events := make([]sinktest.Event, len(entries))
	for i, e := range entries {
		events[i] = sinktest.Event{Time: second, Packed: e}
	}
	return events
}

// names are the files below dir.
func names(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// readBack reads the one file that the conformance suite writes.
func readBack(path string) ([]sinktest.Entry, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		return nil, errors.New("the file ends within a line")
	}
	var entries []sinktest.Entry
	for line := range bytes.Lines(text) {
		var e struct {
			Time     time.Time
			Tag, Log string
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		entries = append(entries, sinktest.Entry{Stream: e.Tag, Time: e.Time, Text: e.Log})
	}
	return entries, nil
}

func conformance(t *testing.T) sinktest.Destination {
	path := filepath.Join(t.TempDir(), "a", "b", "all.log")
	d := &faulty{disk: osDisk{}}
	s, err := newSink(options(t, path), d)
	if err != nil {
		t.Fatal(err)
	}
	return sinktest.Destination{
		Sink:   s,
		Read:   func() ([]sinktest.Entry, error) { return readBack(path) },
		Fail:   func() { d.Fail(1) },
		Traits: sinktest.Traits{Exact: true},
	}
}

func TestConformance(t *testing.T) { sinktest.Run(t, conformance) }

func TestConformanceWithEntries(t *testing.T) { sinktest.RunEntries(t, conformance) }

func TestConformanceWithMessages(t *testing.T) { sinktest.RunMessages(t, conformance) }

// TestFormatsOfMessages: values of every form, and what is no object.
func TestFormatsOfMessages(t *testing.T) {
	of := func(form record.Form, value string) sinktest.Event {
		m := &record.Message{Time: second.UnixNano() + 9, Form: form, Value: []byte(value), Key: []byte("key")}
		return sinktest.Event{Time: second, Message: m}
	}
	events := []sinktest.Event{
		of(record.FormText, "say \"hi\" \xff"), of(record.FormMap, "\x82\xa3log\xa3abc\xa1n\x07"),
		of(record.FormJSON, "{\n \"log\" : \"a\\n\\u00e4\", \"n\":1e5}"), of(record.FormJSON, "{ }"),
		of(record.FormJSON, `{"time":"mine","\u0074ag":[1, 2]}`), of(record.FormJSON, `[1]`), of(record.FormJSON, `{"log":"x"}{"index":1}`),
		{Time: second, Message: &record.Message{Form: record.FormJSON, Null: true}},
	}
	rejected := []string{
		"5: found '[' at byte 1; expected a JSON object, which begins with {", "6: found '{' at byte 12; expected nothing behind the object",
		"7: the message has no value (a tombstone)",
	}
	const begin, out = `{"time":"2023-11-14T22:13:20.000000009Z","tag":"stdout"`, "2023-11-14T22:13:20Z\tstdout\t"
	for _, c := range []struct {
		format         Format
		want, rejected []string
	}{
		{JSON, []string{
			begin + `,"log":"say \"hi\" ` + "\ufffd" + `"}`, begin + `,"log":"abc","n":7}`, begin + `,"log":"a\n\u00e4","n":1e5}`, begin + "}",
			`{"time":"mine","\u0074ag":[1, 2]}`,
		}, rejected},
		{OutFile, []string{
			out + `{"log":"say \"hi\" ` + "\ufffd" + `"}`, out + `{"log":"abc","n":7}`, out + `{"log":"a\n\u00e4","n":1e5}`, out + "{}",
			out + `{"time":"mine","\u0074ag":[1, 2]}`,
		}, rejected},
		{Text, []string{
			"say \"hi\" \xff", "abc", "a\nä", "{ }", `{"time":"mine","\u0074ag":[1, 2]}`, "[1]", `{"log":"x"}{"index":1}`,
		}, rejected[2:]},
	} {
		path := filepath.Join(t.TempDir(), "f")
		o := options(t, path)
		o.Format = c.format
		result := open(t, o, osDisk{}).Send(t.Context(), sinktest.NewRequest(events...))
		var given []string
		for _, r := range result.Rejected {
			given = append(given, fmt.Sprintf("%d: %s", r.First, r.Detail))
		}
		if diff := cmp.Diff(c.rejected, given); diff != "" || result.Verdict != sink.Delivered {
			t.Errorf("format %d: %+v (-want +got):\n%s", c.format, result, diff)
		}
		if diff := cmp.Diff(strings.Join(c.want, "\n")+"\n", sinktest.Content(t, path)); diff != "" {
			t.Errorf("format %d (-want +got):\n%s", c.format, diff)
		}
	}
}

func TestFormats(t *testing.T) {
	const event = "\x92\xd7\x00\x65\x53\xf1\x00\x00\x00\x00\x09"
	loss := sinktest.Event{Time: second, Loss: &record.Loss{Lost: 2, Bytes: 5, Reason: "overflow-newest"}}
	events := slices.Concat(
		lines("plain", "say \"hi\"\t\xff"),
		packed(event+"\x82\xa3log\xa3abc\xa1n\x07", event+"\x80", event+"\x81\xa4time\xa4mine", event+"\x82\xa3tag\xc0\xa1\xff\xc4\x01\xfe"),
		[]sinktest.Event{loss, {Time: second, Body: "part", Part: record.Part{Ordinal: 2, Last: true}, Seq: 12}},
	)
	const told = `{"lost":2,"bytes":5,"first_seq":7,"last_seq":8,"first_time":"2023-11-14T22:13:20Z","last_time":"2023-11-14T22:13:20Z","reason":"overflow-newest"}`
	quoted, err := json.Marshal("spillway-loss " + told)
	if err != nil {
		t.Fatal(err)
	}
	const part = `,"partial_id":"7374646f7574000000000000000000000000000b","partial_ordinal":2,"partial_last":true`
	for _, c := range []struct {
		format Format
		want   []string
	}{
		{JSON, []string{
			`{"time":"2023-11-14T22:13:20Z","tag":"stdout","log":"plain"}`,
			`{"time":"2023-11-14T22:13:20.000000001Z","tag":"stdout","log":"say \"hi\"\t` + "\ufffd" + `"}`,
			`{"time":"2023-11-14T22:13:20.000000009Z","tag":"stdout","log":"abc","n":7}`,
			`{"time":"2023-11-14T22:13:20.000000009Z","tag":"stdout"}`,
			`{"tag":"stdout","time":"mine"}`,
			`{"time":"2023-11-14T22:13:20.000000009Z","tag":null,"` + "\ufffd" + `":"/g=="}`,
			`{"time":"2023-11-14T22:13:20Z","tag":"stdout","log":` + string(quoted) + `,"spillway_loss":` + told + `}`,
			`{"time":"2023-11-14T22:13:20Z","tag":"stdout","log":"part"` + part + `}`,
		}},
		{OutFile, []string{
			"2023-11-14T22:13:20Z\tstdout\t" + `{"log":"plain"}`,
			"2023-11-14T22:13:20Z\tstdout\t" + `{"log":"say \"hi\"\t` + "\ufffd" + `"}`,
			"2023-11-14T22:13:20Z\tstdout\t" + `{"log":"abc","n":7}`,
			"2023-11-14T22:13:20Z\tstdout\t" + `{}`,
			"2023-11-14T22:13:20Z\tstdout\t" + `{"time":"mine"}`,
			"2023-11-14T22:13:20Z\tstdout\t" + `{"tag":null,"` + "\ufffd" + `":"/g=="}`,
			"2023-11-14T22:13:20Z\tstdout\t" + `{"log":` + string(quoted) + `,"spillway_loss":` + told + `}`,
			"2023-11-14T22:13:20Z\tstdout\t" + `{"log":"part"` + part + `}`,
		}},
		{Text, []string{
			"plain", "say \"hi\"\t\xff", "abc", "{}", `{"time":"mine"}`, `{"tag":null,"` + "\ufffd" + `":"/g=="}`, "spillway-loss " + told, "part",
		}},
	} {
		path := filepath.Join(t.TempDir(), "f")
		o := options(t, path)
		o.Format = c.format
		sinktest.Deliver(t, open(t, o, osDisk{}), events...)
		if diff := cmp.Diff(strings.Join(c.want, "\n")+"\n", sinktest.Content(t, path)); diff != "" {
			t.Errorf("format %d (-want +got):\n%s", c.format, diff)
		}
	}
}

func TestPathsByTagAndTime(t *testing.T) {
	dir := t.TempDir()
	s := open(t, options(t, dir+"/{date}/{tag}/{hour}.log"), osDisk{})
	at := func(h int) sinktest.Event {
		when := second.Add(time.Duration(h) * time.Hour)
		return sinktest.Event{Stream: 1, Time: when, Packed: sinktest.Packed(when, fmt.Sprint("at ", h))}
	}
	sinktest.Deliver(t, s, at(0), at(1), at(0), at(2), at(-1))
	want := []string{"2023-11-14/stderr/21.log", "2023-11-14/stderr/22.log", "2023-11-14/stderr/23.log", "2023-11-15/stderr/00.log"}
	if diff := cmp.Diff(want, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if n := strings.Count(sinktest.Content(t, dir+"/2023-11-14/stderr/22.log"), "at 0"); n != 2 {
		t.Errorf("%d lines in the hour of two", n)
	}
}

// tagged is a request whose streams have the given names.
type tagged struct {
	*sinktest.Request
	tags []string
}

func (r tagged) Stream(index uint32) *record.Stream {
	return &record.Stream{Index: index, Name: r.tags[index]}
}

func toTags(tags ...string) sink.Request {
	var events []sinktest.Event
	for i := range tags {
		events = append(events, sinktest.Event{Stream: uint32(i), Time: second, Body: fmt.Sprint("line ", i)})
	}
	return tagged{sinktest.NewRequest(events...), tags}
}

func TestForeignTagsStayInTheirFolder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, options(t, dir+"/in/{tag}/{tag[0]}.log"), osDisk{})
	tags := []string{"..", ".", "a/../../b", "../../etc/passwd", "a\x00b", "ä\n", "", "con.txt", "%2E", strings.Repeat("long.", 100),
		strings.Repeat("long.", 100) + "x", strings.Repeat("ö", 80), "A", "a"}
	out := s.Send(t.Context(), toTags(tags...))
	if out.Verdict != sink.Delivered || len(out.Again)+len(out.Rejected) > 0 {
		t.Fatalf("%+v", out)
	}
	all := names(t, dir)
	if len(all) != len(tags) {
		t.Errorf("%d files of %d tags: %q", len(all), len(tags), all)
	}
	for _, name := range all {
		if !strings.HasPrefix(name, "in/") {
			t.Errorf("%q is elsewhere", name)
		}
	}
}

func TestATagThatMakesNoPathIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, options(t, dir+"/{tag[1]}./{tag[0]}.log"), osDisk{})
	out := s.Send(t.Context(), toTags("good.one", "bad", "good.two"))
	want := []sink.Rejection{{First: 1, End: 2, Reason: "rejected-invalid", Detail: out.Rejected[0].Detail}}
	if diff := cmp.Diff(want, out.Rejected); diff != "" || out.Verdict != sink.Delivered || len(out.Again) > 0 {
		t.Errorf("%+v (-want +got):\n%s", out, diff)
	}
	if diff := cmp.Diff([]string{"one./good.log", "two./good.log"}, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestMoreFilesThanMayBeOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, options(t, dir+"/{tag}.log"), osDisk{})
	var tags []string
	for i := range 3*maxOpen + 7 {
		tags = append(tags, fmt.Sprint("tag", i))
	}
	rounds := 0
	for left := tags; len(left) > 0; rounds++ {
		out := s.Send(t.Context(), toTags(left...))
		if out.Verdict != sink.Delivered || out.Err != nil {
			t.Fatalf("%+v", out)
		}
		if len(s.files.open) > maxOpen {
			t.Fatalf("%d files are open", len(s.files.open))
		}
		if len(out.Again) == 0 {
			left = nil
			continue
		}
		if len(out.Again) > 1 || out.Again[0].End != len(left) {
			t.Fatalf("again: %v of %d", out.Again, len(left))
		}
		left = left[out.Again[0].First:]
	}
	if got := len(names(t, dir)); rounds != 4 || got != len(tags) {
		t.Errorf("%d files after %d rounds, want %d after 4", got, rounds, len(tags))
	}
}

func TestOneFileThatCannotBeOpenedHoldsUpNoOther(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/b.log", 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, options(t, dir+"/{tag}.log"), osDisk{})
	out := s.Send(t.Context(), toTags("a", "b", "b", "c"))
	if diff := cmp.Diff([]sink.Span{{First: 1, End: 3}}, out.Again); diff != "" || out.Verdict != sink.Delivered || out.Err == nil || !out.Config {
		t.Fatalf("%+v (-want +got):\n%s", out, diff)
	}
	if out := s.Send(t.Context(), toTags("b")); out.Verdict != sink.Retry || out.Err == nil || !out.Config || out.Unsure {
		t.Errorf("alone: %+v", out)
	}
	if sinktest.Content(t, dir+"/a.log") == "" || sinktest.Content(t, dir+"/c.log") == "" {
		t.Error("the others are empty")
	}
}

// stuck is a disk that takes nothing back from files of one name while it is on.
type stuck struct {
	disk
	name string
	on   bool
}

type stuckFile struct {
	handle
	disk *stuck
	path string
}

func (d *stuck) open(path string, fileMode, dirMode os.FileMode) (handle, about, error) {
	h, a, err := d.disk.open(path, fileMode, dirMode)
	return &stuckFile{h, d, path}, a, err
}

func (d *stuck) same(h handle, path string) bool { return d.disk.same(h.(*stuckFile).handle, path) }

func (f *stuckFile) fault() error {
	if f.disk.on && filepath.Base(f.path) == f.disk.name {
		return syscall.EIO
	}
	return nil
}

func (f *stuckFile) Truncate(size int64) error {
	return errors.Join(f.fault(), f.handle.Truncate(size))
}
func (f *stuckFile) Datasync() error { return f.fault() }

func (f *stuckFile) Stat() (os.FileInfo, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	return f.handle.Stat()
}

// TestOneFileThatTakesNothingBackHoldsUpNoOther: what is to go to a file that still has
// what a failed attempt has written waits, and may be there twice; everything else goes
// on. When somebody puts another file in its place, that one is used.
func TestOneFileThatTakesNothingBackHoldsUpNoOther(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		dir := t.TempDir()
		d := &stuck{disk: osDisk{}, name: "b.log"}
		s := open(t, options(t, dir+"/{tag}.log"), d)
		d.on = true
		if out := s.Send(t.Context(), toTags("a", "b", "c")); out.Verdict != sink.Retry || !out.Unsure {
			t.Fatalf("the first attempt: %+v", out)
		}
		for range 3 {
			out := s.Send(t.Context(), toTags("a", "b", "b", "c"))
			if diff := cmp.Diff([]sink.Span{{First: 1, End: 3}}, out.Again); diff != "" || out.Verdict != sink.Delivered || !out.Unsure || !errors.Is(out.Err, syscall.EIO) {
				t.Fatalf("%+v (-want +got):\n%s", out, diff)
			}
		}
		if out := s.Send(t.Context(), toTags("b")); out.Verdict != sink.Retry || !out.Unsure {
			t.Errorf("alone: %+v", out)
		}
		if replaced {
			if err := os.Rename(dir+"/b.log", dir+"/old"); err != nil {
				t.Fatal(err)
			}
			if out := s.Send(t.Context(), toTags("b")); out.Verdict != sink.Retry {
				t.Errorf("a new file on the same disk: %+v", out)
			}
		}
		d.on = false
		if out := s.Send(t.Context(), toTags("b")); out.Verdict != sink.Delivered || len(out.Again) > 0 {
			t.Errorf("at the end: %+v", out)
		}
		for name, want := range map[string]int{"a.log": 3, "b.log": 1, "c.log": 3} {
			if got := strings.Count(sinktest.Content(t, dir+"/"+name), "\n"); got != want {
				t.Errorf("%s has %d lines, want %d", name, got, want)
			}
		}
	}
}

func TestTwoSinksDoNotShareAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one")
	first, second := open(t, options(t, path), osDisk{}), open(t, options(t, path), osDisk{})
	sinktest.Deliver(t, first, lines("mine")...)
	if out := second.Send(t.Context(), sinktest.NewRequest(lines("not yours")...)); out.Verdict != sink.Retry || out.Err == nil {
		t.Errorf("%+v", out)
	}
	if got := sinktest.Content(t, path); strings.Count(got, "\n") != 1 {
		t.Errorf("%q", got)
	}
}

func TestWhatAKillCutOffIsRemoved(t *testing.T) {
	for _, c := range []struct{ before, kept string }{
		{"", ""}, {"one\n", "one\n"}, {"one\ntorn", "one\n"}, {"torn", ""}, {"one\n" + strings.Repeat("x", 10_000), "one\n"},
	} {
		path := filepath.Join(t.TempDir(), "one")
		if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
			t.Fatal(err)
		}
		o := options(t, path)
		o.Format = Text
		sinktest.Deliver(t, open(t, o, osDisk{}), lines("next")...)
		if got := sinktest.Content(t, path); got != c.kept+"next\n" {
			t.Errorf("%.20q became %q", c.before, got)
		}
	}
}

func TestAFileThatSomebodyMovedIsMadeAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one")
	o := options(t, path)
	o.Format = Text
	s := open(t, o, osDisk{})
	sinktest.Deliver(t, s, lines("first")...)
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	sinktest.Deliver(t, s, lines("second")...)
	if a, b := sinktest.Content(t, path+".moved"), sinktest.Content(t, path); a != "first\n" || b != "second\n" {
		t.Errorf("%q and %q", a, b)
	}
}

func TestWhatIsNoEntryIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one")
	s := open(t, options(t, path), osDisk{})
	out := s.Send(t.Context(), sinktest.NewRequest(packed("\x92\x01\x80", "\x92\x01\x05", "\x92\x01\x80")...))
	if out.Verdict != sink.Delivered || len(out.Rejected) != 1 || out.Rejected[0].First != 1 || out.Rejected[0].Reason != "rejected-invalid" {
		t.Errorf("%+v", out)
	}
	if n := strings.Count(sinktest.Content(t, path), "\n"); n != 2 {
		t.Errorf("%d lines", n)
	}
}

// countLines reads a file, compressed or not.
func countLines(t testing.TB, r *bufio.Scanner) int {
	t.Helper()
	n := 0
	for r.Scan() {
		n++
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}
