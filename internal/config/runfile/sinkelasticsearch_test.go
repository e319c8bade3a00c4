package runfile

import (
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/config/setting"
)

// Mistakes of a sink elasticsearch say where they are and what was expected.
func TestSearchProblems(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string // a part of each
	}{
		{"nothing", "", []string{`no index`, `found no hosts; expected a sink of type elasticsearch with the option hosts, or cloud-id`}},
		{"hosts", "index: a, hosts: ['ftp://x', 'http://u:p@h', 'h:0', 'http://h/?a', h, 'h:9200']", []string{
			`hosts: found "ftp://x"; expected http://HOST:PORT or https://HOST:PORT`, "hosts: found " + setting.NotShown, `found "h:0"`, `found "http://h/?a"`, `found "h:9200"; expected each host once`}},
		{"index", "hosts: h, index: 'Logs-%Q'", []string{`index: found "Logs-%Q"; expected %Y`}},
		{"a fixed index", "hosts: h, index: Logs", []string{`index: found "Logs", which has capital letters`}},
		{"a placeholder", "hosts: h, index: 'l-{tga}'", []string{`index: found "l-{tga}"; expected {tag}, {tag[N]} or {record[FIELD]}`}},
		{"update", "hosts: h, index: a, operation: update", []string{`found operation: update with id: origin; expected id: field or id: key`}},
		{"a data stream", "hosts: h, index: a, data-stream: true, operation: index", []string{`found operation: index with data-stream; expected operation: create`}},
		{"id", "hosts: h, index: a, id: field", []string{`found id: field without id-field`}},
		{"hash", "hosts: h, index: a, hash-tag: true", []string{`found hash-tag beside id: origin; expected id: hash`}},
		{"two ways in", "hosts: h, index: a, username: u, password-file: p, api-key-file: k", []string{`found api-key beside username; expected one way to say who we are`}},
		{"half a user", "hosts: h, index: a, username: u", []string{`found username without password; expected both or none`}},
		{"a secret", "hosts: h, index: a, username: u, password: hunter2", []string{"password: found " + setting.NotShown}},
		{"TLS", "hosts: h, index: a, tls-ca-file: c", []string{`found tls-ca-file without a host that begins with https://`}},
		{"a region", "hosts: h, index: a, region: eu-west-1", []string{`found region without aws-service`}},
		{"a template", "hosts: h, index: a, templates: [{name: x}, {name: y, body: 'no', file: f}, 7, {name: z, body: '[]'}]", []string{
			`found a template or a policy with both or none of body and file`, `body: found "no"; expected one JSON object as text`, `body: found "[]"; expected one JSON object as text`, `found something else than a map`}},
		{"options of the plugin", "hosts: h, index: a, id_key: x, cloud_auth: x, retry_tag: x, id_kei: x", []string{
			`found the option "id_key" of fluent-plugin-elasticsearch; expected "id-field" in its place`, `expected "username" and "password" in its place`,
			`found the option "retry_tag" of fluent-plugin-elasticsearch; expected none like it; docs/elasticsearch-options.md says why`,
			`found the unknown option "id_kei"; expected an option of a sink of type elasticsearch`}},
		{"a cloud id", "cloud-id: x, index: a", []string{`found an id without the address of a deployment`}},
		{"a header", "hosts: h, index: a, headers: 'Authorization: x'", []string{`headers: found "Authorization: x"; expected the name of a header`}},
		{"sizes", "hosts: h, index: a, request-size: 1k, in-flight: 0", []string{`request-size: found "1k"`, `in-flight: found "0"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("F", []byte(whole("", "type: elasticsearch, "+c.text, "")), noEnvironment)
			if err == nil {
				t.Fatal("it is taken")
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "u:p@") {
				t.Errorf("a secret is shown: %v", err)
			}
			problems := setting.List(err)
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nhas no %q", err, want)
				}
			}
			if len(problems) < len(c.want) {
				t.Errorf("%d problems, want %d: %v", len(problems), len(c.want), err)
			}
		})
	}
}

// What a sink becomes of its options and of what they leave out.
func TestSearchSink(t *testing.T) {
	parse := func(text string) *File {
		t.Helper()
		f, err := Parse("F", []byte(whole("", text, "")), noEnvironment)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, kind := range []string{"elasticsearch", "opensearch"} {
		s := parse("type: " + kind + ", hosts: [a, 'https://b/x/'], index: 'l-{tag}-%Y', id-field: order").Sinks[0].Search
		if s == nil || len(s.Hosts) != 2 || s.Hosts[0].String() != "http://a:9200" || s.Hosts[1].String() != "https://b:443/x" {
			t.Fatalf("%s: %+v", kind, s)
		}
		if s.ID != "field" || s.InFlight != 4 || s.Operation != "create" || s.RequestSize != 5<<20 || s.TimeKey != "@timestamp" || s.TagKey != "" ||
			s.RequestTimeout != time.Minute || s.Index.Fixed() {
			t.Errorf("%s: %+v", kind, s)
		}
	}
	// NAME:base64 of domain$deployment$kibana, as Elastic Cloud shows it.
	s := parse("type: elasticsearch, cloud-id: 'n:ZXUuZXhhbXBsZS5jb20kYWJjJGRlZg==', index: a").Sinks[0].Search
	if len(s.Hosts) != 1 || s.Hosts[0].String() != "https://abc.eu.example.com:443" {
		t.Errorf("the cloud id gives %v", s.Hosts)
	}
	f := parse("type: elasticsearch, hosts: es.example.com, index: a, api-key-file: k, id: none")
	if w := strings.Join(f.Warnings, "\n"); !strings.Contains(w, "without TLS") || !strings.Contains(w, "id: none") {
		t.Errorf("the warnings are %q", w)
	}
	for text, want := range map[string]bool{"index: a, rollover-alias: a": false, "index: 'a-%Y', rollover-alias: a": true} {
		f, err := Parse("F", []byte(whole("", "type: elasticsearch, hosts: h, "+text, "")), noEnvironment)
		if got := err == nil && strings.Contains(strings.Join(f.Warnings, "\n"), `rollover-alias "a" is another name`); got != want {
			t.Errorf("%s is warned of: %t (%v)", text, got, err)
		}
	}
	f, err := Parse("F", []byte(whole("type: kafka, brokers: 'b:1', topics: t, group: g, time: now", "type: elasticsearch, hosts: h, index: 'l-%Y'", "")), noEnvironment)
	if err != nil || !strings.Contains(strings.Join(f.Warnings, "\n"), "time: now") {
		t.Errorf("a dated index and time: now: %v", err)
	}
	f = parse("type: elasticsearch, hosts: es.example.com, index: a, api-key-file: k, id: none")
	if s := f.Secrets(); len(s) != 1 || !strings.HasSuffix(s[0].File, "/k") {
		t.Errorf("the secrets are %v", s)
	}
	if m := f.Missing(noEnvironment); len(m) != 1 {
		t.Errorf("missing: %v", m)
	}
}

// A template whose file is not there is named when it is read.
func TestSearchDocumentFile(t *testing.T) {
	f, err := Parse("F", []byte(whole("", "type: elasticsearch, hosts: h, index: a, templates: [{name: t, file: /none/t.json}]", "")), noEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Sinks[0].Search.Templates[0].Read()
	if want := "F:2:66: templates: found no file /none/t.json (no such file or directory); expected one that can be read, with one JSON object in it"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
