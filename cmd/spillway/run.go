package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/spillway/spillway/internal/awsauth/awsprofile"
	"github.com/spillway/spillway/internal/catalog/runcatalog"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/deadletter"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/run"
	"github.com/spillway/spillway/internal/statedir"
	"github.com/spillway/spillway/internal/version"
)

func runCommand() *cobra.Command {
	r := &running{}
	cmd := &cobra.Command{
		Use:   "run -c FILE [options]",
		Short: "Receive, route and deliver records as a configuration file says",
		Long: `Start the sources of a configuration file, send what they receive by its routes to its
sinks, and go on until SIGTERM. Every record is delivered, counted under the reason for which
it was not, kept as a dead letter, or left on the disk for the next run.

The log, on standard error, says what is open and, later, only what somebody may want to
know; "spillway status" says how everything is.

SIGTERM and SIGINT stop the sources, deliver what is held until shutdown-timeout, leave the
rest to the disk buffers, and print the balance; a second signal ends the delivery at once.
Where all sources end by themselves, as standard input does, so does the run, when all is
delivered, however long that takes: a destination that is away is waited for, but not one
that does not let go of an attempt for a minute after it was cut off. SIGHUP reads the file
again, and the secrets and certificates that it names: the new one is used as a whole, or the
old one goes on and the log says why.

Exit codes: 0 done, 1 failed, 2 wrong options or configuration, 3 records were lost and
--fail-on-loss was given; what a source still has and sends again is not lost.`,
		Example: `  spillway run -c spillway.yaml
  spillway check -c spillway.yaml && spillway run -c spillway.yaml --state-dir /var/lib/spillway
  kill -HUP $(pidof spillway)
  journalctl -o json | spillway run -c stdin.yaml --json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return r.run() },
	}
	cmd.Flags().StringVarP(&r.path, "config", "c", "", "the configuration `FILE`")
	cmd.Flags().StringVar(&r.stateDir, "state-dir", "", "the `directory` for disk buffers, dead letters and the status socket")
	cmd.Flags().BoolVar(&r.failOnLoss, "fail-on-loss", false, "end with 3 if any record was lost")
	cmd.Flags().BoolVar(&r.json, "json", false, "print the last report as JSON, as the last line on standard error")
	return cmd
}

// running is one run of run.
type running struct {
	path, stateDir   string
	failOnLoss, json bool

	log     *slog.Logger
	level   slog.LevelVar
	dir     *statedir.Dir
	letters *deadletter.Store
	asked   asked
	work    *run.Run
}

func (r *running) run() (err error) {
	if r.path == "" {
		return usage(errors.New("run: found no file; expected one, as in: spillway run -c spillway.yaml"))
	}
	r.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: &r.level}))
	file, err := r.load()
	if err != nil {
		return usage(err)
	}
	r.setLevel(file)
	if r.dir, err = statedir.Open(r.statePath(file)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.dir.Close()) }()
	server, err := listenForStatus(r.dir, "run", r.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	if err := r.openLetters(file); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.letters.Close()) }()
	// Until the balance is told no signal ends the program.
	signals := catchRunSignals()
	if r.work, err = r.start(file); err != nil {
		return err
	}
	server.Serve(func() any { return r.withLetters(r.work.Report()) })
	r.tellStart(file)
	report, err := r.untilEnd(file, signals)
	report = r.withLetters(report)
	// The balance is told whatever else went wrong, and last.
	err = errors.Join(err, recordExit(r.dir, report))
	if err != nil {
		fmt.Fprintln(os.Stderr, "spillway:", err)
	}
	if printed := r.print(os.Stderr, report); printed != nil {
		return printed
	}
	switch {
	case err != nil:
		return &exitError{code: exitFailed}
	case r.failOnLoss && report.Lost() > 0:
		return &exitError{code: exitLoss}
	}
	return nil
}

// load reads the file, and tells what in it is not as it seems.
func (r *running) load() (*runfile.File, error) {
	file, err := runfile.Load(r.path, os.Getenv)
	if err != nil {
		return nil, err
	}
	file.Look()
	for _, w := range append(file.Warnings, unwritable(file)...) {
		r.log.Warn(w)
	}
	return file, nil
}

// lookAtDisks is how long a start, or a reload, waits for the disks of sinks.
const lookAtDisks = 2 * time.Second

// unwritable is what the file says of it, but where a disk hangs.
func unwritable(file *runfile.File) []string {
	found := make(chan []string, 1)
	go func() { found <- file.Unwritable() }()
	patience := time.NewTimer(lookAtDisks)
	defer patience.Stop()
	select {
	case lines := <-found:
		return lines
	case <-patience.C:
		return []string{fmt.Sprintf("%s: whether the files of its sinks can be written is not known: a disk has not answered for %v", file.Path, lookAtDisks)}
	}
}

// setLevel has the log say as much as the file in use says.
func (r *running) setLevel(file *runfile.File) {
	r.level.Set(slog.LevelInfo)
	if file.Verbose {
		r.level.Set(slog.LevelDebug)
	}
}

// statePath is the state directory: the command line's, the file's, the
// environment's, or the usual one.
func (r *running) statePath(file *runfile.File) string {
	return config.StateDir(cmp.Or(r.stateDir, file.StateDir), os.Getenv)
}

func (r *running) openLetters(file *runfile.File) (err error) {
	r.letters, err = deadletter.Open(filepath.Join(r.dir.Path(), statedir.DeadLetters), deadletter.Options{
		Max:     file.MaxDeadLetters,
		Damaged: func(err error) { r.log.Error("the file of dead letters was set aside", "error", err) },
	})
	return err
}

// askLetters is how long a report waits for what the store of dead letters says.
const askLetters = 2 * time.Second

// withLetters adds to a report what the store of dead letters holds. Where it has no
// file it is not opened.
func (r *running) withLetters(report run.Report) run.Report {
	sum, err := r.asked.summary(r.letters.Summary)
	report.DeadLetters = &run.DeadLetters{Letters: sum.Letters, Bytes: sum.Bytes, Disk: sum.Disk, Max: sum.Max, SetAside: sum.Aside}
	if err != nil {
		report.DeadLetters.Error = err.Error()
	}
	return report
}

// asked asks the store one question at a time, and waits for no answer without end: its
// disk may hang.
type asked struct {
	mu    sync.Mutex
	hangs bool // a question has no answer yet
}

func (a *asked) summary(ask func(context.Context) (deadletter.Summary, error)) (sum deadletter.Summary, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	hangs := errors.New("the store does not answer; look at the disk of the state directory")
	if a.hangs {
		return sum, hangs
	}
	type answer struct {
		sum deadletter.Summary
		err error
	}
	ctx, cancel := context.WithTimeout(context.Background(), askLetters)
	answered := make(chan answer, 1)
	go func() {
		defer cancel()
		sum, err := ask(ctx)
		answered <- answer{sum, err}
	}()
	patience := time.NewTimer(askLetters + time.Second)
	defer patience.Stop()
	select {
	case got := <-answered:
		return got.sum, got.err
	case <-patience.C:
	}
	a.hangs = true
	go func() {
		<-answered
		a.mu.Lock()
		a.hangs = false
		a.mu.Unlock()
	}()
	return sum, hangs
}

func (r *running) start(file *runfile.File) (*run.Run, error) {
	s := &runcatalog.Surroundings{
		Getenv: os.Getenv, StateDir: r.dir.Path(), Provider: awsprofile.Provider, Region: awsprofile.Region,
		UserAgent: "spillway/" + version.String(), Log: r.log,
	}
	return run.Start(file, run.Config{
		StateDir: r.dir.Path(), OpenSink: s.OpenSink, OpenSource: s.OpenSource, DeadLetters: r.letters, Log: r.log,
		Replay: r.replay,
	})
}

// lookForReplays is how often a run looks whether somebody has asked for dead letters
// to be replayed.
const lookForReplays = time.Second

// replay hands dead letters over once more when somebody asks for it.
func (r *running) replay(ctx context.Context, give func(sink string, c *record.Chunk) bool) {
	again := time.NewTicker(lookForReplays)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		done, err := r.letters.Replay(ctx, func(e *deadletter.Entry, c *record.Chunk) {
			if !give(e.Destination, c) {
				c.Done(r.tooLong(ctx, e))
			}
		})
		if done.Given > 0 {
			r.log.Info("dead letters were replayed", "delivered", done.Removed, "refused_again", done.Returned, "not_handed_over", done.Kept)
		}
		if err != nil && ctx.Err() == nil {
			r.log.Error("dead letters cannot be replayed", "error", err)
		}
	}
}

// tooLong puts a letter back that no buffer of its route can hold any more, with that as the
// reason, and reports whether it is there.
func (r *running) tooLong(ctx context.Context, e *deadletter.Entry) bool {
	l := e.Letter
	why := fmt.Sprintf("a replay found %d bytes, more than a buffer of its route holds: raise max-buffer-size; before that: ", len(l.Body))
	l.Detail = why + strings.TrimPrefix(l.Detail, why)
	l.Attempts, l.Last = l.Attempts+1, time.Now().UnixNano()
	if err := r.letters.Put(ctx, []record.Letter{l}); err != nil {
		r.log.Error("a dead letter cannot be put back", "id", e.ID, "error", err)
		return false
	}
	return true
}

// print tells the balance.
func (r *running) print(w io.Writer, report run.Report) error {
	if r.json {
		return json.NewEncoder(w).Encode(report)
	}
	if err := printRun(w, &report); err != nil {
		return err
	}
	if report.Pending > 0 {
		_, err := fmt.Fprintf(w, "left on the disk: %d; the next run delivers them\n", report.Pending)
		return err
	}
	return nil
}
