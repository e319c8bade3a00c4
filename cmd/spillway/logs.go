package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/sink/local"
	"github.com/spillway/spillway/internal/statedir"
)

// logsRequest is what the options of logs ask for.
type logsRequest struct {
	stateDir, since, until, tail string
	query                        local.Query
	json                         bool
}

func logsCommand() *cobra.Command {
	var r logsRequest
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Read back what is in the local store",
		Long: `Print the records of the local store, which is where exec delivers unless it is told
otherwise, in the order in which they were written. A loss marker stands where records were
lost. The store keeps the newest GiB.`,
		Example: `  spillway logs --tail 100
  spillway logs -f --stream stderr
  spillway logs --since 10m --until 2026-11-20T12:00:00Z --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := r.parse(cmd.Flags().Changed("tail")); err != nil {
				return usage(err)
			}
			return r.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&r.query.Follow, "follow", "f", false, "go on with what is written later, until interrupted")
	f.StringVar(&r.since, "since", "", "only records of this time or later: a time such as 2026-11-20T12:00:00Z, or a duration before now such as 10m")
	f.StringVar(&r.until, "until", "", "only records before this time or duration")
	f.StringVar(&r.tail, "tail", "", "only the last so many records of those that are there, a `number`")
	f.StringArrayVar(&r.query.Streams, "stream", nil, "only this stream, stdout or stderr; may be given again")
	f.BoolVar(&r.json, "json", false, "print each record as the store has it, a JSON object a line")
	f.StringVar(&r.stateDir, "state-dir", "", "the state directory with the store")
	return cmd
}

// parse completes the query.
func (r *logsRequest) parse(tailGiven bool) error {
	now := time.Now()
	var err error
	if r.since != "" {
		if r.query.Since, err = local.ParseTime(r.since, now); err != nil {
			return fmt.Errorf("--since: %w", err)
		}
	}
	if r.until != "" {
		if r.query.Until, err = local.ParseTime(r.until, now); err != nil {
			return fmt.Errorf("--until: %w", err)
		}
	}
	if !tailGiven {
		return nil
	}
	n, err := strconv.Atoi(r.tail)
	if err != nil || n < 0 {
		return fmt.Errorf("--tail: found %q; expected a number of records, 0 or more", r.tail)
	}
	if r.query.Tail = n; n == 0 {
		r.query.Tail = local.NoTail
	}
	return nil
}

// checkStreams refuses streams that are not in the store, which a wrong name
// would be. Those of exec are known; for another name the store is read.
func (r *logsRequest) checkStreams(ctx context.Context, dir string) error {
	known := []string{"stdout", "stderr"}
	missing := slices.DeleteFunc(slices.Clone(r.query.Streams), func(name string) bool { return slices.Contains(known, name) })
	if len(missing) == 0 {
		return nil
	}
	err := local.Read(ctx, dir, local.Query{}, func(e local.Entry) error {
		if !slices.Contains(known, e.Stream) {
			known = append(known, e.Stream)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range missing {
		if !slices.Contains(known, name) {
			return usage(fmt.Errorf("--stream: found %q; expected a stream of the local store: %s", name, strings.Join(known, ", ")))
		}
	}
	return nil
}

func (r *logsRequest) run(ctx context.Context) (err error) {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM)
	defer stop()
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	defer func() { err = errors.Join(err, out.Flush()) }()
	r.query.Damaged = func(d local.Damage) {
		fmt.Fprintf(os.Stderr, "spillway: %s at byte %d: %d bytes are no record: %v\n", d.Segment, d.Offset, d.Size, d.Err)
	}
	dir := filepath.Join(config.StateDir(r.stateDir, os.Getenv), statedir.Local)
	if err := r.checkStreams(ctx, dir); err != nil {
		return err
	}
	err = local.Read(ctx, dir, r.query, func(e local.Entry) error {
		if err := r.print(out, e); err != nil || !r.query.Follow {
			return err
		}
		return out.Flush()
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(os.Stderr, "spillway: there is nothing in %s yet; try: spillway exec -- ls -l\n", dir)
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, unix.EPIPE):
		return nil
	}
	return err
}

// print writes one entry: its text, as it was received, or all that is known.
func (r *logsRequest) print(w io.Writer, e local.Entry) error {
	text := e.Text
	switch {
	case r.json:
		text = e.Line
	case e.Loss != nil:
		text = e.Loss.AppendText(nil)
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if !r.json && e.Part.Ordinal > 0 && !e.Part.Last {
		return nil
	}
	_, err := w.Write([]byte{'\n'})
	return err
}
