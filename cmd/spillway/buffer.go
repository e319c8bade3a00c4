package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/run"
	"github.com/spillway/spillway/internal/statedir"
)

func bufferCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "buffer",
		Short: "Check, export or repair disk buffers",
		Long: `Look into the disk buffers of mode spill, where records wait that could not be
delivered yet. DIR is the directory of one buffer, or a state directory, which
means all its buffers; without DIR it is the state directory of this machine.

Exit codes: 0 everything is whole, 3 damage was found, 1 something could not be
read, 2 wrong options.`,
		Example: `  spillway buffer check
  spillway buffer check --json /var/lib/spillway/buffers/0123456789abcdef
  spillway buffer export /var/lib/spillway > left.jsonl
  spillway buffer repair --yes /var/lib/spillway`,
	}
	return group(cmd, bufferCheckCommand(), bufferExportCommand(), bufferRepairCommand())
}

// bindStateDir adds the option by which most commands know the state directory to one
// that takes a directory as its argument.
func bindStateDir(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "state-dir", "", "the state directory, in the place of DIR")
}

// buffersOf are the directories of the buffers that an argument names, or that are in
// a state directory.
func buffersOf(stateDir string, args []string) (paths []string, err error) {
	dir := config.StateDir(stateDir, os.Getenv)
	if len(args) > 0 && args[0] != "" {
		if stateDir != "" {
			return nil, usage(fmt.Errorf("found the directory %q beside --state-dir %q; expected one of them", args[0], stateDir))
		}
		dir = args[0]
	}
	names, err := namesIn(dir)
	if err != nil {
		return nil, err
	}
	state := dir
	switch {
	case isBuffer(dir, names):
		return []string{dir}, nil
	case filepath.Base(dir) == statedir.Buffers:
		state = filepath.Dir(dir)
	case !isStateDir(names) && len(args) > 0:
		return nil, fmt.Errorf("%s is neither the directory of a disk buffer nor a state directory; "+
			"expected one with segments (*.seg), a cursor and a buffer.json, or one with a directory %s", dir, statedir.Buffers)
	}
	all, err := statedir.ListBuffers(state)
	for _, b := range all {
		paths = append(paths, b.Path)
	}
	return paths, err
}

// namesIn are the names in a directory.
func namesIn(dir string) (map[string]bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look for disk buffers: %w", err)
	}
	names := make(map[string]bool)
	for _, e := range entries {
		names[e.Name()] = true
	}
	return names, nil
}

// isBuffer tells the directory of a buffer by what is in it, or by its name where
// everything is gone.
func isBuffer(dir string, names map[string]bool) bool {
	return holdsBuffer(names) || filepath.Base(filepath.Dir(dir)) == statedir.Buffers && !isStateDir(names)
}

// holdsBuffer tells a buffer by the names of its files.
func holdsBuffer(names map[string]bool) bool {
	for name := range names {
		if name == "buffer.json" || name == "cursor" || strings.HasSuffix(name, ".seg") {
			return true
		}
	}
	return false
}

// isStateDir tells a state directory by what is in it.
func isStateDir(names map[string]bool) bool {
	for _, name := range []string{statedir.Buffers, statedir.Local, statedir.Run, statedir.Log} {
		if names[name] {
			return true
		}
	}
	return names["exits.jsonl"]
}

// inspect looks into one buffer without disturbing who uses it.
func inspect(path string, visit func(diskbuffer.Frame) error) (report diskbuffer.Report, err error) {
	dir, err := diskbuffer.OpenReadOnly(path)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	report, err = diskbuffer.Inspect(dir, visit)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return report, err
}

// destinationOf says for people whose records a buffer holds and where they go.
func destinationOf(identity string, about json.RawMessage) string {
	if route, sink, ok := run.ParseIdentity(identity); ok {
		return fmt.Sprintf("of spillway run, of its route %q, for the sink %q", route, sink)
	}
	var a config.About
	if len(about) == 0 || json.Unmarshal(about, &a) != nil {
		return "of an unknown logger"
	}
	text := "of spillway exec"
	if a.Container.ID != "" {
		text = fmt.Sprintf("of container %s/%s", a.Container.Namespace, a.Container.ID)
		if a.Container.Name != a.Container.ID {
			text += " (" + a.Container.Name + ")"
		}
	}
	o := a.Options
	switch {
	case o["log-path"] != "":
		return text + ", for the file " + o["log-path"]
	case o["to"] == "fluentd", o["log-driver"] == "fluentd":
		return text + ", for the server " + o["fluentd-address"]
	case o["awslogs-group"] != "":
		return fmt.Sprintf("%s, for awslogs %s/%s", text, o["awslogs-group"], o["awslogs-stream"])
	}
	return text + ", for the local store"
}

// outcome makes the exit code of what was found in all buffers: what could not
// be read weighs more than what is damaged.
func outcome(whole bool, err error) error {
	if err != nil || whole {
		return err
	}
	return &exitError{code: exitLoss}
}
