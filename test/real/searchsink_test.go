package real

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/indexname"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/elasticsearch"
	"github.com/spillway/spillway/internal/sink/sinktest"
	"github.com/spillway/spillway/test/launcher/harness"
	"github.com/spillway/spillway/test/real/parts"
)

// searchTemplate keeps the documents of the tests as they are: a text may look like a
// date, and be longer than a term.
const searchTemplate = `{"index_patterns":["conf-*"],"priority":500,"template":{"settings":{"number_of_shards":1,"number_of_replicas":0,
"max_result_window":1000000,"refresh_interval":"-1"},"mappings":{"date_detection":false,"properties":{"@timestamp":{"type":"date"},
"message":{"type":"keyword","index":false,"doc_values":false},"log":{"type":"keyword","index":false,"doc_values":false}}}}}`

// The sink's conformance suite against every node, and what each answers of records
// and indices that it does not take.
func TestSearchSink(t *testing.T) {
	for _, name := range parts.SearchNodes() {
		t.Run(name, func(t *testing.T) {
			parts.Need(t, name)
			node := parts.StartSearch(t, name, parts.SearchOptions{})
			node.Must(t, http.MethodPut, "/_index_template/conf", searchTemplate)
			var n atomic.Int64
			open := func(t *testing.T) sinktest.Destination {
				return searchDestination(t, node, fmt.Sprintf("conf-%d", n.Add(1)))
			}
			t.Run("lines", func(t *testing.T) { sinktest.Run(t, open) })
			t.Run("entries", func(t *testing.T) { sinktest.RunEntries(t, open) })
			if harness.Long() {
				t.Run("messages", func(t *testing.T) { sinktest.RunMessages(t, open) })
			}
			t.Run("updates", func(t *testing.T) { tryUpdates(t, node) })
			t.Run("refusals", func(t *testing.T) { trySearchRefusals(t, node) })
			t.Run("data stream", func(t *testing.T) { tryDataStream(t, node) })
			t.Run("setup", func(t *testing.T) { trySearchSetup(t, node) })
		})
	}
}

// cutting breaks a connection in mid-body when it is told to.
type cutting struct {
	http.RoundTripper
	cut atomic.Bool
}

func (c *cutting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && c.cut.Swap(false) {
		r = r.Clone(r.Context())
		r.Body, r.GetBody = &broken{ReadCloser: r.Body, left: 60}, nil
	}
	return c.RoundTripper.RoundTrip(r)
}

type broken struct {
	io.ReadCloser
	left int
}

func (b *broken) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errors.New("the test cuts the body off")
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func searchSink(t *testing.T, node *parts.SearchNode, index string, change func(*elasticsearch.Options)) *elasticsearch.Sink {
	t.Helper()
	u, err := url.Parse(node.URL)
	if err != nil {
		t.Fatal(err)
	}
	name, err := indexname.Parse(index, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := elasticsearch.Options{
		Hosts: []*url.URL{u}, Transport: &http.Transport{TLSClientConfig: node.TLS()}, Index: name, TimeKey: "@timestamp", TagKey: "tag",
	}
	if change != nil {
		change(&o)
	}
	s, err := elasticsearch.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func searchDestination(t *testing.T, node *parts.SearchNode, index string) sinktest.Destination {
	cut := &cutting{}
	s := searchSink(t, node, index, func(o *elasticsearch.Options) {
		cut.RoundTripper = o.Transport
		o.Transport = cut
	})
	return sinktest.Destination{
		Sink: s, Read: func() ([]sinktest.Entry, error) { return searchEntries(t, node, index) },
		Fail: func() { cut.cut.Store(true) },
	}
}

// searchEntries reads an index in the order of time, and of arrival within it.
func searchEntries(t *testing.T, node *parts.SearchNode, index string) (all []sinktest.Entry, err error) {
	const query = `{"size":1000000,"sort":[{"@timestamp":"asc"},{"_seq_no":"asc"}]}`
	if answer, err := node.Do(t.Context(), http.MethodPost, "/"+index+"/_refresh", ""); err != nil || answer.Status == http.StatusNotFound {
		return nil, err
	}
	answer, err := node.Do(t.Context(), http.MethodPost, "/"+index+"/_search", query)
	if err != nil {
		return nil, err
	}
	var found struct {
		Hits struct {
			Hits []struct {
				Source struct {
					Time    time.Time `json:"@timestamp"`
					Tag     string    `json:"tag"`
					Message *string   `json:"message"`
					Log     string    `json:"log"`
				} `json:"_source"`
			} `json:"hits"`
		} `json:"hits"`
	}
	if err := json.Unmarshal(answer.Body, &found); err != nil || answer.Status != http.StatusOK {
		return nil, fmt.Errorf("search: %d %.300s (%w)", answer.Status, answer.Body, err)
	}
	for _, h := range found.Hits.Hits {
		e := sinktest.Entry{Stream: h.Source.Tag, Time: h.Source.Time, Text: h.Source.Log}
		if h.Source.Message != nil {
			e.Text = *h.Source.Message
		}
		all = append(all, e)
	}
	return all, nil
}

// numberLine is a record with a field that is to be a number.
func numberLine(value string) sinktest.Event {
	return sinktest.Event{Time: time.Now(), Packed: "\x92\x01\x81\xa1n" + value}
}

// trySearchRefusals sends what a node does not take: of a request its neighbours are
// delivered, and what speaks of the index waits.
func trySearchRefusals(t *testing.T, node *parts.SearchNode) {
	node.Must(t, http.MethodPut, "/numbers", `{"mappings":{"properties":{"n":{"type":"long"}}},"settings":{"number_of_replicas":0}}`)
	s := searchSink(t, node, "numbers", nil)
	send := func() sink.Outcome {
		return s.Send(t.Context(), sinktest.NewRequest(numberLine("\x01"), numberLine("\xa4text"), numberLine("\x02")))
	}
	out := send()
	if out.Verdict != sink.Delivered || len(out.Again) > 0 || len(out.Rejected) != 1 || out.Rejected[0].First != 1 || out.Rejected[0].Status != 400 ||
		out.Rejected[0].Reason != string(ledger.RejectedInvalid) || !strings.Contains(out.Rejected[0].Detail, "parsing_exception") {
		t.Errorf("a mapping conflict: %+v", out)
	}
	if out = send(); out.AlreadyThere != 2 || len(out.Rejected) != 1 {
		t.Errorf("the same again: %+v", out)
	}
	waits := func(what string, out sink.Outcome) {
		t.Helper()
		again := out.Verdict == sink.Retry || len(out.Again) > 0
		if !again || !out.Config || out.Err == nil {
			t.Errorf("%s: %+v, expected that it waits for somebody to act", what, out)
		}
	}
	for _, block := range []string{"write", "read_only", "read_only_allow_delete"} {
		node.Must(t, http.MethodPut, "/numbers/_settings", `{"index.blocks.`+block+`":true}`)
		waits("index.blocks."+block, send())
		node.Must(t, http.MethodPut, "/numbers/_settings", `{"index.blocks.`+block+`":null}`)
	}
	node.Must(t, http.MethodPost, "/numbers/_close", "")
	waits("closed", send())
	node.Must(t, http.MethodPost, "/numbers/_open", "")
	node.Must(t, http.MethodPut, "/_cluster/settings", `{"persistent":{"cluster.blocks.read_only":true}}`)
	waits("the cluster read-only", send())
	node.Must(t, http.MethodPut, "/_cluster/settings", `{"persistent":{"cluster.blocks.read_only":null}}`)
	node.Must(t, http.MethodPut, "/_cluster/settings", `{"persistent":{"action.auto_create_index":"false"}}`)
	waits("no such index", searchSink(t, node, "missing", nil).Send(t.Context(), sinktest.NewRequest(numberLine("\x01"))))
	node.Must(t, http.MethodPut, "/_cluster/settings", `{"persistent":{"action.auto_create_index":null}}`)
	if out = send(); out.Verdict != sink.Delivered || out.AlreadyThere != 2 {
		t.Errorf("after all that: %+v", out)
	}
	many := make([]string, 1200)
	for i := range many {
		many[i] = fmt.Sprintf("\xa5%05d\x01", i)
	}
	out = searchSink(t, node, "explodes", nil).Send(t.Context(), sinktest.NewRequest(numberLine("\x01"),
		sinktest.Event{Time: time.Now(), Packed: "\x92\x01\xde\x04\xb0" + strings.Join(many, "")}, numberLine("\x02")))
	if out.Verdict != sink.Delivered || len(out.Rejected) != 1 || out.Rejected[0].First != 1 {
		t.Errorf("too many fields: %+v", out)
	}
}

// keyed is a message of a key; an empty value is none.
func keyed(key, value string) sinktest.Event {
	m := &record.Message{Time: time.Now().UnixNano(), Form: record.FormJSON, Key: []byte(key), Value: []byte(value), Null: value == ""}
	return sinktest.Event{Time: time.Now(), Message: m}
}

// tryUpdates changes and deletes what is there, and routes it by a field.
func tryUpdates(t *testing.T, node *parts.SearchNode) {
	node.Must(t, http.MethodPut, "/updates", `{"settings":{"number_of_replicas":0,"number_of_shards":3}}`)
	send := func(operation elasticsearch.Operation, events ...sinktest.Event) sink.Outcome {
		s := searchSink(t, node, "updates", func(o *elasticsearch.Options) {
			o.ID, o.Operation, o.RetryOnConflict, o.TimeKey, o.TagKey = elasticsearch.IDKey, operation, 3, "", ""
		})
		return s.Send(t.Context(), sinktest.NewRequest(events...))
	}
	has := func(id, want string) {
		t.Helper()
		answer, err := node.Do(t.Context(), http.MethodGet, "/updates/_doc/"+id+"?filter_path=_source", "")
		if err != nil || want == "" && answer.Status != http.StatusNotFound || want != "" && string(answer.Body) != `{"_source":`+want+`}` {
			t.Errorf("document %s is %d %s (%v), expected %s", id, answer.Status, answer.Body, err, want)
		}
	}
	taken := func(what string, out sink.Outcome) {
		t.Helper()
		if out.Verdict != sink.Delivered || len(out.Rejected)+len(out.Again) > 0 {
			t.Errorf("%s: %+v", what, out)
		}
	}
	taken("upserts", send(elasticsearch.Upsert, keyed("a", `{"n":1}`), keyed("a", `{"m":2}`), keyed("b", `{"n":1}`)))
	has("a", `{"n":1,"m":2}`)
	out := send(elasticsearch.Update, keyed("a", `{"n":3}`), keyed("none", `{"n":4}`))
	if len(out.Again) > 0 || len(out.Rejected) != 1 || out.Rejected[0].First != 1 || out.Rejected[0].Status != http.StatusNotFound {
		t.Errorf("an update of what is not there: %+v, expected that it is refused, it alone", out)
	}
	has("a", `{"n":3,"m":2}`)
	taken("deletions", send(elasticsearch.Index, keyed("a", ""), keyed("none", ""), keyed("b", `{"n":5}`), keyed("c", `{"n":6}`), keyed("c", "")))
	has("a", "")
	has("b", `{"n":5}`)
	has("c", "")
	out = send(elasticsearch.Create, keyed("b", `{"n":7}`), keyed("d", `{"n":8}`))
	if len(out.Again) > 0 || out.AlreadyThere > 0 || len(out.Rejected) != 1 || out.Rejected[0].First != 0 || out.Rejected[0].Reason != string(ledger.RejectedConflict) {
		t.Errorf("an id that is taken: %+v, expected that the first is refused", out)
	}
}

// tryDataStream sends to a data stream, twice the same.
func tryDataStream(t *testing.T, node *parts.SearchNode) {
	node.Must(t, http.MethodPut, "/_index_template/sinkstreams", `{"index_patterns":["sinkstream-*"],"data_stream":{},"priority":501}`)
	s := searchSink(t, node, "sinkstream-one", func(o *elasticsearch.Options) { o.DataStream = true })
	if s.Limits().Idempotent {
		t.Error("a data stream is said to take each id once, which it does in each of its indices alone")
	}
	for round := range 2 {
		out := s.Send(t.Context(), sinktest.NewRequest(numberLine("\x01"), numberLine("\x02")))
		if out.Verdict != sink.Delivered || len(out.Rejected)+len(out.Again) > 0 || out.AlreadyThere != 2*round {
			t.Errorf("round %d: %+v", round, out)
		}
	}
	untimed := searchSink(t, node, "sinkstream-one", func(o *elasticsearch.Options) { o.DataStream, o.TimeKey = true, "" })
	out := untimed.Send(t.Context(), sinktest.NewRequest(numberLine("\x03")))
	if out.Verdict != sink.Delivered || len(out.Again) > 0 || len(out.Rejected) != 1 || out.Rejected[0].Status != http.StatusBadRequest {
		t.Errorf("without @timestamp: %+v, expected that it is refused", out)
	}
	replacing := searchSink(t, node, "sinkstream-one", func(o *elasticsearch.Options) { o.Operation = elasticsearch.Index })
	out = replacing.Send(t.Context(), sinktest.NewRequest(numberLine("\x03")))
	if out.Verdict != sink.Delivered || len(out.Again) > 0 || len(out.Rejected) != 1 || out.Rejected[0].Status != http.StatusBadRequest {
		t.Errorf("index in place of create: %+v, expected that it is refused", out)
	}
}

// trySearchSetup puts templates and an alias before the first record, twice.
func trySearchSetup(t *testing.T, node *parts.SearchNode) {
	setup := elasticsearch.Setup{
		Components: []elasticsearch.Document{{Name: "sp-part", Body: []byte(`{"template":{"settings":{"number_of_replicas":0}}}`)}},
		Templates:  []elasticsearch.Document{{Name: "sp-whole", Body: []byte(`{"index_patterns":["sp-roll-*"],"composed_of":["sp-part"],"priority":502}`)}},
		Legacy:     []elasticsearch.Document{{Name: "sp-old", Body: []byte(`{"index_patterns":["sp-old-*"],"settings":{"number_of_replicas":0}}`)}},
		Alias:      "sp-roll",
	}
	for _, overwrite := range []bool{false, false, true} {
		setup.Overwrite = overwrite
		s := searchSink(t, node, "sp-roll", func(o *elasticsearch.Options) {
			o.Setup, o.RequireAlias = setup, node.Name >= "elasticsearch" && !strings.HasPrefix(node.Name, "opensearch-1")
		})
		if out := s.Send(t.Context(), sinktest.NewRequest(numberLine("\x01"))); out.Verdict != sink.Delivered || len(out.Rejected) > 0 {
			t.Fatalf("%+v", out)
		}
	}
	if settings := node.Must(t, http.MethodGet, "/sp-roll-000001/_settings", ""); !strings.Contains(string(settings), `"number_of_replicas":"0"`) {
		t.Errorf("the first index of the alias has the settings %s, expected those of its template", settings)
	}
}

// The sink at a secured node, by user and by API key: what it may not write waits, or
// is given up where that is asked for.
func TestSecuredSearchSink(t *testing.T) {
	if !harness.Long() {
		t.Skip("secured nodes are started in the whole size alone: SPILLWAY_LONG=1")
	}
	for _, name := range []string{parts.OpenSearchSecured, parts.Elasticsearch8} {
		t.Run(name, func(t *testing.T) {
			parts.Need(t, name)
			node := parts.StartSearch(t, name, parts.SearchOptions{Secured: true})
			user := func(user, password string) func(*elasticsearch.Options) {
				return func(o *elasticsearch.Options) { o.Username, o.Password = user, password }
			}
			send := func(index string, change func(*elasticsearch.Options)) sink.Outcome {
				return searchSink(t, node, index, change).Send(t.Context(), sinktest.NewRequest(numberLine("\x01")))
			}
			taken := func(what string, out sink.Outcome) {
				t.Helper()
				if out.Verdict != sink.Delivered || len(out.Rejected)+len(out.Again) > 0 {
					t.Errorf("%s: %+v", what, out)
				}
			}
			waits := func(what string, out sink.Outcome) {
				t.Helper()
				if out.Verdict != sink.Retry && len(out.Again) == 0 || !out.Config || out.Err == nil {
					t.Errorf("%s: %+v, expected that it waits for somebody to act", what, out)
				}
			}
			taken("the administrator", send("logstash-a", user(parts.SearchAdmin, parts.SearchAdminPassword)))
			limited := user(parts.SearchLimited, parts.SearchLimitedPassword)
			taken("a user, where he may", send("logstash-b", limited))
			waits("a user, where he may not", send("others", limited))
			waits("a wrong password", send("logstash-a", user(parts.SearchAdmin, "wrong")))
			waits("nobody", send("logstash-a", nil))
			waits("an unknown authority", send("logstash-a", func(o *elasticsearch.Options) { o.Transport = &http.Transport{} }))
			out := send("others", func(o *elasticsearch.Options) { limited(o); o.RejectRefused = true })
			if len(out.Rejected) != 1 || out.Rejected[0].Reason != string(ledger.RejectedRefused) || out.Rejected[0].Status != 403 {
				t.Errorf("given up: %+v", out)
			}
			if strings.HasPrefix(name, "elasticsearch") {
				var key struct {
					Encoded string `json:"encoded"`
				}
				if err := json.Unmarshal(node.Must(t, http.MethodPost, "/_security/api_key", `{"name":"sink"}`), &key); err != nil {
					t.Fatal(err)
				}
				taken("an API key", send("logstash-a", func(o *elasticsearch.Options) { o.APIKey = key.Encoded }))
				waits("a wrong API key", send("logstash-a", func(o *elasticsearch.Options) { o.APIKey = "d3Jvbmc6a2V5" }))
			}
		})
	}
}
