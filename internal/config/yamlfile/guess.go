package yamlfile

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/spillway/spillway/internal/config/setting"
)

// source is a text that is no YAML, for guesses at what is wrong. The parser says where
// it gave up, which may be lines behind the mistake, and in words of its grammar.
// Nothing of the text is shown but single marks: it may hold a secret.
type source struct {
	path string
	// lines have one byte for each character, as columns count them.
	lines []string
}

func newSource(path string, text []byte) *source {
	plain := strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return 'x'
		}
		return r
	}, strings.ReplaceAll(string(text), "\r\n", "\n"))
	return &source{path: path, lines: strings.Split(plain, "\n")}
}

// guess says what is probably wrong where the parser gave up, at a line and a column from
// 1, with that message; nil where it knows no better.
func (s *source) guess(line, column int, message string) *setting.Problem {
	if line < 1 || line > len(s.lines) {
		return nil
	}
	for _, look := range []func(line, column int, message string) *setting.Problem{
		s.tab, s.openQuote, s.mark, s.bracket, s.openBracket, s.colon, s.indent,
	} {
		if p := look(line, column, message); p != nil {
			return p
		}
	}
	return nil
}

func (s *source) problem(line, column int, found, expected, do string) *setting.Problem {
	return &setting.Problem{Where: fmt.Sprintf("%s:%d:%d", s.path, line, column), Found: found, Expected: expected, Do: do}
}

// tab: YAML takes none in front of a line.
func (s *source) tab(line, _ int, _ string) *setting.Problem {
	text := s.lines[line-1]
	front := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
	if at := strings.IndexByte(front, '\t'); at >= 0 {
		return s.problem(line, at+1, "a tab in front of the text", "spaces", "replace each tab by spaces; YAML takes none there")
	}
	return nil
}

// openQuote: the parser reads on to the next quote, lines below.
func (s *source) openQuote(line, _ int, message string) *setting.Problem {
	var q *opened
	if strings.Contains(message, "end character of") {
		q = s.scan(len(s.lines)).quote
	} else if found := s.scan(line); found.end == line {
		q = found.ended
	}
	if q != nil {
		return s.problem(q.line, q.column, string(q.what)+" without its end", "another "+string(q.what)+" in the same line", "")
	}
	return nil
}

// at is the character at a column, from 1, or 0.
func (s *source) at(line, column int) byte {
	if text := s.lines[line-1]; column >= 1 && column <= len(text) {
		return text[column-1]
	}
	return 0
}

// mark: text that begins with a mark which means something to YAML.
func (s *source) mark(line, column int, _ string) *setting.Problem {
	for column > 1 && !strings.ContainsRune(" \t[{,", rune(s.at(line, column-1))) {
		column--
	}
	if c := s.at(line, column); c != 0 && strings.IndexByte("*&!@%`", c) >= 0 {
		return s.problem(line, column, string(c)+" at the beginning of text that is not in quotes", "text in quotes",
			`write " in front of it and behind it: to YAML the mark means something else`)
	}
	return nil
}

// bracket: one too many, text behind one, or one within text.
func (s *source) bracket(line, column int, _ string) *setting.Problem {
	const inQuotes = `write " in front of all of it and behind it`
	here, before := s.at(line, column), s.at(line, column-1)
	switch {
	case (here == '}' || here == ']') && len(s.scanTo(line, column).open) == 0:
		return s.problem(line, column, string(here)+" without its beginning", "as many of them as of "+string(opening(here)), "remove it")
	case (before == '}' || before == ']') && here != 0 && !strings.ContainsRune(" ,}]", rune(here)):
		return s.problem(line, column, "text behind "+string(before), "a comma or the end of the line", inQuotes)
	case (here == '{' || here == '[') && before != 0 && !strings.ContainsRune(" \t[{,", rune(before)):
		return s.problem(line, column, string(here)+" within text that is not in quotes", "text in quotes", inQuotes)
	}
	return nil
}

func opening(c byte) byte { return map[byte]byte{'}': '{', ']': '['}[c] }

// openBracket: the parser misses its end lines below.
func (s *source) openBracket(line, _ int, message string) *setting.Problem {
	if !strings.Contains(message, "must be specified") && !strings.Contains(message, "not found") {
		return nil
	}
	open := s.scan(line - 1).open
	if len(open) == 0 {
		open = s.scan(line).open
	}
	if len(open) == 0 {
		return nil
	}
	o := open[len(open)-1]
	end := map[byte]byte{'{': '}', '[': ']'}[o.what]
	return s.problem(o.line, o.column, string(o.what)+" without its end", "a "+string(end)+" behind it", "")
}

// colon: one too many in a line, none, or a line that belongs to a value.
func (s *source) colon(line, _ int, message string) *setting.Problem {
	text := s.lines[line-1]
	key, value, has := strings.Cut(text, ":")
	front := len(text) - len(strings.TrimLeft(text, " ")) + 1
	switch {
	case strings.Contains(message, "mapping value is not allowed"):
		if second := strings.Index(value, ": "); second >= 0 {
			return s.problem(line, len(key)+second+2, "a second colon in one line", "a value in quotes, if the colon belongs to it", `write " in front of the value and behind it`)
		}
		if line < len(s.lines) && has && strings.TrimSpace(value) != "" {
			return s.problem(line+1, s.front(line+1)+1, "a line that begins further to the right than the one before it, which has its value already",
				"it to begin where the name before it begins", "move it to the left")
		}
	case !strings.Contains(message, "unexpected key name") && !strings.Contains(message, "non-map value"):
	case !has:
		return s.problem(line, front, "a line without a colon", "NAME: VALUE", "write a colon and a space behind the name")
	case strings.HasPrefix(strings.TrimLeft(text, " "), "- "):
		return s.problem(line, front, "- beside the names of a map", "each - of a list below the others", "move the line to where the - before it is")
	}
	return nil
}

// front is how many spaces a line begins with.
func (s *source) front(line int) int {
	text := s.lines[line-1]
	return len(text) - len(strings.TrimLeft(text, " "))
}

// indent: a line that begins where none before it does.
func (s *source) indent(line, _ int, message string) *setting.Problem {
	if !strings.Contains(message, "not allowed in this context") {
		return nil
	}
	var fronts []int
	for before := range line - 1 {
		text, front := s.lines[before], s.front(before+1)
		for rest := text[front:]; rest != "" && rest[0] != '#'; {
			fronts = append(fronts, front)
			inner, dash := strings.CutPrefix(rest, "- ")
			if !dash {
				break
			}
			front += len(rest) - len(strings.TrimLeft(inner, " "))
			rest = strings.TrimLeft(inner, " ")
		}
	}
	slices.Sort(fronts)
	fronts = slices.Compact(fronts)
	front := s.front(line)
	if len(fronts) == 0 || slices.Contains(fronts, front) {
		return nil
	}
	var all []string
	for _, n := range fronts {
		all = append(all, fmt.Sprint(n))
	}
	return s.problem(line, front+1, "a line that begins with "+spaces(front),
		"as many as before a line above it: "+strings.Join(all, ", "), "move it to where those begin to which it belongs")
}

func spaces(n int) string {
	if n == 1 {
		return "1 space"
	}
	return fmt.Sprint(n, " spaces")
}
