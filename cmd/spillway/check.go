package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/config/setting"
)

func checkCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether a configuration of spillway run is good, and what it means",
		Long: `Read the configuration of "spillway run" and say everything that is wrong with it, each
with file, line and column, or what it means. It connects to nothing and changes nothing;
warnings, also about secrets and certificates that are not here, go to standard error.

Exit codes: 0 good, 2 not good.`,
		Example: `  spillway check -c spillway.yaml
  spillway check -c spillway.yaml --json | jq .problems`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			file, err := runfile.Load(path, os.Getenv)
			if asJSON {
				return errors.Join(json.NewEncoder(os.Stdout).Encode(checkedFile(path, file, err)), silently(err))
			}
			if err != nil {
				// Without the program's name before the first, so that editors find the place.
				fmt.Fprintln(os.Stderr, err)
				return silently(err)
			}
			report := checkedFile(path, file, nil)
			for _, w := range report.Warnings {
				fmt.Fprintln(os.Stderr, "warning:", w.Text)
			}
			return report.print(os.Stdout)
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", config.DefaultNodePath, "the configuration file")
	cmd.AddCommand(checkOptionsCommand())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object: whether it is good, problems, warnings, and what it means")
	return cmd
}

// silently ends the program with exitUsage for an error that has been told.
func silently(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code: exitUsage}
}

// fileReport is what check prints as JSON.
type fileReport struct {
	File     string        `json:"file"`
	OK       bool          `json:"ok"`
	Problems []fileProblem `json:"problems"`
	Warnings []fileWarning `json:"warnings"`

	// What follows is there for a good file.
	Memory   int64        `json:"memory,omitempty"` // bytes
	StateDir string       `json:"state_dir,omitempty"`
	Sources  []fileSource `json:"sources,omitempty"`
	Legs     []fileLeg    `json:"legs,omitempty"`
}

type fileProblem struct {
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Where    string `json:"where"`
	Found    string `json:"found"`
	Expected string `json:"expected"`
	Do       string `json:"do,omitempty"`
}

type fileWarning struct {
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Text   string `json:"text"`
}

type fileSource struct {
	Name   string   `json:"name"`
	Type   string   `json:"type"`
	Listen []string `json:"listen,omitempty"`
	// Of Kafka: where it is, as whom it is asked, and what is read there.
	Brokers []string `json:"brokers,omitempty"`
	SASL    string   `json:"sasl,omitempty"`
	TLS     bool     `json:"tls,omitempty"`
	Topics  []string `json:"topics,omitempty"` // names, or expressions between slashes
	Exclude []string `json:"exclude,omitempty"`
	Group   string   `json:"group,omitempty"`
	Start   string   `json:"start,omitempty"` // where the group has committed nothing
	Ack     string   `json:"ack,omitempty"`
}

// checkedSource is what a source of the file means.
func checkedSource(s *runfile.Source) fileSource {
	f := fileSource{Name: s.Name, Type: s.Type}
	switch {
	case s.Forward != nil:
		f.Ack = string(s.Forward.Ack)
		for _, a := range s.Forward.Listen {
			f.Listen = append(f.Listen, a.String())
		}
	case s.Kafka != nil:
		k := s.Kafka
		f.Brokers, f.TLS, f.Group, f.Ack, f.Exclude = k.Brokers, k.TLS, k.Group, string(k.Ack), k.Exclude
		if k.SASL != runfile.SASLNone {
			f.SASL = string(k.SASL)
		}
		if f.Start = k.Start; f.Start == "" {
			f.Start = k.StartAt.Format(time.RFC3339)
		}
		f.Topics = slices.Clone(k.Topics)
		for _, pattern := range k.Patterns {
			f.Topics = append(f.Topics, "/"+pattern+"/")
		}
	}
	return f
}

// from says where a source's records come from.
func (s *fileSource) from() string {
	switch {
	case s.Listen != nil:
		return "listens at " + strings.Join(s.Listen, ", ")
	case s.Brokers != nil:
		how := ""
		if s.TLS {
			how += " over TLS"
		}
		if s.SASL != "" {
			how += " by " + s.SASL
		}
		what := strings.Join(s.Topics, ", ")
		if s.Exclude != nil {
			what += " without " + strings.Join(s.Exclude, ", ")
		}
		return "topics " + what + " of " + strings.Join(s.Brokers, ", ") + how + ", as group " + s.Group + ", at first from " + s.Start
	}
	return "standard input"
}

// ack says when a source acknowledges what it took, or commits it; "-" where nobody
// waits for that.
func (r *fileReport) ack(s *fileSource) string {
	switch {
	case s.Listen == nil && s.Brokers == nil:
		return "-"
	case s.Ack != "":
		return s.Ack
	}
	levels := make(map[string]bool)
	for _, l := range r.Legs {
		level := string(runfile.AckDelivered)
		if l.Durability == string(runfile.AckKernel) || l.Durability == string(runfile.AckPower) {
			level = l.Durability
		}
		levels[level] = true
	}
	if len(levels) != 1 {
		return "by route"
	}
	return slices.Collect(maps.Keys(levels))[0]
}

// fileLeg is one sink of one route.
type fileLeg struct {
	Route      string   `json:"route"`
	Match      []string `json:"match"`
	Sink       string   `json:"sink"`
	Type       string   `json:"type"`
	Mode       string   `json:"mode"`
	MaxBuffer  int64    `json:"max_buffer_size"`         // bytes
	MaxDisk    int64    `json:"max_disk_size,omitempty"` // bytes
	Durability string   `json:"durability,omitempty"`
	WhenFull   string   `json:"when_full,omitempty"`
}

// checkedFile makes a report of what Load returned.
func checkedFile(path string, file *runfile.File, err error) fileReport {
	r := fileReport{File: path, OK: err == nil, Problems: []fileProblem{}, Warnings: []fileWarning{}}
	for _, p := range setting.List(err) {
		line, column := runfile.Position(path, p.Where)
		r.Problems = append(r.Problems, fileProblem{line, column, p.Where, p.Found, p.Expected, p.Do})
	}
	if err != nil {
		return r
	}
	for _, text := range slices.Concat(file.Warnings, file.Missing(os.Getenv), file.Unwritable()) {
		line, column := runfile.Position(path, text)
		r.Warnings = append(r.Warnings, fileWarning{line, column, text})
	}
	slices.SortStableFunc(r.Warnings, func(a, b fileWarning) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	r.Memory, r.StateDir = file.Memory, config.StateDir(file.StateDir, os.Getenv)
	for i := range file.Sources {
		r.Sources = append(r.Sources, checkedSource(&file.Sources[i]))
	}
	for _, route := range file.Routes {
		b := &route.Buffer
		for _, to := range route.To {
			r.Legs = append(r.Legs, fileLeg{
				Route: route.Name, Match: route.Match.Patterns(), Sink: to, Type: file.Sink(to).Type, Mode: string(b.Mode),
				MaxBuffer: b.Limit, MaxDisk: b.MaxDisk, Durability: string(b.Durability), WhenFull: string(b.WhenFull),
			})
		}
	}
	return r
}

// print tells a person what a good file means.
func (r *fileReport) print(w io.Writer) error {
	fmt.Fprintf(w, "%s is good: at most %s of memory, state in %s\n\n", r.File, units.BytesSize(float64(r.Memory)), r.StateDir)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SOURCE\tTYPE\tACK\tFROM")
	for i := range r.Sources {
		s := &r.Sources[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Name, s.Type, r.ack(s), s.from())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	fmt.Fprintln(t, "ROUTE\tSINK\tTYPE\tMODE\tMEMORY\tDISK\tDURABILITY")
	for _, l := range r.Legs {
		disk := "-"
		if l.MaxDisk > 0 {
			disk = setting.FormatSize(l.MaxDisk)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Route, l.Sink, l.Type, l.Mode, setting.FormatSize(l.MaxBuffer), disk, cmp.Or(l.Durability, "-"))
	}
	return t.Flush()
}
