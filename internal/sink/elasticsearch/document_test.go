package elasticsearch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/indexname"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// messages is a request of messages of one partition.
func messages(all ...record.Message) *held {
	p := record.Partition{Topic: "orders", ID: [16]byte{1, 2, 3}, Number: 7}
	b := record.Batch{Kind: record.KindRecords, Encoding: record.EncodingMessage, Count: len(all), FirstSeq: 1, Partition: p.Append(nil)}
	for i := range all {
		m := &all[i]
		if m.Offset == 0 {
			m.Offset = int64(100 + 10*i)
		}
		if m.Time == 0 {
			m.Time = time.Date(2026, 11, 20, 23, 30, 0, 5, time.UTC).UnixNano()
		}
		b.Frames = record.AppendMessage(b.Frames, m)
	}
	return &held{
		batches: [][]byte{record.AppendBatch(nil, &b)}, events: len(all),
		stream: record.Stream{Name: "kafka.Orders", Incarnation: [12]byte{9}},
	}
}

func jsonMessage(value string) record.Message {
	return record.Message{Form: record.FormJSON, Value: []byte(value)}
}

// A value enters a body only as one object on one line; nothing in it can pass for
// an action.
func TestForeignJSON(t *testing.T) {
	good := []string{
		`{"a":1}`, "{\n\"a\":\r\n1}\n", "  { } ", `{"a":"two\nlines"}`, `{"a":{"b":[1,{"c":null}]},"a\"b":"\u0000"}`, "{\"bad\":\"\xff\xfe\"}",
		`{"create":{"_index":"other","_id":"x"}}`,
	}
	bad := []string{
		"", "null", "17", `"text"`, "[1]", `[{"a":1}]`, `{"a":1`, `{"a":1}}`, `{"a":1}{"b":2}`, "{\"a\":\"two\nlines\"}", `{"a":01}`, `{a:1}`,
		"{\"a\":1}\n{\"delete\":{\"_index\":\"logs\",\"_id\":\"x\"}}", "{\"a\":1}\n{\"create\":{}}\n{\"b\":2}", "not JSON", "\xef\xbb\xbf{}",
		strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200),
	}
	var all []record.Message
	var want []int
	for _, v := range good {
		all = append(all, jsonMessage(v))
	}
	for i, v := range bad {
		all = append(all, jsonMessage(v))
		want = append(want, len(good)+i)
	}
	all = append(all, jsonMessage(`{"last":true}`))
	s := newServer(t)
	out := sinkTo(t, s, nil).Send(t.Context(), messages(all...))
	var rejected []int
	for _, r := range out.Rejected {
		rejected = append(rejected, r.First)
		if !strings.HasPrefix(r.Detail, "the value is not one JSON object: found ") {
			t.Errorf("the reason of %d is %q", r.First, r.Detail)
		}
	}
	if out.Verdict != sink.Delivered || !slices.Equal(rejected, want) {
		t.Fatalf("rejected %v, want %v (%+v)", rejected, want, out)
	}
	if len(s.docs) != len(good)+1 {
		t.Errorf("%d documents, want %d", len(s.docs), len(good)+1)
	}
	for _, o := range s.docs {
		if o.meta.Index != "logs" || o.verb != "create" {
			t.Errorf("a document in %s by %s", o.meta.Index, o.verb)
		}
	}
	if got := s.docs[5].doc["bad"]; got != "\ufffd\ufffd" || out.Replaced != 2 {
		t.Errorf("bytes that are no UTF-8 became %q, and %d were counted", got, out.Replaced)
	}
}

// What a document and its action look like.
func TestDocuments(t *testing.T) {
	packed := sinktest.Packed(time.Unix(1_700_000_000, 5), "x")
	entryWith := func(pairs string) sink.Request {
		return sinktest.NewRequest(sinktest.Event{Time: time.Unix(1_700_000_000, 0), Packed: packed[:11] + pairs})
	}
	line := sinktest.NewRequest(sinktest.Event{Time: time.Unix(1_700_000_000, 0), Body: "text"})
	parsed := func(text string) *indexname.Name { return name(t, text) }
	for _, c := range []struct {
		name   string
		change func(*Options)
		req    sink.Request
		verb   string
		index  string
		id     string // where it is set
		route  string
		pipe   string
		text   string
	}{
		{name: "entry", req: entryWith("\x81\xa1a\x01"), text: `{"a":1,"@timestamp":"2023-11-14T22:13:20.000000005Z"}`},
		{name: "empty entry", req: entryWith("\x80"), text: `{"@timestamp":"2023-11-14T22:13:20.000000005Z"}`},
		{name: "with a time", req: entryWith("\x81\xaa@timestamp\x01"), text: `{"@timestamp":1}`},
		{name: "with a time inside", req: entryWith("\x81\xa1a\x81\xaa@timestamp\x01"), text: `{"a":{"@timestamp":1},"@timestamp":"2023-11-14T22:13:20.000000005Z"}`},
		{name: "no time", change: func(o *Options) { o.TimeKey = "" }, req: entryWith("\x80"), text: `{}`},
		{name: "another time", change: func(o *Options) { o.TimeKey, o.TimeFormat = "at", EpochMillis }, req: entryWith("\x80"), text: `{"at":1700000000000}`},
		{name: "line", req: line, text: `{"message":"text","@timestamp":"2023-11-14T22:13:20.000000000Z"}`},
		{name: "text key", change: func(o *Options) { o.TextKey = `l"g` }, req: line, text: `{"l\"g":"text","@timestamp":"2023-11-14T22:13:20.000000000Z"}`},
		{name: "tag", change: func(o *Options) { o.TagKey, o.TimeKey = "tag", "" }, req: entryWith("\x82\xa3tag\xa1x\xa1a\x01"), text: `{"a":1,"tag":"stdout"}`},
		{name: "tag of JSON", change: func(o *Options) { o.TagKey, o.TimeKey = "tag", "" }, req: messages(jsonMessage(`{"tag":1,"a":2,"tag":3}`)), text: `{"a":2,"tag":"kafka.Orders"}`},
		{name: "removed", change: func(o *Options) { o.RemoveKeys, o.TimeKey = []string{"a", "c"}, "" }, req: entryWith("\x83\xa1a\x01\xa1b\x02\xa1c\x03"), text: `{"b":2}`},
		{name: "all removed", change: func(o *Options) { o.RemoveKeys = []string{"a"} }, req: messages(jsonMessage(`{"a":1}`)), text: `{"@timestamp":"2026-11-20T23:30:00.000000005Z"}`},
		{name: "time removed", change: func(o *Options) { o.RemoveKeys = []string{"@timestamp"} }, req: messages(jsonMessage(`{"@timestamp":"x","a":1}`)),
			text: `{"a":1,"@timestamp":"2026-11-20T23:30:00.000000005Z"}`},
		{name: "JSON with a time", req: messages(jsonMessage(`{"@timestamp":"x","a":[]}`)), text: `{"@timestamp":"x","a":[]}`},
		{name: "JSON with a time in escapes", req: messages(jsonMessage(`{"\u0040timestamp":"x"}`)), text: `{"\u0040timestamp":"x"}`},
		{name: "map", req: messages(record.Message{Form: record.FormMap, Value: []byte("\x81\xa1a\xc0")}), text: `{"a":null,"@timestamp":"2026-11-20T23:30:00.000000005Z"}`},
		{name: "text", req: messages(record.Message{Form: record.FormText, Value: []byte("a \"b\" \xff")}), text: `{"message":"a \"b\" ` + "\ufffd" + `","@timestamp":"2026-11-20T23:30:00.000000005Z"}`},
		{name: "index of the time", change: func(o *Options) { o.Index = parsed("l-{tag}-%Y.%m.%d-%H%M-%j-%G.%V.%u-%%") }, req: messages(jsonMessage(`{}`)),
			index: "l-kafka.orders-2026.11.20-2330-324-2026.47.5-%", text: `{"@timestamp":"2026-11-20T23:30:00.000000005Z"}`},
		{name: "index of fields", change: func(o *Options) {
			o.Index, o.TimeKey = parsed("{record[app]}-{record[k8s.ns]}-{record[n]}-{record[none]}"), ""
		},
			req: entryWith("\x83\xa3app\xa4A b/\xa3k8s\x81\xa2ns\xa2ns\xa1n\x07"), index: "a-b--ns-7-none", text: `{"app":"A b/","k8s":{"ns":"ns"},"n":7}`},
		{name: "index field", change: func(o *Options) { o.IndexField, o.TimeKey, o.RemoveKeys = "to", "", []string{"to"} }, req: messages(jsonMessage(`{"to":"Other"}`)), index: "other", text: `{}`},
		{name: "index field missing", change: func(o *Options) { o.IndexField, o.TimeKey = "to", "" }, req: messages(jsonMessage(`{}`)), text: `{}`},
		{name: "id of a field", change: func(o *Options) { o.ID, o.IDFieldName, o.TimeKey = IDField, "a.b", "" }, req: messages(jsonMessage(`{"a":{"b":"x\"y"}}`)), id: `x"y`, text: `{"a":{"b":"x\"y"}}`},
		{name: "id of a number", change: func(o *Options) { o.ID, o.IDFieldName, o.TimeKey = IDField, "a", "" }, req: entryWith("\x81\xa1a\xcd\x10\x00"), id: "4096", text: `{"a":4096}`},
		{name: "id of a key", change: func(o *Options) { o.ID, o.TimeKey = IDKey, "" }, req: messages(record.Message{Form: record.FormJSON, Key: []byte("k"), Value: []byte("{}")}), id: "k", text: `{}`},
		{name: "routing", change: func(o *Options) { o.RoutingField, o.TimeKey = "r", "" }, req: messages(jsonMessage(`{"r":"x"}`)), route: "x", text: `{"r":"x"}`},
		{name: "pipeline", change: func(o *Options) { o.Pipeline, o.TimeKey = parsed("p-{tag[0]}"), "" }, req: messages(jsonMessage(`{}`)), pipe: "p-kafka", text: `{}`},
		{name: "update", change: func(o *Options) { o.ID, o.IDFieldName, o.Operation, o.TimeKey = IDField, "i", Update, "" }, req: messages(jsonMessage(`{"i":1}`)), verb: "update", id: "1", text: `{"doc":{"i":1}}`},
		{name: "upsert", change: func(o *Options) {
			o.ID, o.IDFieldName, o.Operation, o.TimeKey, o.RetryOnConflict = IDField, "i", Upsert, "", 3
		}, req: messages(jsonMessage(`{"i":1}`)), verb: "update", id: "1", text: `{"doc":{"i":1},"doc_as_upsert":true}`},
		{name: "index", change: func(o *Options) { o.Operation, o.TimeKey = Index, "" }, req: messages(jsonMessage(`{}`)), verb: "index", text: `{}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			out := sinkTo(t, s, c.change).Send(t.Context(), c.req)
			if out.Verdict != sink.Delivered || len(out.Rejected) > 0 || len(s.docs) != 1 {
				t.Fatalf("%+v, %d documents", out, len(s.docs))
			}
			o := s.docs[0]
			if got := strings.TrimSuffix(o.text, "\n"); got != c.text {
				t.Errorf("the document is\n%s, want\n%s", got, c.text)
			}
			if want := c.verb; o.verb != want && (want != "" || o.verb != "create") {
				t.Errorf("the action is %s", o.verb)
			}
			if want := c.index; o.meta.Index != want && (want != "" || o.meta.Index != "logs") {
				t.Errorf("the index is %q, want %q", o.meta.Index, want)
			}
			if c.id != "" && o.meta.ID != c.id {
				t.Errorf("the id is %q, want %q", o.meta.ID, c.id)
			}
			if o.meta.Routing != c.route || o.meta.Pipeline != c.pipe {
				t.Errorf("routing %q and pipeline %q, want %q and %q", o.meta.Routing, o.meta.Pipeline, c.route, c.pipe)
			}
		})
	}
}

// The documents of a line that was cut say that they belong together, and in which order.
func TestPartsOfALine(t *testing.T) {
	s := newServer(t)
	at := time.Unix(1_700_000_000, 0)
	out := sinkTo(t, s, nil).Send(t.Context(), sinktest.NewRequest(
		sinktest.Event{Time: at, Body: "whole"},
		sinktest.Event{Time: at, Body: "one,", Part: record.Part{Ordinal: 1}}, sinktest.Event{Time: at, Body: "two", Part: record.Part{Ordinal: 2, Last: true}}))
	if out.Verdict != sink.Delivered || len(s.docs) != 3 {
		t.Fatalf("%+v", out)
	}
	whole, one, two := s.docs[0].doc, s.docs[1].doc, s.docs[2].doc
	if len(whole) != 2 || one["partial_message"] != "true" || one["partial_ordinal"] != "1" || one["partial_last"] != "false" ||
		two["partial_ordinal"] != "2" || two["partial_last"] != "true" || one["partial_id"] == nil || one["partial_id"] != two["partial_id"] {
		t.Errorf("%v, %v, %v", whole, one, two)
	}
}

// Ids of origin are those of identities; a batch that was cut has the same ones.
func TestOrigin(t *testing.T) {
	s := newServer(t)
	made := sinkTo(t, s, nil)
	req := messages(jsonMessage(`{"n":0}`), jsonMessage(`{"n":1}`), jsonMessage(`{"n":2}`))
	for range 2 {
		if out := made.Send(t.Context(), req); out.Verdict != sink.Delivered {
			t.Fatalf("%+v", out)
		}
	}
	if len(s.docs) != 3 {
		t.Errorf("%d documents after the same was sent twice, want 3", len(s.docs))
	}
	p := record.Partition{Topic: "orders", ID: [16]byte{1, 2, 3}, Number: 7}
	var o originID
	o.begin(p.Key())
	for i, at := range []uint64{100, 110, 120} {
		if want := string(o.of(at)); s.docs[i].meta.ID != want {
			t.Errorf("the id of offset %d is %s, want %s", at, s.docs[i].meta.ID, want)
		}
	}
}

// A null value deletes where ids come from keys, and is rejected elsewhere.
func TestTombstones(t *testing.T) {
	s := newServer(t)
	made := sinkTo(t, s, func(o *Options) { o.ID, o.Operation = IDKey, Index })
	null := record.Message{Form: record.FormJSON, Key: []byte("k"), Null: true}
	value := record.Message{Form: record.FormJSON, Key: []byte("k"), Value: []byte(`{"a":1}`)}
	out := made.Send(t.Context(), messages(null, value, null))
	if out.Verdict != sink.Delivered || len(out.Rejected) > 0 || out.Err != nil {
		t.Fatalf("%+v", out)
	}
	if len(s.known) != 0 || len(s.bulks[0]) != 3 {
		t.Errorf("%d documents are left", len(s.known))
	}
	out = sinkTo(t, s, nil).Send(t.Context(), messages(null))
	if out.Verdict != sink.Delivered || len(out.Rejected) != 1 {
		t.Errorf("without ids from keys: %+v", out)
	}
}

// Hashes are the same for the same content alone.
func TestHashes(t *testing.T) {
	id := func(change func(*Options), req sink.Request) string {
		s := newServer(t)
		out := sinkTo(t, s, func(o *Options) { o.ID = IDHash; change(o) }).Send(t.Context(), req)
		if out.Verdict != sink.Delivered || len(s.docs) != 1 {
			t.Fatalf("%+v", out)
		}
		return s.docs[0].meta.ID
	}
	whole := func(*Options) {}
	some := func(o *Options) { o.HashFields = []string{"a", "b"} }
	timed := func(o *Options) { o.HashTime = true }
	at := record.Message{Form: record.FormJSON, Value: []byte(`{"a":1,"b":2,"c":3}`), Time: 99}
	all := map[string]string{}
	for _, c := range []struct {
		name   string
		change func(*Options)
		req    sink.Request
	}{
		{"whole", whole, messages(jsonMessage(`{"a":1,"b":2,"c":3}`))},
		{"another", whole, messages(jsonMessage(`{"a":1,"b":2,"c":4}`))},
		{"fields", some, messages(jsonMessage(`{"a":1,"b":2,"c":3}`))},
		{"cut elsewhere", some, messages(jsonMessage(`{"a":12,"b":"","c":3}`))},
		{"timed", timed, messages(jsonMessage(`{"a":1,"b":2,"c":3}`))},
		{"timed otherwise", timed, messages(at)},
	} {
		got := id(c.change, c.req)
		if other := all[got]; other != "" {
			t.Errorf("%s and %s have the same id", c.name, other)
		}
		all[got] = c.name
	}
	if id(some, messages(jsonMessage(`{"a":1,"b":2,"c":4}`))) != id(some, messages(jsonMessage(`{"b":2,"a":1}`))) {
		t.Error("what is not in the hash changes it")
	}
	if id(whole, messages(at)) != id(whole, messages(jsonMessage(string(at.Value)))) {
		t.Error("the time is in the hash")
	}
}

// Names that no index can have reject their record alone.
func TestBadNames(t *testing.T) {
	s := newServer(t)
	made := sinkTo(t, s, func(o *Options) { o.Index = name(t, "{record[i]}") })
	var all []record.Message
	for _, v := range []string{"good", "_bad", "-bad", "+bad", "..", strings.Repeat("x", 256), strings.Repeat("x", 255)} {
		all = append(all, jsonMessage(fmt.Sprintf(`{"i":%q}`, v)))
	}
	out := made.Send(t.Context(), messages(all...))
	var rejected []int
	for _, r := range out.Rejected {
		rejected = append(rejected, r.First)
	}
	if !slices.Equal(rejected, []int{1, 2, 3, 4, 5}) || len(s.docs) != 2 {
		t.Errorf("rejected %v, %d documents", rejected, len(s.docs))
	}
}
