package config

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestFromAboutRefuses(t *testing.T) {
	const container = `"program":"shim","container":{"id":"c1"}`
	for _, c := range []struct {
		name, text string
		err        []string
	}{
		{"nothing", "", []string{"what the buffer remembers of its logger: found no such object"}},
		{"another kind", "[]", []string{"found no such object"}},
		{"too much", `{"program":"` + strings.Repeat("x", MaxAbout) + `"}`, []string{"expected at most 983040"}},
		{"another program", `{"program":"run"}`, []string{`found the program "run"; expected exec or shim; if a newer version of spillway made the buffer, use that one`}},
		{"no destination", `{` + container + `,"options":{}}`, []string{`found the destination ""`}},
		{"a destination of a later version", `{` + container + `,"options":{"log-driver":"splunk"}}`, []string{`found the destination "splunk"`}},
		{"no place", `{` + container + `,"options":{"log-driver":"awslogs"}}`, []string{"found no awslogs-group", "found no awslogs-stream", "found no state-dir"}},
		{"no file", `{"program":"exec","options":{"to":"json-file","state-dir":"/s"}}`, []string{"found no log-path"}},
		{"bad values", `{"program":"exec","options":{"to":"local","state-dir":"/s","mode":"drown","max-disk-size":"-1"}}`,
			[]string{`what the buffer remembers of its logger: mode: found "drown"; expected blocking, non-blocking or spill`, `max-disk-size: found "-1"`}},
		{"a list of attributes", `{` + container + `,"options":{"log-driver":"json-file","log-path":"/l","state-dir":"/s"},"attrs":["x"]}`, []string{"attrs is no object"}},
		{"what the caller checks", `{"program":"exec","options":{"to":"local","state-dir":"/bad"}}`, []string{`state-dir: found "/bad" (bad); expected another value`}},
		{"a node file that is gone", `{"program":"exec","options":{"to":"local","state-dir":"/s","config":"/nonexistent.yaml"}}`, []string{"/nonexistent.yaml: found an unreadable node file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{Checks: map[string]func(string) error{"state-dir": func(text string) error {
				if text == "/bad" {
					return errBad
				}
				return nil
			}}}
			if !strings.Contains(c.text, "/nonexistent") {
				in.Node = newNode("f")
			}
			_, err := FromAbout([]byte(c.text), in)
			wantError(t, err, c.err)
		})
	}
}

type badError struct{}

func (badError) Error() string { return "bad" }

var errBad badError

// TestFromAboutTakesNoSecret: one that somebody wrote into a buffer's file counts
// for nothing, and neither does an option of another program.
func TestFromAboutTakesNoSecret(t *testing.T) {
	r, err := FromAbout([]byte(`{"program":"exec","options":{"to":"cloudwatch","state-dir":"/s","awslogs-group":"g","awslogs-stream":"s",
		"awslogs-credentials-endpoint":"http://evil","uid":"1","unknown":"x"},"left_out":["awslogs-credentials-endpoint","unknown"]}`), Input{Node: newNode("f")})
	if err != nil {
		t.Fatal(err)
	}
	if r.AWSLogs().CredentialsURL != "" || r.Shim().UID != -1 || len(r.LeftOut()) != 1 {
		t.Errorf("%+v, %+v, missing %q", r.AWSLogs(), r.Shim(), r.LeftOut())
	}
}

// FuzzFromAbout: whatever stands in a buffer's file, the result is an error or
// settings that are remembered alike.
func FuzzFromAbout(f *testing.F) {
	for _, seed := range []string{
		`{"program":"exec","run":"make","options":{"to":"local","state-dir":"/s","mode":"spill","max-disk-size":"1g"}}`,
		`{"program":"shim","container":{"id":"c","name":"n","namespace":"ns"},"options":{"log-driver":"json-file","log-path":"/l","state-dir":"/s"},"attrs":{"a":"b"}}`,
		`{"program":"shim","options":{"log-driver":"awslogs","state-dir":"/s","awslogs-group":"g","awslogs-stream":"s","awslogs-endpoint":"http://u:p@h"},"left_out":["x"]}`,
		`{"options":null}`, `{"program":"shim","options":{"log-driver":"none"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := FromAbout(text, Input{Node: newNode("f")})
		if err != nil {
			return
		}
		a, err := r.About()
		if err != nil {
			return
		}
		again, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		back, err := FromAbout(again, Input{Node: newNode("f")})
		if err != nil {
			t.Fatalf("%s became %s: %v", text, again, err)
		}
		if back.Buffer() != r.Buffer() || back.Driver() != r.Driver() || back.StateDir() == "" {
			t.Fatalf("%s became %s", text, again)
		}
		if len(r.Explain()) == 0 {
			t.Fatal("nothing is explained")
		}
	})
}
