package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spillway/spillway/internal/config/setting"
)

// usage makes err end the program with exitUsage.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code: exitUsage, err: err}
}

// noArgs refuses arguments of a command that has options only.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(fmt.Errorf("%s: found %q; expected options alone%s", named(cmd), args[0], asIn(cmd)))
}

// oneArg wants exactly one argument, which is called what.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return usage(fmt.Errorf("%s: found no %s; expected one%s", named(cmd), what, asIn(cmd)))
		case 1:
			return nil
		}
		return usage(fmt.Errorf("%s: found %q behind the %s; expected one %s%s", named(cmd), args[1], what, what, asIn(cmd)))
	}
}

// oneDir takes at most one argument.
func oneDir(cmd *cobra.Command, args []string) error {
	if len(args) < 2 {
		return nil
	}
	return usage(fmt.Errorf("%s: found %q behind a directory; expected at most one%s", named(cmd), args[1], asIn(cmd)))
}

// group makes cmd one that only holds others: alone it shows its help, and what is
// none of them is refused by naming them.
func group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(commands...)
	cmd.Args = cobra.ArbitraryArgs // else the library refuses them, in its words
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var names []string
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				names = append(names, c.Name())
			}
		}
		return usage(fmt.Errorf("%s: found the command %q; expected %s%s", named(cmd), args[0], setting.Or(names), nearest(args[0], names, "")))
	}
	return cmd
}

// flagError says of an option what was expected. Those of the table of options say it
// themselves.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		given := "--" + unknown.GetSpecifiedName()
		if short := unknown.GetSpecifiedShortnames(); short != "" {
			given = "-" + short
		}
		err = fmt.Errorf("%s: found the unknown option %q; expected one of those that %q lists%s",
			named(cmd), given, cmd.CommandPath()+" --help", nearest(unknown.GetSpecifiedName(), names, "--"))
	case errors.As(err, &missing):
		err = fmt.Errorf("--%s: found no value; expected %s", missing.GetFlag().Name, kind(missing.GetFlag()))
	case errors.As(err, &invalid) && kinds[invalid.GetFlag().Value.Type()] != "":
		err = fmt.Errorf("--%s: found %q; expected %s", invalid.GetFlag().Name, invalid.GetValue(), kind(invalid.GetFlag()))
	}
	return usage(err)
}

// kinds are the library's kinds of values, in words.
var kinds = map[string]string{
	"bool": "true or false", "int": "a number", "duration": "a duration such as 500ms, 10s or 5m", "string": "text",
	"stringArray": "text", "strings": "text, or several with commas between",
}

// kind says what the value of an option is.
func kind(f *pflag.Flag) string {
	if text, ok := kinds[f.Value.Type()]; ok {
		return text
	}
	return "a value: " + f.Usage
}

// nearest names the word that is most like text, unless nothing is.
func nearest(text string, words []string, before string) string {
	word := setting.NearestOf(text, words)
	if !strings.HasPrefix(word, text) && setting.EditDistance(text, word) > len(text)/2 {
		return ""
	}
	return fmt.Sprintf(", the nearest is %q", before+word)
}

// named is a command as an error begins: without the program's name, but for the
// program's own.
func named(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return "the command line"
	}
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// asIn is a command's first example, behind what was expected.
func asIn(cmd *cobra.Command) string {
	first, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
	if first == "" {
		return ""
	}
	return ", as in: " + first
}
