package config

import (
	"strings"

	"github.com/spillway/spillway/internal/config/setting"
)

// ParseArgs reads the arguments of a containerd logger, argv without the name
// of the program, into settings in their order.
//
// containerd hands over each key and value of the log URI as two arguments, in
// the random order of a map, and an empty argument where a key has no value.
// So that every such URI means what it says, the table decides what belongs
// together:
//
//   - --flag value, --flag=value and both with a single dash are the same;
//   - an empty argument after a key is its absent value: true for a boolean,
//     unset for any other option, and it never lets the key take the argument
//     after it; behind --flag=value it is ignored;
//   - a boolean takes the next argument unless that is an option, and is true
//     without one, so that --flag false really means false;
//   - any other option takes the next argument whatever it looks like, because
//     values may begin with a dash, unless it is exactly the name of a known
//     option with its dashes: then the value was forgotten, and that is an error.
//
// Unknown names are returned too; Resolve knows the nearest valid one. The
// settings are good even where the error is not nil.
func ParseArgs(argv []string) ([]Setting, error) {
	p := argParser{argv: argv}
	for p.next < len(p.argv) {
		p.one()
	}
	return p.settings.list, p.problems.Err()
}

type argParser struct {
	argv     []string
	next     int
	settings settings
	problems setting.Problems
}

// one consumes one option with its value.
func (p *argParser) one() {
	arg := p.argv[p.next]
	p.next++
	if arg == "" {
		return // The absent value of an option that has one already.
	}
	name, text, ok := splitOption(arg)
	if !ok {
		p.problems.Add(&Problem{Where: "the arguments", Found: "the unexpected argument " + setting.Quote(arg),
			Expected: "options such as --log-driver awslogs", Do: "write every value behind its option"})
		return
	}
	o, known := Lookup(name)
	switch {
	case text != nil:
		p.add(&o, name, *text)
	case !known || o.Kind == KindBool:
		p.add(&o, name, p.optionalValue())
	default:
		p.value(&o)
	}
}

// optionalValue takes the next argument unless it is another option. For an
// unknown name this is a guess, which keeps one typing error from becoming two.
func (p *argParser) optionalValue() string {
	if p.next == len(p.argv) || strings.HasPrefix(p.argv[p.next], "-") {
		return ""
	}
	p.next++
	return p.argv[p.next-1]
}

// value takes the next argument as the value of an option that needs one.
func (p *argParser) value(o *Option) {
	found := "the end of the arguments"
	if p.next < len(p.argv) {
		text := p.argv[p.next]
		if !isOptionName(text) {
			p.next++
			p.add(o, o.Name, text)
			return
		}
		found = "the option " + text
	}
	p.problems.Add(&Problem{Where: "--" + o.Name, Found: found, Expected: "its value",
		Do: "write --" + o.Name + "=VALUE"})
}

// add keeps a setting. An empty text is the absent value.
func (p *argParser) add(o *Option, name, text string) {
	if text == "" && o.Kind == KindBool {
		text = "true"
	}
	if text == "" && o.Name != "" {
		return
	}
	if problem := p.settings.add(Setting{Name: name, Value: text}); problem != nil {
		p.problems.Add(problem)
	}
}

// splitOption takes "--name", "-name", "--name=text" or "-name=text" apart;
// text is nil where there is no equals sign.
func splitOption(arg string) (name string, text *string, ok bool) {
	name = strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
	if name == arg || name == "" || name[0] == '-' || name[0] == '=' {
		return "", nil, false
	}
	if before, after, found := strings.Cut(name, "="); found {
		return before, &after, true
	}
	return name, nil, true
}

// isOptionName reports whether an argument is exactly a known name with dashes.
func isOptionName(arg string) bool {
	name, text, ok := splitOption(arg)
	return ok && text == nil && indexOf(name) >= 0
}

// settings is a list in which every known option stands once, under either of
// its names.
type settings struct {
	list  []Setting
	first []int // by row of the table: where in the list, counted from 1
}

// add appends a setting, or says that it is a repetition.
func (s *settings) add(one Setting) *Problem {
	if row := indexOf(canonicalName(one.Name)); row >= 0 {
		if s.first == nil {
			s.first = make([]int, len(table))
		}
		if at := s.first[row]; at > 0 {
			return twice(s.list[at-1], one)
		}
		s.first[row] = len(s.list) + 1
	}
	s.list = append(s.list, one)
	return nil
}

// twice is the problem of a known option that is repeated.
func twice(first, second Setting) *Problem {
	o := &table[indexOf(canonicalName(second.Name))]
	found := "it twice: " + show(o, first.Value) + " and " + show(o, second.Value)
	if first.Name != second.Name {
		found = "it twice under two names: --" + first.Name + " " + show(o, first.Value) +
			" and --" + second.Name + " " + show(o, second.Value)
	}
	return &Problem{Where: "--" + second.Name, Found: found, Expected: "each option once", Do: "remove one of the two"}
}

// canonicalName maps a second spelling to the first; unknown names stay.
func canonicalName(name string) string {
	if i := indexOf(name); i >= 0 {
		return table[i].canonical()
	}
	return name
}
