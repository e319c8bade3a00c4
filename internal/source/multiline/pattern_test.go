package multiline

import (
	"strings"
	"testing"
)

func TestCompileMatchesAnywhereUnlessAnchored(t *testing.T) {
	for _, c := range []struct {
		pattern, line string
		want          bool
	}{
		{`INFO`, "12:00 INFO started", true},
		{`^INFO`, "12:00 INFO started", false},
		{`^INFO`, "INFO started", true},
		{`^\S`, "\tat main.go:12", false},
		{`^$`, "", true},
		{`(?i)^error`, "ERROR: no route", true},
		{`^.{3}x`, "\xff\xfe\xfdx", true},
	} {
		re, err := Compile(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := re.Match([]byte(c.line)); got != c.want {
			t.Errorf("pattern %q on %q: got %v, want %v", c.pattern, c.line, got, c.want)
		}
	}
}

func TestBadPatternIsOneClearError(t *testing.T) {
	for _, c := range []struct{ pattern, want string }{
		{"", "it is empty; leave the option out"},
		{"(", "compile multiline pattern \"(\": missing closing ) at \"(\"; expected a regular expression in the syntax of Go (RE2)"},
		{"(?=x)", "invalid or unsupported Perl syntax"},
		{"\xff", "invalid UTF-8"},
		{strings.Repeat("x", maxPattern+1), "it has 4097 bytes, expected at most 4096"},
		{strings.Repeat("x{1000}", 20), "instructions, expected at most 16384: use smaller repetition counts"},
	} {
		re, err := Compile(c.pattern)
		if err == nil {
			t.Errorf("pattern %.40q: got %v, want an error", c.pattern, re)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || len(err.Error()) > 400 {
			t.Errorf("pattern %.40q: got error %q, want one that says %q", c.pattern, err, c.want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{`^\d{4}-\d{2}`, `[`, `(`, `x{1000}{1000}`, `\Qa`, `[[:alpha:]`, "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		re, err := Compile(pattern)
		if (re == nil) == (err == nil) {
			t.Fatalf("got pattern %v and error %v, want one of them", re, err)
		}
	})
}
