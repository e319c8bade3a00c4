package main

import (
	"embed"
	"fmt"
	"strings"
	"text/template"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/config/setting"
)

// pages are the texts of the pages about the file of "spillway run". Where one has
// the name of a table in braces, that table is put in.
//
//go:embed pages/*.md
var pages embed.FS

// runPages are their names.
var runPages = []string{"sources.md", "sinks.md", "routes.md"}

// renderRun returns a page about the file of "spillway run".
func renderRun(name string) (string, error) {
	text, err := pages.ReadFile("pages/" + name)
	if err != nil {
		return "", fmt.Errorf("read the text of a page: %w", err)
	}
	page, err := template.New(name).Funcs(template.FuncMap{
		"types": func(section string) string {
			if section == "sources" {
				return typeSections("source", runfile.SourceTypes())
			}
			return typeSections("sink", runfile.SinkTypes())
		},
		"top":    func() string { return runTable(runfile.TopOptions()) },
		"routes": func() string { return runTable(append(runfile.RouteOptions(), bufferOptions()...)) },
	}).Parse(string(text))
	if err != nil {
		return "", fmt.Errorf("read the text of a page: %w", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- Made by \"go run ./internal/config/gendoc\" from internal/config/gendoc/pages/%s and the tables of internal/config/runfile. Change those, not this page. -->\n\n", name)
	if err := page.Execute(&b, nil); err != nil {
		return "", fmt.Errorf("make the page %s: %w", name, err)
	}
	return b.String(), nil
}

// bufferOptions are those of a route that a container has as well.
func bufferOptions() []runfile.Option {
	var all []runfile.Option
	for _, o := range config.Options(config.ProgramRoute) {
		all = append(all, runfile.Option{Name: o.Name, Kind: o.Kind, Default: o.Default, Enum: o.Enum, Help: o.Help, From: o.Name})
	}
	return all
}

// typeSections is a section with a table for each type.
func typeSections(what string, types []runfile.Type) string {
	var b strings.Builder
	var later []string
	for _, t := range types {
		if t.Later {
			later = append(later, "`"+t.Name+"`")
			continue
		}
		fmt.Fprintf(&b, "## `type: %s`\n\n%s\n", t.Name, t.Help)
		if len(t.Options) > 0 { // Another name for a type has none of its own.
			b.WriteString("\n" + runTable(t.Options))
		}
		for _, o := range t.Options {
			if o.Fields != nil {
				fmt.Fprintf(&b, "\nEach map of `%s`:\n\n%s", o.Name, runTable(o.Fields))
			}
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "In a later version: %s. A %s of one of these types is an error that says so.\n", strings.Join(later, ", "), what)
	return b.String()
}

// runTable is the table of options. A bar would end a cell.
func runTable(options []runfile.Option) string {
	var b strings.Builder
	b.WriteString("| option | value | default | meaning |\n|---|---|---|---|\n")
	for _, o := range options {
		name := "`" + o.Name + "`"
		if o.Kind == setting.Secret {
			name += ", `" + o.Name + "-file`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, runValue(o), runDefault(o), strings.ReplaceAll(o.Help, "|", `\|`))
	}
	return b.String()
}

func runValue(o runfile.Option) string {
	value := o.Kind.String()
	switch {
	case o.Takes != "":
		value = o.Takes
	case o.Kind == setting.Enum:
		value = "`" + strings.Join(o.Enum, "`, `") + "`"
	}
	if o.List {
		value += ", or a list"
	}
	return value
}

func runDefault(o runfile.Option) string {
	text := ""
	switch {
	case o.Required:
		return "required"
	case o.Default != "":
		text = "`" + o.Default + "`"
	}
	if o.From != "" {
		text = strings.TrimPrefix(text+", or `"+o.From+"` under `defaults`", ", or ")
	}
	return text
}
