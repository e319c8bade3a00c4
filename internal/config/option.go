package config

import (
	"slices"
	"strings"
)

// Kind is the type of an option's value.
type Kind uint8

// The kinds. A secret is text that no error, warning or explanation shows.
const (
	KindString   Kind = iota
	KindBool          // as strconv.ParseBool takes it
	KindSize          // of memory, as units.RAMInBytes takes it: 4m is 4 × 2^20 bytes
	KindFileSize      // of a file, as units.FromHumanSize takes it: 4m is 4,000,000 bytes
	KindDuration      // as time.ParseDuration takes it
	KindInt           // decimal
	KindEnum          // one of Option.Enum
	KindSecret
)

// String returns the word that help texts use for the kind.
func (k Kind) String() string {
	return [...]string{"string", "bool", "size", "file size", "duration", "int", "enum", "secret"}[k]
}

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

	notYet   []string                    // enum values of a later version
	synonyms []string                    // pairs: a second spelling of an enum value, the value
	check    func(v value) (want string) // empty if the value is good
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

// or joins words as "a, b or c".
func or(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// nearestName returns the candidate with the smallest edit distance to name,
// the first of several.
func nearestName(name string, candidate func(o *Option) bool) string {
	best, distance := "", -1
	for i := range table {
		o := &table[i]
		if !candidate(o) {
			continue
		}
		if d := editDistance(name, o.Name); distance < 0 || d < distance {
			best, distance = o.Name, d
		}
	}
	return best
}

// nearestWord is nearestName over a plain list.
func nearestWord(name string, words []string) string {
	return slices.MinFunc(words, func(a, b string) int {
		return editDistance(name, a) - editDistance(name, b)
	})
}

// editDistance is the Levenshtein distance in bytes. A name longer than any
// option is cut, so that a hostile one costs nothing.
func editDistance(a, b string) int {
	if len(a) > 64 {
		a = a[:64]
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
