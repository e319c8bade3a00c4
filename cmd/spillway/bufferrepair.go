package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/diskbuffer"
)

func bufferRepairCommand() *cobra.Command {
	var yes, asJSON bool
	var stateDir string
	cmd := &cobra.Command{
		Use:   "repair [DIR]",
		Short: "Take damage out of disk buffers",
		Long: `Show what a repair would do, and do it with --yes. A repair keeps every record that can
be read, and what it takes out of a file it keeps beside it, in files whose names end in .bad.
It is not needed for delivering: who opens a damaged buffer reads around the damage and counts
what is lost. What is lost stays lost, and is counted by who empties the buffer.

A buffer that a process uses is not repaired.

Exit codes: 0 all is whole, 3 damage was found or is left, 1 it failed.`,
		Example: `  spillway buffer repair
  spillway buffer repair --yes /var/lib/spillway/buffers/0123456789abcdef`,
		Args: oneDir,
		RunE: func(_ *cobra.Command, args []string) error {
			paths, err := buffersOf(stateDir, args)
			if err != nil {
				return err
			}
			return repairBuffers(os.Stdout, paths, yes, asJSON)
		},
	}
	bindStateDir(cmd, &stateDir)
	cmd.Flags().BoolVar(&yes, "yes", false, "do what the plan says")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// repaired is one buffer.
type repaired struct {
	Path   string        `json:"path"`
	Whole  bool          `json:"whole"` // as it is now
	Done   bool          `json:"done"`
	Steps  []repairsStep `json:"steps"`
	Beyond []string      `json:"beyond_repair"`
	Error  string        `json:"error,omitempty"`
}

type repairsStep struct {
	File     string `json:"file"`
	What     string `json:"what"`
	SetAside int64  `json:"set_aside_bytes"`
}

func repairBuffers(w io.Writer, paths []string, yes, asJSON bool) error {
	all := struct {
		Whole   bool       `json:"whole"`
		Buffers []repaired `json:"buffers"`
	}{true, []repaired{}}
	var errs []error
	for _, path := range paths {
		r, err := repairBuffer(path, yes)
		if err != nil {
			err = fmt.Errorf("%s: %w", path, err)
			r.Error, r.Whole = err.Error(), false
			errs = append(errs, err)
		}
		all.Whole = all.Whole && r.Whole
		all.Buffers = append(all.Buffers, r)
		if !asJSON {
			errs = append(errs, r.print(w, yes))
		}
	}
	if asJSON {
		errs = append(errs, json.NewEncoder(w).Encode(all))
	}
	return outcome(all.Whole, errors.Join(errs...))
}

// repairBuffer plans, and acts where it may.
func repairBuffer(path string, yes bool) (r repaired, err error) {
	r = repaired{Path: path, Steps: []repairsStep{}, Beyond: []string{}}
	plan, err := planRepair(path)
	if err != nil {
		return r, err
	}
	for _, s := range plan.Steps {
		r.Steps = append(r.Steps, repairsStep{s.File, s.What, s.SetAside})
	}
	r.Beyond = append(r.Beyond, plan.Beyond...)
	r.Whole = plan.Report.Whole()
	if !yes || len(plan.Steps) == 0 {
		return r, nil
	}
	if err := actRepair(path, plan); err != nil {
		return r, err
	}
	r.Done = true
	after, err := inspect(path, nil)
	r.Whole = after.Whole()
	return r, err
}

func planRepair(path string) (plan *diskbuffer.Plan, err error) {
	dir, err := diskbuffer.OpenReadOnly(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return diskbuffer.PlanRepair(dir)
}

// actRepair repairs; what it makes belongs to whom the directory belongs to.
func actRepair(path string, plan *diskbuffer.Plan) (err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fmt.Errorf("see whose it is: %w", err)
	}
	owner := diskbuffer.Owner{UID: int(st.Uid), GID: int(st.Gid)}
	if owner.UID == os.Geteuid() {
		owner = diskbuffer.Owner{UID: -1, GID: -1}
	}
	dir, err := diskbuffer.OpenDir(path, owner)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return diskbuffer.Repair(dir, plan)
}

// print tells the plan to a person.
func (r *repaired) print(w io.Writer, yes bool) error {
	text := r.Path + ": "
	switch {
	case len(r.Steps) == 0 && len(r.Beyond) == 0 && r.Error == "":
		text += "whole, nothing to do\n"
	case r.Done:
		text += "repaired\n"
	case r.Error != "":
		text += "NOT repaired\n"
	default:
		text += "damaged\n"
	}
	for _, s := range r.Steps {
		text += fmt.Sprintf("  %s: %s", s.File, s.What)
		if s.SetAside > 0 {
			text += fmt.Sprintf(" (%s)", units.BytesSize(float64(s.SetAside)))
		}
		text += "\n"
	}
	for _, b := range r.Beyond {
		text += "  no repair helps: " + b + "\n"
	}
	if len(r.Steps) > 0 && !yes {
		text += "  nothing was done; --yes does it\n"
	}
	_, err := io.WriteString(w, text)
	return err
}
