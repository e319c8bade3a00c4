package cloudwatch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type pageReply struct {
	Events []struct {
		Message   string `json:"message"`
		Timestamp int64  `json:"timestamp"`
		Stream    string `json:"logStreamName"`
	} `json:"events"`
	Forward  string `json:"nextForwardToken"`
	Backward string `json:"nextBackwardToken"`
	Next     string `json:"nextToken"`
}

func (p *pageReply) messages() []string {
	var all []string
	for _, e := range p.Events {
		all = append(all, e.Message)
	}
	return all
}

func getPage(t testing.TB, s *Server, op, members string) pageReply {
	t.Helper()
	var p pageReply
	if err := json.Unmarshal([]byte(mustCall(t, s, op, `{"logGroupName":"g"`+members+`}`)), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// messages reads group g, stream s from its start to its end.
func messages(t testing.TB, s *Server) []string {
	t.Helper()
	var all []string
	p := getPage(t, s, "GetLogEvents", `,"logStreamName":"s","startFromHead":true`)
	for {
		all = append(all, p.messages()...)
		token := p.Forward
		p = getPage(t, s, "GetLogEvents", `,"logStreamName":"s","startFromHead":true,"nextToken":"`+token+`"`)
		if p.Forward == token {
			return all
		}
	}
}

// TestGetLogEvents pages through random streams in both directions and compares with a sorted list.
func TestGetLogEvents(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newStream(t, Options{})
		var all []line
		for r := range rapid.IntRange(0, 8).Draw(rt, "requests") {
			n := rapid.IntRange(1, 10).Draw(rt, "events")
			times := rapid.SliceOfN(rapid.Int64Range(0, 30), n, n).Draw(rt, "times")
			slices.Sort(times)
			var lines []line
			for i, at := range times {
				lines = append(lines, line{at, fmt.Sprintf("r%d e%d \n\"é", r, i)})
			}
			mustCall(t, s, "PutLogEvents", put(lines...))
			all = append(all, lines...)
		}
		start, end := rapid.Int64Range(0, 30).Draw(rt, "start"), rapid.Int64Range(0, 32).Draw(rt, "end")
		all = slices.DeleteFunc(all, func(l line) bool { return l.after < start || l.after >= end })
		slices.SortStableFunc(all, func(a, b line) int { return int(a.after - b.after) })
		var want []string
		for _, l := range all {
			want = append(want, l.message)
		}
		limit := rapid.IntRange(1, 7).Draw(rt, "limit")
		common := fmt.Sprintf(`,"logStreamName":"s","limit":%d,"startTime":%d,"endTime":%d`, limit, now.UnixMilli()+start, now.UnixMilli()+end)

		var forward []string
		p := getPage(t, s, "GetLogEvents", common+`,"startFromHead":true`)
		for len(p.Events) > 0 {
			forward = append(forward, p.messages()...)
			p = getPage(t, s, "GetLogEvents", common+`,"startFromHead":true,"nextToken":"`+p.Forward+`"`)
		}
		if diff := cmp.Diff(want, forward); diff != "" {
			rt.Fatalf("forward:\n%s", diff)
		}
		var backward []string
		p = getPage(t, s, "GetLogEvents", common)
		for len(p.Events) > 0 {
			backward = append(p.messages(), backward...)
			p = getPage(t, s, "GetLogEvents", common+`,"nextToken":"`+p.Backward+`"`)
		}
		if diff := cmp.Diff(want, backward); diff != "" {
			rt.Fatalf("backward:\n%s", diff)
		}
	})
}

// TestFollow reads on with the token of an empty page, as a follower does.
func TestFollow(t *testing.T) {
	s := newStream(t, Options{})
	p := getPage(t, s, "GetLogEvents", `,"logStreamName":"s"`)
	mustCall(t, s, "PutLogEvents", put(line{0, "a"}))
	for _, want := range []string{"a", "", "b"} {
		if want == "b" {
			mustCall(t, s, "PutLogEvents", put(line{0, "b"}))
		}
		p = getPage(t, s, "GetLogEvents", `,"logStreamName":"s","nextToken":"`+p.Forward+`"`)
		if got := strings.Join(p.messages(), ","); got != want {
			t.Errorf("page %q, want %q", got, want)
		}
	}
}

// TestPageBytes checks that a page ends at 1 MiB.
func TestPageBytes(t *testing.T) {
	s := newStream(t, Options{})
	for i := range 3 {
		mustCall(t, s, "PutLogEvents", put(line{int64(i), strings.Repeat("x", 500_000)}))
	}
	if n := len(getPage(t, s, "GetLogEvents", `,"logStreamName":"s"`).Events); n != 2 {
		t.Errorf("a page has %d events of 500,000 bytes, want 2", n)
	}
	for _, bad := range []string{`,"limit":0`, `,"limit":10001`, `,"nextToken":"f/1"`, `,"nextToken":"x/1/1/1"`} {
		if got := call(s, "GetLogEvents", `{"logGroupName":"g","logStreamName":"s"`+bad+`}`); got.Type != "InvalidParameterException" {
			t.Errorf("%s: %+v", bad, got)
		}
	}
}

// TestKeepBytes checks that the oldest messages go first, that the bound holds, and that -1 keeps nothing.
func TestKeepBytes(t *testing.T) {
	s := newStream(t, Options{KeepBytes: 10_000})
	mustCall(t, s, "CreateLogStream", `{"logGroupName":"g","logStreamName":"t"}`)
	for i := range 100 {
		body := put(line{0, fmt.Sprintf("%d %s", i, strings.Repeat("x", 500))})
		if i%2 == 1 {
			body = strings.Replace(body, `"s"`, `"t"`, 1)
		}
		mustCall(t, s, "PutLogEvents", body)
		if held, _ := s.keep.usage(); held > 10_000 {
			t.Fatalf("%d bytes held", held)
		}
	}
	kept := messages(t, s)
	if len(kept) == 0 || !strings.HasPrefix(kept[len(kept)-1], "98 ") {
		t.Errorf("kept %d messages, the last is not the newest", len(kept))
	}
	if r := s.Report(); r.Forgotten+uint64(2*len(kept)) != 100 || r.Totals.Events != 100 {
		t.Errorf("forgotten %d, kept twice %d; want 100 together", r.Forgotten, len(kept))
	}
	mustCall(t, s, "DeleteLogGroup", `{"logGroupName":"g"}`)
	if held, _ := s.keep.usage(); held != 0 || len(s.keep.queue) != 0 {
		t.Errorf("%d bytes in %d chunks are held after all streams were deleted", held, len(s.keep.queue))
	}
	none := newStream(t, Options{KeepBytes: -1})
	mustCall(t, none, "PutLogEvents", put(line{0, "a"}))
	if kept := messages(t, none); len(kept) != 0 {
		t.Errorf("kept %q", kept)
	}
}

// TestForgottenQueue deletes a stream whose messages are the oldest and lets others push them out.
func TestForgottenQueue(t *testing.T) {
	s := newStream(t, Options{KeepBytes: 10_000})
	other := `{"logGroupName":"g","logStreamName":"t"}`
	mustCall(t, s, "CreateLogStream", other)
	for i := range 30 {
		mustCall(t, s, "PutLogEvents", put(line{int64(i), strings.Repeat("x", 300)}))
		if i < 8 {
			mustCall(t, s, "PutLogEvents", strings.Replace(put(line{0, strings.Repeat("y", 300)}), `"s"`, `"t"`, 1))
		}
		if i == 8 {
			mustCall(t, s, "DeleteLogStream", other)
		}
	}
	held, forgotten := s.keep.usage()
	kept := messages(t, s)
	if want := len(kept) * (300 + keptEventBytes + keptChunkBytes); held != want || len(s.keep.queue) != len(kept) || s.keep.dead != 0 {
		t.Errorf("%d bytes in %d chunks of which %d are dead; want %d bytes for %d messages",
			held, len(s.keep.queue), s.keep.dead, want, len(kept))
	}
	if int(forgotten)+len(kept) != 30 {
		t.Errorf("%d forgotten for want of room and %d kept, want 30 together", forgotten, len(kept))
	}
}

func TestFilterLogEvents(t *testing.T) {
	s := newStream(t, Options{})
	mustCall(t, s, "CreateLogStream", `{"logGroupName":"g","logStreamName":"t"}`)
	mustCall(t, s, "PutLogEvents", put(line{0, "one apple"}, line{2, "two pears"}))
	mustCall(t, s, "PutLogEvents", strings.Replace(put(line{1, "red apple"}), `"s"`, `"t"`, 1))
	for members, want := range map[string]string{
		``:                                 "one apple,red apple,two pears",
		`,"filterPattern":"apple"`:         "one apple,red apple",
		`,"filterPattern":"\"red app\" e"`: "red apple",
		`,"logStreamNames":["s"]`:          "one apple,two pears",
		`,"logStreamNamePrefix":"t"`:       "red apple",
		fmt.Sprintf(`,"startTime":%d,"endTime":%d`, now.UnixMilli()+1, now.UnixMilli()+2): "red apple,two pears",
	} {
		var all []string
		for token := ""; ; {
			p := getPage(t, s, "FilterLogEvents", members+`,"limit":1`+token)
			all = append(all, p.messages()...)
			if p.Next == "" {
				break
			}
			token = `,"nextToken":"` + p.Next + `"`
		}
		if got := strings.Join(all, ","); got != want {
			t.Errorf("%s: %s, want %s", members, got, want)
		}
	}
	if got := call(s, "FilterLogEvents", `{"logGroupName":"g","filterPattern":"{ $.a = 1 }"}`); got.Status != http.StatusBadRequest {
		t.Errorf("a pattern that is not understood: %+v", got)
	}
}
