package cloudwatch

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
)

// position is a place in readers' order: by time, then by arrival, then by place in the request.
type position struct {
	time  int64
	seq   uint64
	index int
}

func (p position) compare(o position) int {
	return cmp.Or(cmp.Compare(p.time, o.time), cmp.Compare(p.seq, o.seq), cmp.Compare(p.index, o.index))
}

func startOfStream() position { return position{time: math.MinInt64} }
func endOfStream() position {
	return position{time: math.MaxInt64, seq: math.MaxUint64, index: math.MaxInt}
}

// token writes a position as a page token. A token stays valid while events arrive and are forgotten, because it names
// a place and not a count.
func (p position) token(direction string) string {
	return fmt.Sprintf("%s/%d/%d/%d", direction, p.time, p.seq, p.index)
}

// parseToken reads what token has written.
func parseToken(token string) (direction string, p position, err *apiError) {
	if len(token) > 2 && token[1] == '/' && (token[0] == 'f' || token[0] == 'b') {
		if n, _ := fmt.Sscanf(token[2:], "%d/%d/%d", &p.time, &p.seq, &p.index); n == 3 && p.token(token[:1]) == token {
			return token[:1], p, nil
		}
	}
	return "", position{}, invalidParameter("The specified nextToken is invalid.")
}

// query selects events of some chunks.
type query struct {
	from       position // Exclusive.
	backward   bool     // Whether to go from from towards the start.
	start, end int64    // Milliseconds, start inclusive and end exclusive.
	limit      int      // Events.
	match      func(message []byte) bool
}

// found is one selected event.
type found struct {
	chunk *chunk
	at    position
}

func (f found) message() []byte {
	e := &f.chunk.events[f.at.index]
	return f.chunk.text[e.from:e.to]
}

// run returns the next page of events in readers' order: as many as the limits allow, at least one if there is any.
// Each chunk is in that order already, so they are merged from where each one's part of the page begins.
func (q query) run(chunks []*chunk) []found {
	h := heap[found]{less: func(a, b found) bool { return (a.at.compare(b.at) < 0) != q.backward }}
	for _, c := range chunks {
		if f := q.first(c); q.wants(f) {
			h.push(f)
		}
	}
	var page []found
	for size := 0; len(h.items) > 0 && len(page) < q.limit; {
		f := h.items[0]
		if message := f.message(); q.match == nil || q.match(message) {
			size += len(message) + EventOverhead
			if size > MaxPageBytes && len(page) > 0 {
				break
			}
			page = append(page, f)
		}
		if next := q.next(f); q.wants(next) {
			h.items[0] = next
			h.fix()
		} else {
			h.pop()
		}
	}
	if q.backward {
		slices.Reverse(page)
	}
	return page
}

func (c *chunk) position(i int) position {
	p := position{seq: c.seq, index: i}
	if i >= 0 && i < len(c.events) {
		p.time = c.events[i].time
	}
	return p
}

// first finds where the query begins in c.
func (q query) first(c *chunk) found {
	n := sort.Search(len(c.events), func(i int) bool {
		p := c.position(i)
		if q.backward {
			return p.compare(q.from) >= 0 || p.time >= q.end
		}
		return p.compare(q.from) > 0 && p.time >= q.start
	})
	if q.backward {
		n--
	}
	return found{c, c.position(n)}
}

func (q query) next(f found) found {
	step := 1
	if q.backward {
		step = -1
	}
	return found{f.chunk, f.chunk.position(f.at.index + step)}
}

// wants reports whether f is an event that stands within the query's times.
func (q query) wants(f found) bool {
	return f.at.index >= 0 && f.at.index < len(f.chunk.events) && f.at.time >= q.start && f.at.time < q.end
}
