// Package sourcetest is the conformance suite that every source of a run passes:
// what it is sent is handed over once, whole and in order; it waits where it is
// made to wait; it answers for what was kept and for nothing else; and it stops
// when it is told to, and still answers for what it took.
//
// It knows the contract alone, and is imported by tests only. A test hands it a
// source that sends to the router that it is given.
package sourcetest

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/record"
)

// Source is what a run sees of a source.
type Source interface {
	Start()
	Stop()
	Wait()
	Close() error
	Done() <-chan struct{}
}

// Subject is a source under test, which was not started.
type Subject struct {
	Source Source
	// Send sends records as one piece to the source, in their order, and returns
	// without waiting for what becomes of them. The channel, which is nil where the
	// source has no acks, gets true for an ack, and false where none will come. It
	// may be called before Start, and by several goroutines, each of which is a
	// sender of its own. key tells pieces apart: one that is sent again has its key.
	Send func(key string, records ...string) (acked <-chan bool)
	// SendBad sends what is no record, or is nil where all is one.
	SendBad func() (acked <-chan bool)
	// End ends the input, where it has an end by itself; Done is then closed.
	End func()
}

// Run runs the suite. open makes a source that hands over to the router.
func Run(t *testing.T, open func(*testing.T, *Router) Subject) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			r := &Router{t: t, changed: make(chan struct{})}
			e := &env{T: t, Router: r, Subject: open(t, r)}
			// A check that is skipped ends here as well.
			defer e.end()
			c.check(e)
		})
	}
}

// Router takes what sources hand over, as the one of a run does. Its methods may
// be called by several goroutines at once.
type Router struct {
	t *testing.T

	mu       sync.Mutex
	changed  chan struct{} // closed and made anew at each change
	blocked  bool
	keep     bool // answers are kept until answer
	refuse   bool
	records  []string
	rejected int
	waiting  int
	due      []func(ok bool)
}

// Admit takes a chunk.
func (r *Router) Admit(c *record.Chunk) {
	batch := record.Batch{Encoding: c.Encoding}
	var bodies []string
	for rest := c.Bodies; len(rest) > 0; {
		var body []byte
		body, _, rest = batch.Next(rest)
		bodies = append(bodies, string(body))
	}
	if len(bodies) != c.Count {
		r.t.Errorf("a chunk says that it has %d records, and has %d", c.Count, len(bodies))
	}
	r.take(bodies, c.Done)
}

// Lines takes lines.
func (r *Router) Lines(_ string, _ int64, lines []byte, _ bool) {
	r.take(strings.Split(strings.TrimSuffix(string(lines), "\n"), "\n"), nil)
}

// Body takes a part of a line.
func (r *Router) Body(_ string, _ int64, body []byte, _ record.Part) {
	r.take([]string{string(body)}, nil)
}

// MaxBody is the largest body, in bytes.
func (r *Router) MaxBody(string) int { return 64 << 10 }

// Miss hears of records that are gone.
func (r *Router) Miss(string, int64, int64) {}

// Route is the same for all tags.
func (r *Router) Route(string) string { return "" }

// Reject takes what is no record.
func (r *Router) Reject(c *record.Chunk) {
	r.mu.Lock()
	r.rejected += c.Count
	r.change()
	r.mu.Unlock()
	if c.Done != nil {
		c.Done(true)
	}
}

func (r *Router) take(bodies []string, done func(bool)) {
	r.mu.Lock()
	r.waiting++
	r.change()
	for r.blocked {
		changed := r.changed
		r.mu.Unlock()
		<-changed
		r.mu.Lock()
	}
	r.waiting--
	r.records = append(r.records, bodies...)
	keep, ok := r.keep, !r.refuse
	if keep && done != nil {
		r.due = append(r.due, done)
	}
	r.change()
	r.mu.Unlock()
	if !keep && done != nil {
		done(ok)
	}
}

func (r *Router) change() {
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Router) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	r.change()
}

// answer tells all that is due, the last first.
func (r *Router) answer(ok bool) {
	r.mu.Lock()
	due := r.due
	r.due = nil
	r.mu.Unlock()
	for _, done := range slices.Backward(due) {
		done(ok)
	}
}

// await waits until a condition holds, which is asked under the lock.
func (r *Router) await(what string, holds func() bool) {
	r.t.Helper()
	over := time.After(patience)
	for {
		r.mu.Lock()
		ok, changed := holds(), r.changed
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-over:
			r.t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// patience is how long the suite waits for what must come, and moment how long it
// looks out for what must not.
const (
	patience = 2 * time.Minute
	moment   = 50 * time.Millisecond
)
