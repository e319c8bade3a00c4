package jsonscan

import "math/bits"

// Most values are small, have no line break between tokens, and their strings are what
// takes long. Of such a value all quotes are found at once, 64 bytes at a time, so that
// the end of a string is the next bit of a number, wherever that is. Where a value has
// escapes, those are looked at beforehand, too. What this does not do for a value, text
// does, with the same outcome.

const (
	// leastMarked and mostMarked are how large a value is whose quotes are marked, in
	// bytes.
	leastMarked = 64
	mostMarked  = 4 << 10
)

// marks has a bit for each byte of a value.
type marks [mostMarked / 64]uint64

// mark marks the quotes of the value that end strings or begin them, where it is one of
// which that is known: without a control character, and with good escapes alone.
func (s *Scanner) mark() {
	n := len(s.src)
	if !canMark || s.unmarked || n < leastMarked || n > mostMarked {
		return
	}
	controls, backslashes, high := markQuotes(&s.src[0], n, &s.marks[0])
	if controls != 0 {
		return
	}
	words := (n + 63) / 64
	if backslashes != 0 && !s.unmark(words) {
		return
	}
	s.quotes = s.marks[:words]
	if backslashes != 0 {
		s.all |= escaped
	}
	if high != 0 {
		s.all |= highBits
	}
}

// unmark takes quotes that are escaped out of the marks, and reports whether all
// escapes are good. Those outside of strings are not looked at otherwise: there the
// backslash itself is wrong, and nothing behind it is read.
func (s *Scanner) unmark(words int) bool {
	markBackslashes(&s.src[0], len(s.src), &s.slashes[0])
	const odd = 0xaaaa_aaaa_aaaa_aaaa
	before := uint64(0) // 1 where the first byte of the word is escaped
	for i := range words {
		slashes := s.slashes[i]
		if slashes == 0 {
			s.marks[i] &^= before
			before = 0
			continue
		}
		// Of backslashes in a row every second one is escaped, counted from the first. A
		// subtraction finds out which ones, for all rows at once: it carries through a row,
		// and whether that begins at an odd place says what is at its even ones. See the
		// scanner of escapes of simdjson.
		begins := slashes &^ before
		ends := ((begins << 1) | odd) - begins
		both := ends ^ odd // backslashes that escape, and what they escape
		escapes := both & slashes
		s.marks[i] &^= both ^ (slashes | before)
		before = escapes >> 63
		for ; escapes != 0; escapes &= escapes - 1 {
			if escape(s.src[i*64+bits.TrailingZeros64(escapes):]) == 0 {
				return false
			}
		}
	}
	return true
}

// near returns what text does where the end of the string is marked near by; else 0.
func (w *walk) near(at int) (next int) {
	if i := at >> 6; i < len(w.quotes) {
		if left := w.quotes[i] >> (at & 63); left != 0 {
			next = at + bits.TrailingZeros64(left) + 1
		}
	}
	return next
}

// text is the function of that name. Where quotes are marked, what it has seen is what
// there is in the whole value.
func (w *walk) text(at int) (next int, seen uint64) {
	if next = w.near(at); next > 0 {
		return next, w.all
	}
	if len(w.quotes) == 0 {
		return text(w.src, at)
	}
	for i := at>>6 + 1; i < len(w.quotes); i++ {
		if left := w.quotes[i]; left != 0 {
			return i*64 + bits.TrailingZeros64(left) + 1, w.all
		}
	}
	return ^len(w.src), w.all
}
