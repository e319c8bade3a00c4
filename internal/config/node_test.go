package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/config/yamlfile"
)

func TestParseNode(t *testing.T) {
	node, err := ParseNode("f", []byte(`# What holds for the node.
defaults:
  mode: "non-blocking"
  max-buffer-size: 6553600
  awslogs-create-group: true
  awslogs-multiline-pattern: '^\[\d+'
  loss-markers: off
  uid: -1
  max-size: 010        # not octal
  splunk-url: [known, but of no use yet]
  tag: |-
    {{.Name}}
aws: {credentials-file: /c, profile: 7, imds: false, proxy: "http://u:p@h:1", ca-file: /a}
`))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for i, v := range node.defaults {
		if v.given {
			got[table[i].Name] = strings.TrimPrefix(v.where, "f:") + " " + v.Text
		}
	}
	want := map[string]string{
		"mode": "3:9 non-blocking", "max-buffer-size": "4:20 6553600", "awslogs-create-group": "5:25 true",
		"awslogs-multiline-pattern": `6:30 ^\[\d+`, "loss-markers": "7:17 off", "uid": "8:8 -1", "max-size": "9:13 010", "tag": "11:8 {{.Name}}",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if v := node.defaults[indexOf("max-size")]; v.Number != 10 {
		t.Errorf("010 is read as %d, want 10", v.Number)
	}
	wantAWS := AWS{CredentialsFile: "/c", Profile: "7", Proxy: "http://u:p@h:1", CAFile: "/a"}
	if diff := cmp.Diff(wantAWS, node.AWS()); diff != "" {
		t.Errorf("aws (-want +got):\n%s", diff)
	}
}

func TestParseNodeTakesEmptyFiles(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "{}\n", "defaults:\naws:\n", "defaults: {}\n", "defaults:\n  # mode: blocking\n", "\ufeffdefaults:\n"} {
		node, err := ParseNode("f", []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if !node.AWS().IMDS {
			t.Errorf("%q: imds is not true by itself", text)
		}
	}
}

func TestParseNodeErrors(t *testing.T) {
	for _, c := range []struct {
		name, text string
		err        []string
	}{
		{"unknown section", "default:\n  mode: blocking\n", []string{`f:1:1: found the unknown section "default"; expected defaults, aws, memory, state-dir, shutdown-timeout, max-dead-letter-size, unmatched, compat, sources, sinks or routes, the nearest is "defaults"`}},
		{"unknown option", "defaults:\n  mod: blocking\n", []string{`f:2:3: found the unknown option "mod"; expected the name of an option, the nearest is "mode"`}},
		{"unknown key", "aws:\n  imsd: true\n", []string{`f:2:3: found the unknown key "imsd"; expected credentials-file, profile, imds, proxy or ca-file, the nearest is "imds"`}},
		{"option of one container", "defaults:\n  container-id: x\n", []string{"f:2:3: found the option container-id, which belongs to one container"}},
		{"bad mode", "defaults:\n  mode: fast\n", []string{`f:2:9: mode: found "fast"; expected blocking, non-blocking or spill`}},
		{"driver of a later version", "defaults:\n  log-driver: splunk\n", []string{`f:2:15: log-driver: found "splunk"; expected awslogs, json-file or fluentd; "splunk" is not in this version`}},
		{"bad size", "defaults:\n  max-buffer-size: lots\n", []string{`f:2:20: max-buffer-size: found "lots"; expected a size`}},
		{"bad bool", "defaults:\n  compress: 2\n", []string{`f:2:13: compress: found "2"; expected true or false`}},
		{"duration without unit", "defaults:\n  cleanup-time: 5\n", []string{`f:2:17: cleanup-time: found "5"; expected a duration with its unit`}},
		{"bad imds", "aws:\n  imds: perhaps\n", []string{`f:2:9: imds: found "perhaps"; expected true or false`}},
		{"bad proxy keeps its password", "aws:\n  proxy: ftp://me:hush@h\n", []string{"f:2:10: proxy: found a value that is not shown; expected a URL"}},
		{"relative path", "aws:\n  ca-file: ca.pem\n", []string{`f:2:12: ca-file: found "ca.pem"; expected an absolute path`}},
		{"list for a map", "- a\n", []string{"f:1:1: the file: found a list; expected a map with the sections defaults or aws"}},
		{"text for a map", "hello\n", []string{`f:1:1: the file: found "hello"; expected a map`}},
		{"text for a section", "defaults: mode\n", []string{`f:1:11: defaults: found "mode"; expected a map of options`}},
		{"list for a section", "aws: [a]\n", []string{"f:1:6: aws: found a list; expected a map with the keys"}},
		{"map for a value", "defaults:\n  mode: {a: b}\n", []string{"f:2:9: mode: found a map; expected a single value"}},
		{"list for a value", "defaults:\n  labels: [a, b]\n", []string{"f:2:11: labels: found a list; expected a single value"}},
		{"no value", "defaults:\n  mode:\n", []string{"mode: found nothing; expected a single value"}},
		{"empty value", "defaults:\n  mode: \"\"\n", []string{`f:2:9: mode: found ""; expected a single value`}},
		{"alias", "defaults:\n  mode: &a blocking\n", []string{"mode: found an anchor or an alias; expected a single value"}},
		{"merge key", "defaults:\n  <<: {mode: blocking}\n", []string{`found the unknown option "<<"`}},
		{"tag", "defaults:\n  mode: !!str blocking\n", []string{"mode: found a YAML tag; expected a single value"}},
		{"repeated key", "defaults:\n  mode: blocking\n  drop: oldest\n  mode: non-blocking\n", []string{`f:4:3: found "mode" again, it is at f:2:3 already; expected each key once`}},
		{"repeated section", "aws: {}\ndefaults: {}\naws: {}\n", []string{`f:3:1: found "aws" again, it is at f:1:1 already`}},
		{"repeated under two names", "defaults:\n  env: A\n  json-file-env: B\n", []string{"f:3:3: found the option env twice, here and as env at f:2:8"}},
		{"two documents", "defaults: {}\n---\naws: {}\n", []string{"found a second document; expected one document"}},
		{"not YAML", "defaults:\n  mode: [a\n", []string{"f:2:9: found [ without its end; expected a ] behind it"}},
		{"tabs", "defaults:\n\tmode: blocking\n", []string{"f:2:1: found a tab in front of the text; expected spaces"}},
		{"not UTF-8", "defaults:\n  tag: ä\xff\n", []string{"f:2:9: found a byte that is not UTF-8"}},
		{"too large", strings.Repeat("#", yamlfile.MaxBytes+1), []string{"f: found a node file that is too large; expected at most 131072 bytes"}},
		{"all at once", "default: 1\ndefaults:\n  mode: x\n  drop: y\naws: {a: 1}\n", []string{"f:1:1: ", "f:3:9: ", "f:4:9: ", "f:5:7: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			node, err := ParseNode("f", []byte(c.text))
			wantError(t, err, c.err)
			if node == nil {
				t.Error("no node beside the error")
			}
		})
	}
}

// A logger of a container reads the file of "spillway run" as well, and starts
// whatever stands in the sections that are not its own.
func TestParseNodePassesOverSectionsOfARun(t *testing.T) {
	text := "defaults: {mode: non-blocking}\n"
	for _, name := range RunSections() {
		text += name + ": {nobody: [knows, what], it: *is}\n"
	}
	node, err := ParseNode("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := node.defaults[indexOf("mode")].Text; got != "non-blocking" {
		t.Errorf("mode is %q", got)
	}
}

func TestLoadNode(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.yaml")
	if node, err := loadNode(missing, true); err != nil || node == nil {
		t.Errorf("a default file that is missing: %v", err)
	}
	_, err := LoadNode(missing)
	wantError(t, err, []string{missing + ": found an unreadable node file (no such file or directory); expected a YAML file"})
	_, err = LoadNode(dir)
	wantError(t, err, []string{dir + ": found an unreadable node file (is a directory)"})

	good := filepath.Join(dir, "good.yaml")
	if err := os.WriteFile(good, []byte("defaults:\r\n  mode: non-blocking\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	node, err := LoadNode(good)
	if err != nil {
		t.Fatal(err)
	}
	if got := node.defaults[indexOf("mode")].Text; got != "non-blocking" {
		t.Errorf("mode is %q", got)
	}
}

// Whatever the file holds, reading it ends with a node and, where something is
// wrong, with lines that begin with the file.
func FuzzParseNode(f *testing.F) {
	f.Add("defaults:\n  mode: blocking\naws: {imds: false}\n")
	f.Add("defaults: {? a : b, <<: *x, &c d: !!map {}}\n---\n- |2\n  x\n...")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		node, err := ParseNode("FILE", []byte(text))
		if node == nil {
			t.Fatal("no node")
		}
		if err == nil {
			return
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !strings.HasPrefix(line, "FILE:") || !strings.Contains(line, "found ") || !strings.Contains(line, "; expected ") {
				t.Errorf("the line %q", line)
			}
		}
	})
}
