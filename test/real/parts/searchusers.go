package parts

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// SearchRights are what a user may do with an index.
type SearchRights int

// The rights, from the least.
const (
	SearchMayNothing SearchRights = iota
	SearchMayWrite                // into an index that is there
	SearchMayCreate               // and make it
)

// The privileges of each product that are these rights.
var (
	elasticsearchRights = map[SearchRights]string{SearchMayWrite: `"create_doc","index","delete"`, SearchMayCreate: `"create_doc","index","delete","auto_configure"`}
	openSearchRights    = map[SearchRights]string{SearchMayWrite: `"write"`, SearchMayCreate: `"write","create_index"`}
)

// Grant makes a user of a secured node, or changes what one may do, which is: these rights on these indices.
func (n *SearchNode) Grant(t testing.TB, user, password, indices string, rights SearchRights) {
	t.Helper()
	put := func(path, format string, args ...any) {
		t.Helper()
		n.Must(t, http.MethodPut, path+user, fmt.Sprintf(format, args...))
	}
	if strings.HasPrefix(n.Name, "elasticsearch") {
		put("/_security/role/", `{"cluster":["monitor"],"indices":[%s]}`, rightsOn(indices, `{"names":[%q],"privileges":[%s]}`, elasticsearchRights[rights]))
		put("/_security/user/", `{"password":%q,"roles":[%q]}`, password, user)
		return
	}
	const api = "/_plugins/_security/api/"
	put(api+"roles/", `{"cluster_permissions":["cluster_composite_ops","cluster_monitor"],"index_permissions":[%s]}`,
		rightsOn(indices, `{"index_patterns":[%q],"allowed_actions":[%s]}`, openSearchRights[rights]))
	put(api+"internalusers/", `{"password":%q}`, password)
	put(api+"rolesmapping/", `{"users":[%q]}`, user)
}

func rightsOn(indices, format, rights string) string {
	if rights == "" {
		return ""
	}
	return fmt.Sprintf(format, indices, rights)
}

// APIKey makes a key that may do with indices what a user with these rights may, and returns its id and
// what a client shows. There are none in OpenSearch.
func (n *SearchNode) APIKey(t testing.TB, indices string, rights SearchRights) (id, encoded string) {
	t.Helper()
	answer := n.Must(t, http.MethodPost, "/_security/api_key", fmt.Sprintf(`{"name":"writer","role_descriptors":{"writer":{"cluster":["monitor"],"indices":[%s]}}}`,
		rightsOn(indices, `{"names":[%q],"privileges":[%s]}`, elasticsearchRights[rights])))
	var key struct{ ID, Encoded string }
	if err := json.Unmarshal(answer, &key); err != nil || key.Encoded == "" {
		t.Fatal(errors.Join(err, fmt.Errorf("the new API key is %s, expected an encoded one", answer)))
	}
	return key.ID, key.Encoded
}

// RevokeAPIKey ends a key.
func (n *SearchNode) RevokeAPIKey(t testing.TB, id string) {
	t.Helper()
	n.Must(t, http.MethodDelete, "/_security/api_key", fmt.Sprintf(`{"ids":[%q]}`, id))
}
