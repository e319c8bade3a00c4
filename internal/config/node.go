package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxNodeBytes bounds the node file. A real one has a few lines; the parser's
// time grows with the square of the nesting.
const maxNodeBytes = 64 << 10

// Node is a node file that was read: what holds for all containers of a node
// unless they say otherwise.
type Node struct {
	path     string
	defaults []value // by row of the table; not given where the file is silent
	aws      []value // by row of awsKeys
}

// LoadNode reads a node file. Path is the value of --config; empty means
// DefaultNodePath, which may be missing: then the result is an empty Node.
//
// Every problem of the file is in the error, as FILE:LINE:COLUMN; the Node
// returned beside an error holds the good part.
func LoadNode(path string) (*Node, error) {
	if path != "" {
		return loadNode(path, false)
	}
	return loadNode(DefaultNodePath, true)
}

func loadNode(path string, mayBeMissing bool) (*Node, error) {
	file, err := os.Open(path)
	if mayBeMissing && errors.Is(err, fs.ErrNotExist) {
		return newNode(path), nil
	}
	if err != nil {
		return newNode(path), unreadable(path, err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxNodeBytes+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return newNode(path), unreadable(path, err)
	}
	return ParseNode(path, text)
}

func newNode(path string) *Node {
	return &Node{path: path, defaults: make([]value, len(table)), aws: make([]value, len(awsKeys))}
}

func unreadable(path string, err error) *Problem {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err // The path is in Where already.
	}
	return &Problem{Where: path, Found: "an unreadable node file (" + err.Error() + ")",
		Expected: "a YAML file with the sections " + or(sectionNames),
		Do:       "make it readable or name another with --config", Cause: err}
}

// ParseNode reads the text of a node file; path is for its errors only.
func ParseNode(path string, text []byte) (*Node, error) {
	p := nodeParser{node: newNode(path)}
	if err := p.parse(text); err != nil {
		return p.node, err
	}
	return p.node, p.problems.err()
}

// nodeParser walks the syntax tree by hand, because only the tree knows the
// position of every key and value, and because a decoder would pull reflection
// over the whole library into the shim.
type nodeParser struct {
	node     *Node
	problems problems
}

// The sections of the file.
const (
	sectionDefaults = "defaults"
	sectionAWS      = "aws"
)

var sectionNames = []string{sectionDefaults, sectionAWS}

// parse returns an error where there is no tree to walk.
func (p *nodeParser) parse(text []byte) error {
	if len(text) > maxNodeBytes {
		return &Problem{Where: p.node.path, Found: "a node file that is too large",
			Expected: fmt.Sprintf("at most %d bytes", maxNodeBytes), Do: "name another with --config"}
	}
	if at := invalidUTF8(text); at >= 0 {
		line, column := position(text, at)
		return &Problem{Where: fmt.Sprintf("%s:%d:%d", p.node.path, line, column),
			Found: "a byte that is not UTF-8", Expected: "a YAML file in UTF-8"}
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // Editors of other systems put a mark in front.
	// Duplicate keys are allowed here, to be reported below with all the rest.
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return p.syntax(err)
	}
	var root ast.Node
	for _, document := range file.Docs {
		if document.Body == nil {
			continue
		}
		if root != nil {
			return &Problem{Where: p.at(document.Body.GetToken()), Found: "a second document",
				Expected: "one document", Do: "remove the line with three dashes"}
		}
		root = document.Body
	}
	p.sections(root)
	return nil
}

// sections walks the top level.
func (p *nodeParser) sections(root ast.Node) {
	for _, entry := range p.entries(root, "the file", "a map with the sections "+or(sectionNames)) {
		switch entry.name {
		case sectionDefaults:
			for _, e := range p.entries(entry.value, sectionDefaults, "a map of options") {
				p.defaultOption(e)
			}
		case sectionAWS:
			for _, e := range p.entries(entry.value, sectionAWS, "a map with the keys "+or(awsKeyNames())) {
				p.awsKey(e)
			}
		default:
			p.problems.add(&Problem{Where: entry.where, Found: "the unknown section " + quote(entry.name),
				Expected: or(sectionNames) + `, the nearest is "` + nearestWord(entry.name, sectionNames) + `"`})
		}
	}
}

// defaultOption takes one option of the section defaults.
func (p *nodeParser) defaultOption(e entry) {
	row := indexOf(e.name)
	allowed := func(o *Option) bool { return !o.Later() && !o.OwnOnly }
	if row < 0 {
		p.problems.add(&Problem{Where: e.where, Found: "the unknown option " + quote(e.name),
			Expected: `the name of an option, the nearest is "` + nearestName(e.name, allowed) + `"`})
		return
	}
	o := &table[row]
	if o.OwnOnly {
		p.problems.add(&Problem{Where: e.where, Found: "the option " + o.Name + ", which belongs to one container",
			Expected: "options that can hold for every container of the node", Do: "remove it"})
		return
	}
	if o.Later() {
		return // It will mean something to a later version; nothing here needs it.
	}
	v, ok := p.scalar(e, o)
	if !ok {
		return
	}
	kept := &p.node.defaults[indexOf(o.canonical())]
	if kept.given {
		p.problems.add(&Problem{Where: e.where, Found: "the option " + o.canonical() + " twice, here and as " + kept.spelled +
			" at " + kept.where, Expected: "each option once", Do: "remove one of the two"})
		return
	}
	*kept = v
}

// scalar reads the value of an option. Numbers and booleans are taken as they
// are written: 010 is not 8.
func (p *nodeParser) scalar(e entry, o *Option) (value, bool) {
	text, ok := scalarText(e.value)
	v := value{text: text, given: true, level: LevelNode, where: p.at(e.value.GetToken()), spelled: o.Name}
	if !ok || text == "" {
		p.problems.add(&Problem{Where: v.origin(), Found: describe(e.value), Expected: "a single value",
			Do: "write one behind the name, or remove the line"})
		return v, false
	}
	if problem := v.parse(o); problem != nil {
		p.problems.add(problem)
		return v, false
	}
	return v, true
}

// at is the position of a token, "FILE:LINE:COLUMN".
func (p *nodeParser) at(t *token.Token) string {
	if t == nil || t.Position == nil {
		return p.node.path
	}
	return fmt.Sprintf("%s:%d:%d", p.node.path, t.Position.Line, t.Position.Column)
}

// invalidUTF8 returns the offset of the first bad byte, or -1.
func invalidUTF8(text []byte) int {
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return -1
}

// position counts lines and characters from 1.
func position(text []byte, offset int) (line, column int) {
	line, column = 1, 1
	for _, r := range string(text[:offset]) {
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	return line, column
}
