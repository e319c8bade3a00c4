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
	// goes to the sink of that name where its route has it, else to all of its route; give
	// returns false where a buffer there cannot hold it, and then tells nobody.
	Replay func(ctx context.Context, give func(sink string, c *record.Chunk) bool)
	Log    *slog.Logger
}

// Run is a file at work. Its methods may be called by several goroutines at once.
type Run struct {
	cfg     Config
	router  *route.Router
	strays  strays
	settled settled

	// changing is held while the file changes, and at the end; opening, inside of it,
	// while the file changes and while a leg is made for what an earlier run left, so
	// that the new file is that leg's as well; and mu, inside of both, while what
	// follows is read or changed.
	changing sync.Mutex
	opening  sync.Mutex
	mu       sync.Mutex
	file     *runfile.File
	since    time.Time // file is in use
	refused  *Refused  // later
	sinks    sinks
	legs     []*leg // of the routes, in the order of the file
	rejects  []*leg // of what is invalid and of what no route takes, which may be one
	leaving  []*leg // of routes that are gone, until they are empty
	gone     ledger.Balance
	orphans  []Orphan
	sources  []*source
	retiring []*source // that were changed or removed, until they have ended
	goneIn   int64     // records that those took which have

	// stopping: nothing is begun any more. deadline is by when the run is to end; zero is
	// none.
	stopping bool
	deadline time.Time

	endings endings
	// handing are the sources among them that may still hand something over.
	handing sync.WaitGroup
	replay  replay
	failed  *failedCopies
	copying replay // of what is failed
	heap    heap
}

// Start makes a run of the file and starts it: the legs first, then the sources.
// Where it fails, nothing is left running.
func Start(file *runfile.File, cfg Config) (*Run, error) {
	r := &Run{cfg: cfg, sinks: sinks{open: cfg.OpenSink}, strays: strays{log: cfg.Log}, endings: endings{log: cfg.Log}}
	r.failed = newFailedCopies(cfg.DeadLetters, cfg.Log)
	if cfg.DeadLetters != nil {
		r.cfg.DeadLetters = r.failed
	}
	r.heap.limit.Store(heapLimit(file))
	r.router = route.NewRouter(route.NewTable(nil, &route.Route{}, &route.Route{}, r.strays.tell))
	r.changing.Lock()
	defer r.changing.Unlock()
	next, err := r.build(file)
	if err != nil {
		return nil, errors.Join(err, r.settled.close())
	}
	r.commit(next)
	r.adopt()
	r.replay.start(r.router, r.cfg.Replay)
	r.copying.start(r.router, r.failed.run)
	r.heap.start(r.cfg.Log)
	return r, nil
}

// receiving is the share of the memory in which is received: half-read messages,
// decompression, connections, remembered chunks, and what no route takes.
func receiving(file *runfile.File) int64 { return file.Memory / 4 }
