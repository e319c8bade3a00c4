package arch

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Sizes of Go files that are no tests, in bytes. Small files are those that can
// be read in one go, and named for what is in them.
const (
	meanSize = 8704  // 8.5 KiB
	mostSize = 30720 // 30 KiB
)

// file is one file of the repository.
type file struct {
	path string // from the root, with slashes
	text string
}

func (f file) isGo() bool   { return strings.HasSuffix(f.path, ".go") }
func (f file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// files reads what people wrote: sources, documents, scripts.
func files(t *testing.T) (all []file) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if dir := d.Name(); dir == ".git" || dir == "bin" || dir == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || d.Name() == "LICENSE" || strings.HasSuffix(name, ".sum") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		all = append(all, file{filepath.ToSlash(below), string(text)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFilesAreSmall(t *testing.T) {
	sum, count := 0, 0
	for _, f := range files(t) {
		if !f.isGo() || f.isTest() {
			continue
		}
		sum, count = sum+len(f.text), count+1
		if len(f.text) > mostSize {
			t.Errorf("%s has %d bytes, more than %d: divide it", f.path, len(f.text), mostSize)
		}
	}
	if count == 0 {
		t.Fatal("no Go files were found")
	}
	t.Logf("%d Go files of %d bytes on average", count, sum/count)
	if sum > meanSize*count {
		t.Errorf("Go files have %d bytes on average, more than %d", sum/count, meanSize)
	}
}

// rule is a pattern that no file of its kind may hold.
type rule struct {
	pattern *regexp.Regexp
	holds   func(f file) bool
	why     string
}

// rules takes the packages whose tests run in virtual time, where a sleep costs
// nothing and ends exactly when everybody waits.
func rules(virtual map[string]bool) []rule {
	// The words are put together here, or this file would break its own rule.
	words := "TO" + "DO|FIX" + "ME|X" + "XX"
	return []rule{
		{
			regexp.MustCompile(`\b(` + words + `)\b`), func(file) bool { return true },
			"what is to be done belongs to the project's issues, where somebody sees it",
		},
		{
			regexp.MustCompile(`(?m)^func init\(`), file.isGo,
			"nothing happens before main, and nothing registers itself",
		},
		{
			regexp.MustCompile(`\btime\.Sleep\(`), func(f file) bool {
				return f.isTest() && !virtual[path.Dir(f.path)] && mayPass(f.path) == ""
			},
			"a sleep synchronises nothing: wait for what is to happen, or use testing/synctest; where a test is about time itself, " +
				"say so in the table of internal/arch/house_test.go",
		},
	}
}

// letsTimePass are the tests that may sleep, and why. A helper that asks another
// process again and again, with a limit, is one; so is a test of what happens, or
// does not, while time passes.
var letsTimePass = []struct{ path, why string }{
	{"test/contract/defects_test.go", "it asks a process again and again"},
	{"test/contract/fluentd_test.go", "a logger must be idle for a while before it gives memory back"},
	{"test/faults/destination_test.go", "it counts the warnings of a stretch of time"},
	{"test/faults/main_test.go", "it asks a process again and again"},
	{"test/faults/memory_test.go", "a logger must be idle for a while before it gives memory back"},
	{"test/faults/signals_test.go", "what is written while a signal takes effect must arrive"},
	{"test/faults/slowsink_test.go", "a writer must be held up for a while"},
}

func mayPass(path string) string {
	for _, f := range letsTimePass {
		if f.path == path {
			return f.why
		}
	}
	return ""
}

func TestHouseRules(t *testing.T) {
	all := files(t)
	sleeps, virtual := make(map[string]bool), make(map[string]bool)
	for _, f := range all {
		if f.isTest() && strings.Contains(f.text, "\t\"testing/synctest\"\n") {
			virtual[path.Dir(f.path)] = true
		}
	}
	for _, f := range all {
		sleeps[f.path] = strings.Contains(f.text, "time."+"Sleep(")
		for _, r := range rules(virtual) {
			if !r.holds(f) {
				continue
			}
			if at := r.pattern.FindStringIndex(f.text); at != nil {
				t.Errorf("%s:%d: found %q: %s", f.path, 1+strings.Count(f.text[:at[0]], "\n"), f.text[at[0]:at[1]], r.why)
			}
		}
	}
	for _, f := range letsTimePass {
		if !sleeps[f.path] || virtual[path.Dir(f.path)] {
			t.Errorf("%s is in the table of those that may sleep and need not be: remove the line", f.path)
		}
	}
}

// TestHouseRulesAreFound shows that each rule can be broken.
func TestHouseRulesAreFound(t *testing.T) {
	broken := []file{
		{"README.md", "x TO" + "DO y"},
		{"internal/x/x.go", "package x\n\nfunc " + "init() {}\n"},
		{"internal/x/x_test.go", "package x\n\ntime." + "Sleep(1)\n"},
	}
	for i, r := range rules(map[string]bool{"internal/y": true}) {
		if f := broken[i]; !r.holds(f) || !r.pattern.MatchString(f.text) {
			t.Errorf("%s is not seen to break the rule: %s", f.path, r.why)
		}
		for _, f := range []file{
			{"internal/x/x.go", "package x\n\n// Of \\uX" + "XX" + "X.\nfunc initial() {}\n"},
			{"internal/y/y_test.go", "package y\n\ntime." + "Sleep(1)\n"},
		} {
			if r.holds(f) && r.pattern.MatchString(f.text) {
				t.Errorf("%s is said to break the rule: %s", f.path, r.why)
			}
		}
	}
}
