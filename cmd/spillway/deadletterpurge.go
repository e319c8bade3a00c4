package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/spillway/spillway/internal/deadletter"
)

func deadletterPurgeCommand() *cobra.Command {
	p := &purging{in: os.Stdin, out: os.Stdout}
	cmd := &cobra.Command{
		Use:   "purge [ID ...]",
		Short: "Remove dead letters for good",
		Long: `Say which dead letters would be removed, and remove them with --yes, or when you say so. Ids
and options choose; to remove all of them --yes is needed. What arrives meanwhile stays. The
room that they took on the disk is given back.`,
		Example: `  spillway deadletter purge 17 18
  spillway deadletter purge --destination search --until 720h
  spillway deadletter purge --yes`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.parse(args); err != nil {
				return err
			}
			p.query.Heads = true
			return p.with(cmd.Context(), p.run)
		},
	}
	p.flags(cmd)
	cmd.Flags().BoolVar(&p.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&p.json, "json", false, "print a JSON object")
	return cmd
}

// purging is one run of purge.
type purging struct {
	letterChoice
	yes, json bool
	in        *os.File
	out       io.Writer
}

// purged is what --json prints.
type purged struct {
	Matched int64 `json:"matched"`
	Bytes   int64 `json:"bytes"`
	Removed int64 `json:"removed"`
}

func (p *purging) run(ctx context.Context, s *deadletter.Store) error {
	plan := purgePlan{groups: make(map[string]int64)}
	report, err := s.List(ctx, p.query, p.noting(plan.add))
	if err != nil {
		return err
	}
	result := purged{Matched: report.Matched, Bytes: plan.bytes}
	if !p.json {
		if _, err := io.WriteString(p.out, plan.text(report.Matched)); err != nil {
			return err
		}
	}
	agreed, err := p.agreed(report.Matched)
	if err == nil && agreed {
		// What came since the plan was made has not been told, so it stays.
		p.query.Last = plan.last
		if result.Removed, err = removeLetters(ctx, s, p.query, report.Matched); err == nil {
			err = s.Compact(ctx)
		}
	}
	switch {
	case p.json:
		err = errors.Join(err, json.NewEncoder(p.out).Encode(result))
	case agreed:
		_, said := fmt.Fprintf(p.out, "removed %s\n", many(result.Removed, "letter"))
		err = errors.Join(err, said)
	}
	return errors.Join(err, tellDamage(report), p.tellMissing())
}

// agreed reports whether what the plan says may be done.
func (p *purging) agreed(letters int64) (bool, error) {
	switch {
	case letters == 0 || p.yes:
		return letters > 0, nil
	case !p.narrow():
		return false, usage(errors.New("nothing was removed: to remove all dead letters give --yes, or choose some by their ids or by options"))
	case p.json || !term.IsTerminal(int(p.in.Fd())):
		fmt.Fprintln(os.Stderr, "spillway: nothing was removed; --yes removes them")
		return false, nil
	}
	if _, err := fmt.Fprint(p.out, "Remove them for good? [y/N] "); err != nil {
		return false, err
	}
	answer, err := bufio.NewReader(p.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}

// purgePlan says what would go.
type purgePlan struct {
	bytes, last    int64
	oldest, newest int64
	groups         map[string]int64 // letters by destination and reason
}

// mostGroups bounds what a plan tells apart.
const mostGroups = 20

func (p *purgePlan) add(e *deadletter.Entry) error {
	p.bytes += e.Size
	p.last = e.ID
	if p.oldest == 0 || e.Last < p.oldest {
		p.oldest = e.Last
	}
	p.newest = max(p.newest, e.Last)
	group := shown(e.Destination, 40) + ", " + shown(e.Reason, 40)
	if _, known := p.groups[group]; !known && len(p.groups) >= mostGroups {
		group = "others"
	}
	p.groups[group]++
	return nil
}

func (p *purgePlan) text(letters int64) string {
	if letters == 0 {
		return "no letter matches\n"
	}
	text := fmt.Sprintf("%s of %s, last attempts from %s to %s\n", many(letters, "letter"), units.BytesSize(float64(p.bytes)),
		stamp(p.oldest).Format(time.RFC3339), stamp(p.newest).Format(time.RFC3339))
	groups := slices.SortedFunc(maps.Keys(p.groups), func(a, b string) int {
		return cmp.Or(cmp.Compare(p.groups[b], p.groups[a]), strings.Compare(a, b))
	})
	for _, group := range groups {
		text += fmt.Sprintf("  %8d  %s\n", p.groups[group], group)
	}
	return text
}

// removedAtOnce is how many letters are removed in one step, so that others wait
// for a moment only.
const removedAtOnce = 500

// removeLetters removes what matches.
func removeLetters(ctx context.Context, s *deadletter.Store, q deadletter.Query, letters int64) (removed int64, err error) {
	step := func(int) {}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		bar := progressbar.NewOptions64(letters, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionClearOnFinish(),
			progressbar.OptionShowCount(), progressbar.OptionSetDescription("removing"), progressbar.OptionThrottle(progressEvery))
		// What cannot be shown or cleared on the terminal is nobody's loss.
		step = func(n int) { _ = bar.Add(n) }
		defer func() { _ = bar.Finish() }()
	}
	var refs []deadletter.Ref
	remove := func() error {
		n, err := s.Remove(ctx, refs)
		removed += n
		step(len(refs))
		refs = refs[:0]
		return err
	}
	_, err = s.List(ctx, q, func(e *deadletter.Entry) error {
		if refs = append(refs, e.Ref()); len(refs) < removedAtOnce {
			return nil
		}
		return remove()
	})
	if err != nil {
		return removed, err
	}
	return removed, remove()
}
