package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/console"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/pipeline"
	"github.com/spillway/spillway/internal/run"
	"github.com/spillway/spillway/internal/statedir"
)

func statusCommand() *cobra.Command {
	var stateDir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the running processes of this machine hold, have delivered and have dropped",
		Long: `Ask every running spillway process of the state directory for its balance and for how
its destination does. A run shows each leg, which is a sink of a route: a record that goes to
two sinks is counted as received in each.

Exit codes: 0 done, also where nobody runs, 1 a process could not be asked, 2 wrong options.`,
		Example: `  spillway status
  spillway status --json | jq .dropped`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir := filepath.Join(config.StateDir(stateDir, os.Getenv), statedir.Run)
			answers, err := console.Ask(cmd.Context(), dir)
			all, unread := readReports(answers)
			err = errors.Join(err, unread)
			if asJSON {
				return errors.Join(json.NewEncoder(os.Stdout).Encode(all), err)
			}
			if len(all.Processes) == 0 && err == nil {
				_, err = fmt.Fprintf(os.Stdout, "no spillway process runs with the state directory %s; --state-dir names another\n", filepath.Dir(dir))
				return err
			}
			return errors.Join(all.print(os.Stdout), err)
		},
	}
	cmd.Flags().StringVar(&stateDir, "state-dir", "", "the state directory of the processes to ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object: the balance of all, and the processes")
	return cmd
}

// statuses are the reports of several processes and the sum of their balances.
type statuses struct {
	ledger.Sheet
	Processes []processStatus `json:"processes"`
}

// processStatus is what one process answers: a run has legs, and every other
// process is one.
type processStatus struct {
	pipeline.Report
	run *run.Report
}

// MarshalJSON implements json.Marshaler: it is what the process said.
func (p processStatus) MarshalJSON() ([]byte, error) {
	if p.run != nil {
		return json.Marshal(p.run)
	}
	return json.Marshal(p.Report)
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *processStatus) UnmarshalJSON(text []byte) error {
	var is struct {
		Legs []json.RawMessage `json:"legs"`
	}
	if err := json.Unmarshal(text, &is); err != nil {
		return err
	}
	if is.Legs == nil {
		return json.Unmarshal(text, &p.Report)
	}
	p.run = &run.Report{}
	if err := json.Unmarshal(text, p.run); err != nil {
		return err
	}
	p.Report = pipeline.Report{Time: p.run.Time, PID: p.run.PID, Balance: p.run.Balance, Identity: pipeline.Identity{Program: p.run.Program}}
	return nil
}

func readReports(answers []json.RawMessage) (statuses, error) {
	all := statuses{Processes: []processStatus{}}
	var errs []error
	var sheets []ledger.StreamBalance
	for _, answer := range answers {
		var r processStatus
		if err := json.Unmarshal(answer, &r); err != nil {
			errs = append(errs, fmt.Errorf("read a status: %w", err))
			continue
		}
		all.Processes = append(all.Processes, r)
		sheets = append(sheets, ledger.StreamBalance{Sheet: r.Sheet})
	}
	all.Sheet = ledger.Total(sheets)
	return all, errors.Join(errs...)
}

// print tells the reports to a person.
func (s statuses) print(w io.Writer) error {
	for _, p := range s.Processes {
		r := p.Report
		if p.run != nil {
			if _, err := fmt.Fprintf(w, "%s %d, run -c %s\n", r.Program, r.PID, p.run.File); err != nil {
				return err
			}
			if err := printRun(w, p.run); err != nil {
				return err
			}
			continue
		}
		who := fmt.Sprintf("%s %d", r.Program, r.PID)
		if r.Container != "" {
			who += fmt.Sprintf(", container %s/%s", r.Namespace, r.Container)
		}
		_, err := fmt.Fprintf(w, "%s: %s to %s, held %s of %s%s\n  %s\n", who, r.Mode, r.Destination,
			units.BytesSize(float64(r.Buffer.Held)), units.BytesSize(float64(r.Buffer.Limit)), diskText(r), healthText(r))
		if err = errors.Join(err, printBalance(w, r.Balance)); err != nil {
			return err
		}
	}
	return nil
}

// diskText says what a process has on the disk, in mode spill.
func diskText(r pipeline.Report) string {
	d := r.Buffer.Disk
	if d == nil {
		return ""
	}
	text := fmt.Sprintf(", on the disk %s of %s (%d records only there; durability %s)",
		units.BytesSize(float64(d.Used)), units.BytesSize(float64(d.Limit)), d.Backlog, d.Durability)
	if d.Trouble != "" {
		text += "\n  DISK: " + d.Trouble
	}
	return text
}

func healthText(r pipeline.Report) string {
	h := r.Health
	switch {
	case h.Up && h.DeadLetters != "":
		return "RED: the dead letters do not take what the destination rejects: " + h.DeadLetters
	case h.Up && h.Since.IsZero():
		return "GREEN: nothing sent yet"
	case h.Up:
		return "GREEN: the destination takes records since " + h.Since.Local().Format(time.DateTime)
	}
	text := fmt.Sprintf("RED: the destination takes nothing since %s, %s: %s",
		h.Since.Local().Format(time.DateTime), many(h.Failures, "failed attempt"), h.Error)
	if h.Config {
		text += " (somebody must act)"
	}
	return text
}
