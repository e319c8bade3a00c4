package runfile

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// manyFiles is a file whose sources and sinks read files of every kind.
const manyFiles = `sources:
  forward: {type: forward, listen: "tls://127.0.0.1:1", tls-cert-file: cert, tls-key-file: key, tls-client-ca-file: ca, shared-key-file: shared,
    users: [{name: u, password-file: password}]}
  kafka: {type: kafka, topics: t, group: g, brokers: k, tls-ca-file: ca, tls-cert-file: cert, tls-key-file: key, sasl: plain, username: u, password-file: password}
  token: {type: kafka, topics: t, group: h, brokers: k, sasl: oauthbearer, token-file: token}
sinks:
  forward: {type: forward, servers: "tls://127.0.0.1:1", tls-ca-file: ca, tls-cert-file: cert, tls-key-file: key, shared-key-file: shared, username: u,
    password-file: password}
  kafka: {type: kafka, topic: t, brokers: k, tls-ca-file: ca, tls-cert-file: cert, tls-key-file: key, sasl: plain, username: u, password-file: password}
  token: {type: kafka, topic: t, brokers: k, sasl: oauthbearer, token-file: token}
  search: {type: elasticsearch, hosts: "https://127.0.0.1:1", index: "i-{tag}-%Y", tls-ca-file: ca, tls-cert-file: cert, tls-key-file: key, username: u,
    password-file: password, templates: [{name: t, file: template}], component-templates: [{name: c, body: "{}"}]}
  key: {type: elasticsearch, hosts: "https://127.0.0.1:1", index: i, api-key-file: api-key, policies: [{name: p, body: "{}"}]}
  bearer: {type: elasticsearch, hosts: "https://127.0.0.1:1", index: i, bearer-token-file: bearer, legacy-templates: [{name: l, body: "{}"}]}
  none: {type: file, path: "/tmp/none/{tag}"}
routes:
  - {match: "**", to: [forward, kafka, token, search, key, bearer, none]}
`

// TestSame: a source or a sink is the same one further below in its file, and not
// with another option.
func TestSame(t *testing.T) {
	parse := func(text string) *File {
		t.Helper()
		file, err := Parse("spillway.yaml", []byte(text), os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	a, b := parse(manyFiles), parse("# A line that is new.\n"+strings.ReplaceAll(manyFiles, "sinks:\n", "\nsinks:\n"))
	other := parse(strings.NewReplacer("shared-key-file: shared", "shared-key-file: other", "-file: password", "-file: other", "token-file: token", "token-file: other",
		"api-key-file: api-key", "api-key-file: other", "bearer-token-file: bearer", "bearer-token-file: other", "/tmp/none", "/tmp/other").Replace(manyFiles))
	for i := range a.Sources {
		if x := &a.Sources[i]; !x.Same(&b.Sources[i]) || x.Same(&other.Sources[i]) || x.Where == b.Sources[i].Where {
			t.Errorf("the source %s: %+v and %+v and %+v", x.Name, x, b.Sources[i], other.Sources[i])
		}
	}
	for i := range a.Sinks {
		if x := &a.Sinks[i]; !x.Same(&b.Sinks[i]) || x.Same(&other.Sinks[i]) || x.Where == b.Sinks[i].Where {
			t.Errorf("the sink %s: %+v and %+v and %+v", x.Name, x, b.Sinks[i], other.Sinks[i])
		}
	}
}

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
	file, err := Parse(filepath.Join(dir, "spillway.yaml"), []byte(manyFiles), os.Getenv)
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
