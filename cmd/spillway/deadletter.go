package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/deadletter"
	"github.com/spillway/spillway/internal/match"
	"github.com/spillway/spillway/internal/sink/local"
	"github.com/spillway/spillway/internal/statedir"
)

func deadletterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deadletter",
		Short: "List, show, replay or purge records that could not be delivered",
		Long: `Look at the dead letters: records that their destination refuses for what they are, so that no
retry can deliver them. Each is kept with its bytes as they arrived, where it came from, where
it was going, and what the destination said. The commands may be used while spillway run works
on the same state directory.

Exit codes: 0 done, 1 failed, 2 wrong options, 3 damage was found.`,
		Example: `  spillway deadletter list
  spillway deadletter list --tag 'app.**' --since 1h --json
  spillway deadletter show 17
  spillway deadletter replay --destination search
  spillway deadletter purge --destination search --reason rejected-invalid`,
	}
	return group(cmd, deadletterListCommand(), deadletterShowCommand(), deadletterReplayCommand(), deadletterPurgeCommand())
}

// letterChoice is which letters of which store a command is about.
type letterChoice struct {
	stateDir, tag, since, until string
	query                       deadletter.Query

	// found are those of the letters that were asked for by their ids.
	found map[int64]bool
}

// flags adds the options that choose letters.
func (c *letterChoice) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.tag, "tag", "", "only letters whose tag matches this `pattern`, as in a route: 'app.**', '{a,b}.*'")
	f.StringVar(&c.query.Destination, "destination", "", "only letters for this destination, by its `name`")
	f.StringVar(&c.query.Reason, "reason", "", "only letters with this `reason`, such as rejected-invalid")
	f.StringVar(&c.since, "since", "", "only letters whose last attempt was then or later: a time such as 2026-11-20T12:00:00Z, or a duration before now such as 10m")
	f.StringVar(&c.until, "until", "", "only letters whose last attempt was before this time or duration")
	f.StringVar(&c.stateDir, "state-dir", "", "the state directory with the dead letters")
}

// parse completes the query; args are ids.
func (c *letterChoice) parse(args []string) error {
	now := time.Now()
	var err error
	if c.since != "" {
		if c.query.Since, err = local.ParseTime(c.since, now); err != nil {
			return usage(fmt.Errorf("--since: %w", err))
		}
	}
	if c.until != "" {
		if c.query.Until, err = local.ParseTime(c.until, now); err != nil {
			return usage(fmt.Errorf("--until: %w", err))
		}
	}
	if c.tag != "" {
		tags, err := match.Compile(c.tag)
		if err != nil {
			return usage(fmt.Errorf("--tag: %w", err))
		}
		c.query.Tag = tags.Match
	}
	for _, arg := range args {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil || id < 1 {
			return usage(fmt.Errorf("found %q; expected the id of a dead letter, a number as in deadletter list", arg))
		}
		c.query.IDs = append(c.query.IDs, id)
	}
	return nil
}

// narrow reports whether the query leaves anything out.
func (c *letterChoice) narrow() bool {
	q := &c.query
	return len(q.IDs) > 0 || q.Destination != "" || q.Reason != "" || q.Tag != nil || !q.Since.IsZero() || !q.Until.IsZero()
}

// dir is where the dead letters are.
func (c *letterChoice) dir() string {
	return filepath.Join(config.StateDir(c.stateDir, os.Getenv), statedir.DeadLetters)
}

// noting is visit, which also notes which of the ids that were asked for are there.
func (c *letterChoice) noting(visit func(*deadletter.Entry) error) func(*deadletter.Entry) error {
	c.found = make(map[int64]bool, len(c.query.IDs))
	return func(e *deadletter.Entry) error {
		if len(c.query.IDs) > 0 {
			c.found[e.ID] = true
		}
		return visit(e)
	}
}

// tellMissing tells the ids that were asked for and of which there is no letter, or none that
// the options choose: who mistypes one must not take it for done.
func (c *letterChoice) tellMissing() error {
	missing := false
	for _, id := range c.query.IDs {
		if !c.found[id] {
			fmt.Fprintf(os.Stderr, "spillway: %s\n", noLetter(id, c.dir()))
			missing = true
		}
	}
	return failedIf(missing)
}

func failedIf(failed bool) error {
	if failed {
		return &exitError{code: exitFailed}
	}
	return nil
}

func noLetter(id int64, dir string) string {
	return fmt.Sprintf("found no dead letter %d to which this applies in %s; expected an id that \"spillway deadletter list\" shows", id, dir)
}

// with runs do on the store, until a signal comes. Where there is no store it says
// so, which is no error but where a letter was asked for by its id.
func (c *letterChoice) with(ctx context.Context, do func(context.Context, *deadletter.Store) error) (err error) {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM)
	defer stop()
	s, err := deadletter.OpenExisting(c.dir(), deadletter.Options{})
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(os.Stderr, "spillway: there are no dead letters in %s\n", c.dir())
		return failedIf(len(c.query.IDs) > 0)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	err = do(ctx, s)
	if errors.Is(err, unix.EPIPE) {
		return nil
	}
	return err
}

// tellDamage makes the exit code of what a reading came across, and tells it.
func tellDamage(report deadletter.Report) error {
	for _, d := range report.Damage {
		lost := "nobody can say how many letters are lost"
		if d.Lost >= 0 {
			lost = many(d.Lost, "letter") + " lost"
		}
		fmt.Fprintf(os.Stderr, "spillway: %s: DAMAGED, %s: %v\n", d.Path, lost, d.Error)
	}
	return outcome(len(report.Damage) == 0, nil)
}
