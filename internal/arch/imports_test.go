package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the repository's, as go test sets the working directory.
const root = "../.."

// pkg is what these tests need of go list.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
	Module     *struct{ Path string }
}

// goList lists packages as the go command sees them; it asks no network.
func goList(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Standard,Imports,Deps,Module"}, args...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		t.Fatalf("%s: %v\n%s", cmd, err, failed.Stderr)
	}
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("read the answer of %s: %v", cmd, err)
		}
		all = append(all, p)
	}
}

// TestLayers holds every package to its line of the table, in both directions.
func TestLayers(t *testing.T) {
	for _, problem := range checkLayers(layers, goList(t, "./...")) {
		t.Error(problem)
	}
}

// checkLayers says what differs between the table and the packages.
func checkLayers(table []layer, packages []pkg) (problems []string) {
	seen := make(map[string]bool)
	for _, p := range packages {
		name, _ := strings.CutPrefix(p.ImportPath, module)
		seen[name] = true
		i := slices.IndexFunc(table, func(l layer) bool { return l.name == name })
		if i < 0 {
			problems = append(problems, name+" is not in the table of layers: say there what it may import, and why")
			continue
		}
		problems = append(problems, table[i].check(p)...)
	}
	for _, l := range table {
		if !seen[l.name] {
			problems = append(problems, l.name+" is in the table of layers and is no package: remove the line")
		}
	}
	return problems
}

// check says what the package imports against its line, and what the line allows
// for nothing.
func (l *layer) check(p pkg) (problems []string) {
	for _, path := range p.Imports {
		if isStandard(path) {
			continue
		}
		if !l.allowed(path) {
			problems = append(problems, l.name+" imports "+path+", which its layer does not allow: "+l.why)
		}
	}
	for _, ours := range l.ours {
		if !slices.Contains(p.Imports, module+ours) {
			problems = append(problems, l.name+" may import "+ours+" and does not: remove that from the table of layers")
		}
	}
	for _, theirs := range l.theirs {
		if !slices.ContainsFunc(p.Imports, func(path string) bool { return below(path, theirs) }) {
			problems = append(problems, l.name+" may import "+theirs+" and does not: remove that from the table of layers")
		}
	}
	return problems
}

// TestRestrictedPackages holds the packages of the standard library that not
// everybody may import to those who may.
func TestRestrictedPackages(t *testing.T) {
	for _, p := range goList(t, "./...") {
		name, _ := strings.CutPrefix(p.ImportPath, module)
		for _, r := range restricted {
			may := slices.ContainsFunc(r.only, func(dir string) bool { return below(name, dir) })
			if slices.Contains(p.Imports, r.path) && !may {
				t.Errorf("%s imports %s: %s", name, r.path, r.why)
			}
		}
	}
}

// TestShimStaysLight looks at everything that cmd/spillway-shim links.
func TestShimStaysLight(t *testing.T) {
	deps := goList(t, "./cmd/spillway-shim")[0].Deps
	if len(deps) < 100 {
		t.Fatalf("go list says that cmd/spillway-shim links %d packages, which cannot be", len(deps))
	}
	for _, path := range deps {
		for _, n := range neverInShim {
			if below(path, n.prefix) {
				t.Errorf("cmd/spillway-shim links %s: %s", path, n.why)
			}
		}
	}
}

// TestLayersAreFound shows that the check of layers can fail in every way.
func TestLayersAreFound(t *testing.T) {
	table := []layer{
		{"internal/a", []string{"internal/b"}, []string{"example.com/x/"}, "why a"},
		{"internal/gone", nil, nil, "why gone"},
	}
	for _, c := range []struct {
		imports []string
		want    []string // a part of each problem, in order
	}{
		{[]string{"fmt", module + "internal/b", "example.com/x/y"}, []string{"internal/gone is in the table"}},
		{
			[]string{module + "internal/b", "example.com/x/y", module + "internal/c"},
			[]string{"internal/a imports " + module + "internal/c, which its layer does not allow: why a", "internal/gone"},
		},
		{
			[]string{module + "internal/b", "example.com/x/y", module + "internal/b/inside"},
			[]string{"internal/b/inside", "internal/gone"},
		},
		{[]string{module + "internal/b", "example.com/xy"}, []string{"imports example.com/xy", "may import example.com/x/", "internal/gone"}},
		{nil, []string{"may import internal/b", "may import example.com/x/", "internal/gone"}},
	} {
		got := checkLayers(table, []pkg{{ImportPath: module + "internal/a", Imports: c.imports}})
		if len(got) != len(c.want) {
			t.Errorf("imports %q: %d problems %q, want %d", c.imports, len(got), got, len(c.want))
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("imports %q: problem %d is %q, want it to contain %q", c.imports, i, got[i], want)
			}
		}
	}
	got := checkLayers(table[:1], []pkg{{ImportPath: module + "internal/new"}})
	if len(got) != 2 || !strings.Contains(got[0], "internal/new is not in the table") {
		t.Errorf("a new package: %q", got)
	}
}

// below reports whether path is prefix or stands below it. A prefix that ends in
// a slash stands for what is below it alone.
func below(path, prefix string) bool {
	rest, found := strings.CutPrefix(path, prefix)
	return found && (rest == "" || strings.HasSuffix(prefix, "/") || rest[0] == '/')
}

// isStandard tells the standard library by the missing dot in the first element
// of the path, as the go command does.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// inRepository is a path below the root, which must use slashes.
func inRepository(path string) string { return filepath.Join(root, filepath.FromSlash(path)) }
