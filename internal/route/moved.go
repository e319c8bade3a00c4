package route

import (
	"slices"

	"github.com/spillway/spillway/internal/record"
)

// moved is what legs did not take that are in use no more: it goes to the legs of the
// table that is in use now, but not to sinks for which a leg has taken it. Where several
// legs give back different amounts, the largest goes on; the rest of the others is in it.
type moved struct {
	had   []string        // the sinks for which it is taken
	from  []Leg           // of the present table, those that gave it back
	rests []*record.Chunk // what they gave back
	kept  bool            // it was kept until now, and is for as long as it is not delivered
	left  bool            // and has to be, since a leg cannot hold it
	long  *moved          // of records too long for a leg, which go where invalid ones go
}

// rejects is where the fate of records that are too long is noted.
func (m *moved) rejects() *moved {
	if m.long == nil {
		m.long = &moved{}
	}
	return m.long
}

// admit hands a chunk of its own to a leg.
func (m *moved) admit(l Leg, c *record.Chunk) {
	if c.Level == AsRoute {
		c.Level = l.Level()
	}
	if rest := l.Admit(c); rest != nil {
		m.from, m.rests = append(m.from, l), append(m.rests, rest)
	}
}

// others are the legs to the other sinks.
func (m *moved) others(legs []Leg) []Leg {
	if len(m.had) == 0 {
		return legs
	}
	return slices.DeleteFunc(slices.Clone(legs), func(l Leg) bool { return slices.Contains(m.had, l.Sink()) })
}

// offered notes to which legs it was handed.
func (m *moved) offered(legs []Leg) {
	if len(m.from) == 0 {
		return
	}
	for _, l := range legs {
		if !slices.Contains(m.from, l) {
			m.had = append(m.had, l.Sink())
		}
	}
	m.from = nil
}

// next is what goes on, or nil.
func (m *moved) next() *record.Chunk {
	if len(m.rests) == 0 {
		return nil
	}
	most := slices.MaxFunc(m.rests, func(a, b *record.Chunk) int { return a.Count - b.Count })
	for _, c := range m.rests {
		if c != most && c.Done != nil {
			c.Done(true)
		}
	}
	m.rests = nil
	return most
}

// pass hands a chunk to the legs that pick chooses in the table in use, and what these
// give back to those of the table that is in use then.
func (r *Router) pass(c *record.Chunk, m *moved, pick func(t *Table) []Leg) {
	for ; c != nil; c = m.next() {
		if !c.Unwanted() {
			r.passOnce(c, m, pick)
		} else if c.Done != nil {
			c.Done(false) // It goes back to its source.
		}
	}
	if m.long == nil {
		return
	}
	for _, part := range m.long.rests {
		r.Reject(part)
	}
}

func (r *Router) passOnce(c *record.Chunk, m *moved, pick func(t *Table) []Leg) {
	t := r.enter()
	defer t.leave()
	legs := m.others(pick(t))
	if len(legs) == 0 {
		// All where it is to be have it.
		if c.Done != nil {
			c.Done(true)
		}
		return
	}
	t.admit(legs, c, m)
	m.offered(legs)
}
