package elasticsearch

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestEveryOperationIsAnsweredAsTheNodeDoes(t *testing.T) {
	s := newServer(t, Options{})
	failed, items := mustBulk(t, s, "/_bulk", `{"create":{"_index":"a","_id":"1"}}
{"n":1}
{"create":{"_index":"a","_id":"1"}}
{"n":2}
{"index":{"_index":"a","_id":"1"}}
{"n":3}
{"update":{"_index":"a","_id":"1"}}
{"doc":{"n":4}}
{"update":{"_index":"a","_id":"2"}}
{"doc":{"n":5}}
{"update":{"_index":"a","_id":"3"}}
{"doc":{"n":6},"doc_as_upsert":true}
{"delete":{"_index":"a","_id":"3"}}
{"delete":{"_index":"a","_id":"none"}}
{"index":{"_index":"a"}}
{"n":7}
`)
	var got []string
	for _, it := range items {
		got = append(got, fmt.Sprint(it.Op, " ", it.Status, " ", it.Result, it.Error.Type))
	}
	want := []string{"create 201 created", "create 409 version_conflict_engine_exception", "index 200 updated", "update 200 updated",
		"update 404 document_missing_exception", "update 201 created", "delete 200 deleted", "delete 404 not_found", "index 201 created"}
	if !failed || !slices.Equal(got, want) {
		t.Errorf("errors %t, items\n%s\nwant\n%s", failed, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if items[8].ID == "" {
		t.Error("a document without an id was given none")
	}
	r := s.Report()
	ix, _ := r.Index("a")
	if ix.Documents != 2 || ix.Created != 3 || ix.Updated != 2 || ix.Deleted != 1 || ix.Conflicts != 1 {
		t.Errorf("index: %+v", ix)
	}
	if want := HashID("1") + HashID(items[8].ID); ix.Checksum != want {
		t.Errorf("checksum %d, want %d", ix.Checksum, want)
	}
	if r.Bulk.Items != 9 || r.Bulk.Statuses["201"] != 3 || r.Bulk.Errors["version_conflict_engine_exception"] != 1 {
		t.Errorf("bulk: %+v", r.Bulk)
	}
}

func TestRequestsThatAreRefusedAsAWhole(t *testing.T) {
	long := strings.Repeat("x", 513)
	for _, c := range []struct{ name, path, body, reason string }{
		{"empty", "/_bulk", "", "request body is required"},
		{"no final newline", "/_bulk", `{"create":{"_index":"a"}}` + "\n{}", "must be terminated by a newline"},
		{"unknown action", "/_bulk", `{"insert":{"_index":"a"}}` + "\n{}\n", "found [insert]"},
		{"two actions", "/_bulk", `{"create":{"_index":"a"},"index":{"_index":"a"}}` + "\n{}\n", "expected one action but found 2"},
		{"no action", "/_bulk", "{}\n{}\n", "expected one action but found 0"},
		{"not an object", "/_bulk", "[]\n{}\n", "expected an object"},
		{"unknown parameter", "/_bulk", `{"create":{"_index":"a","_ttl":1}}` + "\n{}\n", "unknown parameter [_ttl]"},
		{"type of an older node", "/_bulk", `{"create":{"_index":"a","_type":"_doc"}}` + "\n{}\n", "unknown parameter [_type]"},
		{"object for a value", "/_bulk", `{"create":{"_index":{"a":1}}}` + "\n{}\n", "expected a simple value for field [_index]"},
		{"long id", "/_bulk", `{"create":{"_index":"a","_id":"` + long + `"}}` + "\n{}\n", "is too long"},
		{"no index", "/_bulk", `{"create":{}}` + "\n{}\n", "index is missing"},
		{"update without id", "/a/_bulk", `{"update":{}}` + "\n{}\n", "id is missing"},
		{"no document", "/_bulk", `{"create":{"_index":"a"}}` + "\n", "end of the request"},
		{"unknown query", "/_bulk?unknown=1", `{"create":{"_index":"a"}}` + "\n{}\n", "unrecognized parameter: [unknown]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, Options{})
			status, answer := call(t, s, "POST", c.path, c.body)
			if status != http.StatusBadRequest || !strings.Contains(answer, c.reason) {
				t.Errorf("%d %s, want 400 and %q", status, answer, c.reason)
			}
			if docs := s.Report().Totals.Documents; docs != 0 {
				t.Errorf("%d documents of a request that was refused", docs)
			}
		})
	}
}

func TestDocumentsThatAreRefusedAlone(t *testing.T) {
	for _, c := range []struct{ name, doc, reason string }{
		{"not JSON", `{"a":`, "expected a value"},
		{"array", `[1]`, "expected an object"},
		{"two objects", `{} {}`, "expected nothing behind"},
		{"an injected action", `{"a":1}{"delete":{"_id":"1"}}`, "expected nothing behind"},
		{"control character", "{\"a\":\"\x01\"}", "control character"},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", "invalid UTF-8"},
		{"duplicate key", `{"a":1,"a":2}`, "duplicate field 'a'"},
		{"nested duplicate key", `{"b":{"a":1,"\u0061":2}}`, "duplicate field 'a'"},
		{"leading zero", `{"a":01}`, "expected a comma"},
		{"NaN", `{"a":NaN}`, "expected a value"},
		{"metadata field", `{"_id":"1"}`, "metadata field"},
		{"conflict", `{"n":"text"}`, "failed to parse field [n] of type [long]"},
		{"object for a number", `{"n":{"a":1}}`, "failed to parse field [n] of type [long]"},
		{"number for an object", `{"o":1}`, "failed to parse field [o] of type [object]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, Options{})
			mustBulk(t, s, "/a/_bulk", `{"create":{}}`+"\n"+`{"n":1,"o":{"x":1}}`+"\n")
			_, items := mustBulk(t, s, "/a/_bulk", `{"create":{"_id":"1"}}`+"\n"+c.doc+"\n"+`{"create":{"_id":"2"}}`+"\n"+`{"n":2}`+"\n")
			if items[0].Status != 400 || items[0].Error.Type != "document_parsing_exception" || !strings.Contains(items[0].Error.Reason, c.reason) {
				t.Errorf("got %+v, want 400 and %q", items[0], c.reason)
			}
			if items[1].Status != 201 {
				t.Errorf("its neighbour: %+v", items[1])
			}
		})
	}
}

func TestIndicesThatRefuse(t *testing.T) {
	for _, c := range []struct {
		name   string
		method string
		path   string
		body   string
		status int
		kind   string
	}{
		{"closed", "POST", "/a/_close", "", 400, "index_closed_exception"},
		{"write block", "PUT", "/a/_settings", `{"index":{"blocks":{"write":true}}}`, 403, "cluster_block_exception"},
		{"read-only", "PUT", "/a/_settings", `{"index.blocks.read_only":true}`, 403, "cluster_block_exception"},
		{"flood stage", "PUT", "/a/_settings", `{"blocks.read_only_allow_delete":"true"}`, 429, "cluster_block_exception"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, Options{})
			mustCall(t, s, "PUT", "/a", "")
			mustCall(t, s, c.method, c.path, c.body)
			_, items := mustBulk(t, s, "/a/_bulk", `{"create":{"_id":"1"}}`+"\n{}\n")
			if items[0].Status != c.status || items[0].Error.Type != c.kind {
				t.Errorf("got %+v, want %d %s", items[0], c.status, c.kind)
			}
		})
	}
	s := newServer(t, Options{NoAutoCreate: true})
	if _, items := mustBulk(t, s, "/a/_bulk", `{"create":{"_id":"1"}}`+"\n{}\n"); items[0].Status != 404 {
		t.Errorf("no index and none made: %+v", items[0])
	}
	if _, items := mustBulk(t, s, "/Bad/_bulk", `{"create":{"_id":"1"}}`+"\n{}\n"); items[0].Error.Type != "invalid_index_name_exception" {
		t.Errorf("a bad name: %+v", items[0])
	}
}

func TestDataStreams(t *testing.T) {
	s := newServer(t, Options{})
	mustCall(t, s, "PUT", "/_index_template/t", `{"index_patterns":["stream-*"],"data_stream":{}}`)
	_, items := mustBulk(t, s, "/stream-1/_bulk", `{"create":{"_id":"1"}}
{"@timestamp":"2026-11-20T12:00:00Z"}
{"index":{"_id":"2"}}
{"@timestamp":"2026-11-20T12:00:00Z"}
{"create":{"_id":"3"}}
{"m":1}
{"create":{"_id":"4"}}
{"@timestamp":"yesterday"}
{"create":{"_id":"1"}}
{"@timestamp":1763640000000}
`)
	var got []int
	for _, it := range items {
		got = append(got, it.Status)
	}
	if want := []int{201, 400, 400, 400, 409}; !slices.Equal(got, want) {
		t.Fatalf("statuses %v, want %v: %+v", got, want, items)
	}
	if items[0].Index != ".ds-stream-1-2026.11.20-000001" {
		t.Errorf("the answer names %s, want the backing index", items[0].Index)
	}
	mustCall(t, s, "POST", "/stream-1/_rollover", "")
	if _, items := mustBulk(t, s, "/stream-1/_bulk", `{"create":{"_id":"1"}}`+"\n"+`{"@timestamp":1}`+"\n"); items[0].Status != 201 {
		t.Errorf("an id is unique for each backing index alone: %+v", items[0])
	}
}

func TestWriteAlias(t *testing.T) {
	s := newServer(t, Options{})
	mustCall(t, s, "PUT", "/app-000001", `{"aliases":{"app":{"is_write_index":true}}}`)
	mustCall(t, s, "POST", "/app/_rollover", "")
	_, items := mustBulk(t, s, "/_bulk?require_alias=true", `{"create":{"_index":"app","_id":"1"}}`+"\n{}\n"+`{"create":{"_index":"other","_id":"1"}}`+"\n{}\n")
	if items[0].Index != "app-000002" || items[1].Status != 404 {
		t.Errorf("got %+v", items)
	}
}

func TestFilterPath(t *testing.T) {
	s := newServer(t, Options{})
	body := `{"create":{"_index":"a","_id":"1"}}` + "\n{}\n"
	got := mustCall(t, s, "POST", "/_bulk?filter_path=errors,items.*.status,items.*.error", body)
	if want := `{"errors":false,"items":[{"create":{"status":201}}]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	got = mustCall(t, s, "POST", "/_bulk?filter_path=items.*.error.type", body+body)
	if !strings.HasPrefix(got, `{"items":[{"create":{"error":`) {
		t.Errorf("got %s, want errors alone", got)
	}
}
