package diskbuffer

// foundSegment is one segment file.
type foundSegment struct {
	name   string
	size   int64
	number uint64 // by its name
	header segmentHeader
	valid  bool // the header is
	// first is the position of its first event; placed says that it is known.
	// foreign: it is of another buffer.
	first           Position
	placed, foreign bool
	// until is where the next segment begins: what lies behind that here was written
	// there once more, because an append failed.
	until Position
	// duplicates are frames that stand in another segment, too.
	duplicates int
	bad        []Damage
	// kept are the frames that count, good in number, and dropped what does not.
	kept, dropped ranges
	good          int
}

// span is a range of bytes of a file.
type span struct{ from, to int64 }

// ranges are spans in order. Neighbours are one span, so that a whole segment
// takes no more memory than one frame.
type ranges []span

func (r ranges) with(from, to int64) ranges {
	if n := len(r); n > 0 && r[n-1].to == from {
		r[n-1].to = to
		return r
	}
	return append(r, span{from, to})
}

// renamed reports whether the segment stands under the name of another one.
func (s *foundSegment) renamed() bool { return s.valid && s.header.Number != s.number }

// damaged reports whether something in it is not as it was written.
func (s *foundSegment) damaged() bool { return len(s.bad) > 0 || s.duplicates > 0 || s.renamed() }
