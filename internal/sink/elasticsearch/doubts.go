package elasticsearch

import "github.com/spillway/spillway/internal/sink"

// triedBefore reports whether an earlier attempt may have brought an event there.
func (v *verdicts) triedBefore(n int) bool {
	if !v.asked {
		v.asked, v.tried = true, v.a.req.Repeated()
	}
	i := v.event(n)
	for len(v.tried) > 0 && v.tried[0].End <= i {
		v.tried = v.tried[1:]
	}
	return len(v.tried) > 0 && v.tried[0].First <= i
}

// thereBefore reports whether an item before this one has its id, and is there.
func (v *verdicts) thereBefore(n int) bool {
	if v.there == nil {
		v.there = make(map[uint64]bool)
		v.eachDone(n, func(mark uint64, deleted bool) { v.there[mark] = !deleted })
	}
	return v.there[v.a.documents()[n]]
}

// stands notes that an item is there, or that its deletion is carried out.
func (v *verdicts) stands(n int) { v.there[v.a.documents()[n]] = !v.deletes(n) }

// eachDone calls f for the ids of the items before the n-th that are there, or are
// deleted.
func (v *verdicts) eachDone(n int, f func(mark uint64, deleted bool)) {
	absent, deletes := v.absent, v.a.deletes
	for i, mark := range v.a.documents()[:n] {
		deleted := len(deletes) > 0 && deletes[0] == i
		if deleted {
			deletes = deletes[1:]
		}
		if len(absent) > 0 && absent[0] == i {
			absent = absent[1:]
			continue
		}
		f(mark, deleted)
	}
}

// doubtful are the events that may be there although their items say otherwise. Where
// an id is created once, none is of which the answer has another record that is there.
func (v *verdicts) doubtful() (spans []sink.Span) {
	if len(v.doubts) == 0 {
		return nil
	}
	others := make(map[uint64]bool)
	if o := &v.a.sink.o; o.ID != IDNone && o.Operation == Create {
		for _, d := range v.doubts {
			others[v.a.documents()[d.item]] = false
		}
		v.eachDone(v.at, func(mark uint64, deleted bool) {
			if _, ok := others[mark]; deleted {
				delete(others, mark) // What was there before that is gone.
			} else if ok {
				others[mark] = true
			}
		})
	}
	for _, d := range v.doubts {
		if v.a.sink.o.ID == IDNone || !others[v.a.documents()[d.item]] {
			spans = extended(spans, d.event)
		}
	}
	return spans
}
