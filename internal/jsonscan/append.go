package jsonscan

import (
	"bytes"
	"unicode/utf8"

	"github.com/spillway/spillway/internal/jsontext"
)

// AppendObject appends the object that was scanned, braces and all, and tells how
// many bytes of it were replaced because they are no UTF-8.
func (s *Scanner) AppendObject(dst []byte) (json []byte, replaced int) {
	dst, _, replaced = s.AppendMembers(append(dst, '{'))
	return append(dst, '}'), replaced
}

// AppendMembers appends the members of the object, but for those that are removed,
// with commas between them and without the braces, and tells how many these are:
// for callers that put members of their own beside them. There is no line break in
// what is appended, and each byte that is no part of valid UTF-8 has become U+FFFD;
// replaced counts those.
func (s *Scanner) AppendMembers(dst []byte) (json []byte, members, replaced int) {
	if s.members == 0 {
		return dst, 0, 0
	}
	if s.removed == 0 {
		dst, replaced = s.clean(dst, trim(s.src[s.open+1:s.shut]))
		return dst, s.members, replaced
	}
	return s.appendKept(dst)
}

// appendKept is AppendMembers where some are removed. It stands apart, so that nothing
// is shared with a function within where nothing is.
func (s *Scanner) appendKept(dst []byte) (json []byte, members, replaced int) {
	members = s.keep(func(part []byte, first bool) bool {
		if !first {
			dst = append(dst, ',')
		}
		var bad int
		dst, bad = s.clean(dst, part)
		replaced += bad
		return true
	})
	return dst, members, replaced
}

// keep gives the members that are not removed, as they stand in the source, in parts
// between which there is to be a comma, until yield returns false. It returns how many
// members these are.
func (s *Scanner) keep(yield func(part []byte, first bool) bool) (members int) {
	members = s.members
	at, first := s.open+1, true
	part := func(end int) bool {
		src := bytes.Trim(s.src[at:end], " \t\r\n,")
		if len(src) == 0 {
			return true
		}
		ok := yield(src, first)
		first = false
		return ok
	}
	if s.removed != 0 {
		for i := range s.found {
			m := &s.found[i]
			if s.removed>>m.key&1 == 0 {
				continue
			}
			if !part(m.start) {
				return members
			}
			at = m.end
			members--
		}
	}
	part(s.shut)
	return members
}

// trim takes white space off both ends.
func trim(p []byte) []byte {
	for len(p) > 0 && isSpace(p[0]) {
		p = p[1:]
	}
	for len(p) > 0 && isSpace(p[len(p)-1]) {
		p = p[:len(p)-1]
	}
	return p
}

// clean appends whole members on one line and in valid UTF-8.
func (s *Scanner) clean(dst, src []byte) (json []byte, replaced int) {
	valid := !s.nonASCII() || jsontext.ValidUTF8(src)
	if valid && !s.broken {
		return append(dst, src...), 0
	}
	return compact(dst, src)
}

// compact appends tokens without the white space between them.
func compact(dst, src []byte) (json []byte, replaced int) {
	for at := 0; at < len(src); {
		switch c := src[at]; {
		case c == '"':
			next, seen := text(src, at+1)
			if next < 0 {
				next = len(src) // which is not, since it was scanned
			}
			if seen&highBits == 0 || jsontext.ValidUTF8(src[at:next]) {
				dst = append(dst, src[at:next]...)
			} else {
				var bad int
				dst, bad = repair(dst, src[at:next])
				replaced += bad
			}
			at = next
		case isSpace(c):
			at++
		default:
			dst = append(dst, c)
			at++
		}
	}
	return dst, replaced
}

// repair appends text with U+FFFD for each byte that is no part of valid UTF-8.
func repair(dst, src []byte) (out []byte, replaced int) {
	for len(src) > 0 {
		r, size := utf8.DecodeRune(src)
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, "\uFFFD"...)
			replaced++
		} else {
			dst = append(dst, src[:size]...)
		}
		src = src[size:]
	}
	return dst, replaced
}
