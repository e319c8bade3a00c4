package streams

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/spillway/spillway/internal/record"
	sandbox "github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/internal/sandbox/cloudwatch/cloudwatchtest"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/cloudwatch"
	"github.com/spillway/spillway/internal/sink/sinktest"
	"github.com/spillway/spillway/internal/template"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newSandbox serves an endpoint until the test ends.
func newSandbox(t testing.TB, o sandbox.Options) (*sandbox.Server, string) {
	t.Helper()
	s, url := cloudwatchtest.New(t, o)
	return s, url + "/"
}

// read reads a log stream beside the sink.
func read(url, group, stream string) ([]sinktest.Entry, error) {
	return cloudwatchtest.Read(context.Background(), url, group, stream)
}

func parse(t testing.TB, text string) *template.Template {
	t.Helper()
	p, err := template.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// open returns a sink that is closed when the test ends.
func open(t testing.TB, url, group, stream string, change ...func(*Options)) *Sink {
	t.Helper()
	o := Options{Group: parse(t, group), Stream: parse(t, stream), LogKey: "log", Service: cloudwatch.Config{
		CreateGroup: true, CreateStream: true, Client: &http.Client{Transport: &http.Transport{}},
		Resolve: func(context.Context) (cloudwatch.Destination, error) {
			return cloudwatch.Destination{URL: url, Signer: cloudwatchtest.Signer()}, nil
		},
	}}
	for _, c := range change {
		c(&o)
	}
	s, err := New(o)
	return sinktest.Opened(t, s, err)
}

func TestConformance(t *testing.T) {
	for name, run := range map[string]func(*testing.T, func(*testing.T) sinktest.Destination){
		"lines": sinktest.Run, "entries": sinktest.RunEntries, "messages": sinktest.RunMessages,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T) sinktest.Destination {
				server, url := newSandbox(t, sandbox.Options{})
				s := open(t, url, "g", "s")
				if err := s.Check(t.Context()); err != nil { // makes the stream
					t.Fatal(err)
				}
				failures := []sandbox.Answer{{Handle: true, Drop: true}, {Status: 503, Type: "ServiceUnavailableException"}}
				var next atomic.Pointer[sandbox.Answer]
				server.Script(func(op string, _ int) *sandbox.Answer {
					if op != "PutLogEvents" {
						return nil
					}
					return next.Swap(nil)
				})
				return sinktest.Destination{
					Sink: s,
					Read: func() ([]sinktest.Entry, error) { return read(url, "g", "s") },
					Fail: func() {
						next.Store(&failures[0])
						failures = failures[1:]
					},
					Traits: sinktest.Traits{Empty: " ", Resolution: time.Millisecond},
				}
			})
		})
	}
}

// packed is an entry with that time and message.
func packed(at time.Time, stream uint32, message string) sinktest.Event {
	return sinktest.Event{Stream: stream, Time: at, Packed: sinktest.Packed(at, message)}
}

// texts are the messages of a log stream.
func texts(t *testing.T, url, group, stream string) []string {
	t.Helper()
	entries, err := read(url, group, stream)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]string, len(entries))
	for i, e := range entries {
		all[i] = e.Text
	}
	return all
}

// TestSortedByStreamAndTime: whatever the order in the request, each stream has
// its events in the order of time.
func TestSortedByStreamAndTime(t *testing.T) {
	_, url := newSandbox(t, sandbox.Options{})
	s := open(t, url, "/app/{tag}", "of {tag} {date}")
	now := time.Now().UTC().Truncate(time.Millisecond)
	yesterday := now.Add(-24 * time.Hour)
	events := []sinktest.Event{
		packed(now, 0, "third"), packed(now.Add(-time.Minute), 0, "first"), packed(now, 1, "other second"), packed(yesterday, 0, "of yesterday"),
		{Stream: 1, Time: now.Add(-time.Second), Body: "other first"}, packed(now.Add(-time.Second), 0, "second"), packed(now, 0, "fourth"),
	}
	if now.Add(-time.Minute).Day() != now.Day() {
		t.Skip("it is midnight")
	}
	out := s.Send(t.Context(), sinktest.NewRequest(events...))
	if out.Verdict != sink.Delivered || len(out.Again)+len(out.Rejected) > 0 {
		t.Fatalf("%+v", out)
	}
	for stream, want := range map[string][]string{
		"of stdout " + now.Format(time.DateOnly):       {"first", "second", "third", "fourth"},
		"of stdout " + yesterday.Format(time.DateOnly): {"of yesterday"},
	} {
		if diff := cmp.Diff(want, texts(t, url, "/app/stdout", stream)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", stream, diff)
		}
	}
	if diff := cmp.Diff([]string{"other first", "other second"}, texts(t, url, "/app/stderr", "of stderr "+now.Format(time.DateOnly))); diff != "" {
		t.Errorf("the other (-want +got):\n%s", diff)
	}
}

func TestMessages(t *testing.T) {
	_, url := newSandbox(t, sandbox.Options{})
	for key, want := range map[string][]string{
		"log": {"a\"b", "7", `{"n":1}`, " ", `{"a":[1]}`},
		"":    {`{"log":"a\"b"}`, `{"log":7}`, `{"n":1}`, `{"log":""}`, `{"log":{"a":[1]}}`},
	} {
		s := open(t, url, "g", "key "+key, func(o *Options) { o.LogKey = key })
		now := time.Now()
		var events []sinktest.Event
		for _, rec := range []string{"\x81\xa3log\xa3a\"b", "\x81\xa3log\x07", "\x81\xa1n\x01", "\x81\xa3log\xa0", "\x81\xa3log\x81\xa1a\x91\x01"} {
			events = append(events, sinktest.Event{Time: now, Packed: "\x92\xc0" + rec})
		}
		out := s.Send(t.Context(), sinktest.NewRequest(append(events, sinktest.Event{Time: now, Packed: "\x92\xc0\x81\xa1a" + strings.Repeat("\x91", 200) + "\xc0"})...))
		if len(out.Rejected) != 1 || out.Rejected[0].First != 5 || out.Rejected[0].Reason != "rejected-invalid" {
			t.Errorf("%+v", out)
		}
		if diff := cmp.Diff(want, texts(t, url, "g", "key "+key)); diff != "" {
			t.Errorf("key %q (-want +got):\n%s", key, diff)
		}
	}
}

// TestRequestsBeyondTheLimits: JSON that takes more than MessagePack did, and
// times far apart, make more calls and no refusals.
func TestRequestsBeyondTheLimits(t *testing.T) {
	_, url := newSandbox(t, sandbox.Options{})
	s := open(t, url, "g", "s", func(o *Options) { o.LogKey = "" })
	now := time.Now()
	var events []sinktest.Event
	for i := range 400 {
		body := strings.Repeat("\x01", 1000) + fmt.Sprint(i) // six times as long
		events = append(events, packed(now.Add(-time.Duration(i/200*i%100)*time.Hour), 0, body))
	}
	events = append(events, packed(now, 0, strings.Repeat("\x01", 200_000)))
	out := s.Send(t.Context(), sinktest.NewRequest(events...))
	want := []sink.Rejection{{First: 400, End: 401, Reason: "rejected-too-long", Detail: out.Rejected[0].Detail}}
	if diff := cmp.Diff(want, out.Rejected); diff != "" || out.Verdict != sink.Delivered || len(out.Again) > 0 {
		t.Fatalf("%+v (-want +got):\n%s", out, diff)
	}
	if got := texts(t, url, "g", "s"); len(got) != 400 {
		t.Errorf("%d messages", len(got))
	}
}

// TestOneStreamOfSeveral: what one log stream refuses, or cannot take now, holds
// up no other, and is found again by its index.
func TestOneStreamOfSeveral(t *testing.T) {
	server, url := newSandbox(t, sandbox.Options{RefuseText: "poison"})
	s := open(t, url, "g", "{tag}")
	now := time.Now()
	events := []sinktest.Event{
		packed(now, 0, "good"), packed(now, 1, "poison"), packed(now, 1, "neighbour"), packed(now, 0, "better"), packed(now, 1, "last"),
	}
	out := s.Send(t.Context(), sinktest.NewRequest(events...))
	if diff := cmp.Diff([]sink.Span{{First: 1, End: 3}, {First: 4, End: 5}}, out.Again); diff != "" || out.Verdict != sink.Delivered || out.Err != nil {
		t.Fatalf("%+v (-want +got):\n%s", out, diff)
	}
	// Alone it is refused as a whole, which has it halved.
	out = s.Send(t.Context(), sinktest.NewRequest(events[1], events[2], events[4]))
	if out.Verdict != sink.Refuse || out.Reason != "rejected-invalid" {
		t.Fatalf("%+v", out)
	}
	if out = s.Send(t.Context(), sinktest.NewRequest(events[2], events[4])); out.Verdict != sink.Delivered {
		t.Fatalf("%+v", out)
	}
	if got := texts(t, url, "g", "stdout"); !slices.Equal(got, []string{"good", "better"}) {
		t.Errorf("%q", got)
	}
	var puts atomic.Int32
	server.Script(func(op string, _ int) *sandbox.Answer {
		if op == "PutLogEvents" && puts.Add(1) == 1 {
			return &sandbox.Answer{Status: 400, Type: "ThrottlingException"}
		}
		return nil
	})
	out = s.Send(t.Context(), sinktest.NewRequest(events[0], events[2]))
	if out.Verdict != sink.Delivered || len(out.Again) != 1 || out.Err == nil || !out.Throttled {
		t.Errorf("%+v", out)
	}
	server.Script(func(op string, _ int) *sandbox.Answer {
		return &sandbox.Answer{Status: 503, Type: "ServiceUnavailableException"}
	})
	out = s.Send(t.Context(), sinktest.NewRequest(events[0], events[2]))
	if out.Verdict != sink.Retry || len(out.Again) > 0 || out.Err == nil {
		t.Errorf("%+v", out)
	}
}

// TestRejectedEventsAreFoundAgain: the service speaks of places in a call, the
// sink of those in the request.
func TestRejectedEventsAreFoundAgain(t *testing.T) {
	_, url := newSandbox(t, sandbox.Options{})
	s := open(t, url, "g", "{tag}")
	now := time.Now()
	old := now.Add(-15 * 24 * time.Hour)
	out := s.Send(t.Context(), sinktest.NewRequest(
		packed(now, 0, "a"), packed(old, 1, "old"), packed(now, 1, "b"), packed(old, 0, "older"), packed(old, 0, "oldest"),
		packed(now.Add(3*time.Hour), 0, "of tomorrow"),
	))
	var got []string
	for _, r := range out.Rejected {
		got = append(got, fmt.Sprintf("%d to %d %s", r.First, r.End, r.Reason))
	}
	want := []string{"1 to 2 rejected-too-old", "3 to 5 rejected-too-old", "5 to 6 rejected-too-new"}
	if diff := cmp.Diff(want, got); diff != "" || out.Verdict != sink.Delivered {
		t.Errorf("%+v (-want +got):\n%s", out, diff)
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("x", 3000)
	seen := make(map[string]bool)
	for _, tag := range []string{"", "a", "a:b", "a*b", "a%3Ab", "ä", "a\xff", "a\n", long, long + "y", strings.Repeat("ä", 3000)} {
		got := string(appendStream([]byte("kept "), tag))
		if seen[got] || len([]rune(got)) > 512 || strings.ContainsAny(got, ":*\n") || !utf8.ValidString(got) || !strings.HasPrefix(got, "kept ") {
			t.Errorf("%.20q became %q", tag, got)
		}
		seen[got] = true
		group := string(appendGroup(nil, tag))
		if group == "" || len(group) > 512 || strings.ContainsFunc(group, func(r rune) bool { return r > 'z' || r <= ' ' || r == ':' }) {
			t.Errorf("%.20q became the group %q", tag, group)
		}
	}
}

func TestTargetsAreBounded(t *testing.T) {
	s := open(t, "http://127.0.0.1:1/", "g", "{tag}")
	for i := range 2 * maxTargets {
		s.target(name{"g", fmt.Sprint(i)})
	}
	if len(s.targets) != maxTargets {
		t.Errorf("%d log streams are remembered", len(s.targets))
	}
}

func TestFindingTheServiceIsTriedAgain(t *testing.T) {
	_, url := newSandbox(t, sandbox.Options{})
	asked := 0
	s := open(t, url, "g", "{tag}", func(o *Options) {
		o.Service.Resolve = func(context.Context) (cloudwatch.Destination, error) {
			if asked++; asked == 1 {
				return cloudwatch.Destination{}, errors.New("no region yet")
			}
			return cloudwatch.Destination{URL: url, Signer: cloudwatchtest.Signer()}, nil
		}
	})
	if err := s.Check(t.Context()); err == nil {
		t.Error("found at once")
	}
	now := time.Now()
	out := s.Send(t.Context(), sinktest.NewRequest(packed(now, 0, "a"), packed(now, 1, "b")))
	if out.Verdict != sink.Delivered || asked != 2 {
		t.Errorf("%+v, asked %d times", out, asked)
	}
}

var _ sink.Request = (*call)(nil)

func TestAStreamOfNoName(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("no error")
	}
	if (&call{}).Stream(7) == nil || (*record.Stream)(nil) != nil {
		t.Error("no stream")
	}
}

// TestMessagesOfALog: values of every form go out as text, at their own times; of those
// without a value there is nothing to send.
func TestMessagesOfALog(t *testing.T) {
	_, url := newSandbox(t, sandbox.Options{})
	s := open(t, url, "g", "{tag}")
	at := time.Now().Truncate(time.Millisecond)
	of := func(n int, form record.Form, value string) sinktest.Event {
		own := at.Add(time.Duration(n) * time.Millisecond)
		return sinktest.Event{Time: at, Message: &record.Message{Time: own.UnixNano(), Form: form, Value: []byte(value), Null: value == ""}}
	}
	out := s.Send(t.Context(), sinktest.NewRequest(
		of(5, record.FormText, "text"), of(4, record.FormMap, "\x81\xa3log\xa1m"), of(3, record.FormJSON, `{"log":"\u00e4"}`),
		of(6, record.FormJSON, ""), of(2, record.FormJSON, "{ \"a\":\n 1}"), of(1, record.FormJSON, "[1]"),
	))
	want := []sink.Rejection{{First: 3, End: 4, Reason: "rejected-invalid", Detail: "the message has no value (a tombstone)"}}
	if diff := cmp.Diff(want, out.Rejected); diff != "" || out.Verdict != sink.Delivered {
		t.Fatalf("%+v (-want +got):\n%s", out, diff)
	}
	got, err := read(url, "g", "stdout")
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, e := range got {
		seen = append(seen, fmt.Sprintf("%d %s", e.Time.Sub(at).Milliseconds(), e.Text))
	}
	if diff := cmp.Diff([]string{"1 [1]", `2 {"a":1}`, "3 ä", "4 m", "5 text"}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
