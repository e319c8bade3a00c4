package run

import (
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/pipeline"
	"github.com/spillway/spillway/internal/record"
)

// leg is one sink of one route: a pipeline, and what a route sees of it. It
// implements route.Leg.
type leg struct {
	legPlan
	*pipeline.Pipeline
	to *sharedSink
	// place is where it stands in its route; a reload may change that.
	place atomic.Pointer[place]

	mu      sync.Mutex
	streams map[string]*record.Stream // of Lines and Body, whose tags are the file's
}

// legPlan is what the file says about a leg. Two plans that are the same make the
// same leg, so that a reload can leave it alone.
type legPlan struct {
	route  string
	sink   runfile.Sink
	buffer config.Buffer
}

// identity says whose records a disk buffer of the leg holds: those of the route
// of that name, on their way to the sink of that name.
func (p *legPlan) identity() string { return identityOf(p.route, p.sink.Name) }

// same reports whether a leg of this plan can go on as one of the other.
func (p *legPlan) same(o *legPlan) bool {
	return p.route == o.route && reflect.DeepEqual(p.buffer, o.buffer) && sameSink(&p.sink, &o.sink)
}

// durable reports whether the leg writes to the disk before it vouches.
func (p *legPlan) durable() bool {
	return p.buffer.Mode == config.Spill && p.buffer.Durability != config.DurabilityMemory
}

// Level implements route.Leg: the durability of the leg's buffer where that says
// more than memory, else that the destination has the chunk.
func (l *leg) Level() record.Level {
	switch {
	case !l.durable():
		return record.LevelDelivered
	case l.buffer.Durability == config.DurabilityPower:
		return record.LevelPower
	}
	return record.LevelKernel
}

// Sink implements route.Leg.
func (l *leg) Sink() string { return l.sink.Name }

// Waits implements route.Leg.
func (l *leg) Waits() bool {
	switch l.buffer.Mode {
	case config.Blocking:
		return true
	case config.Spill:
		return l.buffer.WhenFull == config.WhenFullBlock
	}
	return false
}

// Admit implements route.Leg.
func (l *leg) Admit(c *record.Chunk) {
	b := l.Intake()
	if c.Origin.Known() && c.Done != nil && b.Attach(c.Origin, c.Level, c.Done) {
		return
	}
	b.Admit(nil, c)
}

// Lines implements route.Leg.
func (l *leg) Lines(tag string, t int64, lines []byte, valid bool) {
	s := l.stream(tag)
	defer l.Intake().Turn()()
	l.Intake().Lines(s, t, lines, valid)
}

// Body implements route.Leg.
func (l *leg) Body(tag string, t int64, body []byte, part record.Part) {
	s := l.stream(tag)
	defer l.Intake().Turn()()
	l.Intake().Body(s, t, body, part)
}

func (l *leg) stream(tag string) *record.Stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.streams[tag]
	if s == nil {
		if l.streams == nil {
			l.streams = make(map[string]*record.Stream)
		}
		s = l.Intake().Open(tag)
		l.streams[tag] = s
	}
	return s
}

// MaxRecord implements route.Leg.
func (l *leg) MaxRecord() int { return l.Intake().MaxRecord() }

// MaxBody implements route.Leg.
func (l *leg) MaxBody() int { return l.Intake().MaxBody() }
