package multiline

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// knownDirectives is what an error offers in the place of an unknown one.
const knownDirectives = "%a %A %b %B %d %D %e %f %F %h %H %I %j %L %m %M %p %R %S %T %w %y %Y %z %Z, and %% for a percent sign"

// directive returns the regular expression of the directive of a letter. Each
// accepts what strftime(3) prints for it in the C locale, and what the awslogs
// driver of Docker accepts for it, without that driver's slips: its classes
// also match a comma, its day of the year misses 010, 020 … 350, its %Z
// misses UTC. Three are not strftime's: %f is six digits of a fraction of a
// second, %L is three, with or without the dot before them, and %I takes 00,
// which formats that count the hours from 0 to 11 print.
func directive(letter rune) (expression string, ok bool) {
	switch letter {
	case 'a':
		return `Mon|Tue|Wed|Thu|Fri|Sat|Sun`, true
	case 'A':
		return `Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday`, true
	case 'b', 'h':
		return `Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec`, true
	case 'B':
		return `January|February|March|April|May|June|July|August|September|October|November|December`, true
	case 'd':
		return `0[1-9]|[12][0-9]|3[01]`, true
	case 'e':
		return ` [1-9]|[12][0-9]|3[01]`, true
	case 'f':
		return `[0-9]{6}`, true
	case 'H':
		return `[01][0-9]|2[0-3]`, true
	case 'I':
		return `0[0-9]|1[0-2]`, true
	case 'j':
		return `00[1-9]|0[1-9][0-9]|[12][0-9][0-9]|3[0-5][0-9]|36[0-6]`, true
	case 'L':
		return `\.?[0-9]{3}`, true
	case 'm':
		return `0[1-9]|1[0-2]`, true
	case 'M':
		return `[0-5][0-9]`, true
	case 'p':
		return `[AP]M`, true
	case 'S':
		return `[0-5][0-9]|60`, true
	case 'w':
		return `[0-6]`, true
	case 'y':
		return `[0-9]{2}`, true
	case 'Y':
		return `[0-9]{4}`, true
	case 'z':
		return `[+-][0-9]{4}`, true
	case 'Z':
		// An abbreviation of the zone database: EST, CEST, ChST, UTC, -03, +0545.
		return `[A-Z][A-Za-z]?[A-Z]{1,4}|[+-][0-9]{2}(?:[0-9]{2})?`, true
	}
	return "", false
}

// shorthand returns the directives that a letter stands for, as in strftime.
func shorthand(letter rune) (format string, ok bool) {
	switch letter {
	case 'D':
		return "%m/%d/%y", true
	case 'F':
		return "%Y-%m-%d", true
	case 'R':
		return "%H:%M", true
	case 'T':
		return "%H:%M:%S", true
	}
	return "", false
}

// FromDatetimeFormat compiles the value of awslogs-datetime-format: a line
// starts an event if it contains a time of this format anywhere.
//
// The format is that of strftime, with the directives %a %A %b %B %d %D %e %f
// %F %h %H %I %j %L %m %M %p %R %S %T %w %y %Y %z %Z, and %% for a percent
// sign. Any other is an error; Docker's awslogs driver drops it silently. What
// stands outside the directives is a part of a regular expression, as it is
// for that driver, so that its option values keep their meaning: a literal
// bracket is written \[, a dot also matches any other character, and ^ ties
// the time to the start of the line. A directive is one element of that
// expression: %Z? makes the zone optional. A directive between brackets, where
// it cannot have a meaning, is an error.
//
// A format that starts with a directive is looked for in all of every line, at
// some 20 ns a byte. With ^ before it a line that does not match costs tens of
// nanoseconds.
func FromDatetimeFormat(format string) (*regexp.Regexp, error) {
	if err := checkLength(format); err != nil {
		return nil, fmt.Errorf("translate datetime format %.64q: %w", format, err)
	}
	var out strings.Builder
	if err := translate(&out, format); err != nil {
		return nil, fmt.Errorf("translate datetime format %.64q: %w", format, err)
	}
	re, err := compile(out.String())
	if err != nil {
		return nil, fmt.Errorf("translate datetime format %.64q: %w; the text between its directives is a regular expression, "+
			`in which a literal bracket, parenthesis, dot, star or plus is written with a \ before it`, format, err)
	}
	return re, nil
}

// translate writes the format to out with its directives as groups.
func translate(out *strings.Builder, format string) error {
	for rest := format; rest != ""; {
		n := 1
		switch {
		case strings.HasPrefix(rest, `\Q`):
			// Between \Q and \E all is literal, a percent sign too.
			n = cutAfter(rest, `\E`)
			out.WriteString(rest[:n])
		case rest[0] == '\\':
			n = escapeLen(rest)
			out.WriteString(rest[:n])
		case rest[0] == '[':
			n = classLen(rest)
			if err := translateClass(out, rest[:n]); err != nil {
				return err
			}
		case rest[0] == '%':
			letter, size := utf8.DecodeRuneInString(rest[1:])
			if size == 0 {
				return fmt.Errorf("it ends in a single %%, expected one of %s", knownDirectives)
			}
			if err := translateDirective(out, letter); err != nil {
				return err
			}
			n += size
		default:
			out.WriteByte(rest[0])
		}
		rest = rest[n:]
	}
	return nil
}

// translateDirective writes a directive as a group, so that a repetition or
// an alternation beside it applies to all of it.
func translateDirective(out *strings.Builder, letter rune) error {
	if letter == '%' {
		out.WriteByte('%')
		return nil
	}
	if long, ok := shorthand(letter); ok {
		out.WriteString("(?:")
		err := translate(out, long)
		out.WriteByte(')')
		return err
	}
	expression, ok := directive(letter)
	if !ok {
		return fmt.Errorf("found %%%c, expected one of %s", letter, knownDirectives)
	}
	out.WriteString("(?:" + expression + ")")
	return nil
}

// translateClass writes a character class, in which a directive would be taken
// for its letters: a format such as [%H:%M] is a slip that would otherwise
// compile and match nearly every line.
func translateClass(out *strings.Builder, class string) error {
	for i := 0; i < len(class); i++ {
		switch class[i] {
		case '\\':
			n := escapeLen(class[i:])
			out.WriteString(class[i : i+n])
			i += n - 1
			continue
		case '%':
			if !strings.HasPrefix(class[i:], "%%") {
				return fmt.Errorf(`found %.32q, a %% inside brackets, which make a set of characters: write \[ for a literal bracket, or %%%% for a percent sign`, class)
			}
			i++
		}
		out.WriteByte(class[i])
	}
	return nil
}

// cutAfter returns the length of s up to and with the first end, or of all s.
func cutAfter(s, end string) int {
	if i := strings.Index(s, end); i >= 0 {
		return i + len(end)
	}
	return len(s)
}

// escapeLen returns the length of the backslash that s starts with and the
// character behind it, which it makes literal or gives a meaning of its own.
func escapeLen(s string) int {
	_, size := utf8.DecodeRuneInString(s[1:])
	return 1 + size
}

// classLen returns the length of the character class that s starts with, by
// the rules of Go's regular expressions: a ] that comes first is literal, and
// so is one behind a backslash or in a name such as [:digit:]. A class without
// an end reaches to the end of s; compiling then says so.
func classLen(s string) int {
	i := 1
	if strings.HasPrefix(s[i:], "^") {
		i++
	}
	if strings.HasPrefix(s[i:], "]") {
		i++
	}
	for i < len(s) {
		switch {
		case s[i] == ']':
			return i + 1
		case s[i] == '\\':
			i += escapeLen(s[i:])
		case strings.HasPrefix(s[i:], "[:"):
			i += 2
			if end := strings.Index(s[i:], ":]"); end >= 0 {
				i += end + 2
			}
		default:
			i++
		}
	}
	return i
}
