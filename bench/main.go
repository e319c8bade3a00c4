// Command bench measures Spillway's containerd logger beside Docker's own awslogs driver, and prints each figure with
// the bar that the project has set itself. It is run by "make bench"; README.md says what each row means.
//
// It builds the programs, then for each row starts a CloudWatch Logs sandbox, a logger as containerd starts it, and a
// generator in the container's place: Spillway and Docker in turn, in the same run, on the same machine. What it
// refuses is a fast wrong answer: a run that lost, doubled or disordered a record where that must not happen, or whose
// own account disagrees with what arrived, is named, and the exit code is 1. A missed bar alone is no failure: a
// benchmark on a busy machine is not a test.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/docker/go-units"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := mainExit(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// mainExit returns 0 if every row ran correctly, 1 if not, 2 for a wrong command line.
func mainExit(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 2
	}
	thisMachine := describeMachine(o)
	results, err := benchmark(ctx, o, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 1
	}
	print := printMarkdown
	if o.json {
		print = printJSON
	}
	if err := print(stdout, report{Machine: thisMachine, Rows: results}); err != nil {
		fmt.Fprintf(stderr, "bench: print the results: %v\n", err)
		return 1
	}
	if slices.ContainsFunc(results, func(r result) bool { return len(r.Problems) > 0 }) {
		return 1
	}
	return 0
}

// options is the command line.
type options struct {
	rows     []row
	runs     int
	json     bool
	binaries string
	scale    scale
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var names, volume string
	var quick bool
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&names, "row", "", "rows to run, separated by commas; unset: all ("+strings.Join(rowNames(), ", ")+")")
	f.IntVar(&o.runs, "runs", 3, "runs of each row; medians are printed")
	f.StringVar(&volume, "volume", "1GB", "how much a drain row writes, in powers of 1,000")
	f.BoolVar(&quick, "quick", false, "a fifth of the volume and half of the time, for a first look")
	f.BoolVar(&o.json, "json", false, "print JSON, every single run included, instead of a table")
	f.StringVar(&o.binaries, "binaries", "", "folder with spillway, spillway-shim, loggen and dockerlogs; unset: build them")
	f.Usage = func() {
		fmt.Fprintf(stderr, "Measures Spillway beside Docker's awslogs driver, and beside the same work without it.\n\n  go run ./bench --row drain,idle --runs 1\n\n")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return options{}, err
	}
	bytes, err := units.FromHumanSize(volume)
	if err != nil || bytes < 1e6 {
		return options{}, fmt.Errorf("--volume %q: expected at least 1MB, such as 1GB", volume)
	}
	if f.NArg() > 0 || o.runs < 1 {
		return options{}, errors.New("expected flags only, and at least one run")
	}
	o.scale = scale{volume: bytes, seconds: 1}
	if quick {
		o.scale = scale{volume: bytes / 5, seconds: 0.5}
	}
	o.rows, err = chooseRows(names, o.scale)
	return o, err
}

// benchmark builds what is needed and runs all rows. Progress goes to stderr.
func benchmark(ctx context.Context, o options, stderr io.Writer) (results []result, err error) {
	dir, err := os.MkdirTemp("", "spillway-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the programs: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := bench{dir: dir, binaries: o.binaries, progress: stderr}
	if b.binaries == "" {
		b.binaries = dir
		if err := build(ctx, dir, stderr); err != nil {
			return nil, err
		}
	}
	for _, r := range o.rows {
		runs, err := b.runRow(ctx, r, o.runs)
		if err != nil {
			return nil, fmt.Errorf("row %s: %w", r.name, err)
		}
		results = append(results, r.judge(runs))
	}
	return results, nil
}
