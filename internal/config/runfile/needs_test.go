package runfile

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// TestLook: a source or a sink is another one when a file that it reads once holds
// something else, whatever kind of file it is, and no other one then.
func TestLook(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kafka := "brokers: k, tls-ca-file: ca, tls-cert-file: cert, tls-key-file: key"
	text := fmt.Sprintf(`sources:
  forward: {type: forward, listen: "tls://127.0.0.1:1", tls-cert-file: cert, tls-key-file: key, tls-client-ca-file: ca, shared-key-file: shared,
    users: [{name: u, password-file: password}]}
  kafka: {type: kafka, topics: t, group: g, %[1]s, sasl: plain, username: u, password-file: password}
  token: {type: kafka, topics: t, group: h, brokers: k, sasl: oauthbearer, token-file: token}
sinks:
  forward: {type: forward, servers: "tls://127.0.0.1:1", tls-ca-file: ca, tls-cert-file: cert, tls-key-file: key, shared-key-file: shared, username: u,
    password-file: password}
  kafka: {type: kafka, topic: t, %[1]s, sasl: plain, username: u, password-file: password}
  search: {type: elasticsearch, hosts: "https://127.0.0.1:1", index: i, tls-ca-file: ca, tls-cert-file: cert, tls-key-file: key, username: u,
    password-file: password, templates: [{name: t, file: template}]}
  key: {type: elasticsearch, hosts: "https://127.0.0.1:1", index: i, api-key-file: api-key}
  bearer: {type: elasticsearch, hosts: "https://127.0.0.1:1", index: i, bearer-token-file: bearer}
  none: {type: file, path: /tmp/none}
routes:
  - {match: "**", to: [forward, kafka, search, key, bearer, none]}
`, kafka)
	file, err := Parse(filepath.Join(dir, "spillway.yaml"), []byte(text), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	look := func() map[string]uint64 {
		file.Look()
		sums := make(map[string]uint64)
		for _, s := range file.Sources {
			sums["source "+s.Name] = s.Contents
		}
		for _, s := range file.Sinks {
			sums["sink "+s.Name] = s.Contents
		}
		return sums
	}
	all := []string{"source forward", "source kafka", "sink forward", "sink kafka", "sink search"}
	before := look()
	for name, changes := range map[string][]string{
		"ca": all, "cert": all, "key": all, "password": all, "shared": {"source forward", "sink forward"},
		"template": {"sink search"}, "api-key": {"sink key"}, "bearer": {"sink bearer"},
		"token": nil, // It is read for each connection.
	} {
		for _, now := range []string{"one", "two", ""} {
			write(name, now)
			after, want := look(), make(map[string]bool)
			for _, one := range changes {
				want[one] = true
			}
			for one := range after {
				if changed := after[one] != before[one]; changed != want[one] {
					t.Errorf("%s holds %q now: the %s is another one: %t, expected %t", name, now, one, changed, want[one])
				}
			}
			if again := look(); !reflect.DeepEqual(again, after) {
				t.Errorf("%s: looking again finds %v, before it was %v", name, again, after)
			}
			before = after
		}
	}
}
