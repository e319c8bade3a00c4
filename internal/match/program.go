package match

import "math/bits"

// A program is a nondeterministic automaton over the bytes of a tag. It is run by
// following all of its states at once, so that no pattern makes a match take long.

// instruction is one state. It goes on at x, opSplit also at y.
type instruction struct {
	op   op
	c    byte
	x, y int32
}

type program []instruction

// compile makes one program of several patterns, of which one is enough. It starts
// at instruction 0.
func compile(patterns [][]node) program {
	var p program
	p.or(patterns)
	p.emit(instruction{op: opAccept})
	return p
}

// emit appends an instruction that goes on behind itself.
func (p *program) emit(i instruction) int {
	at := len(*p)
	i.x = int32(at + 1)
	*p = append(*p, i)
	return at
}

// or emits alternatives, which all go on behind the last of them.
func (p *program) or(alternatives [][]node) {
	var jumps []int
	for i, nodes := range alternatives {
		if i == len(alternatives)-1 {
			p.sequence(nodes)
			break
		}
		split := p.emit(instruction{op: opSplit})
		p.sequence(nodes)
		jumps = append(jumps, p.emit(instruction{op: opSplit}))
		(*p)[split].y = int32(len(*p))
	}
	for _, at := range jumps {
		(*p)[at].x, (*p)[at].y = int32(len(*p)), int32(len(*p))
	}
}

func (p *program) sequence(nodes []node) {
	for i := range nodes {
		switch n := &nodes[i]; n.op {
		case opOr:
			p.or(n.alternatives)
		case opPrefix:
			split := p.emit(instruction{op: opSplit})
			p.emit(instruction{op: opAny})
			dot := p.emit(instruction{op: opByte, c: '.'})
			start := p.emit(instruction{op: opStart})
			(*p)[split].y = int32(start)
			(*p)[dot].x = int32(len(*p))
		default:
			p.emit(instruction{op: n.op, c: n.c})
		}
	}
}

// atEnd stands for the byte behind the last one.
const atEnd = -1

// states is a set of instructions, one bit each.
type states []uint64

func (s states) has(i int32) bool { return s[i>>6]&(1<<(i&63)) != 0 }
func (s states) set(i int32)      { s[i>>6] |= 1 << (i & 63) }

func (s states) empty() bool {
	for _, word := range s {
		if word != 0 {
			return false
		}
	}
	return true
}

// words is the length of a set for this program.
func (p program) words() int { return (len(p) + 63) / 64 }

// follow adds to the set what is reached from i without taking a byte, i
// included. First says that no byte was taken before, next which one comes.
func (p program) follow(to states, i int32, first bool, next int) {
	for !to.has(i) {
		to.set(i)
		in := &p[i]
		switch in.op {
		case opPart, opAny:
		case opSplit:
			if in.y != in.x {
				p.follow(to, in.y, first, next)
			}
		case opStart:
			if !first {
				return
			}
		case opEdge:
			if next != atEnd && next != '.' {
				return
			}
		default:
			return
		}
		i = in.x
	}
}

// step fills to with what is reached from the set by taking the byte c. The set
// holds what follow made for c.
func (p program) step(from, to states, c byte) {
	clear(to)
	for n, word := range from {
		for ; word != 0; word &= word - 1 {
			i := int32(n<<6 + bits.TrailingZeros64(word))
			switch in := &p[i]; {
			case in.op == opByte && in.c == c:
				to.set(in.x)
			case in.op == opAny, in.op == opPart && c != '.':
				to.set(i)
			}
		}
	}
}

// expand fills to with what follow makes of every state of the set.
func (p program) expand(from, to states, first bool, next int) {
	clear(to)
	for n, word := range from {
		for ; word != 0; word &= word - 1 {
			p.follow(to, int32(n<<6+bits.TrailingZeros64(word)), first, next)
		}
	}
}

// match reports whether the program takes the tag. It allocates for programs of
// more than 512 instructions only.
func (p program) match(tag string) bool {
	var room [2][8]uint64
	now, then := states(room[0][:]), states(room[1][:])
	if n := p.words(); n <= len(now) {
		now, then = now[:n], then[:n]
	} else {
		now, then = make(states, n), make(states, n)
	}
	now.set(0)
	for i := range len(tag) {
		p.expand(now, then, i == 0, int(tag[i]))
		p.step(then, now, tag[i])
		if now.empty() {
			return false
		}
	}
	p.expand(now, then, tag == "", atEnd)
	return then.has(int32(len(p) - 1))
}
