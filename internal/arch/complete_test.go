package arch

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/pipeline"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/run"
)

// names fails the test for each name that the page does not have in backticks.
func names(t *testing.T, page, what string, all []string) {
	t.Helper()
	text := readPage(t, page)
	if len(all) == 0 {
		t.Fatalf("no %s were found, which cannot be", what)
	}
	for _, name := range all {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s does not name %s `%s`", page, what, name)
		}
	}
}

// TestEveryReasonIsExplained reads the reasons from the source of the ledger, so
// that a new one cannot be forgotten here.
func TestEveryReasonIsExplained(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), inRepository("internal/ledger/ledger.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Reason" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			reasons = append(reasons, text)
		}
		return true
	})
	names(t, "docs/accounting.md", "the reason", reasons)
}

// TestEveryKeyIsExplained takes the keys of a report from a report.
func TestEveryKeyIsExplained(t *testing.T) {
	report := pipeline.Report{
		Identity: pipeline.Identity{Container: "c", Name: "n", Namespace: "ns"},
		Balance:  ledger.Balance{Streams: []ledger.StreamBalance{{Stream: "stdout"}}},
		Buffer:   buffer.State{Fault: "f"},
		Health:   deliver.Health{Error: "e", Config: true},
	}
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var all any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	found := keys(all, nil)
	// The time since when is left out while it is zero.
	names(t, "docs/accounting.md", "the key", append(found, "since"))
}

// TestEveryKeyOfARunIsExplained takes those that a run has beside a pipeline's.
func TestEveryKeyOfARunIsExplained(t *testing.T) {
	text, err := json.Marshal(run.Report{
		Legs: []run.LegReport{{Leaving: true}}, Sources: []run.SourceStatus{{Detail: 1}}, Unmatched: []run.Stray{{}}, Orphaned: []run.Orphan{{}},
		FileSince: time.Now(), FileRefused: &run.Refused{},
	})
	if err != nil {
		t.Fatal(err)
	}
	var all any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	names(t, "docs/accounting.md", "the key", keys(all, nil))
}

// keys are the keys of all objects in v.
func keys(v any, to []string) []string {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			to = keys(value, append(to, key))
		}
	case []any:
		for _, value := range v {
			to = keys(value, to)
		}
	}
	return to
}

// TestEveryPackageIsOnTheMap: no room is missing in the description.
func TestEveryPackageIsOnTheMap(t *testing.T) {
	var all []string
	for _, l := range layers {
		if strings.HasPrefix(l.name, "internal/") || strings.HasPrefix(l.name, "cmd/") {
			all = append(all, l.name)
		}
	}
	names(t, "ARCHITECTURE.md", "the package", all)
}

// TestEveryTestIsDescribed: each place of tests has its paragraph.
func TestEveryTestIsDescribed(t *testing.T) {
	found, err := filepath.Glob(inRepository("test/*"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, path := range found {
		all = append(all, "test/"+filepath.Base(path))
	}
	names(t, "docs/testing.md", "the folder", all)
}

// TestEveryTargetIsTold: what make can do is in CONTRIBUTING.md.
func TestEveryTargetIsTold(t *testing.T) {
	names(t, "CONTRIBUTING.md", "the target", firstGroups(`(?m)^([a-z-]+):`, readPage(t, "Makefile"), "make "))
}

// TestEveryDependencyHasItsReason: a module that is used directly has a line that
// says why, what it weighs and how to leave it.
func TestEveryDependencyHasItsReason(t *testing.T) {
	direct, _, _ := strings.Cut(readPage(t, "go.mod"), "// indirect")
	names(t, "docs/adr/0007-dependencies.md", "the module", firstGroups(`(?m)^\t(\S+) v\S+$`, direct, ""))
}

// firstGroups are the first groups of all matches, each behind a prefix.
func firstGroups(pattern, text, prefix string) (all []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, prefix+m[1])
	}
	return all
}

// TestTheMarkerIsThatOfThePage: people write filters by the example.
func TestTheMarkerIsThatOfThePage(t *testing.T) {
	first := time.Date(2026, 11, 20, 18, 3, 15, 120e6, time.UTC)
	loss := record.Loss{
		Lost: 3, Bytes: 57, FirstSeq: 12, LastSeq: 14, FirstTime: first.UnixNano(),
		LastTime: first.Add(11 * time.Millisecond).UnixNano(), Reason: string(ledger.OverflowNewest),
	}
	if text := string(loss.AppendText(nil)); !strings.Contains(readPage(t, "docs/accounting.md"), "\n"+text+"\n") {
		t.Errorf("docs/accounting.md has no line\n%s", text)
	}
}
