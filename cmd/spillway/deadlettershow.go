package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/spillway/spillway/internal/deadletter"
	"github.com/spillway/spillway/internal/record"
)

func deadletterShowCommand() *cobra.Command {
	var c letterChoice
	var asJSON, raw bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show everything of one dead letter",
		Long: `Show all that is known of one dead letter, and its record. --raw prints the bytes of the
record as they arrived, of a message those of its value, and nothing else.`,
		Example: `  spillway deadletter show 17
  spillway deadletter show --raw 17 | xxd`,
		Args: oneArg("id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON && raw {
				return usage(errors.New("found --json and --raw; expected one of them"))
			}
			if err := c.parse(args); err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, s *deadletter.Store) error {
				id := c.query.IDs[0]
				err := showLetter(ctx, os.Stdout, s, id, asJSON, raw)
				if errors.Is(err, fs.ErrNotExist) {
					return errors.New(noLetter(id, c.dir()))
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	cmd.Flags().BoolVar(&raw, "raw", false, "print the bytes of the record alone")
	cmd.Flags().StringVar(&c.stateDir, "state-dir", "", "the state directory with the dead letters")
	return cmd
}

func showLetter(ctx context.Context, w io.Writer, s *deadletter.Store, id int64, asJSON, raw bool) error {
	e, err := s.Get(ctx, id)
	switch {
	case err != nil:
		return err
	case raw:
		value, _ := valueOf(&e)
		_, err := w.Write(value)
		return err
	case asJSON:
		lines := json.NewEncoder(w)
		lines.SetEscapeHTML(false)
		return lines.Encode(letterObject(&e))
	}
	return printWhole(w, &e)
}

// widest is how much of a field is shown to people.
const widest = 2000

// printWhole tells one letter to a person.
func printWhole(w io.Writer, e *deadletter.Entry) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, text)
		}
	}
	line("id", fmt.Sprint(e.ID))
	line("destination", shown(e.Destination, widest))
	line("source", shown(e.Source, widest))
	line("tag", shown(e.Tag, widest))
	line("origin", shown(e.Origin, widest))
	line("number", fmt.Sprint(e.Seq))
	line("time", stamp(eventTime(e)).Format(time.RFC3339Nano))
	if e.Status != 0 {
		line("status", fmt.Sprint(e.Status))
	}
	line("reason", shown(e.Reason, widest))
	line("detail", shown(e.Detail, widest))
	line("attempts", fmt.Sprintf("%d, from %s to %s", e.Attempts, stamp(e.First).Format(time.RFC3339Nano), stamp(e.Last).Format(time.RFC3339Nano)))
	size := fmt.Sprintf("%s of %d bytes", encodingName(e.Encoding), e.Size)
	if m, ok := letterMessage(e); ok {
		p, _, _ := record.ParseCoordinates(e.Origin)
		messageOf(&m, p).lines(line)
		size += fmt.Sprintf(", of which its value has %d", len(m.Value))
	}
	line("record", size)
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", readable(e))
	return err
}

// readable is a record for a person: an entry as JSON, text by lines, anything else
// as a dump; of a message its value.
func readable(e *deadletter.Entry) string {
	if m, ok := letterMessage(e); ok && m.Null {
		return "null"
	}
	if fields, whole := fieldsOf(e); whole {
		var indented bytes.Buffer
		if json.Indent(&indented, fields, "", "  ") == nil {
			return indented.String()
		}
	}
	value, mayBeText := valueOf(e)
	if !mayBeText || !utf8.Valid(value) {
		return strings.TrimSuffix(hex.Dump(value), "\n")
	}
	lines := strings.Split(string(value), "\n")
	for i := range lines {
		lines[i] = shown(lines[i], len(lines[i])*10+1)
	}
	return strings.Join(lines, "\n")
}
