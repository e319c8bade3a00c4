// Package run is "spillway run": it makes of a file's sources, routes and sinks
// what moves records, changes it when the file changes, and ends it in order.
//
// Each sink of a route is a leg, which is one pipeline.Pipeline. What no route
// matches has a leg as well, whose sink refuses everything, so that it becomes
// dead letters; and so has what an earlier run left on the disk for a route that
// is gone. Sources start last and end first.
//
// It names sources and sinks by the file alone: the catalogue makes them. Its
// caller is cmd/spillway, which reads the file, catches signals and prints.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/route"
)

// Config is what a run needs beside its file.
type Config struct {
	// StateDir is the path of the state directory, which exists. Empty means that
	// nothing is kept: no disk buffers, and no chunks are remembered.
	StateDir string
	// OpenSink makes a sink of the file.
	OpenSink func(*runfile.Sink) (*catalog.Destination, error)
	// OpenSource makes a source of the file, which takes nothing before its Start.
	// What it must open anew, such as a listener, it opens.
	OpenSource func(*runfile.Source, SourceOptions) (Source, error)
	// DeadLetters keeps what cannot be delivered.
	DeadLetters deliver.DeadLetters
	// Replay, which may be nil, hands dead letters over once more by calling give,
	// until ctx ends, and then returns when the last chunk's Done is told. A letter
	// goes to the sink of that name where its route has it, else to all of its route.
	Replay func(ctx context.Context, give func(sink string, c *record.Chunk))
	Log    *slog.Logger
}

// Run is a file at work. Its methods may be called by several goroutines at once.
type Run struct {
	cfg     Config
	router  *route.Router
	strays  strays
	settled settled

	// changing is held while the file changes, and at the end; mu, inside of it,
	// while what follows is read or changed.
	changing sync.Mutex
	mu       sync.Mutex
	file     *runfile.File
	sinks    sinks
	legs     []*leg // of the routes, in the order of the file
	rejects  []*leg // of what is invalid and of what no route takes, which may be one
	leaving  []*leg // of routes that are gone, until they are empty
	gone     ledger.Balance
	orphans  []Orphan
	sources  []*source
	retiring []*source // that were changed or removed, until they have ended
	goneIn   int64     // records that those took which have

	// stopping: nothing is begun any more.
	stopping bool

	leavers sync.WaitGroup
	// handing are the sources among them that may still hand something over.
	handing sync.WaitGroup
	replay  replay
	heap    heap
}

// Start makes a run of the file and starts it: the legs first, then the sources.
// Where it fails, nothing is left running.
func Start(file *runfile.File, cfg Config) (*Run, error) {
	r := &Run{cfg: cfg, sinks: sinks{open: cfg.OpenSink}, strays: strays{log: cfg.Log}}
	r.heap.limit.Store(heapLimit(file))
	r.router = route.NewRouter(route.NewTable(nil, &route.Route{}, &route.Route{}, r.strays.tell))
	next, err := r.build(file)
	if err != nil {
		return nil, err
	}
	r.changing.Lock()
	defer r.changing.Unlock()
	r.commit(next)
	r.adopt()
	r.replay.start(r.router, r.cfg.Replay)
	r.heap.start(r.cfg.Log)
	return r, nil
}

// receiving is the share of the memory in which is received: half-read messages,
// decompression, connections, remembered chunks, and what no route takes.
func receiving(file *runfile.File) int64 { return file.Memory / 4 }

// next is what a file asks for, made and not yet in use.
type next struct {
	file    *runfile.File
	legs    []*leg
	places  []place // of legs
	made    []*leg  // of legs, those that were not there before
	rejects []*leg
	table   *route.Table
	// sources are those of the file, and opened of these those that are new.
	sources, opened []*source
}

// build makes what the file asks for, and leaves alone what there is: legs and
// sources of which it says the same go on. Where it fails, nothing is left of it.
// The sources come first, because a leg may settle at once what they remember.
func (r *Run) build(file *runfile.File) (*next, error) {
	n := &next{file: file}
	err := r.openSources(n)
	var routes []*route.Route
	for i := 0; err == nil && i < len(file.Routes); i++ {
		var made *route.Route
		if made, err = r.buildRoute(n, &file.Routes[i]); err != nil {
			err = fmt.Errorf("%s: %w", file.Routes[i].Where, err)
		}
		routes = append(routes, made)
	}
	if err != nil {
		return nil, errors.Join(err, r.undo(n))
	}
	for _, plan := range rejectsPlans(file) {
		l := running(r.rejects, &plan)
		if l == nil {
			l = r.startRejects(plan)
			n.made = append(n.made, l)
		}
		n.rejects = append(n.rejects, l)
	}
	to := func(l *leg) *route.Route { return &route.Route{Name: l.route, Legs: []route.Leg{l}} }
	n.table = route.NewTable(routes, to(n.rejects[len(n.rejects)-1]), to(n.rejects[0]), r.strays.tell)
	return n, nil
}

func (r *Run) buildRoute(n *next, from *runfile.Route) (*route.Route, error) {
	to := &route.Route{Name: from.Name, Match: from.Match.Match}
	for i, name := range from.To {
		plan := legPlan{route: from.Name, sink: *n.file.Sink(name), buffer: from.Buffer}
		l := running(r.legs, &plan)
		if l == nil {
			var err error
			if l, err = r.startLeg(plan); err != nil {
				return nil, fmt.Errorf("start delivery to the sink %q: %w", name, err)
			}
			n.made = append(n.made, l)
		}
		n.places = append(n.places, place{i, len(from.To)})
		n.legs = append(n.legs, l)
		to.Legs = append(to.Legs, l)
	}
	return to, nil
}

// running is the leg of that plan among those that there are, or nil.
func running(legs []*leg, plan *legPlan) *leg {
	for _, l := range legs {
		if l.same(plan) {
			return l
		}
	}
	return nil
}

// undo ends what was made for a file that is not used after all. Nothing has been
// admitted to it, but a disk buffer may have something of an earlier run, which
// stays there.
func (r *Run) undo(n *next) error {
	var errs []error
	told := r.sources
	r.settled.sources.Store(&told)
	for _, s := range n.opened {
		errs = append(errs, s.Close())
	}
	for _, l := range n.made {
		l.StopBy(time.Now())
		l.Drain()
		errs = append(errs, r.end(l))
	}
	return errors.Join(errs...)
}
