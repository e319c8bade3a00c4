package route

import (
	"sync/atomic"

	"github.com/spillway/spillway/internal/record"
)

// Router is what sources hand over to: the table in use, which may be changed
// while they do. Its methods may be called by several goroutines at once.
type Router struct {
	table  *atomic.Pointer[Table]
	source []byte
}

// NewRouter returns a router with this table.
func NewRouter(t *Table) *Router {
	r := &Router{table: new(atomic.Pointer[Table])}
	r.table.Store(t)
	return r
}

// Of is the router for the source of that name: it has one table with r, and what is
// handed over to it keeps the name, for dead letters.
func (r *Router) Of(source string) *Router {
	return &Router{table: r.table, source: record.SourceName(source)}
}

// from gives a chunk the name of its source, unless it has one from before.
func (r *Router) from(c *record.Chunk) {
	if len(c.Source) == 0 {
		c.Source = r.source
	}
}

// Swap puts another table in use. The returned channel is closed when nobody is in
// the old one any more, so that nothing is admitted to its legs.
func (r *Router) Swap(t *Table) (left <-chan struct{}) {
	old := r.table.Swap(t)
	old.retire()
	return old.left
}

// enter returns the table in use; the caller leaves it.
func (r *Router) enter() *Table {
	for {
		// A table that is out of use has a successor.
		if t := r.table.Load(); t.enter() {
			return t
		}
	}
}

// Admit hands a chunk to every leg of its tag's route. It waits where one of them
// makes the source wait. c.Done is told once, during the call or later.
//
// A leg that goes out of use meanwhile gives back what waits for it, and what is
// handed over next: that goes to the route that the tag has then.
func (r *Router) Admit(c *record.Chunk) {
	r.from(c)
	told := false
	r.pass(c, &moved{}, func(t *Table) []Leg {
		to := t.route(c.Tag)
		if t.strays(to) && !told {
			told = true
			t.tell(c)
		}
		return to.Legs
	})
}

// AdmitTo hands a chunk to the leg of its tag's route that leads to the sink of that
// name, and to all of them where none does, as after a change of the file. It is for
// what was kept until now, so what no route matches is not dropped; and a message that a leg
// cannot hold is not taken, since its place would not say what it was: then AdmitTo returns
// false, and c.Done is not told.
func (r *Router) AdmitTo(sink string, c *record.Chunk) bool {
	m := &moved{kept: true}
	r.pass(c, m, func(t *Table) []Leg {
		to := t.route(c.Tag)
		if t.strays(to) {
			t.tell(c)
			to = t.invalid
		}
		return to.toward(sink)
	})
	return !m.left
}

// Reject hands over what is no record.
func (r *Router) Reject(c *record.Chunk) {
	r.from(c)
	r.pass(c, &moved{}, func(t *Table) []Leg { return t.invalid.Legs })
}

// Miss tells every leg of a tag's route of n records that were gone before their source
// could read them: each puts a marker into the stream, and nothing into its balance. What
// no route takes has no stream.
func (r *Router) Miss(tag string, t, n int64) {
	in := r.enter()
	defer in.leave()
	to := in.route(tag)
	if in.strays(to) {
		return
	}
	for _, l := range to.Legs {
		l.Miss(tag, t, n)
	}
}

// Lines hands over newline-ended lines, as source.Intake does.
func (r *Router) Lines(tag string, at int64, lines []byte, valid bool) {
	first := true
	for m := (moved{}); len(lines) > 0; first = false {
		lines = r.text(tag, at, lines, &m, first, func(l Leg) []byte { return l.Lines(tag, r.source, at, lines, valid) })
	}
}

// Body hands over one record, as source.Intake does.
func (r *Router) Body(tag string, at int64, body []byte, part record.Part) {
	m, again := moved{}, true
	for first := true; again; first = false {
		again = r.text(tag, at, body, &m, first, func(l Leg) []byte {
			if l.Body(tag, r.source, at, body, part) {
				return nil
			}
			return givenBack
		}) != nil
	}
}

// givenBack is in the place of a body that a leg gave back, and may be empty.
var givenBack = []byte{0}

// text hands text over, and returns the most that a leg gave back.
func (r *Router) text(tag string, at int64, text []byte, m *moved, first bool, give func(Leg) (rest []byte)) (most []byte) {
	t := r.enter()
	defer t.leave()
	to := t.route(tag)
	if first && t.strays(to) {
		t.tellLines(tag, at, text)
	}
	legs := m.others(to.Legs)
	for _, l := range legs {
		if rest := give(l); len(rest) > 0 {
			m.from = append(m.from, l)
			if len(rest) > len(most) {
				most = rest
			}
		}
	}
	m.offered(legs)
	return most
}

// Level is what every leg of a tag vouches for by itself: LevelDelivered where one
// of them does so only when its destination has a chunk.
func (r *Router) Level(tag string) record.Level {
	t := r.enter()
	defer t.leave()
	level := record.LevelMemory
	for _, l := range t.route(tag).Legs {
		level = max(level, l.Level())
	}
	return level
}

// MaxBody is the largest body that all legs of a tag take, in bytes.
func (r *Router) MaxBody(tag string) int {
	t := r.enter()
	defer t.leave()
	legs := t.route(tag).Legs
	most := legs[0].MaxBody()
	for _, l := range legs[1:] {
		most = min(most, l.MaxBody())
	}
	return most
}

// Route is the name of the route that a tag has now, for sources that keep apart what
// waits for different ones.
func (r *Router) Route(tag string) string {
	t := r.enter()
	defer t.leave()
	return t.route(tag).Name
}

// Takes reports whether a route matches a tag.
func (r *Router) Takes(tag string) bool {
	t := r.enter()
	defer t.leave()
	return !t.strays(t.route(tag))
}
