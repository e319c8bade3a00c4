package indexname

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestAppend(t *testing.T) {
	at := time.Date(2026, 1, 2, 23, 4, 5, 0, time.UTC)
	field := func(dst []byte, i int) ([]byte, bool) { return append(dst, "F/1"...), i == 0 }
	for _, c := range []struct{ text, tag, want string }{
		{"logs", "a", "logs"},
		{"l-%Y.%m.%d", "a", "l-2026.01.02"},
		{"%y%m%d%H%M-%j-%G-%V-%u-%%", "a", "2601022304-002-2026-01-5-%"},
		{"{tag}", "App.Web", "app.web"},
		{"{tag[0]}_{tag[-1]}_{tag[5]}", "a.b.c", "a_c_"},
		{"x{record[a.b]}{record[c]}", "t", "xf-1none"},
		{"größe-{tag}", "Größe \xff*", "größe-größe---"},
	} {
		n, err := Parse(c.text, nil)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := string(n.Append(nil, c.tag, at.UnixNano(), field)); got != c.want {
			t.Errorf("%s of %s is %q, want %q", c.text, c.tag, got, c.want)
		}
		if n.String() != c.text {
			t.Errorf("%q became %q", c.text, n)
		}
	}
	n, err := Parse("%d", time.FixedZone("", 3600))
	if err != nil || string(n.Append(nil, "", at.UnixNano(), nil)) != "03" {
		t.Errorf("an hour to the east it is another day: %v", err)
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"": "found nothing", "%": `found "%" at its end`, `a"b`: `found "\""`, "a\n": "found", "a%Q": `found "%Q"; expected %Y`, "{tag": `found "{" without its end`, "a}": `found "}"`,
		"{tga}": `found "{tga}"`, "{tag[x]}": `found "{tag[x]}"`, "{record[]}": `found "{record[]}"`, "{record[a}": `found "{record[a}"`,
	} {
		if _, err := Parse(text, nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestWrong(t *testing.T) {
	for text, good := range map[string]bool{
		"logs": true, "logs-1.2_3": true, ".hidden": true, "Logs": false, "-a": false, "_a": false, "+a": false, "..": false, "a b": false, "a/b": false,
		"a,b": false, strings.Repeat("a", 255): true, strings.Repeat("a", 256): false, "Logs-{tag}": false, "-{tag}": false, "logs-{tag}": true,
	} {
		n, err := Parse(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := n.Wrong(); (wrong == "") != good {
			t.Errorf("%q: %q", text, wrong)
		}
	}
}

// What foreign text makes of a name can be told from no other part of a body.
func FuzzAppend(f *testing.F) {
	f.Add("l-{tag}-%Y", "A.b\"\\\n")
	f.Fuzz(func(t *testing.T, text, tag string) {
		n, err := Parse(text, nil)
		if err != nil {
			return
		}
		start := []byte("kept")
		got := n.Append(start, tag, 1_700_000_000_000_000_000, func(dst []byte, _ int) ([]byte, bool) { return append(dst, tag...), true })
		if string(got[:4]) != "kept" {
			t.Fatal("what was there is gone")
		}
		if clean := Clean([]byte(tag), 0); !utf8.Valid(clean) || strings.ContainsAny(string(clean), "\"\\\n\r /*?<>|,#:") {
			t.Fatalf("%q became %q", tag, clean)
		}
	})
}
