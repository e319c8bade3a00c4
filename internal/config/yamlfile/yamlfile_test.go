package yamlfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/config/setting"
)

var kind = Kind{Name: "file of tests", Expected: "with sections", Do: "look again"}

// What would take the parser minutes is refused before it sees it.
func TestNesting(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"brackets", strings.Repeat("[", MaxBytes), "f:1:101: found lists or maps within each other; expected at most 100 levels of them"},
		{"braces", strings.Repeat("{a: ", MaxBytes/4), "f:1:401: found lists or maps within each other"},
		{"dashes", "a:\n" + strings.Repeat("- ", MaxBytes/4), "f:2:201: found lists or maps within each other"},
	} {
		if _, err := Parse("f", []byte(c.text), kind); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %.200v", c.name, err)
		}
	}
	for _, text := range []string{
		strings.Repeat("[", 100) + strings.Repeat("]", 100), strings.Repeat("- [a]\n", 1000),
		strings.Repeat("- ", 100) + "a", "a: '" + strings.Repeat("[", 1000) + "'",
	} {
		if _, err := Parse("f", []byte(text), kind); err != nil {
			t.Errorf("%.50q: %v", text, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a: b c\n? - x\n", "f:2:3: found text that is not YAML (unexpected scalar value type); expected a YAML map with sections; look again"},
		{"a: b\n---\nc: d\n", "f:3:2: found a second document; expected one document; remove the line with three dashes"},
		{"a: \xff", "f:1:4: found a byte that is not UTF-8; expected a YAML file in UTF-8"},
		{"ä\nbö\xff", "f:2:3: found a byte that is not UTF-8; expected a YAML file in UTF-8"},
		{strings.Repeat(" ", MaxBytes+1), "f: found a file of tests that is too large; expected at most 131072 bytes; name another with --config"},
	} {
		f, err := Parse("f", []byte(c.text), kind)
		if err == nil || err.Error() != c.want || f != nil {
			t.Errorf("%.20q: %v, want %s", c.text, err, c.want)
		}
	}
}

func TestEntries(t *testing.T) {
	f, err := Parse("f", []byte("\ufeff# a comment\na: 010\nb: [x, {y: z}]\nc: |\n  lines\nd:\na: 1\n'e': &x 1\n"), kind)
	if err != nil {
		t.Fatal(err)
	}
	var problems setting.Problems
	entries := f.Entries(f.Root, "the file", "a map", &problems)
	var got []string
	for _, e := range entries {
		text, ok := Scalar(e.Value)
		if !ok {
			text = Describe(e.Value)
		}
		got = append(got, strings.TrimPrefix(e.Where, "f:")+" "+e.Name+"="+text)
	}
	if want := "2:1 a=010|3:1 b=a list|4:1 c=lines\n|6:1 d=nothing|8:1 e=an anchor or an alias"; strings.Join(got, "|") != want {
		t.Errorf("%q, want %q", strings.Join(got, "|"), want)
	}
	if err := problems.Err(); err == nil || err.Error() != `f:7:1: found "a" again, it is at f:2:1 already; expected each key once; remove one of the two` {
		t.Errorf("problems: %v", err)
	}
	list, ok := List(entries[1].Value)
	if !ok || len(list) != 2 || IsMap(list[0]) || !IsMap(list[1]) || f.At(list[0]) != "f:3:5" || IsMap(entries[1].Value) {
		t.Errorf("the list is %v", list)
	}
	if _, ok := List(entries[0].Value); ok {
		t.Error("a number is a list")
	}
	problems = setting.Problems{}
	if entries := f.Entries(list[0], "it", "a map", &problems); entries != nil || problems.Err().Error() != `f:3:5: it: found "x"; expected a map` {
		t.Errorf("%v, %v", entries, problems.Err())
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, make([]byte, MaxBytes+100), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := Read(path, kind); err != nil || len(text) != MaxBytes+1 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if _, err := Read(path+"x", kind); err == nil || err.Error() != path+"x: found an unreadable file of tests (no such file or directory); expected a YAML file with sections; make it readable or name another with --config" {
		t.Error(err)
	}
}
