package arch

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// update rewrites the part of .golangci.yml that is made from the tables:
//
//	go test ./internal/arch -run TestLinterRules -update
var update = flag.Bool("update", false, "write the rules of depguard into .golangci.yml")

const (
	linterPage = ".golangci.yml"
	rulesBegin = "        # Made from internal/arch/layers_test.go: go test ./internal/arch -run TestLinterRules -update\n"
	rulesEnd   = "        # The end of what is made.\n"
)

// TestLinterRules holds the linter's rules, which editors show, to the tables of
// this package, so that there is one place to change.
func TestLinterRules(t *testing.T) {
	page, err := os.ReadFile(inRepository(linterPage))
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), rulesBegin)
	made, after, ended := strings.Cut(rest, rulesEnd)
	if !found || !ended {
		t.Fatalf("%s has not both lines\n%s%s", linterPage, rulesBegin, rulesEnd)
	}
	want := linterRules()
	if made == want {
		return
	}
	if *update {
		if err := os.WriteFile(inRepository(linterPage), []byte(before+rulesBegin+want+rulesEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s is stale, run \"go test ./internal/arch -run TestLinterRules -update\" (-tables +file):\n%s", linterPage, cmp.Diff(want, made))
}

// linterRules renders the tables as rules of depguard. In a lax list everything
// is allowed that no prefix denies, and a longer prefix that allows beats one
// that denies; a dollar sign ends an exact path.
func linterRules() string {
	var b strings.Builder
	for _, l := range layers {
		if l.name == "internal/arch" {
			continue // It has no files but tests.
		}
		fmt.Fprintf(&b, "        %s:\n          list-mode: lax\n", strings.ReplaceAll(l.name, "/", "-"))
		fmt.Fprintf(&b, "          files: [\"${base-path}/%s/*.go\", \"!$test\"]\n", l.name)
		if allow := append(exactly(l.ours), l.theirs...); len(allow) > 0 {
			b.WriteString("          allow:\n")
			for _, path := range allow {
				fmt.Fprintf(&b, "            - %s\n", path)
			}
		}
		b.WriteString("          deny:\n")
		fmt.Fprintf(&b, "            - {pkg: github.com/, desc: %q}\n", l.why)
		fmt.Fprintf(&b, "            - {pkg: golang.org/, desc: %q}\n", l.why)
	}
	for _, r := range restricted {
		fmt.Fprintf(&b, "        only-some-%s:\n          list-mode: lax\n          files:\n            - \"!$test\"\n", strings.ReplaceAll(r.path, "/", "-"))
		for _, dir := range r.only {
			fmt.Fprintf(&b, "            - \"!**/%s/**\"\n", dir)
		}
		fmt.Fprintf(&b, "          deny:\n            - {pkg: %s$, desc: %q}\n", r.path, r.why)
	}
	b.WriteString("        tests-alone:\n          list-mode: lax\n          files: [\"!$test\"]\n          deny:\n")
	for _, path := range testsAlone {
		fmt.Fprintf(&b, "            - {pkg: %s, desc: for tests alone}\n", path)
	}
	return b.String()
}

// exactly makes patterns that match these packages of ours and none below them.
func exactly(names []string) []string {
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = module + name + "$"
	}
	return paths
}
