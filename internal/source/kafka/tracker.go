package kafka

// span is a stretch of a partition's offsets whose records were handed over as one
// chunk.
type span struct {
	// first and next are offsets; next is the first one behind. Not every offset
	// between is one of a record.
	first, next int64
	count       int
	state       spanState
	// turn is the reading that knows that the span is lost, and hands it over again.
	turn  uint32
	after *span
}

type spanState uint8

const (
	underWay spanState = iota // handed over, and not told of
	settled                   // told that it is kept, delivered or dead-lettered
	lost                      // told that it was lost on the way: to be read once more
)

// tracker knows which offsets of a partition were handed over and which of these are
// settled, and so what may be committed: the offset before which all are. It keeps
// the spans from the first that is not settled on. Whoever has it holds the lock of
// its partition.
type tracker struct {
	first, last *span
	// head is the offset behind all that was handed over, or passed over.
	head int64
	// done is the offset before which everything is settled; what is committed.
	done int64
	// held are records in spans, settled ones included; open are spans under way.
	held, open int
	// losses counts spans that are lost and were not read again.
	losses int
	// turn counts readings.
	turn uint32
}

// begin starts at an offset, which is that of the first record that is wanted.
func (t *tracker) begin(at int64) { *t = tracker{head: at, done: at} }

// read begins to read a stretch of offsets, which ends with passed. What is lost by now
// and lies in it whole is to be handed over again; what gets lost meanwhile is not, because
// some of it may have been read over.
func (t *tracker) read(from int64) {
	t.turn++
	for s := t.first; s != nil && t.losses > 0; s = s.after {
		if s.state == lost && s.first >= from {
			s.turn = t.turn
		}
	}
}

// hand notes that count records, the last of which stands before next, are handed
// over. Those between the head and them are passed over.
func (t *tracker) hand(next int64, count int) *span {
	s := &span{first: t.head, next: next, count: count}
	if t.last == nil {
		t.first = s
	} else {
		t.last.after = s
	}
	t.last, t.head = s, next
	t.held += count
	t.open++
	return s
}

// again notes that what was lost of a span up to an offset is handed over once more,
// count records. Where the span has more behind it, that becomes a span of its own.
func (t *tracker) again(s *span, next int64, count int) {
	t.held += count - s.count
	t.losses--
	if next < s.next {
		rest := &span{first: next, next: s.next, count: max(s.count-count, 0), state: lost, turn: t.turn, after: s.after}
		if s.after = rest; t.last == s {
			t.last = rest
		}
		s.next = next
		t.held += rest.count
		t.losses++
	}
	s.count, s.state = count, underWay
	t.open++
}

// lostAt returns the span that has an offset, where it is to be handed over again.
func (t *tracker) lostAt(offset int64) *span {
	if t.losses == 0 {
		return nil
	}
	for s := t.first; s != nil && s.first <= offset; s = s.after {
		if offset < s.next {
			if s.state == lost && s.turn == t.turn {
				return s
			}
			return nil
		}
	}
	return nil
}

// passed notes that everything up to an offset was read, and that no more records are
// there than were handed over. Spans that were to be handed over again and were not are
// gone from the log; it returns how many records they had.
func (t *tracker) passed(to int64) (gone int) {
	for s := t.first; s != nil && t.losses > 0 && s.first < to; s = s.after {
		if s.state != lost || s.turn != t.turn {
			continue
		}
		if s.next > to {
			s.first = to // There was nothing before.
		} else {
			gone += s.count
			s.state = settled
			t.losses--
		}
	}
	if to > t.head {
		if t.last != nil {
			t.last.next = to
		}
		t.head = to
	}
	t.advance()
	return gone
}

// told notes what became of a span.
func (t *tracker) told(s *span, ok bool) {
	t.open--
	if !ok {
		s.state, s.turn = lost, 0
		t.losses++
		return
	}
	s.state = settled
	t.advance()
}

// advance forgets what is settled at the beginning.
func (t *tracker) advance() {
	for t.first != nil && t.first.state == settled {
		t.done = t.first.next
		t.held -= t.first.count
		t.first = t.first.after
	}
	if t.first == nil {
		t.last, t.done = nil, t.head
	}
}

// firstLost is the offset at which to read again; ok is false where nothing is lost.
func (t *tracker) firstLost() (offset int64, ok bool) {
	for s := t.first; s != nil && t.losses > 0; s = s.after {
		if s.state == lost {
			return s.first, true
		}
	}
	return 0, false
}
