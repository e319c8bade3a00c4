package runfile

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/setting"
)

// The tables keep to their own rules, so that the code need not check them. That
// defaults are good is seen by the first file that is read.
func TestTables(t *testing.T) {
	tables := map[string][]Option{"the file": TopOptions(), "a route": append(RouteOptions(), routeBuffer()...)}
	for _, all := range [][]Type{SourceTypes(), SinkTypes()} {
		for _, kind := range all {
			if kind.Later {
				if kind.Help != "" || kind.Options != nil {
					t.Errorf("%s: is there and is not there yet", kind.Name)
				}
				continue
			}
			if !strings.HasSuffix(kind.Help, ".") {
				t.Errorf("%s: the help %q is no sentence", kind.Name, kind.Help)
			}
			tables[kind.Name+" "+kind.Help] = kind.Options
		}
	}
	for name, options := range tables {
		check(t, name, options)
	}
}

func routeBuffer() []Option {
	var all []Option
	for _, o := range config.Options(config.ProgramRoute) {
		all = append(all, Option{Name: o.Name, Kind: o.Kind, Default: o.Default, Enum: o.Enum, Help: o.Help})
	}
	return all
}

func check(t *testing.T, table string, options []Option) {
	seen := map[string]bool{"type": true}
	for _, o := range options {
		if seen[o.Name] || o.Kind == setting.Secret && seen[o.Name+fileSuffix] {
			t.Errorf("%s: %s is there twice", table, o.Name)
		}
		seen[o.Name] = true
		if o.Kind == setting.Secret {
			seen[o.Name+fileSuffix] = true
		}
		if !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(o.Name) {
			t.Errorf("%s: %q is no name", table, o.Name)
		}
		if !strings.HasSuffix(o.Help, ".") || strings.Contains(o.Help, ". ") {
			t.Errorf("%s: the help of %s is not one sentence: %q", table, o.Name, o.Help)
		}
		if (o.Kind == setting.Enum) != (len(o.Enum) > 0) {
			t.Errorf("%s: %s has kind %v and the values %q", table, o.Name, o.Kind, o.Enum)
		}
		if o.Required && o.Default != "" || o.Kind == setting.Secret && o.Default != "" {
			t.Errorf("%s: %s has a default, for which there is no use", table, o.Name)
		}
		if _, known := config.Lookup(o.From); o.From != "" && !known {
			t.Errorf("%s: %s is taken from %s, which is no option", table, o.Name, o.From)
		}
		if (o.Takes == "map" || o.Takes == "address or map") != (o.Fields != nil) {
			t.Errorf("%s: %s takes %s and has the fields %v", table, o.Name, o.Takes, o.Fields)
		}
		check(t, table+" "+o.Name, o.Fields)
	}
}

// An option of the same name is of the same kind everywhere, so that who knows one
// page knows the others. Only ack is what each side of an acknowledgement can say: a
// source at which level, a sink whether.
func TestNamesMeanTheSame(t *testing.T) {
	kinds := map[string]setting.Kind{}
	var all []Option
	for _, kind := range slices.Concat(SourceTypes(), SinkTypes()) {
		all = append(all, kind.Options...)
	}
	for _, o := range slices.Concat(all, TopOptions(), RouteOptions(), routeBuffer()) {
		if first, ok := kinds[o.Name]; ok && first != o.Kind && o.Name != "ack" {
			t.Errorf("%s is a %v here and a %v there", o.Name, first, o.Kind)
		}
		kinds[o.Name] = o.Kind
	}
}

// The sections that a logger passes over are those that are read here.
func TestSections(t *testing.T) {
	var want []string
	for _, o := range TopOptions() {
		want = append(want, o.Name)
	}
	want = append(want, "sources", "sinks", "routes")
	if got := config.RunSections(); !slices.Equal(got, want) {
		t.Errorf("a logger passes over %q, and a run reads %q", got, want)
	}
}

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		at := filepath.Join(dir, name)
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return at
	}
	environment := func(name string) string { return map[string]string{"KEY": "from the environment"}[name] }
	const where = "f:1:2: shared-key-file"
	for _, c := range []struct {
		name   string
		secret Secret
		want   string
		err    string
	}{
		{"none", Secret{}, "", ""},
		{"a variable", Secret{Variable: "KEY", Where: where}, "from the environment", ""},
		{"no variable", Secret{Variable: "NONE", Where: where}, "", "f:1:2: shared-key-file: found no value in the environment variable NONE; expected a secret"},
		{"a file", Secret{File: write("a", "two\nlines\r\n"), Where: where}, "two\nlines", ""},
		{"a file without a line break", Secret{File: write("b", " x "), Where: where}, " x ", ""},
		{"an empty file", Secret{File: write("c", "\n"), Where: where}, "", "found no secret in the file " + dir + "/c (it is empty); expected a file that holds one"},
		{"no file", Secret{File: dir + "/none", Where: where}, "", "found no secret in the file " + dir + "/none (no such file or directory)"},
		{"a directory", Secret{File: dir, Where: where}, "", "found no secret in the file " + dir + " (is a directory)"},
		{"a large file", Secret{File: write("d", strings.Repeat("hush", maxSecret)), Where: where}, "", "(it is longer than 65536 bytes)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.secret.Read(environment)
			if got != c.want || (err != nil) != (c.err != "") || err != nil && (!strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hush")) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// Whatever the file holds, reading it ends with settings that can be used or with
// lines that begin with the file, and nowhere stands what might be a secret.
func FuzzParse(f *testing.F) {
	f.Add(whole("", "", ""))
	f.Add("memory: 1g\n" + whole("type: forward, listen: ['tls://:1', 'unix:/x'], tls-cert-file: c, tls-key-file: k, shared-key: 'CANARY', users: [{name: a, password-file: b}], allow: [::1]",
		"type: forward, servers: [a:1, {address: 'b:2', standby: true}], shared-key: '${A}'", `[{match: ["a.**", '/x/ y'], to: [k], mode: spill, max-disk-size: 3g}]`))
	f.Add(whole("type: forward, firelens: true", "type: cloudwatch, group: '{tag[0]}', stream: 'a{date}', format: text", `[{match: "a{b,c}", to: k, name: x}, {match: b, to: k}]`))
	f.Add(whole("type: kafka", "type: file, path: '/x/{tag}', max-size: 1m, compress: true", "[5]"))
	f.Add("routes:\n  - match: |\n      a\n      b\n    to:\n      - k\nsinks:\n  k:\n    type: file\n    path: /x\nsources:\n  s:\n    type: stdin\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		file, err := Parse("FILE", []byte(text), noEnvironment)
		if err == nil {
			usable(t, file)
			return
		}
		for _, problem := range setting.List(err) {
			line := problem.Error()
			if !strings.HasPrefix(line, "FILE:") || strings.Contains(line, "\n") {
				t.Errorf("the line %q", line)
			}
			if strings.Contains(line, "CANARY") && !strings.Contains(text, "CANARY:") && strings.Contains(problem.Where, "shared-key") {
				t.Errorf("a secret is shown: %q", line)
			}
		}
	})
}

// usable fails for settings that their users cannot rely on.
func usable(t *testing.T, f *File) {
	if f.Memory <= 0 || len(f.Sources) == 0 || len(f.Sinks) == 0 || len(f.Routes) == 0 || f.ShutdownTimeout <= 0 || f.MaxDeadLetters <= 0 || f.Unmatched == "" {
		t.Errorf("%+v", f)
	}
	for _, s := range f.Sources {
		if (s.Forward != nil) == (s.Stdin != nil) || s.Forward != nil && (len(s.Forward.Listen) == 0 || s.Forward.MaxSpoolSize < s.Forward.MaxMessageSize) {
			t.Errorf("%+v", s)
		}
	}
	for _, s := range f.Sinks {
		switch {
		case s.Forward != nil && len(s.Forward.Servers) > 0 && s.Forward.MaxChunkSize > 0:
		case s.File != nil && s.File.Path != nil && s.File.FileMode != 0:
		case s.CloudWatch != nil && s.CloudWatch.Group != nil && s.CloudWatch.Stream != nil:
		default:
			t.Errorf("%+v", s)
		}
	}
	names := map[string]bool{}
	for _, r := range f.Routes {
		if names[r.Name] || r.Name == "" || len(r.To) == 0 || r.Buffer.Limit < 64<<10 || r.Buffer.Mode == "" {
			t.Errorf("%+v", r)
		}
		names[r.Name] = true
		r.Match.Match("a.b")
		for _, to := range r.To {
			if f.Sink(to) == nil {
				t.Errorf("no sink %q", to)
			}
		}
	}
}
