package convert

import (
	"fmt"
	"strings"
)

// section is a part of a configuration of fluentd: <name argument> … </name>.
type section struct {
	name, argument string
	line           int // where it begins, from 1
	params         []param
	sections       []*section
}

// param is one line of a section, its value without quotes and comments.
type param struct{ name, value string }

// get returns a parameter; the last one of a name holds.
func (s *section) get(name string) (value string, found bool) {
	for _, p := range s.params {
		if p.name == name {
			value, found = p.value, true
		}
	}
	return value, found
}

// typed is the type of a plugin; older files write it without the @.
func (s *section) typed() string {
	if t, ok := s.get("@type"); ok {
		return t
	}
	t, _ := s.get("type")
	return t
}

// head is the line that begins it.
func (s *section) head() string { return "<" + oneLine(strings.TrimSpace(s.name+" "+s.argument)) + ">" }

// maxDeep is how deep sections may stand within each other.
const maxDeep = 16

// parseFluentd reads a file as fluentd's format v1 has it, as far as one can who does not run Ruby and does not follow
// @include: the lines of that are parameters of their section.
func parseFluentd(file string, content []byte) (*section, error) {
	root := &section{}
	open := []*section{root}
	number := 0
	for text := range strings.Lines(string(content)) {
		number++
		text = strings.TrimSpace(text)
		top := open[len(open)-1]
		switch {
		case text == "" || text[0] == '#':
		case strings.HasPrefix(text, "</"):
			name := strings.TrimSpace(strings.TrimSuffix(text[2:], ">"))
			if len(open) == 1 || name != top.name {
				return nil, fmt.Errorf("%s:%d: found %s; expected the end of a section that is open", file, number, oneLine(text))
			}
			open = open[:len(open)-1]
		case text[0] == '<':
			inner, _, closed := strings.Cut(text[1:], ">")
			if !closed || len(open) > maxDeep {
				return nil, fmt.Errorf("%s:%d: found %s; expected a section such as <match app.**>, at most %d within each other", file, number, oneLine(text), maxDeep)
			}
			name, argument, _ := strings.Cut(strings.TrimSpace(inner), " ")
			s := &section{name: name, argument: strings.TrimSpace(argument), line: number}
			top.sections = append(top.sections, s)
			open = append(open, s)
		default:
			name, value := text, ""
			if at := strings.IndexAny(text, " \t"); at > 0 {
				name, value = text[:at], fluentdValue(strings.TrimSpace(text[at:]))
			}
			top.params = append(top.params, param{name, value})
		}
	}
	if len(open) > 1 {
		last := open[len(open)-1]
		return nil, fmt.Errorf("%s:%d: found %s without its end; expected </%s>", file, last.line, last.head(), oneLine(last.name))
	}
	return root, nil
}

// fluentdValue takes quotes and a comment off a value.
func fluentdValue(text string) string {
	if text == "" {
		return ""
	}
	switch quote := text[0]; quote {
	case '"', '\'':
		var out strings.Builder
		for i := 1; i < len(text); i++ {
			switch {
			case text[i] == quote:
				return out.String()
			case text[i] == '\\' && i+1 < len(text):
				i++
			}
			out.WriteByte(text[i])
		}
		return text
	case '[', '{': // JSON, which may have a # in it
		return text
	}
	if at := strings.Index(text, " #"); at >= 0 {
		text = text[:at]
	}
	return strings.TrimSpace(text)
}

// walk calls visit for each section below s, those around it first.
func (s *section) walk(visit func(*section)) {
	for _, one := range s.sections {
		visit(one)
		one.walk(visit)
	}
}

// searchTypes are the types of outputs that the search sink replaces.
var searchTypes = []string{"elasticsearch", "elasticsearch_dynamic", "elasticsearch_data_stream", "opensearch", "opensearch_data_stream"}
