package run

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/pipeline"
	"github.com/spillway/spillway/internal/record"
)

// leg is one sink of one route: a pipeline, and what a route sees of it. It
// implements route.Leg. The names of its route and of its sink stay as they are.
type leg struct {
	route, name string
	*pipeline.Pipeline
	// plan is what the file says of it, and place where it stands in its route; a
	// reload may change both.
	plan  atomic.Pointer[legPlan]
	place atomic.Pointer[place]

	// to belongs to the lock of the run's lists, and so does ended: nothing is
	// delivered any more; and stuck: an attempt does not come back.
	to    *sharedSink
	ended bool
	stuck bool
	// drained: nothing more is to be delivered.
	drained atomic.Bool

	// settled hears of chunks of which nothing is held here any more; nil where nobody
	// does.
	settled *settled

	mu      sync.Mutex
	streams map[string]*record.Stream // of Lines and Body, whose tags are the file's
}

func newLeg(plan legPlan, to *sharedSink) *leg {
	l := &leg{route: plan.route, name: plan.sink.Name, to: to}
	l.plan.Store(&plan)
	at := alone(l.name)
	l.place.Store(&at)
	return l
}

// drain returns when everything is delivered, dropped or left to the disk.
func (l *leg) drain() {
	l.Drain()
	l.drained.Store(true)
}

// String is how the log calls it.
func (l *leg) String() string {
	return "the leg of the route " + strconv.Quote(l.route) + " to the sink " + strconv.Quote(l.name)
}

// legPlan is what the file says about a leg.
type legPlan struct {
	route  string
	sink   runfile.Sink
	buffer config.Buffer
}

// identity says whose records a disk buffer of the leg holds: those of the route
// of that name, on their way to the sink of that name.
func (p *legPlan) identity() string { return identityOf(p.route, p.sink.Name) }

// Level implements route.Leg: the durability of the leg's buffer where that says
// more than memory, else that the destination has the chunk.
func (l *leg) Level() record.Level {
	b := &l.plan.Load().buffer
	switch {
	case b.Mode != config.Spill || b.Durability == config.DurabilityMemory:
		return record.LevelDelivered
	case b.Durability == config.DurabilityPower:
		return record.LevelPower
	}
	return record.LevelKernel
}

// Sink implements route.Leg.
func (l *leg) Sink() string { return l.name }

// Waits implements route.Leg.
func (l *leg) Waits() bool {
	b := &l.plan.Load().buffer
	switch b.Mode {
	case config.Blocking:
		return true
	case config.Spill:
		return b.WhenFull == config.WhenFullBlock
	}
	return false
}

// Admit implements route.Leg.
func (l *leg) Admit(c *record.Chunk) (rest *record.Chunk) {
	b := l.Intake()
	if c.Origin.Known() && c.Done != nil && b.Attach(c.Origin, c.Level, c.Done) {
		return nil
	}
	if c.Origin.Known() && c.Known != nil && l.settled != nil && l.settled.has(c.Origin.Key, l.name) {
		if c.Done != nil {
			c.Done(true)
		}
		return nil
	}
	return b.Admit(nil, c)
}

// Pass implements route.Leg.
func (l *leg) Pass(o record.Origin) {
	if o.Known() && l.settled != nil {
		l.settled.told(*l.place.Load(), [][16]byte{o.Key})
	}
}

// Miss implements route.Leg.
func (l *leg) Miss(tag string, t, n int64) { l.Intake().Miss(tag, t, n) }

// Lines implements route.Leg.
func (l *leg) Lines(tag string, source []byte, t int64, lines []byte, valid bool) (rest []byte) {
	s := l.stream(tag)
	defer l.Intake().Turn()()
	return l.Intake().OfferLines(s, source, t, lines, valid)
}

// Body implements route.Leg.
func (l *leg) Body(tag string, source []byte, t int64, body []byte, part record.Part) (taken bool) {
	s := l.stream(tag)
	defer l.Intake().Turn()()
	return l.Intake().OfferBody(s, source, t, body, part)
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
