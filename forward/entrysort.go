package forward

import "slices"

// sorter parts valid entries from invalid ones, in place and in order: nothing
// is allocated that would grow with what a stranger sends. What is sorted is a
// run [invalid][valid] after another, merged like a counter in binary: each
// byte moves at most as often as the number of runs has bits.
type sorter struct {
	b    []byte
	c    Checked
	runs [64]struct{ valid, end int } // valid entries, then invalid ones, and where each end; the next begins at end
	size [64]int                      // of how many runs each was merged
	n    int
}

// sortEntries is CheckEntries from b[i] on, where the first invalid entry stands
// behind count valid ones.
func sortEntries(b []byte, count, i int) Checked {
	s := sorter{b: b, c: Checked{Count: count}}
	s.add(0, i, true)
	for i < len(s.b) {
		next := s.invalid(i)
		s.add(i, next, false)
		i = next
		if count, next = countValid(s.b, i); count > 0 {
			s.add(i, next, true)
			s.c.Count += count
			i = next
		}
	}
	for s.n > 1 {
		s.merge()
	}
	r := s.runs[0]
	s.c.Valid, s.c.Invalid = s.b[:r.valid:r.valid], s.b[r.valid:r.end:r.end]
	return s.c
}

// invalid counts the entry at b[i] and returns where it ends. An array of two
// that is only written long is made valid: its needless bytes are what is left
// out then.
func (s *sorter) invalid(i int) (end int) {
	if n, first, ok := container(s.b, i, false); ok && n == 2 && first > i+1 {
		was := s.b[first-1]
		s.b[first-1] = 0x92
		if count, _ := countValid(s.b, first-1); count > 0 {
			for j := i; j < first-1; j++ {
				s.b[j] = 0xc1
			}
			return first - 1
		}
		s.b[first-1] = was
	}
	s.c.InvalidCount++
	if s.c.Err == nil {
		s.c.Err = fault(s.b, i)
	}
	if end = skipFlat(s.b, i); end < 0 {
		return len(s.b)
	}
	return end
}

// add puts a run behind the others.
func (s *sorter) add(from, end int, valid bool) {
	r := &s.runs[s.n]
	r.valid, r.end = from, end
	if valid {
		r.valid = end
	}
	s.size[s.n] = 1
	s.n++
	for s.n > 1 && s.size[s.n-2] <= s.size[s.n-1] {
		s.merge()
	}
}

// merge joins the last two runs: the invalid entries of the first and the valid
// ones of the second change places.
func (s *sorter) merge() {
	a, b := &s.runs[s.n-2], &s.runs[s.n-1]
	moved := b.valid - a.end
	rotate(s.b[a.valid:b.valid], a.end-a.valid)
	a.valid += moved
	a.end = b.end
	s.size[s.n-2] += s.size[s.n-1]
	s.n--
}

// rotate moves the first n bytes of b behind the others.
func rotate(b []byte, n int) {
	if n == 0 || n == len(b) {
		return
	}
	slices.Reverse(b[:n])
	slices.Reverse(b[n:])
	slices.Reverse(b)
}
