package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// endings is what ends by itself, each in a goroutine of its own: legs and sources that
// are not in use any more, and sinks that nobody uses. What it takes is another's to
// say, such as a disk that hangs, so nobody waits for it without a bound.
type endings struct {
	log *slog.Logger

	mu   sync.Mutex
	open []*ending
}

// ending is one of them.
type ending struct {
	what  string
	since time.Time
	done  chan struct{}
	err   error // once done is closed
}

// Ending is what has not ended yet.
type Ending struct {
	What  string    `json:"what"`
	Since time.Time `json:"since"`
}

// leave has something end, of which the log hears where that does not go well.
func (e *endings) leave(what string, end func() error) *ending {
	return e.begin(what, func() error {
		if err := end(); err != nil {
			e.log.Warn("something did not end well", "what", what, "error", err)
		}
		return nil
	})
}

// begin has something end, for a caller that waits and is told of errors.
func (e *endings) begin(what string, end func() error) *ending {
	one := &ending{what: what, since: time.Now().UTC(), done: make(chan struct{})}
	e.mu.Lock()
	e.open = append(e.open, one)
	e.mu.Unlock()
	go func() {
		defer close(one.done)
		one.err = end()
		e.mu.Lock()
		defer e.mu.Unlock()
		e.open = slices.DeleteFunc(e.open, func(other *ending) bool { return other == one })
	}()
	return one
}

// list returns what has not ended yet.
func (e *endings) list() []Ending {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]Ending, len(e.open))
	for i, one := range e.open {
		all[i] = Ending{one.what, one.since}
	}
	return all
}

// all are those that have not ended yet.
func (e *endings) all() []*ending {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.open)
}

// waitFor waits for endings so long; see wait.
func (e *endings) waitFor(all []*ending, patience time.Duration) error {
	over, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return e.wait(all, over.Done())
}

// wait waits for endings until over is closed, and returns what went wrong with them:
// that they have not ended, too.
func (e *endings) wait(all []*ending, over <-chan struct{}) error {
	var errs []error
	late := false
	for _, one := range all {
		if !late {
			select {
			case <-one.done:
			case <-over:
				late = true
			}
		}
		select {
		case <-one.done:
			errs = append(errs, one.err)
		default:
			errs = append(errs, fmt.Errorf("%s has not ended within %v", one.what, time.Since(one.since).Round(time.Millisecond)))
		}
	}
	return errors.Join(errs...)
}
