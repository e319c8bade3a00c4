package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/pipeline"
	"github.com/spillway/spillway/internal/statedir"
)

func drainCommand() *cobra.Command {
	d := &draining{}
	cmd := &cobra.Command{
		Use:   "drain [DIR]",
		Short: "Deliver what dead processes left in their disk buffers",
		Long: `Deliver what loggers in mode spill could not: what is in the disk buffers that no
process uses. Each buffer says where its records were going, so no options are needed on the
machine where it was made; credentials are those of this machine's node file and environment,
since a buffer holds no secret. A buffer that is emptied is removed. One that a process uses is
left to it.

DIR is a state directory or the directory of one buffer; without it, it is the state directory
of this machine. With --watch it stays and empties what later processes leave behind.

A signal ends it; what is not delivered by then stays on the disk.

Exit codes: 0 nothing is left behind (with --watch: it was told to end), 1 a buffer could not be
emptied, 2 wrong options, 3 with --fail-on-loss, if any record was lost.`,
		Example: `  spillway drain
  spillway drain --watch
  spillway drain --json /var/lib/spillway/buffers/0123456789abcdef`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			if d.patience <= 0 {
				return usage(fmt.Errorf("--patience: found %s; expected a duration above 0, such as 30s", d.patience))
			}
			d.args = args
			return d.run(cmd.Context())
		},
	}
	bindStateDir(cmd, &d.stateDir)
	f := cmd.Flags()
	f.BoolVar(&d.watch, "watch", false, "stay, and empty what is left behind later")
	f.BoolVar(&d.json, "json", false, "print the balance as JSON on standard output, with --watch one line for each buffer")
	f.BoolVar(&d.failOnLoss, "fail-on-loss", false, "end with 3 if any record was lost")
	f.DurationVar(&d.patience, "patience", 30*time.Second, "how long a destination may take nothing before its buffer is left for later")
	f.StringVar(&d.config, "config", "", "a node file instead of the one that the buffer's logger had")
	return cmd
}

// Times of --watch: how often it looks for buffers, and how long one is left
// alone that could not be emptied.
const (
	watchEvery = 2 * time.Second
	watchAgain = time.Minute
)

// draining is one run of drain.
type draining struct {
	args                    []string
	stateDir                string
	config                  string
	watch, json, failOnLoss bool
	patience                time.Duration

	log  *slog.Logger
	node *config.Node
	// later says until when a buffer is left alone.
	later map[string]time.Time
	total drainTotal
}

// drainTotal is what --json prints.
type drainTotal struct {
	ledger.Sheet
	Buffers []drained `json:"buffers"`
}

// run empties what is there, once or until it is told to end.
func (d *draining) run(ctx context.Context) error {
	debug.SetMemoryLimit(heapLimit)
	d.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	d.later, d.total = make(map[string]time.Time), drainTotal{Sheet: ledger.Total(nil), Buffers: []drained{}}
	if d.config != "" {
		node, err := config.LoadNode(d.config)
		if err != nil {
			return usage(err)
		}
		d.node = node
	}
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM)
	defer stop()
	if d.watch {
		return d.stay(ctx)
	}
	if err := d.once(ctx); err != nil {
		return err
	}
	if err := d.print(); err != nil {
		return err
	}
	return d.outcome(ctx)
}

// stay looks for buffers until the context ends.
func (d *draining) stay(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		// A machine may have no state directory before its first logger starts.
		if err := d.once(ctx); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// once goes over all buffers.
func (d *draining) once(ctx context.Context) error {
	paths, err := buffersOf(d.stateDir, d.args)
	if err != nil {
		return err
	}
	for _, path := range paths {
		select {
		case <-ctx.Done():
			return nil
		default:
		}
		if d.watch && time.Now().Before(d.later[path]) {
			continue
		}
		if err := d.one(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// one empties one buffer and tells what became of it.
func (d *draining) one(ctx context.Context, path string) error {
	b := d.drain(ctx, path)
	if b.Outcome == outcomeGone {
		return nil
	}
	if d.watch {
		delete(d.later, path)
		switch b.Outcome {
		case outcomeInUse:
			return nil // Its process is alive, which is as it should be.
		case outcomeKept:
			d.later[path] = time.Now().Add(watchAgain)
		}
		if d.json {
			return json.NewEncoder(os.Stdout).Encode(b)
		}
		return b.print(os.Stdout)
	}
	d.total.Buffers = append(d.total.Buffers, b)
	if d.json {
		return nil
	}
	return b.print(os.Stdout)
}

// print tells the balance of all.
func (d *draining) print() error {
	var sheets []ledger.StreamBalance
	for _, b := range d.total.Buffers {
		if b.Report != nil {
			sheets = append(sheets, ledger.StreamBalance{Sheet: b.Sheet})
		}
	}
	d.total.Sheet = ledger.Total(sheets)
	if d.json {
		return json.NewEncoder(os.Stdout).Encode(d.total)
	}
	s := d.total.Sheet
	_, err := fmt.Printf("%s: %s recovered, %d delivered, %d dropped, %d left\n", many(len(d.total.Buffers), "buffer"),
		many(s.Recovered, "record"), s.Delivered, s.Dropped, s.Pending)
	return errors.Join(err, printExceptions(os.Stdout, s))
}

// outcome is the exit code.
func (d *draining) outcome(ctx context.Context) error {
	kept := 0
	for _, b := range d.total.Buffers {
		if b.Outcome == outcomeKept {
			kept++
		}
	}
	switch {
	case ctx.Err() != nil:
		return errors.New("ended by a signal; what is left stays on the disk")
	case kept > 0:
		return &exitError{code: exitFailed}
	case d.failOnLoss && d.total.Lost() > 0:
		return &exitError{code: exitLoss}
	}
	return nil
}

// stateOf is the state directory in which a buffer is, or nothing.
func stateOf(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	if above := filepath.Dir(path); filepath.Base(above) == statedir.Buffers {
		return filepath.Dir(above)
	}
	return ""
}

// identityOf says whose records they are, for reports.
func identityOf(r *config.Resolved, destination string) pipeline.Identity {
	c := r.Container()
	return pipeline.Identity{
		Program: "spillway drain", Container: c.ID, Name: c.Name, Namespace: c.Namespace, Destination: destination, Mode: string(config.Spill),
	}
}
