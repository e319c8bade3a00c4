package elasticsearch

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sandbox "github.com/spillway/spillway/internal/sandbox/elasticsearch"
	"github.com/spillway/spillway/internal/sink"
)

// Policies, templates and aliases are put once, before the first record, and again
// only where that is asked for.
func TestSetup(t *testing.T) {
	ilm := Document{"keep", []byte(`{"policy":{"phases":{"hot":{"actions":{"rollover":{"max_age":"1d"}}},"delete":{"min_age":"30d","actions":{"delete":{}}}}}}`)}
	ism := Document{"keep", []byte(`{"policy":{"description":"d","default_state":"hot","states":[{"name":"hot","actions":[],"transitions":[]}]}}`)}
	for _, c := range []struct {
		product string
		api     PolicyAPI
		policy  Document
		path    string
	}{{"elasticsearch", ILM, ilm, "/_ilm/policy/keep"}, {"opensearch", ISM, ism, "/_plugins/_ism/policies/keep"}} {
		t.Run(c.product, func(t *testing.T) {
			n, err := sandbox.New(sandbox.Options{Product: c.product})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			var puts []string
			host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut {
					puts = append(puts, r.URL.Path)
				}
				n.Handler().ServeHTTP(w, r)
			}))
			defer host.Close()
			setup := Setup{
				Policies: []Document{c.policy}, PolicyAPI: c.api, Alias: "logs",
				Components: []Document{{"part", []byte(`{"template":{"settings":{}}}`)}},
				Templates:  []Document{{"whole", []byte(`{"index_patterns":["logs-*"],"composed_of":["part"]}`)}},
			}
			send := func() {
				t.Helper()
				made := sinkTo(t, &server{Server: host}, func(o *Options) { o.Setup = setup })
				for range 2 {
					if out := made.Send(t.Context(), lines(2)); out.Verdict != sink.Delivered || len(out.Rejected) > 0 {
						t.Fatalf("%+v", out)
					}
				}
			}
			send()
			want := strings.Join([]string{c.path, "/_component_template/part", "/_index_template/whole", "/logs-000001"}, " ")
			if got := strings.Join(puts, " "); got != want {
				t.Errorf("put %s, want %s", got, want)
			}
			puts = nil
			send()
			if len(puts) > 0 {
				t.Errorf("put again: %v", puts)
			}
			setup.Overwrite = true
			send()
			if got := strings.Join(puts, " "); got != strings.TrimSuffix(want, " /logs-000001") {
				t.Errorf("put again, as asked for: %s", got)
			}
		})
	}
}

// What cannot be put holds the records back, with red health, and says what it was.
func TestSetupRefused(t *testing.T) {
	s := newServer(t)
	s.rest = func(w http.ResponseWriter, r *http.Request, _ []byte) {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		w.Write([]byte(`{"error":{"type":"x_exception","reason":"no such thing"}}`)) //nolint:errcheck // a test's server
	}
	made := sinkTo(t, s, func(o *Options) { o.Setup.Templates = []Document{{"whole", []byte("{}")}} })
	out := made.Send(t.Context(), lines(2))
	if out.Verdict != sink.Retry || !out.Config || out.Unsure || !strings.Contains(out.Err.Error(), "put the index template whole: 400 x_exception: no such thing") {
		t.Errorf("%+v", out)
	}
	if len(s.bulks) > 0 {
		t.Error("records were sent before")
	}
	if err := made.Check(t.Context()); err == nil {
		t.Error("the check says that all is well")
	}
}
