package config

import (
	"slices"

	"github.com/spillway/spillway/internal/config/setting"
)

// Kind is the type of an option's value.
type Kind = setting.Kind

// The kinds.
const (
	KindString   = setting.String
	KindBool     = setting.Bool
	KindSize     = setting.Size
	KindFileSize = setting.FileSize
	KindDuration = setting.Duration
	KindInt      = setting.Int
	KindEnum     = setting.Enum
	KindSecret   = setting.Secret
)

// Problem is one thing that is wrong with the configuration. All errors of this
// package are Problems, joined with errors.Join; a program that meets one ends
// with exit code 2.
type Problem = setting.Problem

// Option is one row of the table. Rows are constants: nobody writes to them.
type Option struct {
	Name    string
	Kind    Kind
	Default string   // as one would write it; empty means unset
	Enum    []string // the valid values of a KindEnum
	Help    string   // one sentence

	Drivers  DriverSet  // the drivers that it belongs to
	Programs ProgramSet // the programs that take it

	// AliasOf names the option that this one is a second spelling of.
	AliasOf string
	// AcceptedOnly says why the option is accepted and has no effect.
	AcceptedOnly string
	// OwnOnly marks what describes one container or finds the node file, and
	// so can stand in no node default.
	OwnOnly bool

	notYet   []string // enum values of a later version
	synonyms []string // pairs: a second spelling of an enum value, the value
	check    setting.Check
}

// Common reports whether the option belongs to every driver.
func (o *Option) Common() bool { return o.Drivers == anyDriver }

// Later reports whether the option is known by name only, because its drivers
// come in a later version.
func (o *Option) Later() bool { return o.Drivers&present == 0 }

// Secret reports whether the value must never be shown.
func (o *Option) Secret() bool { return o.Kind == KindSecret }

// canonical is the name under which values are kept.
func (o *Option) canonical() string {
	if o.AliasOf != "" {
		return o.AliasOf
	}
	return o.Name
}

// valid reports whether a logger of this program and driver may be handed the
// option. Without a driver, the options of all present drivers are valid.
func (o *Option) valid(p Program, d Driver) bool {
	if !o.Programs.Has(p) || o.Later() {
		return false
	}
	return d == DriverNone || o.Drivers.Has(d)
}

// Table returns a copy of all options, in the order of the reference page.
func Table() []Option { return slices.Clone(table) }

// Options returns the options that a program offers: without second spellings,
// and without those whose drivers come in a later version.
func Options(p Program) []Option {
	var offered []Option
	for i := range table {
		if o := &table[i]; o.valid(p, DriverNone) && o.AliasOf == "" {
			offered = append(offered, *o)
		}
	}
	return offered
}

// LaterOptions returns the options of a program whose drivers come in a later
// version. A command-line library that knows them leaves it to Resolve to say so.
func LaterOptions(p Program) []Option {
	var later []Option
	for i := range table {
		if o := &table[i]; o.Programs.Has(p) && o.Later() {
			later = append(later, *o)
		}
	}
	return later
}

// Lookup returns the option of that name.
func Lookup(name string) (Option, bool) {
	if i := indexOf(name); i >= 0 {
		return table[i], true
	}
	return Option{}, false
}

// indexOf returns the row of that name, or -1. The scan is over some eighty
// short strings; a map would be held in memory for ever in every shim.
func indexOf(name string) int {
	for i := range table {
		if table[i].Name == name {
			return i
		}
	}
	return -1
}

// nearestName returns the candidate with the smallest edit distance to name,
// the first of several.
func nearestName(name string, candidate func(o *Option) bool) string {
	return setting.Nearest(name, func(yield func(string) bool) {
		for i := range table {
			if o := &table[i]; candidate(o) && !yield(o.Name) {
				return
			}
		}
	})
}
