// Package route decides where a chunk goes: the first route whose pattern matches
// its tag takes it, to every sink that the route names. Each of those is a leg,
// with a buffer, a limit and a balance of its own. What no route matches has a leg
// too, which leads to the dead letters or counts it as dropped: nothing is
// acknowledged and forgotten.
//
// It holds no records, waits for nothing but a leg's admission, and knows neither
// sources nor sinks. internal/run makes the tables; sources hand over to a Router.
package route

import (
	"sync/atomic"

	"github.com/spillway/spillway/internal/record"
)

// AsRoute is the level of a chunk whose source names none: each leg then vouches
// for it as its own buffer does.
const AsRoute record.Level = 255

// Leg is one sink of one route. Its methods may be called by several goroutines
// at once.
type Leg interface {
	// Sink is the name of the sink.
	Sink() string
	// Level is what a chunk must reach here where its source does not say.
	Level() record.Level
	// Admit takes a chunk, whole or not at all, and tells c.Done; one that is held
	// here already, because it was sent before, is told of instead. A leg that is in use
	// no more, and has no room, returns what it does not take, which is to go elsewhere.
	Admit(c *record.Chunk) (rest *record.Chunk)
	// Lines and Body take what is no chunk, as source.Intake does, for the stream of
	// a tag, from a source of that name, and tell likewise what is to go elsewhere.
	Lines(tag string, source []byte, t int64, lines []byte, valid bool) (rest []byte)
	Body(tag string, source []byte, t int64, body []byte, part record.Part) (taken bool)
	// MaxBody is the largest body that Lines and Body take, in bytes.
	MaxBody() int
	// MaxRecord is the largest record of a chunk that can be held, in bytes as it
	// stands in the chunk, with what record.Chunk.Head says.
	MaxRecord() int
	// Pass tells that nothing of a chunk with that origin comes here, so that it counts
	// as settled here.
	Pass(origin record.Origin)
	// Miss tells of n records of the stream of a tag, at that time, that were gone before
	// anybody could receive them.
	Miss(tag string, t, n int64)
	// Waits reports that admission may wait for room.
	Waits() bool
}

// Route is one line of the table. It does not change.
type Route struct {
	Name string
	// Match reports whether the route takes a tag.
	Match func(tag string) bool
	// Legs get every chunk. Those that never wait go first, so that one which waits
	// keeps nothing from the others.
	Legs []Leg
}

// arrange puts the legs that wait behind those that do not.
func (r *Route) arrange() *Route {
	legs := make([]Leg, 0, len(r.Legs))
	for _, waits := range []bool{false, true} {
		for _, l := range r.Legs {
			if l.Waits() == waits {
				legs = append(legs, l)
			}
		}
	}
	sorted := *r
	sorted.Legs = legs
	return &sorted
}

// toward are the legs of the sink of that name, or all where there is none.
func (r *Route) toward(sink string) []Leg {
	for i, l := range r.Legs {
		if l.Sink() == sink {
			return r.Legs[i : i+1]
		}
	}
	return r.Legs
}

// admit hands a chunk to legs. Done is told when the last one has told, and hears
// true only if all of them keep it. What legs do not take that are in use no more is
// added to m.
func (t *Table) admit(legs []Leg, c *record.Chunk, m *moved) {
	for _, l := range legs {
		if len(c.Bodies) <= mostFor(l, c) {
			continue
		}
		if m.kept && c.Encoding == record.EncodingMessage {
			m.left = true
			return
		}
		if t.sift(legs, c, m) {
			return
		}
	}
	done := c.Done
	if done != nil && len(legs) > 1 {
		j := &joint{done: done}
		j.left.Store(int32(len(legs)))
		done = j.told
	}
	for _, l := range legs {
		part := *c
		if part.Done = done; len(legs) > 1 {
			part.Until = nil
		}
		m.admit(l, &part)
	}
}

// mostFor is the largest record of a chunk that a leg can hold, in bytes.
func mostFor(l Leg, c *record.Chunk) int { return l.MaxRecord() - c.Head() }

// joint adds up what the legs tell of one chunk.
type joint struct {
	left   atomic.Int32
	failed atomic.Bool
	done   func(ok bool)
}

func (j *joint) told(ok bool) {
	if !ok {
		j.failed.Store(true)
	}
	if j.left.Add(-1) == 0 {
		j.done(!j.failed.Load())
	}
}
