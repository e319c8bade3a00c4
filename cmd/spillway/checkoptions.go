package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/config/setting"
)

// optionSection is one table of the file of a run.
type optionSection struct {
	name    string // as a person asks for it
	title   string
	options []runfile.Option
}

// optionSections are all tables of the file of a run.
func optionSections() []optionSection {
	all := []optionSection{{"file", "the file, in no section", runfile.TopOptions()}}
	add := func(what string, types []runfile.Type) {
		for _, t := range types {
			if !t.Later {
				all = append(all, optionSection{what + "." + t.Name, "a " + what + " with type: " + t.Name, t.Options})
			}
		}
	}
	add("source", runfile.SourceTypes())
	add("sink", runfile.SinkTypes())
	routes := runfile.RouteOptions()
	for _, o := range config.Options(config.ProgramRoute) {
		routes = append(routes, runfile.Option{Name: o.Name, Kind: o.Kind, Default: o.Default, Enum: o.Enum, Help: o.Help})
	}
	return append(all, optionSection{"route", "a route", routes})
}

func checkOptionsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "options [SECTION ...]",
		Short: "List the options of the file of spillway run",
		Long: `List what may stand in the configuration of "spillway run": all of it, or the sections
that are named, such as source.forward, sink.file or route.`,
		Example: `  spillway check options
  spillway check options sink.forward route`,
		RunE: func(_ *cobra.Command, args []string) error {
			sections := optionSections()
			var names []string
			for _, s := range sections {
				names = append(names, s.name)
			}
			for _, name := range args {
				if !slices.Contains(names, name) {
					return usage(errors.New("found the section " + setting.Quote(name) + "; expected " + setting.Or(names) +
						`, the nearest is "` + setting.NearestOf(name, names) + `"`))
				}
			}
			for _, s := range sections {
				if len(args) > 0 && !slices.Contains(args, s.name) {
					continue
				}
				if err := s.print(os.Stdout); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// print writes a section for a person.
func (s *optionSection) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", s.name, s.title)
	printRunOptions(&b, s.options, "  ")
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func printRunOptions(b *strings.Builder, options []runfile.Option, indent string) {
	for _, o := range options {
		value := o.Kind.String()
		switch {
		case o.Takes != "":
			value = o.Takes
		case o.Kind == setting.Enum:
			value = strings.Join(o.Enum, "|")
		}
		if o.List {
			value += ", or a list"
		}
		if o.Kind == setting.Secret {
			value += ", as ${NAME}; or " + o.Name + "-file: PATH"
		}
		fmt.Fprintf(b, "%s%s: %s\n%s    %s", indent, o.Name, value, indent, o.Help)
		switch {
		case o.Required:
			b.WriteString(" Required.")
		case o.Default != "":
			b.WriteString(" Default: " + o.Default + ".")
		}
		b.WriteString("\n")
		printRunOptions(b, o.Fields, indent+"      ")
	}
}
