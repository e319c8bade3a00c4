package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/jsonscan"
)

// wanted are keys in tests; one of them has to be escaped.
var wanted = []string{"a", "@timestamp", "a key that is longer than sixty-three bytes, which is the last bit of the lengths", "say \"ö\"", ""}

func scanner(t testing.TB) *jsonscan.Scanner {
	t.Helper()
	keys, err := jsonscan.NewKeys(wanted...)
	if err != nil {
		t.Fatal(err)
	}
	return jsonscan.NewScanner(keys)
}

// isObject is what a scan has to say of a value.
func isObject(value []byte) bool {
	return json.Valid(value) && bytes.HasPrefix(bytes.TrimLeft(value, " \t\r\n"), []byte("{"))
}

// sample has a number, a string and what is nested at each place.
const sample = ` { "a" : [ 1, -2.5e+10 ,{"b": null } ] , "@timestamp":"2026","x":{"a":true}, "say \"\u00f6\"": false,
 "" : "\u00e4\ud83d\ude00\n" } ` + "\n"

func TestScan(t *testing.T) {
	s := scanner(t)
	if err := s.Scan([]byte(sample)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range wanted {
		got = append(got, string(s.Value(i)))
	}
	want := []string{`[ 1, -2.5e+10 ,{"b": null } ]`, `"2026"`, "", "false", `"\u00e4\ud83d\ude00\n"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s.Value(2) != nil || s.Members() != 5 {
		t.Errorf("a key that is not there has the value %q; %d members", s.Value(2), s.Members())
	}
	text, replaced := s.AppendObject([]byte("before "))
	const whole = `before {"a":[1,-2.5e+10,{"b":null}],"@timestamp":"2026","x":{"a":true},"say \"\u00f6\"":false,"":"\u00e4\ud83d\ude00\n"}`
	if string(text) != whole || replaced != 0 {
		t.Errorf("%s, replaced %d", text, replaced)
	}
}

func TestRemove(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{`{"a":1,"b":2}`, `{"b":2}`},
		{`{"b":2,"a":1}`, `{"b":2}`},
		{`{"b":2,"a":1,"c":3}`, `{"b":2,"c":3}`},
		{`{"a":1}`, `{}`},
		{`{ "a" : 1 , "a":{"a":2} }`, `{}`},
		{`{ "a" : 1 , "b":[{"a":",\n"}] ,` + "\n" + ` "\u0061":{"a":2} , "c" : "," }`, `{"b":[{"a":",\n"}],"c":","}`},
		{`{"a":1,"@timestamp":2,"a":3}`, `{"@timestamp":2}`},
		{`{}`, `{}`},
	} {
		s := scanner(t)
		if err := s.Scan([]byte(c.value)); err != nil {
			t.Fatalf("%s: %v", c.value, err)
		}
		s.Remove(0)
		got, _ := s.AppendObject(nil)
		if string(got) != c.want {
			t.Errorf("%s without a: %s, expected %s", c.value, got, c.want)
		}
		_, members, _ := s.AppendMembers(nil)
		if want := members > 0; want != (string(got) != "{}") {
			t.Errorf("%s: %d members in %s", c.value, members, got)
		}
	}
}

// TestTwice says that of a key which stands there twice the last value counts.
func TestTwice(t *testing.T) {
	s := scanner(t)
	if err := s.Scan([]byte(`{"a":1,"x":0,"\u0061":{"k":1,"k":[2]}}`)); err != nil {
		t.Fatal(err)
	}
	value, found := jsonscan.Lookup(s.Value(0), "k")
	if string(s.Value(0)) != `{"k":1,"k":[2]}` || string(value) != "[2]" || !found {
		t.Errorf("%s, %s", s.Value(0), value)
	}
	many := []byte("{" + strings.Repeat(`"a":1,`, 2000) + `"b":1}`)
	if err := s.Scan(many); err == nil || !strings.Contains(err.Error(), "at most 1024 members") {
		t.Error("no bound for a key that stands there many times:", err)
	}
	if s.Value(0) != nil || s.Members() != 0 {
		t.Error("a refused value has members")
	}
}

// TestInvalid looks at each error for its place and its words.
func TestInvalid(t *testing.T) {
	deep := strings.Repeat(`{"a":`, jsonscan.MaxDepth) + "1" + strings.Repeat("}", jsonscan.MaxDepth)
	if err := scanner(t).Scan([]byte(deep)); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ value, want string }{
		{"", "found nothing at byte 1; expected a JSON object"},
		{" \n", "found nothing at byte 3; expected a JSON object"},
		{"[1]", "found '[' at byte 1; expected a JSON object, which begins with {"},
		{"\xef\xbb\xbf{}", "found '\\ufeff' at byte 1; expected a JSON object, which begins with {"},
		{"{", "found the end at byte 2; expected the } of the object that begins at byte 1"},
		{`{"a":1`, "found the end at byte 7; expected the } of the object that begins at byte 1"},
		{`{"a":"}`, "found the end at byte 8; expected the closing quote of the string that begins at byte 6"},
		{`{"a":1}}`, "found '}' at byte 8; expected nothing behind the object"},
		{"{}\n{}", "found '{' at byte 4; expected nothing behind the object"},
		{`{"a":1,}`, "found '}' at byte 8; expected a key, which begins with \""},
		{`{"a":1 "b":2}`, "found '\"' at byte 8; expected a comma or }"},
		{`{"a" 1}`, "found '1' at byte 6; expected a colon behind the key"},
		{`{"a":}`, "found '}' at byte 6; expected a value"},
		{`{"a":[1}`, "found '}' at byte 8; expected a comma or ]"},
		{`{"a":{}`, "found the end at byte 8; expected a comma or }"},
		{`{"a":[{}`, "found the end at byte 9; expected the end of the object or array around the last value"},
		{`{"a":{"b":1]}`, "found ']' at byte 12; expected a comma or }"},
		{`{"a":01}`, "found '1' at byte 7; expected a comma or }"},
		{`{"a":-}`, "found '}' at byte 7; expected a digit of a number"},
		{`{"a":1.}`, "found '}' at byte 8; expected a digit of a number"},
		{`{"a":NaN}`, "found 'N' at byte 6; expected a value"},
		{`{"a":nul}`, "found 'n' at byte 6; expected true, false or null"},
		{`{"a":"\x41"}`, `found "\\x41\"}" at byte 7; expected an escape: \" \\ \/ \b \f \n \r \t or \u and four hexadecimal digits`},
		{"{\"a\":\"\n\"}", `found '\n' at byte 7; expected no control character in a string but as an escape`},
		{"{\"a\":\x00}", `found '\x00' at byte 6; expected a value`},
		{"{\"a\":\xff}", `found the byte 0xff at byte 6; expected a value`},
		{`{"a":` + deep + "}", "found '{' at byte 321; expected at most 64 objects and arrays in each other"},
	} {
		err := scanner(t).Scan([]byte(c.value))
		if err == nil || err.Error() != c.want {
			t.Errorf("%.60q: %v\nexpected %s", c.value, err, c.want)
		}
		var typed *jsonscan.Error
		if !errors.As(err, &typed) {
			t.Errorf("%T", err)
		}
	}
}

// TestInjection says that nothing in a value can begin a line of its own, be it in a
// key, in a string or between tokens.
func TestInjection(t *testing.T) {
	for _, value := range []string{
		"{\"a\":1}\n{\"index\":{\"_index\":\"other\"}}\n{\"b\":2}",
		"{\"a\":1\n}\r\n", "{\r\"a\"\n:\n[\n1\r,\n2\n]\n,\n\"b\":{\n}\n}",
		"{\"a\":\"\n\"}", "{\"a\n\":1}", "{\"a\":\"\\\n\"}", "{\"a\":\"\u2028\u2029\u0085\"}", "{\"a\":\"\\u000a\"}",
	} {
		s := scanner(t)
		if err := s.Scan([]byte(value)); err != nil {
			continue
		}
		got, _ := s.AppendObject(nil)
		if bytes.ContainsAny(got, "\r\n") {
			t.Errorf("%q has become %q", value, got)
		}
	}
}

func TestRepair(t *testing.T) {
	s := scanner(t)
	if err := s.Scan([]byte("{\"a\":\"ä\xff\xc3\", \"\x80\":\"\xed\xa0\x80\"}")); err != nil {
		t.Fatal(err)
	}
	got, replaced := s.AppendObject(nil)
	if want := `{"a":"ä��","�":"���"}`; string(got) != want || replaced != 6 {
		t.Errorf("%s, %d replaced; expected %s", got, replaced, want)
	}
	if len(got) > s.Size() {
		t.Errorf("%d bytes, of at most %d", len(got), s.Size())
	}
}

func TestText(t *testing.T) {
	var scratch []byte
	for value, want := range map[string]string{
		`"plain"`: "plain", `12.5`: "12.5", `null`: "null", `{"a":"\n"}`: `{"a":"\n"}`, `""`: "",
		`"\"\\\/\b\f\n\r\t\u00e4"`:         "\"\\/\b\f\n\r\tä",
		`"\ud83d\ude00\ud83d\u0041\udE00"`: "😀\uFFFDA\uFFFD", "\"\xff\"": "\uFFFD",
	} {
		var text []byte
		text, scratch = jsonscan.Text(scratch, []byte(value))
		if string(text) != want {
			t.Errorf("%s says %q, expected %q", value, text, want)
		}
	}
}

func TestLookup(t *testing.T) {
	object := []byte(`{"a":{"b":{"c":[1]}, "\u0062b":2},"b":"x","d":{}}`)
	for path, want := range map[string]string{
		"a.b.c": "[1]", "a.bb": "2", "b": `"x"`, "d": "{}", "": string(object),
		"c": "-", "b.c": "-", "d.e": "-", "a.b.c.d": "-",
	} {
		keys := strings.Split(path, ".")
		if path == "" {
			keys = nil
		}
		value, found := jsonscan.Lookup(object, keys...)
		if !found {
			value = []byte("-")
		}
		if string(value) != want {
			t.Errorf("%s: %s, expected %s", path, value, want)
		}
	}
}

func TestKeys(t *testing.T) {
	if _, err := jsonscan.NewKeys(make([]string, jsonscan.MaxKeys+1)...); err == nil {
		t.Error("too many keys")
	}
	if _, err := jsonscan.NewKeys("a", "b", "a"); err == nil {
		t.Error("a key twice")
	}
}

func TestNoAllocation(t *testing.T) {
	s := scanner(t)
	clean := []byte(sample)
	dirty := []byte("{\"a\":{\"x\":\"\\u0041\"},\n \"\\u0061\":\"\xff\", \"b\":[1,2]}")
	dst := make([]byte, 0, 4096)
	var scratch []byte
	for name, do := range map[string]func(){
		"clean": func() {
			if err := s.Scan(clean); err == nil {
				dst, _ = s.AppendObject(dst[:0])
			}
		},
		"dirty": func() {
			if err := s.Scan(dirty); err == nil {
				s.Remove(1)
				dst, _, _ = s.AppendMembers(dst[:0])
				_, scratch = jsonscan.Text(scratch, s.Value(0))
				jsonscan.Lookup(dirty, "a", "x")
			}
		},
	} {
		if n := testing.AllocsPerRun(10, do); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// check compares what a scan makes of a value with what encoding/json makes of it.
func check(t interface {
	Helper()
	Fatalf(string, ...any)
}, s *jsonscan.Scanner, value []byte,
) {
	t.Helper()
	err := s.Scan(value)
	if want := isObject(value); (err == nil) != want {
		t.Fatalf("%q: %v; encoding/json says %v", value, err, want)
	}
	if err != nil {
		return
	}
	got, replaced := s.AppendObject(nil)
	if bytes.ContainsAny(got, "\r\n") || !utf8.Valid(got) || len(got) > s.Size() {
		t.Fatalf("%q has become %q", value, got)
	}
	if want := bytes.Count(got, []byte("\uFFFD")) - bytes.Count(value, []byte("\uFFFD")); replaced != want {
		t.Fatalf("%q: %d bytes replaced, counted %d", value, want, replaced)
	}
	var before, after map[string]any
	if err := json.Unmarshal(value, &before); err != nil {
		return // a number beyond float64
	}
	if err := json.Unmarshal(got, &after); err != nil {
		t.Fatalf("%q has become %q: %v", value, got, err)
	}
	if !reflect.DeepEqual(before, after) {
		t.Fatalf("%q has become %q", value, got)
	}
	for i, key := range wanted {
		var v any
		found, is := before[key]
		if s.Value(i) != nil {
			if err := json.Unmarshal(s.Value(i), &v); err != nil {
				t.Fatalf("%q: the value of %q is %q: %v", value, key, s.Value(i), err)
			}
		}
		if is != (s.Value(i) != nil) || !reflect.DeepEqual(v, found) {
			t.Fatalf("%q: the value of %q is %q, expected %v", value, key, s.Value(i), found)
		}
		looked, there := jsonscan.Lookup(bytes.TrimSpace(value), key)
		if there != is || !bytes.Equal(looked, s.Value(i)) {
			t.Fatalf("%q: Lookup of %q: %q", value, key, looked)
		}
	}
	checkPieces(t, s, value)
	checkRemove(t, s, value, before)
}

// checkPieces compares what comes in pieces with what is made at once.
func checkPieces(t interface {
	Helper()
	Fatalf(string, ...any)
}, s *jsonscan.Scanner, value []byte,
) {
	t.Helper()
	want, members, replaced := s.AppendMembers(nil)
	for _, most := range []int{4, 9, 1 << 20} {
		var got []byte
		pieces := 0
		n, bad := s.EachMember(most, func(piece []byte) bool {
			got = append(got, piece...)
			pieces++
			return len(piece) > 0
		})
		if !bytes.Equal(got, want) || n != members || bad != replaced {
			t.Fatalf("%q: in pieces of %d it is %q with %d members, %d replaced; expected %q, %d, %d", value, most, got, n, bad, want, members, replaced)
		}
		for stop := range min(pieces, 5) {
			given := 0
			s.EachMember(most, func([]byte) bool {
				given++
				return given <= stop
			})
			if given != stop+1 {
				t.Fatalf("%q: %d pieces were given after the one at which it was to end", value, given-stop-1)
			}
		}
	}
}

// checkRemove takes the wanted keys out, one after the other.
func checkRemove(t interface {
	Helper()
	Fatalf(string, ...any)
}, s *jsonscan.Scanner, value []byte, want map[string]any,
) {
	t.Helper()
	for i, key := range wanted {
		s.Remove(i)
		delete(want, key)
		checkPieces(t, s, value)
		got, members, _ := s.AppendMembers([]byte("{"))
		var after map[string]any
		if err := json.Unmarshal(append(got, '}'), &after); err != nil || !reflect.DeepEqual(after, want) {
			t.Fatalf("%q without %q has become %q: %v", value, key, got, err)
		}
		if members < len(after) {
			t.Fatalf("%q: %d members in %s", value, members, got)
		}
	}
}

// TestAsEncodingJSON builds values, breaks some of them, and compares.
func TestAsEncodingJSON(t *testing.T) {
	space := rapid.SampledFrom([]string{"", "", "", " ", "\n", "\r\n\t"})
	pieces := rapid.SampledFrom([]string{
		"x", "a", "0123456", "ä", "😀", `\n`, `\u0061`, `\"`, `\\`, `\ud83d\ude00`, `\ud83d`, "\xff", "\xc3", "\n", `\x`, `\u12g4`, "\x7f", "\uFFFD",
	})
	var value func(depth int) *rapid.Generator[string]
	str := rapid.Custom(func(t *rapid.T) string {
		if rapid.IntRange(0, 2).Draw(t, "wanted") == 0 {
			key, _ := json.Marshal(rapid.SampledFrom(wanted).Draw(t, "key"))
			return string(key)
		}
		return `"` + strings.Join(rapid.SliceOfN(pieces, 0, 9).Draw(t, "pieces"), "") + `"`
	})
	scalar := rapid.SampledFrom([]string{
		"0", "-0", "1", "12", "-1.5", "1e5", "2E-3", "1.25e+10", "true", "false", "null", "01", "1.", "-", "+1", ".5", "1e", "tru", "nulls", "NaN",
	})
	object := func(depth int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			text := "{"
			for i := range rapid.IntRange(0, 5).Draw(t, "members") {
				if i > 0 {
					text += ","
				}
				sp := func() string { return space.Draw(t, "space") }
				text += sp() + str.Draw(t, "key") + sp() + ":" + sp() + value(depth-1).Draw(t, "value") + sp()
			}
			return text + space.Draw(t, "space") + "}"
		})
	}
	array := func(depth int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			return "[" + space.Draw(t, "space") + strings.Join(rapid.SliceOfN(value(depth-1), 0, 4).Draw(t, "elements"), ",") + "]"
		})
	}
	value = func(depth int) *rapid.Generator[string] {
		if depth == 0 {
			return rapid.OneOf(str, scalar)
		}
		return rapid.OneOf(str, scalar, object(depth), array(depth))
	}
	s := scanner(t)
	rapid.Check(t, func(t *rapid.T) {
		text := space.Draw(t, "space") + object(3).Draw(t, "object") + space.Draw(t, "space")
		if rapid.IntRange(0, 9).Draw(t, "cut") == 0 {
			text = text[:rapid.IntRange(0, len(text)).Draw(t, "at")]
		}
		check(t, s, []byte(text))
	})
}

func FuzzScan(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("{\"a\":1}\n{\"index\":{}}\n"))
	f.Add([]byte("{\"\xff\":\"\\u0061\\ud800\", \"a\":[{}, {\"b\":-1.5E+3}]}"))
	s := scanner(f)
	f.Fuzz(func(t *testing.T, value []byte) {
		if bytes.Count(value, []byte("{"))+bytes.Count(value, []byte("[")) > jsonscan.MaxDepth || len(value) > 1<<13 {
			return
		}
		check(t, s, value)
		jsonscan.Lookup(value, "a", "b")
		jsonscan.Text(nil, value)
	})
}
