package match

import (
	"encoding/binary"
	"slices"
)

// maxEffort bounds the search of Covered, in states that are looked at: some ten
// milliseconds.
const maxEffort = 1 << 21

// Covered reports whether every tag that m takes is taken by one of the others, so
// that m is never asked if they are asked first. It is sure where it says yes; it
// says no as well where a regular expression or the size of the patterns keeps it
// from finding out.
func (m *Matcher) Covered(others ...*Matcher) bool {
	if slices.ContainsFunc(others, func(o *Matcher) bool { return o.all }) {
		return true
	}
	for _, pattern := range m.patterns {
		if pattern[0] != '/' {
			continue
		}
		if !slices.ContainsFunc(others, func(o *Matcher) bool { return slices.Contains(o.patterns, pattern) }) {
			return false
		}
	}
	if m.program == nil {
		return true
	}
	var trees [][]node
	for _, o := range others {
		for _, pattern := range o.patterns {
			if pattern[0] == '/' {
				continue
			}
			if tree, err := parse(pattern); err == nil { // It was parsed before.
				trees = append(trees, tree)
			}
		}
	}
	if len(trees) == 0 {
		return false
	}
	return contains(compile(trees), m.program)
}

// pair is where both programs are after the same bytes.
type pair struct {
	outer, inner states
	first        bool
}

// contains reports whether outer takes every tag that inner takes. It walks
// through all pairs of sets of states that some tag leads to.
func contains(outer, inner program) bool {
	alphabet := bytesOf(outer, inner)
	start := pair{make(states, outer.words()), make(states, inner.words()), true}
	start.outer.set(0)
	start.inner.set(0)
	seen := map[string]bool{start.key(): true}
	waiting := []pair{start}
	outerNow, innerNow := make(states, outer.words()), make(states, inner.words())
	effort := 0
	for len(waiting) > 0 {
		if effort += len(alphabet) * (len(outer) + len(inner)); effort > maxEffort {
			return false
		}
		p := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		inner.expand(p.inner, innerNow, p.first, atEnd)
		outer.expand(p.outer, outerNow, p.first, atEnd)
		if innerNow.has(int32(len(inner)-1)) && !outerNow.has(int32(len(outer)-1)) {
			return false
		}
		for _, c := range alphabet {
			next := pair{make(states, outer.words()), make(states, inner.words()), false}
			inner.expand(p.inner, innerNow, p.first, int(c))
			inner.step(innerNow, next.inner, c)
			if next.inner.empty() {
				continue
			}
			outer.expand(p.outer, outerNow, p.first, int(c))
			outer.step(outerNow, next.outer, c)
			key := next.key()
			if seen[key] {
				continue
			}
			seen[key] = true
			waiting = append(waiting, next)
		}
	}
	return true
}

// key is the pair as text. The first one cannot come again: from then on a byte
// was taken.
func (p *pair) key() string {
	b := make([]byte, 0, 8*(len(p.outer)+len(p.inner))+1)
	if p.first {
		b = append(b, 1)
	}
	for _, set := range [...]states{p.outer, p.inner} {
		for _, word := range set {
			b = binary.LittleEndian.AppendUint64(b, word)
		}
	}
	return string(b)
}

// bytesOf returns every byte that the programs tell apart, and one that stands for
// all others.
func bytesOf(programs ...program) []byte {
	var known [256]bool
	known['.'] = true
	for _, p := range programs {
		for i := range p {
			if p[i].op == opByte {
				known[p[i].c] = true
			}
		}
	}
	var alphabet []byte
	other := false
	for c, told := range known {
		if told || !other {
			alphabet = append(alphabet, byte(c))
			other = other || !told
		}
	}
	return alphabet
}
