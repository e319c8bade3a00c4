// Package match is fluentd's pattern language for tags, in which routes say what
// they take.
//
// A tag has parts with dots between. In a pattern
//
//   - * stands for any characters of one part, also for none;
//   - ** stands for any characters at all; "a.**" takes "a" and all below it, and
//     "**.a" takes "a" and all that end in ".a";
//   - {x,y} stands for either, and may hold patterns and braces;
//   - \ takes the meaning from the character behind it;
//   - /re/ is a regular expression (RE2) for the whole tag;
//   - white space separates patterns of which one is enough.
//
// Wherever fluentd accepts a pattern, this package takes the same tags, but for
// these: what fluentd passes over without a word is an error here (a brace without
// its partner, a dot or a backslash at the end, a comma outside of braces, embedded
// Ruby code); a regular expression is tied to both ends of the tag, of which
// fluentd forgets one where it begins or ends with an alternative; and RE2 has no
// look-around and no back-references.
//
// A match takes time proportional to the length of the tag times that of the
// patterns, whatever they are, and remembers nothing: who matches the same tags
// again and again keeps the answers. The package imports the standard library
// alone. Its callers are the configuration and the router.
package match

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// The limits of patterns.
const (
	// MaxPattern is the longest pattern, in bytes.
	MaxPattern = 1024
	// MaxPatterns is how many patterns one Matcher takes.
	MaxPatterns = 1000
	// maxInstructions bounds the program of a Matcher, and with it the time of a
	// match.
	maxInstructions = 32 << 10
)

// Matcher is a compiled list of patterns. It is never changed and may be used by
// any number of goroutines.
type Matcher struct {
	patterns []string
	all      bool    // one of the patterns takes every tag
	program  program // of all patterns that are no regular expressions
	regexps  []*regexp.Regexp
}

// Error says what is wrong with a pattern.
type Error struct {
	Pattern  string
	Offset   int    // in bytes
	Found    string // quoted where it is text of the pattern
	Expected string
	Do       string // may be empty
}

// Error returns "pattern …: found … at …; expected …; what to do".
func (e *Error) Error() string {
	text := fmt.Sprintf("pattern %s: found %s at character %d; expected %s", shorten(e.Pattern), e.Found, e.Offset+1, e.Expected)
	if e.Do != "" {
		text += "; " + e.Do
	}
	return text
}

func shorten(text string) string {
	if len(text) > 100 {
		return strconv.Quote(text[:100]) + "…"
	}
	return strconv.Quote(text)
}

// Compile compiles patterns, each of which may be several with white space
// between. There must be at least one. All errors are *Error.
func Compile(patterns ...string) (*Matcher, error) {
	m := &Matcher{}
	for _, text := range patterns {
		m.patterns = append(m.patterns, strings.Fields(text)...)
	}
	switch {
	case len(m.patterns) == 0:
		return nil, &Error{Found: "nothing", Expected: "a pattern such as app.** or **"}
	case len(m.patterns) > MaxPatterns:
		return nil, &Error{Pattern: m.patterns[0], Found: strconv.Itoa(len(m.patterns)) + " patterns", Expected: "at most " + strconv.Itoa(MaxPatterns)}
	}
	var trees [][]node
	for _, pattern := range m.patterns {
		if len(pattern) > MaxPattern {
			return nil, &Error{Pattern: pattern, Offset: MaxPattern, Found: strconv.Itoa(len(pattern)) + " bytes", Expected: "at most " + strconv.Itoa(MaxPattern)}
		}
		if pattern[0] == '/' {
			re, err := compileRegexp(pattern)
			if err != nil {
				return nil, err
			}
			m.regexps = append(m.regexps, re)
			continue
		}
		tree, err := parse(pattern)
		if err != nil {
			return nil, err
		}
		trees = append(trees, tree)
		m.all = m.all || pattern == "**"
	}
	if len(trees) > 0 {
		m.program = compile(trees)
	}
	if len(m.program) > maxInstructions {
		return nil, &Error{Pattern: m.patterns[0], Found: "patterns that are too large together", Expected: "fewer or shorter ones"}
	}
	return m, nil
}

// compileRegexp compiles a pattern that begins with a slash.
func compileRegexp(pattern string) (*regexp.Regexp, *Error) {
	inner, closed := strings.CutSuffix(pattern[1:], "/")
	if !closed {
		return nil, &Error{Pattern: pattern, Found: `"/" without its end`, Expected: "a regular expression between two slashes, without white space", Do: `write \s for white space and \/ for a slash at the beginning`}
	}
	// By itself first: what is put around it is not the owner's.
	_, err := regexp.Compile(inner)
	if err == nil {
		var re *regexp.Regexp
		if re, err = regexp.Compile(`\A(?:` + inner + `)\z`); err == nil {
			return re, nil
		}
	}
	problem := &Error{Pattern: pattern, Offset: 1, Found: "a regular expression that cannot be read (" + err.Error() + ")", Expected: "RE2 syntax"}
	var at *syntax.Error
	if errors.As(err, &at) {
		problem.Found = string(at.Code) + " in a regular expression: " + shorten(at.Expr)
		problem.Offset = max(1, strings.Index(pattern, at.Expr))
		if at.Code == syntax.ErrInvalidPerlOp {
			problem.Expected += ", which has no look-around"
			problem.Do = "write what it takes, or let an earlier route take what it must not"
		}
	}
	return nil, problem
}

// Match reports whether one of the patterns takes the tag.
func (m *Matcher) Match(tag string) bool {
	if m.all || m.program != nil && m.program.match(tag) {
		return true
	}
	for _, re := range m.regexps {
		if re.MatchString(tag) {
			return true
		}
	}
	return false
}

// Patterns returns the patterns, each by itself, as they were written.
func (m *Matcher) Patterns() []string { return slices.Clone(m.patterns) }

// String returns the patterns with a space between.
func (m *Matcher) String() string { return strings.Join(m.patterns, " ") }
