package jsonscan

import (
	"github.com/spillway/spillway/internal/jsontext"
)

// EachMember gives what AppendMembers appends in pieces of at most about most bytes,
// each of which is valid until yield returns, so that an object of many megabytes is
// never there a second time. It ends early where yield returns false, and looks at
// nothing after that. The numbers are right where it did not.
func (s *Scanner) EachMember(most int, yield func(piece []byte) bool) (members, replaced int) {
	if s.members == 0 {
		return 0, 0
	}
	p, all := pieces{most: most, yield: yield}, true
	members = s.keep(func(part []byte, first bool) bool {
		all = (first || p.give([]byte{','})) && s.cleanPieces(&p, part)
		return all
	})
	if !all {
		return 0, 0
	}
	return members, p.replaced
}

// pieces hands on what is made, some of it gathered.
type pieces struct {
	most     int
	yield    func([]byte) bool
	buf      []byte
	replaced int
}

// give hands bytes on as they are.
func (p *pieces) give(src []byte) bool {
	if !p.flush() {
		return false
	}
	for len(src) > 0 {
		n := min(len(src), p.most)
		if !p.yield(src[:n]) {
			return false
		}
		src = src[n:]
	}
	return true
}

// flush hands on what is gathered.
func (p *pieces) flush() bool {
	if len(p.buf) == 0 {
		return true
	}
	ok := p.yield(p.buf)
	p.buf = p.buf[:0]
	return ok
}

// cleanPieces is clean, in pieces.
func (s *Scanner) cleanPieces(p *pieces, src []byte) bool {
	if !s.broken && (!s.nonASCII() || jsontext.ValidUTF8(src)) {
		return p.give(src)
	}
	for at := 0; at < len(src); {
		switch c := src[at]; {
		case c == '"':
			next, seen := text(src, at+1)
			if next < 0 {
				next = len(src) // which is not, since it was scanned
			}
			if !p.text(src[at:next], seen&highBits != 0) {
				return false
			}
			at = next
		case isSpace(c):
			at++
		default:
			p.buf = append(p.buf, c)
			at++
		}
		if len(p.buf) >= p.most && !p.flush() {
			return false
		}
	}
	return p.flush()
}

// text hands on a string.
func (p *pieces) text(src []byte, high bool) bool {
	if valid := !high || jsontext.ValidUTF8(src); valid && len(src) > p.most {
		return p.give(src)
	} else if valid {
		p.buf = append(p.buf, src...)
		return true
	}
	for len(src) > 0 {
		n := jsontext.Cut(src, p.most)
		var bad int
		p.buf, bad = repair(p.buf, src[:n])
		p.replaced += bad
		if src = src[n:]; len(p.buf) >= p.most && !p.flush() {
			return false
		}
	}
	return true
}
