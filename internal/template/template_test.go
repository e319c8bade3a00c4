package template

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAppend(t *testing.T) {
	at := time.Date(2026, 11, 20, 23, 59, 59, 0, time.FixedZone("", -2*3600)) // the next day in UTC
	escape := func(dst []byte, piece string) []byte { return append(dst, strings.ToUpper(piece)...) }
	for _, c := range []struct{ text, tag, want string }{
		{"", "a", ""},
		{"plain", "a", "plain"},
		{"/x/{tag}.log", "a.b", "/x/A.B.log"},
		{"{tag[0]}-{tag[1]}-{tag[2]}", "a.b", "A-B-"},
		{"{tag[-1]}-{tag[-2]}-{tag[-3]}", "a.b", "B-A-"},
		{"{tag[0]}{tag[-1]}", "a", "AA"},
		{"{tag[0]}|{tag[1]}|{tag[-1]}", "", "||"},
		{"{tag[1]}|{tag[2]}", "a..c", "|C"},
		{"{date}T{hour}", "a", "2026-11-21T01"},
		{"a{{b}}c{{{tag}}}", "t", "a{b}c{T}"},
	} {
		p, err := Parse(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := string(p.Append(nil, c.tag, at, escape)); got != c.want {
			t.Errorf("%q of %q: %q, want %q", c.text, c.tag, got, c.want)
		}
		if p.String() != c.text {
			t.Errorf("%q became %q", c.text, p)
		}
	}
}

func TestFields(t *testing.T) {
	p, err := Parse("a{tag}b{date}")
	if err != nil {
		t.Fatal(err)
	}
	if !p.Uses(Tag) || !p.Uses(Date) || p.Uses(Hour) || p.Uses(TagPart) {
		t.Error("the fields are others than those in the text")
	}
	var literals []string
	p.Literals(func(text string) { literals = append(literals, text) })
	if strings.Join(literals, "|") != "a|b" {
		t.Errorf("literals %q", literals)
	}
	if _, ok := p.Fixed(); ok {
		t.Error("it is said to be always the same")
	}
	if p, err = Parse("a{{"); err != nil {
		t.Fatal(err)
	}
	if text, ok := p.Fixed(); !ok || text != "a{" {
		t.Errorf("%q, %v", text, ok)
	}
	if got := string(p.Append([]byte("x"), "t", time.Time{}, nil)); got != "xa{" {
		t.Error(got)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a{tga}", `found "{tga}" at character 2; expected {tag}, {tag[N]}, {date} or {hour}`},
		{"{tag[x]}", `found "{tag[x]}"`}, {"{tag[]}", `found "{tag[]}"`}, {"{tag[100]}", `found "{tag[100]}"`}, {"{tag[1}", `found "{tag[1}"`},
		{"{}", `found "{}" at character 1`},
		{"ab{tag", `found "{" without its end at character 3; expected a } behind it, or {{ for a brace`},
		{"a}", `found "}" at character 2; expected a { before it, or }} for a brace`},
	} {
		_, err := Parse(c.text)
		var wrong *Error
		if !errors.As(err, &wrong) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	p, err := Parse("/x/{date}/{tag[0]}/{tag}.{hour}")
	if err != nil {
		t.Fatal(err)
	}
	buf, at := make([]byte, 0, 256), time.Now()
	escape := func(dst []byte, piece string) []byte { return append(dst, piece...) }
	if n := testing.AllocsPerRun(100, func() { buf = p.Append(buf[:0], "a.b.c", at, escape) }); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}

// Whatever a template is, it is refused, or it gives a text for every tag.
func FuzzParse(f *testing.F) {
	f.Add("/a/{tag}/{tag[-1]}{{", "x.y")
	f.Fuzz(func(t *testing.T, text, tag string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		got := string(p.Append(nil, tag, time.Unix(0, 0), nil))
		if fixed, ok := p.Fixed(); ok && fixed != got {
			t.Errorf("%q is always %q, and gives %q", text, fixed, got)
		}
		if strings.Count(text, "{")+strings.Count(text, "}") == 0 && got != text {
			t.Errorf("%q gives %q", text, got)
		}
	})
}
