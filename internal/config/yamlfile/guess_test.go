package yamlfile

import (
	"strings"
	"testing"
)

// TestGuesses: mistakes that people make, each told at its place and in words of the
// file, not of the parser's grammar; and no text of the file, which may hold a secret.
func TestGuesses(t *testing.T) {
	const quotes = `expected text in quotes; write " in front of`
	for name, c := range map[string]struct{ text, want string }{
		"a tab":                      {"a:\n\tb: secret\n", "f:2:1: found a tab in front of the text; expected spaces"},
		"a tab behind spaces":        {"a:\n  b: c\n  \td: secret\n", "f:3:3: found a tab in front of the text"},
		"a star":                     {"a:\n- b: **secret\n", "f:2:6: found * at the beginning of text that is not in quotes; " + quotes},
		"a star in braces":           {"a: {b: **, c: secret}\n", "f:1:8: found * at the beginning"},
		"an at":                      {"a: @secret\n", "f:1:4: found @ at the beginning"},
		"behind wide letters":        {"ä: {ö: \"ü\", b: **}\n", "f:1:16: found * at the beginning"},
		"a brace within":             {"a: {b: /{secret}/c}\n", "f:1:9: found { within text that is not in quotes; " + quotes},
		"a variable":                 {"a: {b: ${secret}}\n", "f:1:9: found { within text that is not in quotes; " + quotes},
		"text behind a brace":        {"a:\n  b: {c,d}.secret\n", "f:2:11: found text behind }; expected a comma or the end of the line"},
		"a brace too many":           {"a: {b: secret}}\n", "f:1:15: found } without its beginning; expected as many of them as of {; remove it"},
		"a bracket too many":         {"a: [b]]\n", "f:1:7: found ] without its beginning; expected as many of them as of ["},
		"a brace that is open":       {"a:\n  b: {c: secret\nd: {e: f}\n", "f:2:6: found { without its end; expected a } behind it"},
		"a bracket at the end":       {"a: [", "f:1:4: found [ without its end; expected a ] behind it"},
		"a quote that is open":       {"a: {b: \"secret}\nc: \"}\"\nd: \"e\"\n", "f:1:8: found \" without its end; expected another \" in the same line"},
		"a quote at the end":         {"a: b\nc: 'secret\n", "f:2:4: found ' without its end; expected another ' in the same line"},
		"one space":                  {"a:\n  b: c\n d: secret\n", "f:3:2: found a line that begins with 1 space; expected as many as before a line above it: 0, 2"},
		"behind a dash":              {"a:\n  - b: c\n   d: secret\n", "f:3:4: found a line that begins with 3 spaces; expected as many as before a line above it: 0, 2, 4"},
		"further to the right":       {"a:\n- b: c\n   d: secret\n", "f:3:4: found a line that begins further to the right than the one before it"},
		"two colons":                 {"a:\n  b: c: secret\n", "f:2:7: found a second colon in one line; expected a value in quotes"},
		"no colon":                   {"a:\n  b: c\n  secret\n", "f:3:3: found a line without a colon; expected NAME: VALUE"},
		"no colon at the top":        {"secret\n  b: c\n", "f:1:1: found a line without a colon"},
		"a dash beside names":        {"a:\n- b: c\n  d: e\n  - b: secret\n", "f:4:3: found - beside the names of a map; expected each - of a list below the others"},
		"carriage returns":           {"a:\r\n\tb: secret\r\n", "f:2:1: found a tab in front of the text"},
		"a comment with a brace":     {"a: b # {\nc: {d: secret\ne: f\n", "f:2:4: found { without its end"},
		"an escaped quote before it": {"a: \"\\\"\"\nb: \"secret\n", "f:2:4: found \" without its end"},
	} {
		_, err := Parse("f", []byte(c.text), kind)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		}
	}
}

// FuzzGuess: no text makes a guess fail, or show what is in the text.
func FuzzGuess(f *testing.F) {
	f.Add("a: [\n\tb: \"}\n")
	f.Add("- {a: **\n : }]\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := Parse("f", []byte(text), kind)
		if err != nil && strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("%q", err)
		}
	})
}
