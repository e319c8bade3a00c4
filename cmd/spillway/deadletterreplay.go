package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/spillway/spillway/internal/deadletter"
)

func deadletterReplayCommand() *cobra.Command {
	r := &replaying{}
	cmd := &cobra.Command{
		Use:   "replay [ID ...]",
		Short: "Hand dead letters to the routes of the running process once more",
		Long: `Ask the spillway run of this state directory to hand dead letters to its routes once more, by
their tags, and wait until it has. A letter goes to the destination that refused it, where its
route still leads there, and else to all destinations of the route. What is delivered is
removed from the dead letters; what is refused again stays, with what the destination said last.

What was asked for outlasts both processes: if no run is there, the next one does it. An
interrupt takes back what was not handed over yet; --detach does not wait at all.

Exit codes: 0 everything was delivered (--detach: is asked for), 1 some letters are still there
or it failed, 2 wrong options, 3 damage was found.`,
		Example: `  spillway deadletter replay 17
  spillway deadletter replay --destination search --since 1h
  spillway deadletter replay --all --detach`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.parse(args); err != nil {
				return err
			}
			if !r.narrow() && !r.everything {
				return usage(errors.New("nothing is replayed: to replay all dead letters give --all, or choose some by their ids or by options"))
			}
			return r.with(cmd.Context(), r.run)
		},
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&r.everything, "all", false, "replay all dead letters")
	cmd.Flags().BoolVar(&r.detach, "detach", false, "ask, and do not wait")
	cmd.Flags().BoolVar(&r.json, "json", false, "print a JSON object")
	return cmd
}

// replaying is one run of replay.
type replaying struct {
	letterChoice
	everything, detach, json bool
}

// replayResult is what --json prints.
type replayResult struct {
	// Asked letters are to be replayed; of these Delivered are gone, and Left are
	// still dead letters: refused again, or not handed over.
	Asked     int64 `json:"asked"`
	Delivered int64 `json:"delivered"`
	Left      int64 `json:"left"`
}

const (
	// askAgain is how often replay looks how far it is.
	askAgain = 200 * time.Millisecond
	// nobodyAfter is how long nothing happens until replay says so.
	nobodyAfter = 10 * time.Second
)

func (r *replaying) run(ctx context.Context, s *deadletter.Store) error {
	// Letters that come while it waits are none of its business.
	report, err := s.List(ctx, r.heads(), r.noting(func(e *deadletter.Entry) error {
		r.query.Last = e.ID
		return nil
	}))
	if err != nil {
		return err
	}
	result := replayResult{}
	if report.Matched > 0 {
		if result.Asked, err = s.Ask(ctx, r.query); err != nil {
			return err
		}
	}
	if !r.detach && result.Asked > 0 {
		err = r.wait(ctx, s, result.Asked)
		var left int64
		_, counted := s.List(context.WithoutCancel(ctx), r.heads(), func(*deadletter.Entry) error {
			left++
			return nil
		})
		result.Left, result.Delivered = left, result.Asked-left
		err = errors.Join(err, counted)
	}
	return errors.Join(err, r.tell(result), tellDamage(report), r.tellMissing())
}

// heads is the query without long bodies.
func (r *replaying) heads() deadletter.Query {
	q := r.query
	q.Heads = true
	return q
}

func (r *replaying) tell(result replayResult) error {
	var err error
	switch {
	case r.json:
		err = json.NewEncoder(os.Stdout).Encode(result)
	case result.Asked == 0:
		_, err = fmt.Println("no letter matches")
	case r.detach:
		_, err = fmt.Printf("%s asked for\n", many(result.Asked, "letter"))
	default:
		_, err = fmt.Printf("%s delivered, %d still dead\n", many(result.Delivered, "letter"), result.Left)
	}
	if err == nil && result.Left > 0 {
		return &exitError{code: exitFailed}
	}
	return err
}

// wait waits until nothing is asked for any more. An interrupt takes back what is.
func (r *replaying) wait(ctx context.Context, s *deadletter.Store, letters int64) error {
	show := func(int64) {}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		bar := progressbar.NewOptions64(letters, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionClearOnFinish(),
			progressbar.OptionShowCount(), progressbar.OptionSetDescription("replaying"))
		// What cannot be shown or cleared on the terminal is nobody's loss.
		show = func(left int64) { _ = bar.Set64(max(0, letters-left)) }
		defer func() { _ = bar.Finish() }()
	}
	again := time.NewTicker(askAgain)
	defer again.Stop()
	before, since, told := letters, time.Now(), false
	for {
		select {
		case <-ctx.Done():
			return s.Withdraw(context.WithoutCancel(ctx))
		case <-again.C:
		}
		left, err := s.Asked(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if left == 0 && err == nil {
			return nil
		}
		show(left)
		if left != before {
			before, since = left, time.Now()
		} else if !told && time.Since(since) > nobodyAfter {
			fmt.Fprintln(os.Stderr, "spillway: nothing has happened for a while: is a spillway run at work with this state directory, and its destination there?")
			told = true
		}
	}
}
