package runfile

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spillway/spillway/internal/config/setting"
	"github.com/spillway/spillway/internal/config/yamlfile"
)

// place is a map of the file that a table describes.
type place struct {
	where string // "FILE:LINE:COLUMN"
	what  string // such as "a sink of type file"
	// section is what "spillway check options" calls the table, where it has a name of its own.
	section string
	// other, if it is set, knows the options of other programs, and what has their place.
	other func(name string) (of, expected string, ok bool)
}

// given is where each option of a map stands, by its name.
type given map[string]string

func (g given) has(name string) bool { return g[name] != "" }

// any returns the first of the names that is there.
func (g given) any(names ...string) (name, where string, found bool) {
	for _, name := range names {
		if g.has(name) {
			return name, g[name], true
		}
	}
	return "", "", false
}

const fileSuffix = "-file"

// named returns the row of that name; that of a secret also under the name with
// -file behind it.
func named[T any](rows []row[T], name string) *row[T] {
	for i := range rows {
		o := &rows[i]
		if o.Name == name || o.Kind == setting.Secret && o.Name+fileSuffix == name {
			return o
		}
	}
	return nil
}

// names returns what may stand in the map.
func names[T any](rows []row[T]) []string {
	var all []string
	for i := range rows {
		all = append(all, rows[i].Name)
		if rows[i].Kind == setting.Secret {
			all = append(all, rows[i].Name+fileSuffix)
		}
	}
	return all
}

// read fills t from the entries of a map, and from the defaults for what is not
// there. It returns which options the map has.
func read[T any](p *parser, t *T, at place, rows []row[T], entries []yamlfile.Entry) given {
	have := given{}
	for _, e := range entries {
		r := named(rows, e.Name)
		if r == nil {
			p.unknownOption(e, at, names(rows))
			continue
		}
		if have.has(r.Name) {
			p.problem(e.Where, "the option "+r.Name+" twice, here and at "+have[r.Name], "each option once", "remove one of the two")
			continue
		}
		have[r.Name] = e.Where
		readOption(p, t, r, e)
	}
	for i := range rows {
		r := &rows[i]
		switch {
		case have.has(r.Name):
		case r.From != "" && p.fallback(r.From) != "":
			// The table there has checked it.
			p.fill(r.Name, r.preset(p, t, r.From, p.fallback(r.From)))
		case r.Default != "":
			p.fill(r.Name, r.preset(p, t, r.Name, r.Default))
		case r.Required:
			p.problem(at.where, "no "+r.Name, at.what+" with the option "+r.Name, "")
		}
	}
	return have
}

// unknownOption tells of an option that there is not, or not by that name.
func (p *parser) unknownOption(e yamlfile.Entry, at place, valid []string) {
	if at.other != nil {
		if of, expected, ok := at.other(e.Name); ok {
			p.problem(e.Where, "the option "+setting.Quote(e.Name)+" of "+of, expected, "")
			return
		}
	}
	p.unknown(e.Where, "option", e.Name, "an option of "+at.what, at.section, valid)
}

// fallback is what the section defaults says about an option.
func (p *parser) fallback(name string) string {
	text, _, _ := p.node.Default(name)
	return text
}

// fill panics where a default is refused, which a test of the tables rules out.
func (p *parser) fill(name, expected string) {
	if expected != "" {
		panic("BUG: the default of " + name + " is not " + expected)
	}
}

// preset takes a text that comes from no place in a map.
func (r *row[T]) preset(p *parser, t *T, name, text string) string {
	v := value{Value: setting.Value{Text: text}, node: node{name: name}}
	return r.take(p, t, v)
}

// take converts, checks and sets.
func (r *row[T]) take(p *parser, t *T, v value) string {
	if r.Kind != setting.Secret {
		if expected := v.Convert(r.Kind, r.Enum, r.synonyms); expected != "" {
			return expected
		}
	}
	if r.check != nil {
		if expected := r.check(v.Value); expected != "" {
			return expected
		}
	}
	return r.set(p, t, v)
}

// readOption takes one option of a map.
func readOption[T any](p *parser, t *T, r *row[T], e yamlfile.Entry) {
	values, isList := yamlfile.List(e.Value)
	if !r.List || !isList {
		readValue(p, t, r, node{e.Value, e.Name})
		return
	}
	if len(values) == 0 {
		p.problem(p.where(node{e.Value, e.Name}), "an empty list", "at least one value", "write one, or remove the line")
	}
	for _, one := range values {
		readValue(p, t, r, node{one, e.Name})
	}
}

func readValue[T any](p *parser, t *T, r *row[T], n node) {
	if r.read != nil {
		r.read(p, t, n)
		return
	}
	v, ok := p.scalar(n, r.Kind == setting.Secret)
	if !ok {
		return
	}
	if r.Kind == setting.Secret {
		if v.secret, ok = p.secret(n, v.Text, n.name != r.Name); !ok {
			return
		}
	}
	if expected := r.take(p, t, v); expected != "" {
		p.problem(p.where(n), shown(v.Text), expected, "")
	}
}

// shown is setting.Quote, but for what may hold a password as URLs do.
func shown(text string) string {
	if strings.ContainsRune(text, '@') {
		return setting.NotShown
	}
	return setting.Quote(text)
}

// variable is the way to write a variable of the environment.
var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// scalar takes a plain value. What may be a secret is not shown.
func (p *parser) scalar(n node, secret bool) (value, bool) {
	text, ok := yamlfile.Scalar(n.Node)
	switch {
	case !ok || text == "":
		p.problem(p.where(n), yamlfile.Describe(n.Node), "a single value", "write one behind the name, or remove the line")
		return value{}, false
	case !secret && variable.MatchString(text):
		p.problem(p.where(n), setting.Quote(text), "a value without variables",
			"write the value itself: only secrets come from the environment; for what a name takes from a record write {tag}, or in index {record[FIELD]}")
		return value{}, false
	case strings.ContainsRune(text, 0):
		p.problem(p.where(n), "a zero byte", "text", "")
		return value{}, false
	}
	return value{Value: setting.Value{Text: text}, node: n}, true
}

// secret reads where a secret is, which is all that the file may say about it.
func (p *parser) secret(n node, text string, inFile bool) (Secret, bool) {
	s := Secret{Where: p.where(n)}
	if inFile {
		if variable.MatchString(text) {
			p.problem(p.where(n), setting.Quote(text), "the path of a file", "")
			return s, false
		}
		s.File = p.absolute(text)
		return s, true
	}
	if m := variable.FindStringSubmatch(text); m != nil && m[0] == text {
		s.Variable = m[1]
		return s, true
	}
	p.problem(p.where(n), setting.NotShown, "${NAME}, where NAME is a variable of the environment",
		"set the secret there, or write it to a file and name that with "+n.name+fileSuffix+
			": more people read a configuration than a secret should be known to")
	return s, false
}

// entriesOf returns the entries of a map without those that are taken elsewhere.
func (p *parser) entriesOf(n node, expected string, without ...string) []yamlfile.Entry {
	entries := p.file.Entries(n.Node, n.name, expected, &p.problems.Problems)
	return slices.DeleteFunc(entries, func(e yamlfile.Entry) bool { return slices.Contains(without, e.Name) })
}

// readMap reads a value that is a map.
func readMap[T any](p *parser, n node, what string, rows []row[T]) (T, bool) {
	var t T
	if !yamlfile.IsMap(n.Node) {
		p.problem(p.where(n), "something else than a map", "a map with the options "+setting.Or(names(rows)), "")
		return t, false
	}
	read(p, &t, place{where: p.file.At(n.Node), what: what}, rows, p.entriesOf(n, ""))
	return t, true
}
