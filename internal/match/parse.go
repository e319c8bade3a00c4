package match

import (
	"strconv"
	"strings"
)

// op is what a node or an instruction does.
type op uint8

const (
	opByte   op = iota // takes one byte
	opPart             // takes any bytes but dots, as many as wanted
	opAny              // takes any bytes, as many as wanted
	opPrefix           // takes nothing at the beginning of the tag, or all up to a dot
	opEdge             // takes nothing, where the tag ends or a dot follows
	opOr               // takes one of its alternatives

	// Instructions alone.
	opStart  // takes nothing, at the beginning of the tag
	opSplit  // goes on at two places
	opAccept // the pattern takes the tag, if this is its end
)

// node is a piece of a pattern.
type node struct {
	op           op
	c            byte     // of opByte
	alternatives [][]node // of opOr
}

// frame is a pair of braces that is open, or the pattern itself.
type frame struct {
	offset       int // of the brace
	alternatives [][]node
	current      []node
}

// parser reads one pattern. It keeps fluentd's rule for dots: one is written down
// when the next character comes, and "**" behind it makes it an edge, so that
// "a.**" takes "a" as well.
type parser struct {
	pattern string
	at      int
	dot     bool // one stands before at and is not written down
	open    []frame
}

// parse returns the pieces of a pattern, which is not empty.
func parse(pattern string) ([]node, *Error) {
	p := parser{pattern: pattern, open: make([]frame, 1)}
	for p.at < len(pattern) {
		if err := p.next(); err != nil {
			return nil, err
		}
	}
	if f := p.top(); len(p.open) > 1 {
		return nil, p.problem(f.offset, "without its end", "a } behind it", `write \{ for a brace`)
	}
	if p.dot {
		return nil, p.problem(len(pattern)-1, "at the end", "a part of the tag behind a dot", "remove it: fluentd passes over it")
	}
	return p.open[0].current, nil
}

// next reads one character, or two stars.
func (p *parser) next() *Error {
	c := p.pattern[p.at]
	if strings.HasPrefix(p.pattern[p.at:], "**") {
		p.stars()
		return nil
	}
	if p.dot {
		p.add(node{op: opByte, c: '.'})
		p.dot = false
	}
	switch c {
	case '\\':
		if p.at++; p.at == len(p.pattern) {
			return p.problem(p.at-1, "at the end", "the character that it stands before", `write \\ for a backslash`)
		}
		p.add(node{op: opByte, c: p.pattern[p.at]})
	case '.':
		p.dot = true
	case '*':
		p.add(node{op: opPart})
	case '{':
		p.open = append(p.open, frame{offset: p.at})
	case ',', '}':
		if err := p.alternative(c); err != nil {
			return err
		}
	case '#':
		if strings.HasPrefix(p.pattern[p.at:], "#{") {
			return &Error{Pattern: p.pattern, Offset: p.at, Found: `"#{"`, Expected: "a pattern without embedded Ruby code", Do: `write what the code gives, or \#\{ for these characters`}
		}
		p.add(node{op: opByte, c: c})
	default:
		p.add(node{op: opByte, c: c})
	}
	p.at++
	return nil
}

// stars reads two stars, with a dot behind them if there is one.
func (p *parser) stars() {
	if p.dot {
		p.add(node{op: opEdge})
		p.dot = false
	}
	p.at += len("**")
	if p.at < len(p.pattern) && p.pattern[p.at] == '.' {
		p.add(node{op: opPrefix})
		p.at++
		return
	}
	p.add(node{op: opAny})
}

// alternative ends one of a pair of braces, and with } the pair.
func (p *parser) alternative(c byte) *Error {
	if len(p.open) == 1 {
		if c == ',' {
			return p.problem(p.at, "outside of braces", "white space between patterns, or {a,b}", `write \, for a comma`)
		}
		return p.problem(p.at, "without its beginning", "a { before it", `write \} for a brace`)
	}
	f := p.top()
	f.alternatives = append(f.alternatives, f.current)
	f.current = nil
	if c == '}' {
		alternatives := f.alternatives
		p.open = p.open[:len(p.open)-1]
		p.add(node{op: opOr, alternatives: alternatives})
	}
	return nil
}

func (p *parser) top() *frame { return &p.open[len(p.open)-1] }

func (p *parser) add(n node) {
	f := p.top()
	f.current = append(f.current, n)
}

// problem says what is wrong with the character at an offset.
func (p *parser) problem(offset int, how, expected, do string) *Error {
	return &Error{Pattern: p.pattern, Offset: offset, Found: strconv.Quote(p.pattern[offset:offset+1]) + " " + how, Expected: expected, Do: do}
}
