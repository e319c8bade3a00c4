package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/spillway/spillway/internal/deadletter"
)

func deadletterListCommand() *cobra.Command {
	var c letterChoice
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [ID ...]",
		Short: "List dead letters in the order in which they arrived",
		Long: `List dead letters: id, time of the last attempt, tag, destination, reason, size, and how the
record begins. With --json everything of a letter is one object a line: the record is body where
it is text, record where it is an entry of the forward protocol, and body_base64 where neither
says all of it.`,
		Example: `  spillway deadletter list
  spillway deadletter list --destination search --since 10m
  spillway deadletter list --json --tag 'app.**' | jq -r .detail | sort | uniq -c`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.parse(args); err != nil {
				return err
			}
			c.query.Heads = !asJSON
			return c.with(cmd.Context(), func(ctx context.Context, s *deadletter.Store) error {
				return errors.Join(listLetters(ctx, os.Stdout, s, &c, asJSON), c.tellMissing())
			})
		},
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each letter as a JSON object a line")
	return cmd
}

func listLetters(ctx context.Context, to io.Writer, s *deadletter.Store, c *letterChoice, asJSON bool) (err error) {
	out := bufio.NewWriterSize(to, 64<<10)
	var bytes int64
	visit := func(e *deadletter.Entry) error {
		bytes += e.Size
		return printLetter(out, e)
	}
	if asJSON {
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		visit = func(e *deadletter.Entry) error { return lines.Encode(letterObject(e)) }
	} else {
		_, err := fmt.Fprintf(out, letterRow, "ID", "LAST ATTEMPT", "TAG", "DESTINATION", "REASON", "SIZE", "RECORD")
		if err != nil {
			return err
		}
	}
	report, err := s.List(ctx, c.query, c.noting(visit))
	if err == nil && !asJSON {
		_, err = fmt.Fprintf(out, "%s, %s\n", many(report.Matched, "letter"), units.BytesSize(float64(bytes)))
	}
	return errors.Join(err, out.Flush(), tellDamage(report))
}

// letterRow is a line of the table. Its columns have fixed widths, since nobody
// knows what comes when the first line is printed.
const letterRow = "%-6s  %-20s  %-20s  %-14s  %-18s  %8s  %s\n"

// recordWidth is how much of a record the table shows, in characters.
const recordWidth = 60

func printLetter(w io.Writer, e *deadletter.Entry) error {
	_, err := fmt.Fprintf(w, letterRow, fmt.Sprint(e.ID), stamp(e.Last).Format(time.RFC3339), shown(e.Tag, 20), shown(e.Destination, 14),
		shown(e.Reason, 18), units.BytesSize(float64(e.Size)), shown(beginning(e), recordWidth))
	return err
}

// stamp is a time of a letter.
func stamp(nanoseconds int64) time.Time { return time.Unix(0, nanoseconds).UTC() }
