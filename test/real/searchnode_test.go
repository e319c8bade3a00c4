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
