// Package yamlfile reads a YAML file strictly: it walks the syntax tree by hand,
// because only the tree knows where every key and value stands, and because a
// decoder would pull reflection over the whole library into a containerd logger.
//
// It refuses what a file of settings has no use for: a second document, a key that
// comes twice, anchors, tags, bytes that are not UTF-8. What the keys mean is its
// callers' business: internal/config and internal/config/runfile.
package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/spillway/spillway/internal/config/setting"
)

// MaxBytes bounds a file. A real one has some dozen lines; there is room for a
// thousand routes. The parser's time grows with the square of some repetitions.
const MaxBytes = 128 << 10

// maxNesting bounds brackets within brackets, and dashes behind dashes in one line:
// the parser would take minutes for some thousands.
const maxNesting = 100

// Node is a part of the tree.
type Node = ast.Node

// File is a file that is YAML.
type File struct {
	Path string
	Root Node // nil for a file without contents
}

// Kind says in errors which file it is.
type Kind struct {
	Name     string // such as "node file"
	Expected string // such as "with the sections a or b"
	Do       string // what to do about text that is no YAML; may be empty
}

// Read returns the text of a file, at most one byte more than MaxBytes, which Parse
// then refuses.
func Read(path string, kind Kind) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, kind, err)
	}
	text, err := io.ReadAll(io.LimitReader(file, MaxBytes+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, unreadable(path, kind, err)
	}
	return text, nil
}

func unreadable(path string, kind Kind, err error) *setting.Problem {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err // The path is in Where already.
	}
	return &setting.Problem{Where: path, Found: "an unreadable " + kind.Name + " (" + err.Error() + ")",
		Expected: "a YAML file " + kind.Expected, Do: "make it readable or name another with --config", Cause: err}
}

// Parse reads a text; path is for errors only. The error is a Problem: there is
// then no tree to walk.
func Parse(path string, text []byte, kind Kind) (*File, error) {
	f := &File{Path: path}
	if len(text) > MaxBytes {
		return nil, &setting.Problem{Where: path, Found: "a " + kind.Name + " that is too large",
			Expected: fmt.Sprintf("at most %d bytes", MaxBytes), Do: "name another with --config"}
	}
	if at := invalidUTF8(text); at >= 0 {
		line, column := position(text, at)
		return nil, &setting.Problem{Where: fmt.Sprintf("%s:%d:%d", path, line, column),
			Found: "a byte that is not UTF-8", Expected: "a YAML file in UTF-8"}
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // Editors of other systems put a mark in front.
	tokens := lexer.Tokenize(string(text))
	if deep := nesting(tokens); deep != nil {
		return nil, &setting.Problem{Where: f.at(deep), Found: "lists or maps within each other",
			Expected: fmt.Sprintf("at most %d levels of them", maxNesting)}
	}
	// Duplicate keys are allowed here, to be reported by Entries with all the rest.
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, f.syntax(err, kind, text)
	}
	for _, document := range tree.Docs {
		if document.Body == nil {
			continue
		}
		if f.Root != nil {
			return nil, &setting.Problem{Where: f.At(document.Body), Found: "a second document",
				Expected: "one document", Do: "remove the line with three dashes"}
		}
		f.Root = document.Body
	}
	return f, nil
}

// nesting returns the first bracket or dash that is too deep, or nil.
func nesting(tokens token.Tokens) *token.Token {
	depth, dashes, line := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceEntryType:
			if t.Position.Line != line {
				dashes, line = 0, t.Position.Line
			}
			if dashes++; dashes > maxNesting {
				return t
			}
		case token.MappingStartType, token.SequenceStartType:
			if depth++; depth > maxNesting {
				return t
			}
		case token.MappingEndType, token.SequenceEndType:
			depth--
		}
	}
	return nil
}

// syntax turns the parser's error into a Problem. The parser's own text has
// several lines with an excerpt; its message and position are enough here, and
// an excerpt might show a secret.
func (f *File) syntax(err error, kind Kind, text []byte) *setting.Problem {
	problem := &setting.Problem{Where: f.Path, Found: "text that is not YAML", Expected: "a YAML map " + kind.Expected, Do: kind.Do, Cause: err}
	var positioned interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &positioned) {
		problem.Where = f.at(positioned.GetToken())
		message, _, _ := strings.Cut(positioned.GetMessage(), "\n")
		if at := positioned.GetToken().Position; at != nil {
			if guess := newSource(f.Path, text).guess(at.Line, at.Column, message); guess != nil {
				guess.Cause = err
				return guess
			}
		}
		problem.Found += " (" + message + ")"
	}
	return problem
}

// Entry is one key of a map with its value.
type Entry struct {
	Name  string
	Where string // "FILE:LINE:COLUMN" of the key
	Value Node
}

// Entries returns the keys of a map, each once; a repeated one is a problem, and
// so is a node that is no map: then name and expected are for its text. A missing
// value is an empty map, because a section whose lines are all commented out reads
// like that.
func (f *File) Entries(node Node, name, expected string, problems *setting.Problems) []Entry {
	var pairs []*ast.MappingValueNode
	switch n := node.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		problems.Add(&setting.Problem{Where: f.At(node) + ": " + name, Found: Describe(node), Expected: expected})
		return nil
	}
	unique := make([]Entry, 0, len(pairs))
	for _, pair := range pairs {
		key := pair.Key.GetToken()
		e := Entry{Name: key.Value, Where: f.at(key), Value: pair.Value}
		if first := find(unique, e.Name); first != nil {
			problems.Add(&setting.Problem{Where: e.Where, Found: setting.Quote(e.Name) + " again, it is at " + first.Where + " already",
				Expected: "each key once", Do: "remove one of the two"})
			continue
		}
		unique = append(unique, e)
	}
	return unique
}

func find(entries []Entry, name string) *Entry {
	for i := range entries {
		if entries[i].Name == name {
			return &entries[i]
		}
	}
	return nil
}

// List returns the values of a list, and whether the node is one.
func List(node Node) ([]Node, bool) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		return nil, false
	}
	return list.Values, true
}

// IsMap reports whether the node is a map.
func IsMap(node Node) bool {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

// Scalar returns the text of a plain value as it is written: 010 is not 8.
func Scalar(node Node) (string, bool) {
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

// Describe names what stands where something else was expected. Text is quoted, so
// it is not for the value of a secret.
func Describe(node Node) string {
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
	text, _ := Scalar(node)
	return setting.Quote(text)
}

// At is where a node stands, "FILE:LINE:COLUMN".
func (f *File) At(node Node) string {
	if node == nil {
		return f.Path
	}
	return f.at(node.GetToken())
}

func (f *File) at(t *token.Token) string {
	if t == nil || t.Position == nil {
		return f.Path
	}
	return fmt.Sprintf("%s:%d:%d", f.Path, t.Position.Line, t.Position.Column)
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
