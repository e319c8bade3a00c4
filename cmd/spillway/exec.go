package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/spillway/spillway/internal/awsauth/awsprofile"
	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/pipeline"
	"github.com/spillway/spillway/internal/sink/local"
	"github.com/spillway/spillway/internal/statedir"
	"github.com/spillway/spillway/internal/version"
)

func execCommand() *cobra.Command {
	var given config.Flags
	e := &execution{}
	cmd := &cobra.Command{
		Use:   "exec [options] -- COMMAND [ARGUMENT ...]",
		Short: "Run a command and deliver what it writes",
		Long: `Run a command, take its standard output and error, deliver them, and end with the
balance: every line is delivered, or counted under the reason for which it was not.

Without --to the lines go to the local store, and "spillway logs" reads them back.
Signals go to the command. When it has ended, what is held is delivered, however
long that takes; a second signal ends that, and what is left is counted as dropped, or
stays on the disk in mode spill.

Exit codes: that of the command, or 128 and the signal that ended it; 1 the command could not be
started, 2 wrong options, 3 with --fail-on-loss, if any record was lost.`,
		Example: `  spillway exec -- make test
  spillway exec --max-buffer-size 4m -- sh -c 'seq 1 200000'
  spillway exec --to cloudwatch --awslogs-group g --awslogs-stream s --awslogs-region eu-central-1 -- ./server
  spillway exec --mode non-blocking --fail-on-loss --json -- ./server`,
		Args: commandArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			options, err := config.Load(config.Input{
				Program: config.ProgramExec, Own: given.Settings(), Getenv: os.Getenv, Checks: catalog.Checks(),
			})
			if err != nil {
				return usage(err)
			}
			e.options, e.command = options, args
			return e.run()
		},
	}
	bindOptions(cmd, &given, config.ProgramExec)
	cmd.Flags().BoolVar(&e.tee, "tee", false, "pass the command's output through as well")
	cmd.Flags().BoolVar(&e.failOnLoss, "fail-on-loss", false, "end with 3 if any record was lost")
	cmd.Flags().BoolVar(&e.json, "json", false, "print the balance as JSON, as the last line on standard error")
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// commandArgs checks that the command stands behind --, and nothing before it:
// what does is an option's value that its option did not take.
func commandArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usage(errors.New("exec: found no command; expected one after --, as in: spillway exec -- ls -l"))
	case cmd.ArgsLenAtDash() != 0:
		return usage(fmt.Errorf("exec: found %q where an option or -- is expected; write the command after --, "+
			"and a boolean as --name=false", args[0]))
	}
	return nil
}

// bindOptions makes the table's options flags of cmd. Those of destinations that
// come later are taken too, and not shown, so that config can say just that.
func bindOptions(cmd *cobra.Command, given *config.Flags, p config.Program) {
	for _, o := range append(config.Options(p), config.LaterOptions(p)...) {
		f := cmd.Flags().VarPF(given.Var(o), o.Name, "", o.Usage())
		f.NoOptDefVal = o.NoOptDefault()
		f.Hidden = o.Later()
	}
}

// heapLimit bounds the Go heap, in bytes. Records are held outside it.
const heapLimit = 16 << 20

// execution is one run of exec.
type execution struct {
	options               *config.Resolved
	command               []string
	tee, failOnLoss, json bool

	log      *slog.Logger
	dir      *statedir.Dir
	identity pipeline.Identity
	pipeline *pipeline.Pipeline

	destination *catalog.Destination
	signals     *watcher
}

func (e *execution) run() (err error) {
	debug.SetMemoryLimit(heapLimit)
	e.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: e.level()}))
	for _, w := range e.options.Warnings {
		e.log.Warn(w)
	}
	if e.dir, err = statedir.Open(e.options.StateDir()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.dir.Close()) }()
	server, err := listenForStatus(e.dir, "exec", e.log)
	if err != nil {
		return err
	}
	if err := e.start(); err != nil {
		return errors.Join(err, server.Close())
	}
	server.Serve(func() any { return e.pipeline.Report(e.identity) })
	defer func() { err = errors.Join(err, server.Close()) }()

	// Until the balance is told no signal ends the program.
	e.signals = e.watchSignals()
	defer e.signals.stop()
	show := startProgress(os.Stderr, func() pipeline.Report { return e.pipeline.Report(e.identity) })
	status, runErr := e.runCommand()
	show.stop()
	// The last balance is that of the end: what is left on the disk is known then. It
	// is told whatever else went wrong, and last.
	closeErr := e.pipeline.Close()
	report := e.pipeline.Report(e.identity)
	if err := errors.Join(runErr, closeErr, recordExit(e.dir, report)); err != nil {
		fmt.Fprintln(os.Stderr, "spillway:", err)
		status = max(status, exitFailed)
	}
	if err := e.print(os.Stderr, report); err != nil {
		return err
	}
	if e.failOnLoss && report.Lost() > 0 {
		return &exitError{code: exitLoss}
	}
	if status != 0 {
		return &exitError{code: status}
	}
	return nil
}

func (e *execution) level() slog.Level {
	if e.options.Verbose() {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// start makes the pipeline to the destination of the options.
func (e *execution) start() error {
	local, err := e.dir.Sub(statedir.Local)
	if err != nil {
		return err
	}
	destination, err := catalog.Open(e.options, catalog.Surroundings{
		Provider: awsprofile.Provider, Region: awsprofile.Region, UserAgent: "spillway/" + version.String(),
		Local: local, Run: filepath.Base(e.command[0]),
	})
	if err != nil {
		return err
	}
	e.destination = destination
	o := e.options.Buffer()
	e.identity = pipeline.Identity{Program: "spillway", Destination: destination.Name, Mode: string(o.Mode)}
	disk, err := e.openSpill()
	if err != nil {
		return errors.Join(err, destination.Sink.Close())
	}
	e.pipeline = pipeline.Start(pipeline.For(o, disk, destination, e.log))
	return nil
}

// openSpill opens the buffer's disk, in mode spill.
func (e *execution) openSpill() (*buffer.Disk, error) {
	o := e.options.Buffer()
	if o.Mode != config.Spill {
		return nil, nil
	}
	about, err := e.destination.About(e.options)
	if err != nil {
		return nil, err
	}
	identity, err := e.destination.Identity(e.options)
	if err != nil {
		return nil, err
	}
	return pipeline.OpenSpill(pipeline.Spill{
		StateDir: e.dir.Path(), Identity: identity, About: about, Owner: diskbuffer.Owner{UID: -1, GID: -1},
	}, o, e.log)
}

// print tells the balance.
func (e *execution) print(w io.Writer, report pipeline.Report) error {
	if e.json {
		return json.NewEncoder(w).Encode(report)
	}
	if err := printBalance(w, report.Balance); err != nil {
		return err
	}
	if report.Pending > 0 {
		_, err := fmt.Fprintf(w, "left on the disk: %d; the same command, or spillway drain, delivers them\n", report.Pending)
		return err
	}
	if e.options.Driver() != config.DriverLocal {
		return nil
	}
	expired, _, err := local.Expired(filepath.Join(e.dir.Path(), statedir.Local))
	if err == nil && expired > 0 {
		_, err = fmt.Fprintf(w, "records that the local store no longer keeps, for want of room: %d\n", expired)
	}
	return err
}
