package elasticsearch

import (
	"strings"
	"testing"
)

func TestBodiesOfTemplatesAndPolicies(t *testing.T) {
	const state = `"description":"d","default_state":"hot","states":[{"name":"hot","actions":[],"transitions":[{"state_name":"gone"}]},{"name":"gone","actions":[{"delete":{}}],"transitions":[]}]`
	for _, c := range []struct {
		name, product, path, body string
		status                    int
		reason                    string
	}{
		{"index template", "", "/_index_template/t", `{"index_patterns":["a-*"],"template":{"settings":{"number_of_shards":1},"mappings":{"properties":{"n":{"type":"long"}}},"aliases":{"x":{}}},"priority":5,"version":1,"_meta":{},"composed_of":["c"],"data_stream":{"hidden":false}}`, 200, ""},
		{"one pattern", "", "/_index_template/t", `{"index_patterns":"a-*"}`, 200, ""},
		{"no pattern", "", "/_index_template/t", `{"template":{}}`, 400, "index patterns are missing"},
		{"unknown member", "", "/_index_template/t", `{"index_patterns":["a-*"],"order":1}`, 400, "unknown field [order]"},
		{"unknown inside", "", "/_index_template/t", `{"index_patterns":["a-*"],"template":{"mapping":{}}}`, 400, "unknown field [mapping]"},
		{"unknown component", "", "/_index_template/t", `{"index_patterns":["a-*"],"composed_of":["nope"]}`, 400, "that do not exist"},
		{"component that may be missing", "", "/_index_template/t", `{"index_patterns":["a-*"],"composed_of":["nope"],"ignore_missing_component_templates":["nope"]}`, 200, ""},
		{"same patterns and priority", "", "/_index_template/t", `{"index_patterns":["b-1*"]}`, 400, "same priority [0]"},
		{"priority as text", "", "/_index_template/t", `{"index_patterns":["a-*"],"priority":"high"}`, 400, "failed to parse field [priority]"},
		{"not JSON", "", "/_index_template/t", `{`, 400, "x_content_parse_exception"},
		{"component", "", "/_component_template/d", `{"template":{"settings":{"index.lifecycle.name":"p"}}}`, 200, ""},
		{"component without template", "", "/_component_template/d", `{"settings":{}}`, 400, "unknown field [settings]"},
		{"legacy", "", "/_template/t", `{"index_patterns":["a-*"],"order":1,"settings":{},"mappings":{},"aliases":{}}`, 200, ""},
		{"legacy without patterns", "", "/_template/t", `{"order":1}`, 400, "index patterns are missing"},
		{"legacy with a composable's member", "", "/_template/t", `{"index_patterns":["a-*"],"template":{}}`, 400, "unknown field [template]"},
		{"ILM", "", "/_ilm/policy/p", `{"policy":{"phases":{"hot":{"min_age":"0ms","actions":{"rollover":{"max_age":"30d"}}},"delete":{"min_age":"90d","actions":{"delete":{}}}}}}`, 200, ""},
		{"ILM without policy", "", "/_ilm/policy/p", `{"phases":{}}`, 400, "unknown field [phases]"},
		{"ILM without phases", "", "/_ilm/policy/p", `{"policy":{}}`, 400, "Required [phases]"},
		{"ILM, unknown phase", "", "/_ilm/policy/p", `{"policy":{"phases":{"lukewarm":{}}}}`, 400, "does not support phase [lukewarm]"},
		{"ILM, action of another phase", "", "/_ilm/policy/p", `{"policy":{"phases":{"warm":{"actions":{"rollover":{"max_age":"1d"}}}}}}`, 400, "invalid action [rollover] defined in phase [warm]"},
		{"ILM, rollover when", "", "/_ilm/policy/p", `{"policy":{"phases":{"hot":{"actions":{"rollover":{}}}}}}`, 400, "At least one"},
		{"ILM, age without unit", "", "/_ilm/policy/p", `{"policy":{"phases":{"hot":{"min_age":"30"}}}}`, 400, "unit is missing"},
		{"ILM of OpenSearch", OpenSearch, "/_ilm/policy/p", `{"policy":{"phases":{}}}`, 400, "no handler found"},
		{"ISM", OpenSearch, "/_plugins/_ism/policies/p", `{"policy":{` + state + `}}`, 201, ""},
		{"ISM by its old path", OpenSearch, "/_opendistro/_ism/policies/p", `{"policy":{` + state + `}}`, 201, ""},
		{"ISM of Elasticsearch", "", "/_plugins/_ism/policies/p", `{"policy":{` + state + `}}`, 400, "no handler found"},
		{"ISM, no description", OpenSearch, "/_plugins/_ism/policies/p", `{"policy":{"default_state":"hot","states":[{"name":"hot"}]}}`, 400, "description is null"},
		{"ISM, no such state", OpenSearch, "/_plugins/_ism/policies/p", `{"policy":{"description":"d","default_state":"cold","states":[{"name":"hot"}]}}`, 400, "valid default state"},
		{"ISM, transition to nowhere", OpenSearch, "/_plugins/_ism/policies/p", `{"policy":{"description":"d","default_state":"hot","states":[{"name":"hot","transitions":[{"state_name":"x"}]}]}}`, 400, "nonexistent state=x"},
		{"ISM, unknown member", OpenSearch, "/_plugins/_ism/policies/p", `{"policy":{"phases":{}}}`, 400, "unknown field [phases]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, Options{Product: c.product})
			mustCall(t, s, "PUT", "/_component_template/c", `{"template":{}}`)
			mustCall(t, s, "PUT", "/_index_template/other", `{"index_patterns":["b-*"]}`)
			status, answer := call(t, s, "PUT", c.path, c.body)
			if status != c.status || !strings.Contains(answer, c.reason) {
				t.Fatalf("%d %s, want %d and %q", status, answer, c.status, c.reason)
			}
			if status, answer := call(t, s, "GET", c.path, ""); (status == 200) != (c.status/100 == 2) {
				t.Errorf("read back: %d %s", status, answer)
			}
		})
	}
}

func TestPoliciesOfOpenSearchAreReplacedByTheirNumberAlone(t *testing.T) {
	s := newServer(t, Options{Product: OpenSearch})
	const path, body = "/_plugins/_ism/policies/p", `{"policy":{"description":"d","default_state":"a","states":[{"name":"a"}]}}`
	mustCall(t, s, "PUT", path, body)
	if status, _ := call(t, s, "PUT", path, body); status != 409 {
		t.Errorf("status %d, want 409", status)
	}
	if status, answer := call(t, s, "PUT", path+"?if_seq_no=0&if_primary_term=1", body); status != 200 {
		t.Errorf("%d %s, want 200", status, answer)
	}
}

func TestTemplatesMakeIndices(t *testing.T) {
	s := newServer(t, Options{})
	mustCall(t, s, "PUT", "/_component_template/c", `{"template":{"mappings":{"properties":{"n":{"type":"long"}}}}}`)
	mustCall(t, s, "PUT", "/_index_template/t", `{"index_patterns":["a-*"],"composed_of":["c"],"template":{"aliases":{"all":{}}}}`)
	mustCall(t, s, "PUT", "/_template/l", `{"index_patterns":["b-*"],"mappings":{"dynamic":"strict","properties":{"n":{"type":"ip"}}}}`)
	_, items := mustBulk(t, s, "/_bulk", `{"create":{"_index":"a-1","_id":"1"}}
{"n":"x"}
{"create":{"_index":"a-1","_id":"2"}}
{"n":"7"}
{"create":{"_index":"b-1","_id":"1"}}
{"m":1}
`)
	if items[0].Status != 400 || items[1].Status != 201 || items[2].Error.Type != "strict_dynamic_mapping_exception" {
		t.Errorf("got %+v", items)
	}
	if got := mustCall(t, s, "GET", "/all/_count", ""); !strings.Contains(got, `"count":1`) {
		t.Errorf("by the alias: %s", got)
	}
}

func TestFieldLimit(t *testing.T) {
	s := newServer(t, Options{FieldLimit: 2})
	_, items := mustBulk(t, s, "/a/_bulk", `{"create":{}}`+"\n"+`{"a":1,"b":1}`+"\n"+`{"create":{}}`+"\n"+`{"c":1}`+"\n")
	if items[0].Status != 201 || !strings.Contains(items[1].Error.Reason, "Limit of total fields [2]") {
		t.Errorf("got %+v", items)
	}
}

func TestReadingBack(t *testing.T) {
	s := newServer(t, Options{})
	mustBulk(t, s, "/_bulk", bulkOf(20))
	if got := mustCall(t, s, "GET", "/a/_doc/7", ""); !strings.Contains(got, `"_source":{"n":7}`) {
		t.Errorf("by id: %s", got)
	}
	if status, _ := call(t, s, "GET", "/a/_doc/70", ""); status != 404 {
		t.Errorf("status %d of a document that is not there, want 404", status)
	}
	if got := mustCall(t, s, "GET", "/a/_search?size=2&from=3", ""); strings.Count(got, "_source") != 2 || !strings.Contains(got, `{"n":3}`) {
		t.Errorf("search: %s", got)
	}
	if docs := s.Documents("a*"); len(docs) != 20 || string(docs[19].Source) != `{"n":19}` {
		t.Errorf("documents: %+v", docs)
	}
	mustBulk(t, s, "/a/_bulk", `{"delete":{"_id":"7"}}`+"\n"+`{"delete":{"_id":"8"}}`+"\n"+`{"create":{"_id":"8"}}`+"\n"+`{"n":80}`+"\n")
	if status, _ := call(t, s, "GET", "/a/_doc/7", ""); status != 404 {
		t.Errorf("status %d of a document that was deleted, want 404", status)
	}
	if got := mustCall(t, s, "GET", "/a/_search?size=30", ""); strings.Count(got, "_source") != 19 || strings.Contains(got, `{"n":7}`) || !strings.Contains(got, `{"n":80}`) {
		t.Errorf("search after deletions: %s", got)
	}
}

func TestKeptDocumentsAreBounded(t *testing.T) {
	s := newServer(t, Options{KeepBytes: 1000})
	mustBulk(t, s, "/_bulk", bulkOf(20))
	docs, r := s.Documents("a"), s.Report()
	if len(docs) == 0 || len(docs) > 4 || r.KeptBytes > 1000 || r.Forgotten != uint64(20-len(docs)) || docs[len(docs)-1].ID != "19" {
		t.Errorf("%d kept, %d bytes, %d forgotten", len(docs), r.KeptBytes, r.Forgotten)
	}
}
