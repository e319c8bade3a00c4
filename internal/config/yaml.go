package config

import (
	"errors"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// entry is one key of a map with its value.
type entry struct {
	name  string
	where string // "FILE:LINE:COLUMN" of the key
	value ast.Node
}

// entries returns the keys of a map, each once; a repeated one is a problem.
// A missing value is an empty map, because a section whose lines are all
// commented out reads like that.
func (p *nodeParser) entries(node ast.Node, name, expected string) []entry {
	var pairs []*ast.MappingValueNode
	switch n := node.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		p.problems.add(&Problem{Where: p.at(node.GetToken()) + ": " + name, Found: describe(node), Expected: expected})
		return nil
	}
	unique := make([]entry, 0, len(pairs))
	for _, pair := range pairs {
		key := pair.Key.GetToken()
		e := entry{name: key.Value, where: p.at(key), value: pair.Value}
		if first := find(unique, e.name); first != nil {
			p.problems.add(&Problem{Where: e.where, Found: quote(e.name) + " again, it is at " + first.where + " already",
				Expected: "each key once", Do: "remove one of the two"})
			continue
		}
		unique = append(unique, e)
	}
	return unique
}

func find(entries []entry, name string) *entry {
	for i := range entries {
		if entries[i].name == name {
			return &entries[i]
		}
	}
	return nil
}

// scalarText returns the text of a plain value as it is written.
func scalarText(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return node.GetToken().Value, true
	}
	return "", false
}

// describe names what stands where something else was expected.
func describe(node ast.Node) string {
	switch node.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a map"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode, *ast.AliasNode:
		return "an anchor or an alias"
	case *ast.TagNode:
		return "a YAML tag"
	}
	text, _ := scalarText(node)
	return quote(text)
}

// syntax turns the parser's error into a Problem. The parser's own text has
// several lines with an excerpt; its message and position are enough here, and
// an excerpt might show a secret.
func (p *nodeParser) syntax(err error) *Problem {
	problem := &Problem{Where: p.node.path, Found: "text that is not YAML", Expected: "a YAML map with the sections " + or(sectionNames), Cause: err}
	var positioned interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &positioned) {
		problem.Where = p.at(positioned.GetToken())
		message, _, _ := strings.Cut(positioned.GetMessage(), "\n")
		problem.Found += " (" + message + ")"
	}
	return problem
}
