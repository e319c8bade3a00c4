// Command gendoc writes the pages of docs/reference from the tables of options, so
// that they cannot say anything else than the programs do. Run it from the root of
// the repository after every change of a table:
//
//	go run ./internal/config/gendoc
//
// A test beside it fails while a page is stale.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spillway/spillway/internal/config"
)

// reference is where the pages go, from the root of the repository.
const reference = "docs/reference"

func main() {
	if err := write(reference); err != nil {
		fmt.Fprintln(os.Stderr, "gendoc:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of the pages: %w", err)
	}
	all, err := render()
	if err != nil {
		return err
	}
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write a page: %w", err)
		}
	}
	return nil
}

// render returns all pages by their names.
func render() (map[string]string, error) {
	all := map[string]string{"options.md": renderOptions()}
	for _, name := range runPages {
		text, err := renderRun(name)
		if err != nil {
			return nil, err
		}
		all[name] = text
	}
	return all, nil
}

// renderOptions returns the page of the options of loggers.
func renderOptions() string {
	var b strings.Builder
	b.WriteString(introduction)
	var later []string
	for _, o := range config.Table() {
		if o.Later() {
			later = append(later, "`"+o.Name+"`")
		}
	}
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", s.title, s.text)
		var rows []config.Option
		for _, o := range config.Table() {
			if !o.Later() && s.holds(o) {
				rows = append(rows, o)
			}
		}
		optionTable(&b, rows)
	}
	b.WriteString(nodeFile)
	optionTable(&b, config.AWSKeys())
	fmt.Fprintf(&b, laterDrivers, strings.Join(later, ", "))
	return b.String()
}

// section is one table of the page.
type section struct {
	title, text string
	holds       func(o config.Option) bool
}

var sections = []section{
	{"Every logger", "For `spillway exec` and `spillway-shim`, whatever the destination is.",
		func(o config.Option) bool {
			return o.Common() && o.Programs.Has(config.ProgramExec) && o.Programs.Has(config.ProgramShim)
		}},
	{"Only `spillway exec`", "`awslogs` is a second spelling of `cloudwatch`.",
		func(o config.Option) bool { return o.Common() && !o.Programs.Has(config.ProgramShim) }},
	{"Only `spillway-shim`", "With the names of shim-loggers-for-containerd. Those marked *own* cannot stand in the node file.",
		func(o config.Option) bool { return o.Common() && !o.Programs.Has(config.ProgramExec) }},
	{"CloudWatch Logs", "`--log-driver awslogs` or `--to cloudwatch`. At most one of `awslogs-multiline-pattern`, `awslogs-datetime-format` and `awslogs-format` may be set.",
		func(o config.Option) bool { return !o.Common() && o.Drivers.Has(config.DriverAWSLogs) }},
	{"A file as Docker writes it", "`--log-driver json-file` or `--to json-file`. Options that speak of the container's labels and variables are for `spillway-shim`.",
		func(o config.Option) bool { return !o.Common() && o.Drivers.Has(config.DriverJSONFile) }},
	{"A server of the forward protocol", "`--log-driver fluentd` or `--to fluentd`: fluentd, Fluent Bit, another Spillway. A record has what Docker's driver gives it: `log`, `source`, `container_id`, `container_name`, and the labels and variables that are asked for; a part of a long line also `partial_message`, `partial_id`, `partial_ordinal` and `partial_last`. Lines go in order, many in a message. A loss marker is a record with its text under `log` and its object under `spillway_loss`.",
		func(o config.Option) bool { return !o.Common() && o.Drivers.Has(config.DriverFluentd) }},
}

func optionTable(b *strings.Builder, rows []config.Option) {
	b.WriteString("| option | value | default | meaning |\n|---|---|---|---|\n")
	for _, o := range rows {
		fallback := ""
		if o.Default != "" {
			fallback = "`" + o.Default + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", o.Name, kind(o), fallback, meaning(o))
	}
}

// kind says what the value looks like.
func kind(o config.Option) string {
	if o.Kind != config.KindEnum {
		return o.Kind.String()
	}
	return "`" + strings.Join(o.Enum, "`, `") + "`"
}

// meaning is the help text with its marks; a bar would end the cell.
func meaning(o config.Option) string {
	text := o.Help
	if o.OwnOnly {
		text += " *own*"
	}
	if o.AcceptedOnly != "" {
		text += " Accepted without effect: " + o.AcceptedOnly + "."
	}
	return strings.ReplaceAll(text, "|", `\|`)
}
