package deliver

import (
	"time"

	"github.com/spillway/spillway/internal/sink"
)

// Health is how a destination does.
type Health struct {
	// Up is false from the first failed attempt to the next answer.
	Up bool `json:"up"`
	// Since is when that last changed; zero before the first answer.
	Since time.Time `json:"since,omitzero"`
	// Failures counts attempts that failed since then.
	Failures int `json:"failures"`
	// Error is the cause of the last failure.
	Error string `json:"error,omitempty"`
	// Config says that somebody must act: credentials are refused, or something is
	// missing that may not be created.
	Config bool `json:"needs_action,omitempty"`
	// AlreadyThere counts records that the destination said it had before they were sent
	// or sent again, and Replaced bytes of records that became U+FFFD in it. Both are of
	// this process, whatever became of the destination meanwhile.
	AlreadyThere int64 `json:"already_there,omitempty"`
	Replaced     int64 `json:"replaced_bytes,omitempty"`
	// PossibleConflicts are those of AlreadyThere of whose id another record may have
	// been there before, of which an attempt without an answer left no trace.
	PossibleConflicts int64 `json:"possible_conflicts,omitempty"`
	// DeadLetters is why the dead letters do not take what the destination rejects;
	// those records are pending until they do.
	DeadLetters string `json:"dead_letters,omitempty"`
}

// noted keeps what stands beside the balance.
func (g *gate) noted(out sink.Outcome) {
	if out.AlreadyThere == 0 && out.Replaced == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.already += int64(out.AlreadyThere)
	g.replaced += int64(out.Replaced)
	g.conflicts += int64(out.PossibleConflicts)
}

// mark notes whether a request waits for somebody to act: out is the outcome of an
// attempt that delivered the others, or nil where the request is at its end or goes
// another way. The destination is not well while one does, although it takes other
// records.
func (t *try) mark(out *sink.Outcome) {
	if t.red != nil {
		t.red.waits(-1, nil)
		t.red = nil
	}
	if out != nil && out.Config && out.Err != nil {
		t.red = t.to.gate
		t.red.waits(1, out.Err)
	}
}

// waits counts requests that wait for somebody to act.
func (g *gate) waits(n int, why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.red += n
	if why == nil {
		return
	}
	g.redWhy = why.Error()
	if now := time.Now(); now.Sub(g.said) >= sayAgain {
		g.said = now
		g.log.Warn("the destination does not take some records; they wait and are tried again", "destination", g.name, "error", g.redWhy, "needs_action", true)
	}
}

// health is what is known of the destination. It is not well while a request holds
// records of which it says that somebody must act, although it takes others.
func (g *gate) health() Health {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.state
	h.AlreadyThere, h.Replaced, h.PossibleConflicts = g.already, g.replaced, g.conflicts
	if g.red > 0 {
		h.Config = true
		if h.Up {
			h.Up, h.Error = false, g.redWhy
		}
	}
	return h
}
