package match

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Cases are those of fluentd's own test of its patterns, as data, and some beside.
var cases = []struct {
	pattern string
	yes, no string // tags with spaces between; "-" is the empty tag
}{
	{"a", "a", "b - aa A"},
	{"a.b", "a.b", "aab a ab a.b.c"},
	// One star stands within a part.
	{"a*", "a ab abc", "a.b ab.c ba"},
	{"*a", "a ba cba", "ab a.a"},
	{"*a*", "a ba ac bac", "b a.b"},
	{"a.*", "a.b a.c a.", "ab a a.b.c"},
	{"a.*.c", "a.b.c a.c.c a..c", "a.c a.b.b.c"},
	{"*", "a - abc", "a.b ."},
	// Two stand for any number of parts.
	{"a.**", "a a.b a.b.c a.", "ab abc ab.c ab.d.e b"},
	{"a**", "a ab abc a.b ab.c ab.d.e", "b ba"},
	{"**.a", "a b.a cb.a d.e.a", "ba c.ba a.b"},
	{"**a", "a ba c.ba b.a cb.a d.e.a", "ab"},
	{"**", "a a.b - . ..", ""},
	{"a.**.b", "a.b a.x.b a.x.y.b a..b", "ab a.bb a.xb b"},
	{"a.**b", "a.b a.xb a.x.b", "ab axb a"},
	{"**.a.**", "a b.a a.b b.a.b", "ba ab b"},
	{"**.**", "a a.b - .", ""},
	{"a.**.**.b", "a.x.b a..b", "ab a.b"},
	// Either.
	{"a.{b,c}", "a.b a.c", "a.d a a.bc"},
	{"a.{b,c}.**", "a.b a.c a.b.x", "a.d a.cd a.bd a"},
	{"a.{b.**,c}", "a.b a.b.c a.c", "a.c.d a.bc"},
	{"a.{b,cc*}.**", "a.b a.cc a.ccd a.ccd.e a.b.x", "a.c a.bb a.bcc"},
	{"{a,b}.{c,d}", "a.c a.d b.c b.d", "a.b c.d"},
	{"{a,{b,c.{d,e}}}", "a b c.d c.e", "c d c.de"},
	{"a{,b}", "a ab", "abb b"},
	{"{a,b}**", "a ab a.b b.x", "c"},
	{"{a}", "a", "{a}"},
	// As fluentd has it: what stands in braces does not see a dot before them.
	{"x.{**.a,b}", "x.b x.c.a", "x.a x"},
	{"{**,a}.b", "x.b a.b .b", "b"},
	{"{a.,b}**", "a. a.x b bx", "a ax"},
	// A backslash.
	{`a\*`, "a*", "a ab"},
	{`a\.b`, "a.b", "ab"},
	{`a\.**`, "a. a.b", "a"},
	{`\{a\,b\}`, "{a,b}", "a b"},
	{`\\`, `\`, "-"},
	// What has no meaning stands for itself.
	{"a-b_c:d@e", "a-b_c:d@e", "a-b_c"},
	{"a?[b]+(c)|^$", "a?[b]+(c)|^$", "a ab"},
	{"a#b", "a#b", "a"},
	{"ä.*", "ä.ö", "a.b"},
	// Several.
	{"a.b a.c", "a.b a.c", "a.d"},
	{"a.b.** a.c.**", "a.b a.c a.b.x", "a.d a.cd"},
	{"a.b.** a.c", "a.b a.b.c a.c", "a.c.d"},
	{" a \t b\n", "a b", "c"},
	{"x **", "anything at.all", ""},
	// Regular expressions.
	{"/a/", "a", "abc ba"},
	{"/a.*/", "abc a.b.c a", "ba"},
	{"/b.*/", "b.c", "abc"},
	{`/a\..*/`, "a.b.c", "b.b.c a"},
	{"/a|b/", "a b", "ax xb"},
	{`/[^.]+\.(x|y)/ z`, "a.x b.y z", "a.b.x a.z"},
	{`\/a\/`, "/a/", "a"},
	{"a/b/", "a/b/", "b"},
}

func TestMatch(t *testing.T) {
	for _, c := range cases {
		m, err := Compile(c.pattern)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		for want, tags := range map[bool]string{true: c.yes, false: c.no} {
			for tag := range strings.FieldsSeq(tags) {
				if tag == "-" {
					tag = ""
				}
				if m.Match(tag) != want {
					t.Errorf("%q and the tag %q: %v", c.pattern, tag, !want)
				}
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ pattern, want string }{
		{"", `pattern "": found nothing at character 1; expected a pattern such as app.** or **`},
		{" \n", `pattern "": found nothing at character 1; expected a pattern such as app.** or **`},
		{"a,b", `pattern "a,b": found "," outside of braces at character 2; expected white space between patterns, or {a,b}; write \, for a comma`},
		{"a.{b,c", `pattern "a.{b,c": found "{" without its end at character 3; expected a } behind it; write \{ for a brace`},
		{"x a}", `pattern "a}": found "}" without its beginning at character 2; expected a { before it; write \} for a brace`},
		{"a.", `pattern "a.": found "." at the end at character 2; expected a part of the tag behind a dot; remove it: fluentd passes over it`},
		{`a\`, `pattern "a\\": found "\\" at the end at character 2; expected the character that it stands before; write \\ for a backslash`},
		{"a.#{x}", `pattern "a.#{x}": found "#{" at character 3; expected a pattern without embedded Ruby code; write what the code gives, or \#\{ for these characters`},
		{"/a", `pattern "/a": found "/" without its end at character 1; expected a regular expression between two slashes, without white space`},
		{"/", `found "/" without its end`},
		{`/(?!a\.).*/`, `pattern "/(?!a\\.).*/": found invalid or unsupported Perl syntax in a regular expression: "(?!" at character 2; expected RE2 syntax, which has no look-around; write what it takes`},
		{"/a(/", `found missing closing ) in a regular expression`},
		{strings.Repeat("a", 1025), `found 1025 bytes at character 1025; expected at most 1024`},
		{strings.Repeat("a ", 1001), `found 1001 patterns`},
		{strings.Repeat(strings.Repeat("a", 100)+" ", 1000), `found patterns that are too large together`},
	} {
		_, err := Compile(c.pattern)
		var problem *Error
		if !errors.As(err, &problem) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.50q:\n got %v\nwant %s", c.pattern, err, c.want)
		}
	}
}

func TestPatterns(t *testing.T) {
	m, err := Compile("a.*  /b/", "c")
	if err != nil {
		t.Fatal(err)
	}
	if m.String() != "a.* /b/ c" || len(m.Patterns()) != 3 {
		t.Errorf("the patterns are %q", m.Patterns())
	}
}

// No pattern makes a match take long: with backtracking this one would take years.
func TestMatchIsNotExponential(t *testing.T) {
	m, err := Compile(strings.Repeat("{**a,**a,**aa}", 60) + "b")
	if err != nil {
		t.Fatal(err)
	}
	if m.Match(strings.Repeat("a", 500)) {
		t.Error("it takes a tag without a b")
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	m, err := Compile("a.{b,c}.** **.x a.*.c")
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { m.Match("some.tag.of.usual.length") }); n != 0 {
		t.Errorf("a match allocates %v times", n)
	}
}

// patterns draws patterns of which all are good and most say something.
func patterns() *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{"a", "b", ".", ".", "*", "**", ".**", "**.", "{a,b}", "{", ",", "}", "{a.**,b}", "{**.a,}", `\.`, `\*`})
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(piece, 1, 7).Draw(t, "pieces"), "")
	}).Filter(func(pattern string) bool {
		_, err := parse(pattern)
		return err == nil
	})
}

func tags() *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", ".", "*"}), 0, 8), func(all []string) string { return strings.Join(all, "") })
}

// What the program says is what fluentd's own translation says, run by a slow and
// simple reading of regular expressions.
func TestMatchIsFluentds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern, tag := patterns().Draw(t, "pattern"), tags().Draw(t, "tag")
		m, err := Compile(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := m.Match(tag), slow(fluentdRegexp(pattern), tag); got != want {
			t.Fatalf("%q takes %q: %v, and as fluentd says (%s): %v", pattern, tag, got, fluentdRegexp(pattern), want)
		}
	})
}

// A pattern that is covered takes no tag that the others do not take; and where
// the alphabet of tags is as small as here, the opposite can be seen as well.
func TestCovered(t *testing.T) {
	for _, c := range []struct {
		later, earlier string
		want           bool
	}{
		{"a.b", "**", true}, {"**", "a.**", false}, {"a.b.**", "a.**", true}, {"a.**", "a.b.**", false},
		{"a.{b,c}", "a.b a.c", true}, {"a.{b,c}", "a.b", false}, {"a.*", "a.**", true}, {"a.**", "a.* a", false},
		{"a", "a.**", true}, {"ab", "a.**", false}, {"ab", "a**", true}, {"*.b", "**.b", true}, {"**.b", "*.b", false},
		{"**", "** /a/", true}, {"/a/", "**", true}, {"/a/", "/a/", true}, {"/a/ b", "/a/", false}, {"/a/", "a", false},
		{"a", "/a/", false}, {"**", "{**,a}", true}, {"x", "x", true}, {"ä", "ö", false}, {"**.**", "*.** *", true},
	} {
		later, err1 := Compile(c.later)
		earlier, err2 := Compile(c.earlier)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if got := later.Covered(earlier); got != c.want {
			t.Errorf("%q is covered by %q: %v", c.later, c.earlier, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		later, err1 := Compile(patterns().Draw(t, "later"))
		one, err2 := Compile(patterns().Draw(t, "one"))
		other, err3 := Compile(patterns().Draw(t, "other"))
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		covered := later.Covered(one, other)
		for _, tag := range rapid.SliceOfN(tags(), 1, 50).Draw(t, "tags") {
			if covered && later.Match(tag) && !one.Match(tag) && !other.Match(tag) {
				t.Fatalf("%q is said to be covered by %q and %q, which do not take %q", later, one, other, tag)
			}
		}
	})
}

func FuzzCompile(f *testing.F) {
	for _, c := range cases {
		f.Add(c.pattern, c.yes)
	}
	f.Fuzz(func(t *testing.T, pattern, tag string) {
		if len(pattern) > 2000 || len(tag) > 2000 {
			return
		}
		m, err := Compile(pattern)
		if err != nil {
			var problem *Error
			if !errors.As(err, &problem) || strings.ContainsAny(err.Error(), "\n") && !strings.HasPrefix(pattern, "/") {
				t.Errorf("%q: %v", pattern, err)
			}
			return
		}
		took := m.Match(tag)
		if again, err := Compile(m.String()); err != nil || again.Match(tag) != took || !m.Covered(again) && len(pattern) < 20 {
			t.Errorf("%q reads as %q, and that is another pattern (%v)", pattern, m, err)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	m, err := Compile("app.{web,api}.** **.error kube.*.c")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Match("app.web.requests.eu-central-1")
	}
}
