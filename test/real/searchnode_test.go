package real

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/spillway/spillway/test/launcher/harness"
	"github.com/spillway/spillway/test/real/parts"
)

// The nodes that others are tested against: each keeps over a kill what it has acknowledged, and makes
// data streams of templates.
func TestSearchNodes(t *testing.T) {
	if !harness.Long() {
		t.Skip("the nodes alone are tested in the whole size: SPILLWAY_LONG=1; in others the sink is, against two of them")
	}
	for _, name := range parts.SearchNodes() {
		t.Run(name, func(t *testing.T) {
			parts.Need(t, name)
			tryNode(t, parts.StartSearch(t, name, parts.SearchOptions{}))
		})
	}
}

func tryNode(t *testing.T, node *parts.SearchNode) {
	t.Helper()
	if root := node.Must(t, http.MethodGet, "/", ""); !strings.Contains(string(root), `"version"`) {
		t.Errorf("GET / answers %s", root)
	}
	node.Must(t, http.MethodPut, "/_index_template/streams", `{"index_patterns":["stream-*"],"data_stream":{},"priority":500}`)
	for _, index := range []string{"stream-one", "plain"} {
		body := fmt.Sprintf("{\"create\":{\"_index\":%q,\"_id\":\"1\"}}\n{\"@timestamp\":\"2026-11-20T10:00:00Z\",\"n\":1}\n", index)
		for status := range 2 {
			answer := node.Must(t, http.MethodPost, "/_bulk?filter_path=items.*.status,items.*._index", body)
			if want := fmt.Sprintf(`"status":%d}`, []int{201, 409}[status]); !strings.Contains(string(answer), want) {
				t.Errorf("create in %s answers %s, expected %s", index, answer, want)
			}
		}
	}
	if err := errors.Join(node.Kill(), node.Restart()); err != nil {
		t.Fatal(err)
	}
	for _, index := range []string{"stream-one", "plain"} {
		if answer := node.Must(t, http.MethodGet, "/"+index+"/_count", ""); !strings.Contains(string(answer), `"count":1,`) {
			t.Errorf("after a kill the count of %s is %s, expected the document that it acknowledged", index, answer)
		}
	}
}

// Secured nodes let nobody in without a password, and a user do what he may: what he may not is refused
// item by item.
func TestSecuredSearchNodes(t *testing.T) {
	if !harness.Long() {
		t.Skip("secured nodes are started in the whole size alone: SPILLWAY_LONG=1")
	}
	for _, name := range []string{parts.OpenSearchSecured, parts.Elasticsearch8} {
		t.Run(name, func(t *testing.T) {
			parts.Need(t, name)
			trySecuredNode(t, parts.StartSearch(t, name, parts.SearchOptions{Secured: true}))
		})
	}
}

func trySecuredNode(t *testing.T, node *parts.SearchNode) {
	t.Helper()
	const bulk = `{"create":{"_index":"logstash-1"}}
{"n":1}
{"create":{"_index":"others"}}
{"n":1}
`
	for _, c := range []struct {
		user, password string
		status         int
		answer         string
	}{
		{"", "", 401, ""},
		{parts.SearchLimited, "wrong", 401, ""},
		{parts.SearchLimited, parts.SearchLimitedPassword, 200, `{"items":[{"create":{"status":201}},{"create":{"status":403}}]}`},
		{parts.SearchAdmin, parts.SearchAdminPassword, 200, `{"items":[{"create":{"status":201}},{"create":{"status":201}}]}`},
	} {
		answer, err := node.DoAs(t.Context(), c.user, c.password, http.MethodPost, "/_bulk?filter_path=items.*.status", bulk)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status != c.status || (c.answer != "" && string(answer.Body) != c.answer) {
			t.Errorf("user %q: status %d: %s; expected %d: %s", c.user, answer.Status, answer.Body, c.status, c.answer)
		}
	}
	if _, err := http.Get(node.URL); err == nil {
		t.Error("a client that does not know the authority was answered")
	}
	if strings.HasPrefix(node.Name, "elasticsearch") {
		key := node.Must(t, http.MethodPost, "/_security/api_key", `{"name":"writer"}`)
		if !strings.Contains(string(key), `"encoded":`) {
			t.Errorf("the new API key is %s, expected an encoded one", key)
		}
	}
}
