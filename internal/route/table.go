package route

import (
	"bytes"
	"sync"

	"github.com/spillway/spillway/internal/record"
)

// Table is an ordered list of routes, and what becomes of the rest.
type Table struct {
	routes    []*Route
	unmatched *Route
	invalid   *Route
	// tell hears of each chunk that no route matches.
	tell func(c *record.Chunk)

	mu    sync.Mutex
	tags  map[string]*Route
	users int
	left  chan struct{} // closed when the table is out of use, with nobody in it
	out   bool
}

// cachedTags is how many tags a table knows by heart. Tags are foreign data; where
// there are more, those that are in use come back one by one.
const cachedTags = 4096

// NewTable returns a table of routes, first match first. What matches none goes to
// unmatched, and tell, which must be quick, hears of it. What no leg could hold, though
// a route may match it, goes to invalid, and so does what was kept as a dead letter and
// matches no route now; the two may be one.
func NewTable(routes []*Route, unmatched, invalid *Route, tell func(c *record.Chunk)) *Table {
	t := &Table{
		unmatched: unmatched.arrange(), invalid: invalid.arrange(), tell: tell,
		tags: make(map[string]*Route), left: make(chan struct{}),
	}
	for _, r := range routes {
		t.routes = append(t.routes, r.arrange())
	}
	return t
}

// route is where a tag goes. One that no disk buffer could keep goes nowhere: it
// would hold up all others of its route for ever.
func (t *Table) route(tag string) *Route {
	if len(tag) > record.MaxName {
		return t.invalid
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.tags[tag]; r != nil {
		return r
	}
	r := t.find(tag)
	if len(t.tags) >= cachedTags {
		clear(t.tags)
	}
	t.tags[tag] = r
	return r
}

// strays reports whether it is no route of the table that this is.
func (t *Table) strays(to *Route) bool { return to == t.unmatched || to == t.invalid }

func (t *Table) find(tag string) *Route {
	for _, r := range t.routes {
		if r.Match(tag) {
			return r
		}
	}
	return t.unmatched
}

// tellLines tells of lines that no route takes, as of a chunk with the first of
// them.
func (t *Table) tellLines(tag string, at int64, lines []byte) {
	first, _, _ := bytes.Cut(lines, []byte{'\n'})
	count, _ := record.CountLines(lines)
	body, _ := record.AppendBody(make([]byte, 0, record.FrameSize+len(first)), first)
	t.tell(&record.Chunk{Tag: tag, Time: at, Bodies: body, Count: max(count, 1)})
}

// enter and leave say how long the table is in use.
func (t *Table) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out {
		return false
	}
	t.users++
	return true
}

func (t *Table) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users--
	t.emptied()
}

// retire takes the table out of use.
func (t *Table) retire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = true
	t.emptied()
}

func (t *Table) emptied() {
	if t.out && t.users == 0 {
		close(t.left)
	}
}
