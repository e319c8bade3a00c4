package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pages are the documents that people read, from the root.
func pages(t *testing.T) []string {
	t.Helper()
	all := []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "bench/README.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(inRepository(pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			below, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, filepath.ToSlash(below))
		}
	}
	return all
}

func readPage(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(inRepository(page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPathsExist: a document outlives what it describes unless somebody looks.
// Every path that a page names exists, and so does every page it links to.
func TestPathsExist(t *testing.T) {
	top := topLevel(t)
	for _, page := range pages(t) {
		text := readPage(t, page)
		for _, path := range namedPaths(text, top) {
			if _, err := os.Stat(inRepository(path)); err != nil {
				t.Errorf("%s names %s, which is not there: %v", page, path, err)
			}
		}
		for _, link := range links(text) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), link)); err != nil {
				t.Errorf("%s links to %s, which is not there: %v", page, link, err)
			}
		}
	}
}

// topLevel are the names in the root of the repository.
func topLevel(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

var (
	fenced    = regexp.MustCompile("(?ms)^```.*?^```$")
	inTicks   = regexp.MustCompile("`([^`\n]+)`")
	pathChars = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)*/?$`)
	ourFile   = regexp.MustCompile(`\.(go|md|yml|mod|sum)$`)
	linked    = regexp.MustCompile(`\]\(([^)#\s]+)`)
)

// namedPaths are the paths of the repository that a text names in backticks: what
// begins with a name in its root, and what ends as a file of ours does. A path
// may begin with "./", and end with a slash or "/...".
func namedPaths(text string, top []string) (paths []string) {
	for _, m := range inTicks.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		path := strings.TrimSuffix(strings.TrimPrefix(m[1], "./"), "/...")
		if !pathChars.MatchString(path) {
			continue
		}
		first, _, below := strings.Cut(path, "/")
		if below && slices.Contains(top, first) || ourFile.MatchString(path) || !below && slices.Contains(top, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// links are the targets within the repository that a text links to.
func links(text string) (targets []string) {
	for _, m := range linked.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		if !strings.Contains(m[1], "://") && !strings.HasPrefix(m[1], "mailto:") {
			targets = append(targets, m[1])
		}
	}
	return targets
}

// TestNamedPathsAreFound shows that the search finds paths, and only paths.
func TestNamedPathsAreFound(t *testing.T) {
	text := "In `internal/gone/x.go` and `internal/sink/`, `./cmd/...` and `Makefile`, `gone.go` and `elsewhere/y.md`; not `a/b`,\n" +
		"`--mode`, `x | y`, `application/json`, `go test ./...`, internal/none or `exits.jsonl`.\n```\n`internal/fenced.go`\n```\n"
	want := []string{"internal/gone/x.go", "internal/sink/", "cmd", "Makefile", "gone.go", "elsewhere/y.md"}
	if diff := cmp.Diff(want, namedPaths(text, []string{"internal", "cmd", "Makefile"})); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	text = "[a](docs/a.md), [b](https://example.com/b.md), [c](../c.md#part), [d](#part)"
	if diff := cmp.Diff([]string{"docs/a.md", "../c.md"}, links(text)); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}
