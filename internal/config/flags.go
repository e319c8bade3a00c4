package config

import (
	"errors"
	"fmt"
	"io"

	"github.com/spillway/spillway/internal/config/setting"
)

// Flags collects the options that a command-line library parsed. The library
// stays with its command: Var returns a value that both the standard flag
// package and pflag take.
//
//	var given config.Flags
//	for _, o := range config.Options(config.ProgramExec) {
//		f := cmd.Flags().VarPF(given.Var(o), o.Name, "", o.Usage())
//		f.NoOptDefVal = o.NoOptDefault()
//	}
//
// It is for one goroutine.
type Flags struct{ settings settings }

// Settings returns what was given, in its order.
func (f *Flags) Settings() []Setting { return f.settings.list }

// Var returns the flag value of an option.
func (f *Flags) Var(o Option) *Flag { return &Flag{flags: f, option: o} }

// Flag is one option as a flag.Value and a pflag.Value.
type Flag struct {
	flags  *Flags
	option Option
}

// String returns the default, which help texts show.
func (f *Flag) String() string { return f.option.Default }

// Type returns the word for the value that help texts show.
func (f *Flag) Type() string { return f.option.Kind.String() }

// IsBoolFlag lets the standard package take the flag without a value.
func (f *Flag) IsBoolFlag() bool { return f.option.Kind == KindBool }

// Set records the value; Resolve checks it. An empty one is absent, as it is
// for ParseArgs. An option that was given before is an error.
func (f *Flag) Set(text string) error {
	if text == "" {
		text = f.option.NoOptDefault()
	}
	if text == "" {
		return nil
	}
	if problem := f.flags.settings.add(Setting{Name: f.option.Name, Value: text}); problem != nil {
		// The library puts the name in front.
		return errors.New("found " + problem.Found + "; expected " + problem.Expected + "; " + problem.Do)
	}
	return nil
}

// Usage returns the help text of a flag.
func (o Option) Usage() string {
	usage := o.Help
	if o.Kind == KindEnum {
		usage += " One of " + setting.Or(o.Enum) + "."
	}
	if o.AcceptedOnly != "" {
		usage += " Accepted without effect: " + o.AcceptedOnly + "."
	}
	return usage
}

// NoOptDefault returns the value of the option without a value, which only a
// boolean has.
func (o Option) NoOptDefault() string {
	if o.Kind == KindBool {
		return "true"
	}
	return ""
}

// WriteFlags writes one line for each option that a program takes, second
// spellings included, for a program without a command-line library.
func WriteFlags(w io.Writer, p Program) error {
	for i := range table {
		o := &table[i]
		if !o.valid(p, DriverNone) {
			continue
		}
		line := fmt.Sprintf("  --%s %s\n        %s", o.Name, o.Kind, o.Usage())
		if o.Default != "" {
			line += " Default: " + o.Default + "."
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return fmt.Errorf("write the list of options: %w", err)
		}
	}
	return nil
}
