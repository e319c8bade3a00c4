package cloudwatch

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const day, hour = 24 * 3600 * 1000, 3600 * 1000

// many returns n events of the same length.
func many(n, length int) []line {
	lines := make([]line, n)
	for i := range lines {
		lines[i] = line{int64(i / 1000), fmt.Sprintf("%0*d", length, i)}
	}
	return lines
}

// TestLimits sends requests on both sides of each limit.
func TestLimits(t *testing.T) {
	invalid := "InvalidParameterException"
	cases := []struct {
		name, body, kind, message string
	}{
		{"one event", put(line{0, "x"}), "", ""},
		{"10,000 events", put(many(10_000, 5)...), "", ""},
		{"10,001 events", put(many(10_001, 5)...), invalid, "less than or equal to 10000"},
		{"no events", put(), invalid, "greater than or equal to 1"},
		{"largest event", put(line{0, strings.Repeat("x", MaxEventBytes-26)}), "", ""},
		{"event one byte too large", put(line{0, strings.Repeat("x", MaxEventBytes-25)}), invalid, "Log event too large: 1048577 bytes exceeds limit of 1048576"},
		{"largest event of two-byte runes", put(line{0, strings.Repeat("é", (MaxEventBytes-26)/2)}), "", ""},
		{"such an event and one byte", put(line{0, strings.Repeat("é", (MaxEventBytes-26)/2) + "x"}), invalid, "Log event too large"},
		{"largest event of escapes", put(line{0, strings.Repeat("\n\"", (MaxEventBytes-26)/2)}), "", ""},
		{"largest batch", put(many(1024, 998)...), "", ""},
		{"batch one byte too large", put(append(many(1023, 998), line{2, strings.Repeat("x", 999)})...), invalid, "Upload too large: 1048577 bytes exceeds limit of 1048576"},
		{"empty message", put(line{0, "x"}, line{0, ""}), invalid, "'logEvents.2.member.message'"},
		{"no message", `{"logGroupName":"g","logStreamName":"s","logEvents":[{"timestamp":1}]}`, invalid, "member.message' failed to satisfy constraint: Member must not be null"},
		{"no timestamp", `{"logGroupName":"g","logStreamName":"s","logEvents":[{"message":"x"}]}`, invalid, "member.timestamp' failed to satisfy constraint: Member must not be null"},
		{"negative timestamp", `{"logGroupName":"g","logStreamName":"s","logEvents":[{"timestamp":-1,"message":"x"}]}`, invalid, "member.timestamp"},
		{"same time", put(line{5, "x"}, line{5, "y"}), "", ""},
		{"out of order", put(line{5, "x"}, line{4, "y"}), invalid, "must be in chronological order"},
		{"24 h", put(line{-day, "x"}, line{0, "y"}), "", ""},
		{"over 24 h", put(line{-day - 1, "x"}, line{0, "y"}), invalid, "cannot span more than 24 hours"},
		{"over 24 h with what is rejected anyway", put(line{-15 * day, "old"}, line{-day, "x"}, line{0, "y"}), "", ""},
		{"invalid UTF-8", strings.Replace(put(line{0, "xyz"}), "y", "\xff", 1), "SerializationException", "UTF-8"},
		{"no JSON", put(line{0, "x"}) + "}", "SerializationException", "not valid JSON"},
		{"no group", `{"logStreamName":"s","logEvents":[{"timestamp":1,"message":"x"}]}`, invalid, "'logGroupName'"},
		{"unknown group", strings.Replace(put(line{0, "x"}), `"g"`, `"h"`, 1), "ResourceNotFoundException", "The specified log group does not exist."},
		{"unknown stream", strings.Replace(put(line{0, "x"}), `"s"`, `"r"`, 1), "ResourceNotFoundException", "The specified log stream does not exist."},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newStream(t, Options{})
			got := call(s, "PutLogEvents", c.body)
			if got.Type != c.kind || !strings.Contains(got.Message, c.message) {
				t.Errorf("answer %d %s: %s; want %q: %q", got.Status, got.Type, got.Message, c.kind, c.message)
			}
			if (c.kind == "") != (got.Status == http.StatusOK) || c.kind != "" && got.Status != http.StatusBadRequest {
				t.Errorf("status %d", got.Status)
			}
			if events := streamReport(t, s).Events; (events > 0) != (c.kind == "") {
				t.Errorf("%d events stored", events)
			}
		})
	}
}

// TestRejectedEvents checks the indexes of rejectedLogEventsInfo and that the other events are kept.
func TestRejectedEvents(t *testing.T) {
	old, ahead := int64(-14*day), int64(2*hour)
	cases := []struct {
		name   string
		reject string
		count  int
		lines  []line
		info   string
		stored []string
		want   Rejected
	}{
		{"none", "", 0, []line{{ahead, "edge"}}, "", []string{"edge"}, Rejected{}},
		{"the oldest allowed", "", 0, []line{{old, "edge"}}, "", []string{"edge"}, Rejected{}},
		{"too old", "", 0, []line{{old - 2, "a"}, {old - 1, "b"}, {old, "c"}},
			`"tooOldLogEventEndIndex":2`, []string{"c"}, Rejected{TooOld: 2}},
		{"too new", "", 0, []line{{0, "c"}, {ahead + 1, "d"}, {ahead + 2, "e"}},
			`"tooNewLogEventStartIndex":1`, []string{"c"}, Rejected{TooNew: 2}},
		{"both", "", 0, []line{{old - 2, "a"}, {old - 1, "b"}, {0, "c"}, {ahead + 1, "d"}, {ahead + 2, "e"}},
			`"tooOldLogEventEndIndex":2,"tooNewLogEventStartIndex":3`, []string{"c"}, Rejected{TooOld: 2, TooNew: 2}},
		{"all too old", "", 0, []line{{old - 1, "a"}}, `"tooOldLogEventEndIndex":1`, nil, Rejected{TooOld: 1}},
		{"all too new", "", 0, []line{{ahead + 1, "a"}}, `"tooNewLogEventStartIndex":0`, nil, Rejected{TooNew: 1}},
		{"asked: too old", RejectTooOld, 0, []line{{0, "a"}, {0, "b"}}, `"tooOldLogEventEndIndex":1`, []string{"b"}, Rejected{TooOld: 1}},
		{"asked: expired", RejectExpired, 2, []line{{0, "a"}, {0, "b"}, {0, "c"}}, `"expiredLogEventEndIndex":2`, []string{"c"}, Rejected{Expired: 2}},
		{"asked: too new", RejectTooNew, 2, []line{{0, "a"}, {0, "b"}, {0, "c"}}, `"tooNewLogEventStartIndex":1`, []string{"a"}, Rejected{TooNew: 2}},
		{"asked: more than there are", RejectTooNew, 9, []line{{0, "a"}, {0, "b"}}, `"tooNewLogEventStartIndex":0`, nil, Rejected{TooNew: 2}},
		{"asked and real", RejectExpired, 2, []line{{old - 1, "a"}, {0, "b"}, {0, "c"}},
			`"tooOldLogEventEndIndex":1,"expiredLogEventEndIndex":2`, []string{"c"}, Rejected{TooOld: 1, Expired: 1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newStream(t, Options{Reject: c.reject, RejectEvents: c.count})
			body := mustCall(t, s, "PutLogEvents", put(c.lines...))
			_, info, _ := strings.Cut(body, `"rejectedLogEventsInfo":{`)
			if info = strings.TrimSuffix(info, "}}"); info != c.info {
				t.Errorf("rejectedLogEventsInfo %s, want %s", info, c.info)
			}
			if diff := cmp.Diff(c.stored, messages(t, s)); diff != "" {
				t.Errorf("stored events:\n%s", diff)
			}
			if diff := cmp.Diff(c.want, streamReport(t, s).Rejected); diff != "" {
				t.Errorf("report:\n%s", diff)
			}
		})
	}
}

func TestRefuseText(t *testing.T) {
	s := newStream(t, Options{RefuseText: "poison"})
	if got := call(s, "PutLogEvents", put(line{0, "a"}, line{0, "the poison"}, line{0, "b"})); got.Type != "InvalidParameterException" {
		t.Errorf("answer %+v", got)
	}
	mustCall(t, s, "PutLogEvents", put(line{0, "a"}))
	if r := streamReport(t, s); r.Events != 1 || r.Refused != 1 {
		t.Errorf("%d events stored, %d requests refused; want 1 and 1", r.Events, r.Refused)
	}
}

func TestGzip(t *testing.T) {
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	if _, err := zw.Write([]byte(put(many(5000, 100)...))); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	s := newStream(t, Options{})
	encoding := func(name string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Content-Encoding", name) }
	}
	if got := call(s, "PutLogEvents", packed.String(), encoding("gzip")); got.Status != http.StatusOK {
		t.Errorf("gzip: %+v", got)
	}
	for name, body := range map[string]string{"gzip": packed.String()[:packed.Len()-9], "deflate": "x"} {
		if got := call(s, "PutLogEvents", body, encoding(name)); got.Type != "SerializationException" {
			t.Errorf("%s, damaged: %+v", name, got)
		}
	}
	r := streamReport(t, s)
	if r.Events != 5000 || r.Bytes != 500_000 || r.WireBytes != uint64(packed.Len()) {
		t.Errorf("%d events, %d bytes, %d on the wire; want 5000, 500000, %d", r.Events, r.Bytes, r.WireBytes, packed.Len())
	}
}

func TestFormatHeader(t *testing.T) {
	s := newStream(t, Options{})
	call(s, "PutLogEvents", put(line{0, "{}"}), func(r *http.Request) { r.Header.Set("x-amzn-logs-format", "json/emf") })
	mustCall(t, s, "PutLogEvents", put(line{0, "{}"}))
	r := streamReport(t, s)
	if diff := cmp.Diff(map[string]uint64{"json/emf": 1}, r.Formats); diff != "" {
		t.Error(diff)
	}
	if r.MaxInFlight != 1 {
		t.Errorf("%d requests in flight, want 1, because they came one by one", r.MaxInFlight)
	}
}
