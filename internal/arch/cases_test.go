package arch

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestNamedTestsExist: the page of cases says of each which test covers it, and that
// test is there.
func TestNamedTestsExist(t *testing.T) {
	const page = "docs/peer-cases.md"
	name := regexp.MustCompile(`^Test\w+$`)
	named := 0
	for line := range strings.Lines(readPage(t, page)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "|---") || strings.HasSuffix(line, "| test |\n") {
			continue
		}
		text, path := "", ""
		before := named
		for _, found := range inTicks.FindAllStringSubmatch(line, -1) {
			switch what := found[1]; {
			case strings.HasSuffix(what, "_test.go"):
				b, err := os.ReadFile(inRepository(what))
				if err != nil {
					t.Errorf("%s: %v", page, err)
				}
				text, path = string(b), what
			case name.MatchString(what):
				if !strings.Contains(text, "\nfunc "+what+"(t *testing.T)") {
					t.Errorf("%s: %s has no %s", page, path, what)
				}
				named++
			}
		}
		if named == before {
			t.Errorf("%s: no test is named in %q", page, line)
		}
	}
	if named < 100 {
		t.Errorf("%s names %d tests", page, named)
	}
}
