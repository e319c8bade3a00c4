package cloudwatch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	sandbox "github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/internal/sandbox/cloudwatch/cloudwatchtest"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// answerFunc is a service within the process: it gets a request's events and
// returns the body of its answer.
type answerFunc func([]putEvent) (string, error)

// RoundTrip implements http.RoundTripper.
func (f answerFunc) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if err := r.Body.Close(); err != nil {
		return nil, err
	}
	var p putLogEvents
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, err
	}
	answer, err := f(p.Events)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader([]byte(answer)))}, nil
}

// unsigned signs nothing, for services that do not look.
type unsigned struct{}

func (unsigned) Sign(context.Context, *http.Request, string, time.Time) error { return nil }
func (unsigned) Invalidate()                                                  {}

// info is what the service rejects of a request's events; nil where it does not
// say.
type info struct {
	Expired *int `json:"expiredLogEventEndIndex,omitempty"`
	TooOld  *int `json:"tooOldLogEventEndIndex,omitempty"`
	TooNew  *int `json:"tooNewLogEventStartIndex,omitempty"`
}

func drawInfo(t *rapid.T, n int) info {
	index := func(name string) *int {
		if !rapid.Bool().Draw(t, name+" given") {
			return nil
		}
		i := rapid.IntRange(-1, n+1).Draw(t, name)
		return &i
	}
	return info{Expired: index("expired"), TooOld: index("too old"), TooNew: index("too new")}
}

// reason is why the event at index i, in the order sent, is not taken.
func (f info) reason(i int) ledger.Reason {
	switch {
	case f.Expired != nil && i < *f.Expired:
		return ledger.RejectedExpired
	case f.TooOld != nil && i < *f.TooOld:
		return ledger.RejectedTooOld
	case f.TooNew != nil && i >= *f.TooNew:
		return ledger.RejectedTooNew
	}
	return ""
}

// overlapping draws runs of events of some streams. Each stream's clock goes its
// own way, but never back.
func overlapping() *rapid.Generator[[]sinktest.Event] {
	return rapid.Custom(func(t *rapid.T) []sinktest.Event {
		var events []sinktest.Event
		clocks := make([]int64, rapid.IntRange(1, 4).Draw(t, "streams"))
		for range rapid.IntRange(1, 10).Draw(t, "runs") {
			stream := rapid.IntRange(0, len(clocks)-1).Draw(t, "stream")
			clocks[stream] += 300 * rapid.Int64Range(0, 10).Draw(t, "later")
			first := sinktest.Event{Stream: uint32(stream), Time: time.UnixMicro(1_700_000_000_000_000 + clocks[stream])}
			if rapid.IntRange(0, 9).Draw(t, "kind") == 0 {
				first.Part = record.Part{Ordinal: 1}
			}
			for range rapid.IntRange(1, 6).Draw(t, "run") {
				e := first
				e.Body = fmt.Sprint(len(events))
				events = append(events, e)
			}
		}
		return events
	})
}

// TestRejectionsFindTheirEvents sends batches whose times overlap, as two
// streams and joined events bring them: the service gets them in order, and what
// it rejects comes back by the index in the request.
func TestRejectionsFindTheirEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := overlapping().Draw(t, "events")
		var want map[string]string // by message
		answer := func(sent []putEvent) (string, error) {
			rejected := drawInfo(t, len(sent))
			want = make(map[string]string)
			for i, e := range sent {
				if i > 0 && e.Timestamp < sent[i-1].Timestamp {
					return "", fmt.Errorf("event %d of %d goes back in time", i, len(sent))
				}
				if why := rejected.reason(i); why != "" {
					want[e.Message] = string(why)
				}
			}
			text, err := json.Marshal(map[string]any{"rejectedLogEventsInfo": rejected})
			return string(text), err
		}
		s := New(Config{Group: testGroup, Stream: testStream, Client: &http.Client{Transport: answerFunc(answer)}})
		s.destination = &Destination{URL: "http://service/", Signer: unsigned{}}

		out := s.Send(t.Context(), sinktest.NewRequest(events...))
		if out.Verdict != sink.Delivered {
			t.Fatalf("the outcome is %+v", out)
		}
		got := make(map[string]string)
		for _, r := range out.Rejected {
			for i := r.First; i < r.End; i++ {
				if was, twice := got[events[i].Body]; twice {
					t.Fatalf("event %d is rejected twice, as %s and as %s", i, was, r.Reason)
				}
				got[events[i].Body] = r.Reason
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("not the events that were rejected (-want +got):\n%s", diff)
		}
	})
}

// TestSortingKeepsTheOrderOfAdmission: within a millisecond, readers see events
// in the order of arrival.
func TestSortingKeepsTheOrderOfAdmission(t *testing.T) {
	_, url := newSandbox(t, sandbox.Options{})
	s := newSink(t, url)
	at := time.Now().Truncate(time.Millisecond)
	var events []sinktest.Event
	for i := range 300 {
		// The first stream's clock runs ahead of the second's, and then they meet.
		stream := uint32(i % 2)
		ms := time.Duration(i/20) - time.Duration(stream)
		events = append(events, sinktest.Event{Stream: stream, Time: at.Add(ms * time.Millisecond), Body: fmt.Sprint(i)})
	}
	deliver(t, s, sinktest.NewRequest(events...))
	slices.SortStableFunc(events, func(a, b sinktest.Event) int { return a.Time.Compare(b.Time) })
	var want []sinktest.Entry
	for _, e := range events {
		want = append(want, sinktest.Entry{Time: e.Time, Text: e.Body})
	}
	got, err := cloudwatchtest.Read(t.Context(), url, testGroup, testStream)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("readers see another order (-want +got):\n%.2000s", diff)
	}
}

// TestTimesOutsideTheServicesWindow lets the sandbox judge by its own clock.
func TestTimesOutsideTheServicesWindow(t *testing.T) {
	server, url := newSandbox(t, sandbox.Options{})
	s := newSink(t, url)
	now := time.Now()
	old, ahead := now.Add(-sandbox.MaxAge-time.Hour), now.Add(sandbox.MaxAhead+time.Hour)
	events := []sinktest.Event{
		{Time: now, Body: "now"}, {Stream: 1, Time: old, Body: "old"}, {Time: ahead, Body: "ahead"}, {Time: ahead, Body: "ahead too"},
		{Stream: 1, Time: old.Add(time.Second), Body: "old too"}, {Stream: 1, Time: now, Body: "now too"},
	}
	reasons := func() map[string]string {
		out := s.Send(t.Context(), sinktest.NewRequest(events...))
		if out.Verdict != sink.Delivered {
			t.Fatalf("the outcome is %+v", out)
		}
		got := make(map[string]string)
		for _, r := range out.Rejected {
			for _, e := range events[r.First:r.End] {
				got[e.Body] = r.Reason
			}
		}
		return got
	}
	want := map[string]string{"old": "rejected-too-old", "old too": "rejected-too-old", "ahead": "rejected-too-new", "ahead too": "rejected-too-new"}
	if diff := cmp.Diff(want, reasons()); diff != "" {
		t.Errorf("rejected otherwise (-want +got):\n%s", diff)
	}
	got, err := cloudwatchtest.Read(t.Context(), url, testGroup, testStream)
	if err != nil || len(got) != 2 || got[0].Text != "now" || got[1].Text != "now too" {
		t.Errorf("the service has %v (%v), want the two of now", got, err)
	}

	events = events[:1]
	for kind, why := range map[string]string{
		sandbox.RejectTooOld: "rejected-too-old", sandbox.RejectTooNew: "rejected-too-new", sandbox.RejectExpired: "rejected-expired",
	} {
		if err := server.SetReject(kind, 1); err != nil {
			t.Fatal(err)
		}
		if got := reasons(); !maps.Equal(got, map[string]string{"now": why}) {
			t.Errorf("told to reject %s: %v", kind, got)
		}
	}
}

// FuzzAnswer reads foreign answers to PutLogEvents: what is rejected is within
// the request, and no event for two reasons.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "null", `{"rejectedLogEventsInfo":null}`, `{"rejectedLogEventsInfo":{"tooOldLogEventEndIndex":3}}`,
		`{"rejectedLogEventsInfo":{"tooNewLogEventStartIndex":-9,"expiredLogEventEndIndex":99999999}}`,
		`{"rejectedLogEventsInfo":{"tooNewLogEventStartIndex":1e3}}`,
	} {
		f.Add([]byte(seed), 5)
	}
	f.Fuzz(func(t *testing.T, reply []byte, n int) {
		n = min(max(n, 1), maxEvents)
		list, err := rejections(reply, n)
		if err != nil && list != nil {
			t.Errorf("an error and %v", list)
		}
		end := 0
		for _, r := range list {
			if r.First < end || r.End <= r.First || r.End > n || !strings.HasPrefix(r.Reason, "rejected-") {
				t.Errorf("%+v of %d events, after one that ends at %d", r, n, end)
			}
			end = r.End
		}
	})
}
