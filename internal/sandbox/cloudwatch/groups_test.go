package cloudwatch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGroupsAndStreams walks through the life of a group and a stream and checks each refusal on the way.
func TestGroupsAndStreams(t *testing.T) {
	s := newServer(t, Options{})
	group, stream := `{"logGroupName":"g"}`, `{"logGroupName":"g","logStreamName":"s"}`
	steps := []struct{ op, body, kind, message string }{
		{"CreateLogStream", stream, "ResourceNotFoundException", "log group does not exist"},
		{"DeleteLogGroup", group, "ResourceNotFoundException", "log group"},
		{"CreateLogGroup", group, "", ""},
		{"CreateLogGroup", group, "ResourceAlreadyExistsException", "The specified log group already exists"},
		{"DeleteLogStream", stream, "ResourceNotFoundException", "log stream does not exist"},
		{"CreateLogStream", stream, "", ""},
		{"CreateLogStream", stream, "ResourceAlreadyExistsException", "The specified log stream already exists"},
		{"PutLogEvents", put(line{0, "1"}), "", ""},
		{"DeleteLogStream", stream, "", ""},
		{"PutLogEvents", put(line{0, "2"}), "ResourceNotFoundException", "log stream"},
		{"GetLogEvents", stream, "ResourceNotFoundException", "log stream"},
		{"CreateLogStream", stream, "", ""},
		{"PutLogEvents", put(line{0, "3"}), "", ""},
		{"DeleteLogGroup", group, "", ""},
		{"PutLogEvents", put(line{0, "4"}), "ResourceNotFoundException", "log group"},
		{"CreateLogGroup", group, "", ""},
		{"PutLogEvents", put(line{0, "5"}), "ResourceNotFoundException", "log stream"},
		{"CreateLogStream", stream, "", ""},
		{"PutLogEvents", put(line{0, "6"}), "", ""},
		{"CreateLogGroup", `{"logGroupName":5}`, "SerializationException", ""},
	}
	for i, step := range steps {
		if got := call(s, step.op, step.body); got.Type != step.kind || !strings.Contains(got.Message, step.message) {
			t.Fatalf("step %d, %s: %+v, want %q %q", i, step.op, got, step.kind, step.message)
		}
	}
	if diff := cmp.Diff([]string{"6"}, messages(t, s)); diff != "" {
		t.Errorf("the last incarnation holds\n%s", diff)
	}
	r := streamReport(t, s)
	if r.Events != 3 || r.Created != 3 || r.Deleted != 2 || r.Series[0].Missing != 3 {
		t.Errorf("the account over all incarnations: %+v", r)
	}
}

func TestNames(t *testing.T) {
	s := newServer(t, Options{})
	mustCall(t, s, "CreateLogGroup", `{"logGroupName":"g"}`)
	long, runes := strings.Repeat("n", 512), strings.Repeat("é", 512)
	for name, want := range map[string][2]bool{ // Good for a group, good for a stream.
		"/ecs/app-1_a.b#c": {true, true}, "a b": {false, true}, "a:b": {false, false}, "a*b": {false, false}, "": {false, false},
		long: {true, true}, long + "n": {false, false}, runes: {false, true}, runes + "é": {false, false}, "tab\t": {false, true},
	} {
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		got := [2]reply{
			call(s, "CreateLogGroup", `{"logGroupName":`+string(quoted)+`}`),
			call(s, "CreateLogStream", `{"logGroupName":"g","logStreamName":`+string(quoted)+`}`),
		}
		for i, kind := range []string{"group", "stream"} {
			if ok := got[i].Status == http.StatusOK; ok != want[i] || !ok && got[i].Type != "InvalidParameterException" {
				t.Errorf("%s name %.40q: %d %s", kind, name, got[i].Status, got[i].Type)
			}
		}
	}
}

func TestDescribe(t *testing.T) {
	s := newServer(t, Options{})
	for i := range 120 {
		mustCall(t, s, "CreateLogGroup", fmt.Sprintf(`{"logGroupName":"g%03d"}`, i))
		mustCall(t, s, "CreateLogStream", fmt.Sprintf(`{"logGroupName":"g000","logStreamName":"s%03d"}`, i))
	}
	mustCall(t, s, "PutLogEvents", strings.NewReplacer(`"g"`, `"g000"`, `"s"`, `"s007"`).Replace(put(line{5, "abc"})))
	names := func(op, list, field, members string) (all []string) {
		for token := ""; ; {
			var out map[string]json.RawMessage
			if err := json.Unmarshal([]byte(mustCall(t, s, op, `{"x":0`+members+token+`}`)), &out); err != nil {
				t.Fatal(err)
			}
			var items []map[string]any
			if err := json.Unmarshal(out[list], &items); err != nil || items == nil {
				t.Fatalf("%s %s: %v in %s", op, members, err, out[list])
			}
			for _, item := range items {
				all = append(all, item[field].(string))
			}
			if len(out["nextToken"]) == 0 {
				return all
			}
			token = `,"nextToken":` + string(out["nextToken"])
		}
	}
	groups := names("DescribeLogGroups", "logGroups", "logGroupName", `,"limit":7`)
	if len(groups) != 120 || !slices.IsSorted(groups) {
		t.Errorf("%d groups, sorted %v", len(groups), slices.IsSorted(groups))
	}
	if got := names("DescribeLogGroups", "logGroups", "logGroupName", `,"logGroupNamePrefix":"g11"`); len(got) != 10 {
		t.Errorf("with a prefix: %q", got)
	}
	if got := names("DescribeLogGroups", "logGroups", "logGroupName", `,"logGroupNamePrefix":"none"`); len(got) != 0 {
		t.Errorf("with a prefix that none has: %q", got)
	}
	streams := names("DescribeLogStreams", "logStreams", "logStreamName", `,"logGroupName":"g000"`)
	if len(streams) != 120 || !slices.IsSorted(streams) {
		t.Errorf("%d streams, sorted %v", len(streams), slices.IsSorted(streams))
	}
	latest := names("DescribeLogStreams", "logStreams", "logStreamName", `,"logGroupName":"g000","orderBy":"LastEventTime","descending":true`)
	if len(latest) != 120 || latest[0] != "s007" {
		t.Errorf("the stream with the latest event is not first of %d: %q", len(latest), latest[0])
	}
	for _, bad := range []string{`,"orderBy":"Size"`, `,"limit":51`, `,"nextToken":"none"`} {
		if got := call(s, "DescribeLogStreams", `{"logGroupName":"g000"`+bad+`}`); got.Type != "InvalidParameterException" {
			t.Errorf("%s: %+v", bad, got)
		}
	}
}
