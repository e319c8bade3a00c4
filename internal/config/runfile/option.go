package runfile

import (
	"slices"
	"strconv"
	"time"

	"github.com/spillway/spillway/internal/config/setting"
)

// Option is one row of a table, as pages show it.
type Option struct {
	Name     string
	Kind     setting.Kind
	Takes    string // what the value is, where the word for the kind says too little
	Default  string // as one would write it; empty means unset
	Enum     []string
	List     bool // one value, or a list of them
	Required bool
	Help     string   // one sentence
	Fields   []Option // of a value that is a map
	// From names the option whose value under defaults holds where this one is unset.
	From string
}

// value is what stands in the file, or a default of the table.
type value struct {
	setting.Value
	node   node
	secret Secret
}

// row is an option with the way to the field of T that it sets.
type row[T any] struct {
	Option
	synonyms []string
	check    setting.Check
	// set is called for each value, in order. It returns what was expected, or
	// nothing if the value is good.
	set func(p *parser, t *T, v value) (expected string)
	// read takes a value that may be a map, in place of set.
	read func(p *parser, t *T, n node)
}

// options returns the rows as pages show them.
func options[T any](rows []row[T]) []Option {
	all := make([]Option, len(rows))
	for i := range rows {
		all[i] = rows[i].Option
	}
	return all
}

// The functions below make a row's set from the way to a field.

func text[T any, S ~string](field func(*T) *S) func(*parser, *T, value) string {
	return func(_ *parser, t *T, v value) string {
		*field(t) = S(v.Text)
		return ""
	}
}

// textOrNone is text for an option that has a default and can do without: none.
func textOrNone[T any](field func(*T) *string) func(*parser, *T, value) string {
	return func(_ *parser, t *T, v value) string {
		if *field(t) = v.Text; v.Text == "none" {
			*field(t) = ""
		}
		return ""
	}
}

// appendTo is text for an option that is a list of different ones.
func appendTo[T any](field func(*T) *[]string) func(*parser, *T, value) string {
	return func(_ *parser, t *T, v value) string {
		if slices.Contains(*field(t), v.Text) {
			return "each one once"
		}
		*field(t) = append(*field(t), v.Text)
		return ""
	}
}

func number[T any, N int | int64](field func(*T) *N) func(*parser, *T, value) string {
	return func(_ *parser, t *T, v value) string {
		*field(t) = N(v.Number)
		return ""
	}
}

func duration[T any](field func(*T) *time.Duration) func(*parser, *T, value) string {
	return func(_ *parser, t *T, v value) string {
		*field(t) = v.Duration
		return ""
	}
}

func flag[T any](field func(*T) *bool) func(*parser, *T, value) string {
	return func(_ *parser, t *T, v value) string {
		*field(t) = v.Flag
		return ""
	}
}

func secret[T any](field func(*T) *Secret) func(*parser, *T, value) string {
	return func(_ *parser, t *T, v value) string {
		*field(t) = v.secret
		return ""
	}
}

// path is for the path of a file; a relative one begins where the file of the
// configuration stands.
func path[T any](field func(*T) *string) func(*parser, *T, value) string {
	return func(p *parser, t *T, v value) string {
		*field(t) = p.absolute(v.Text)
		return ""
	}
}

// between makes the check of a whole number.
func between(least, most int64) setting.Check {
	return func(v setting.Value) string {
		if v.Number < least || v.Number > most {
			return "a whole number from " + strconv.FormatInt(least, 10) + " to " + strconv.FormatInt(most, 10)
		}
		return ""
	}
}

// sizeBetween makes the check of a size.
func sizeBetween(least, most int64) setting.Check {
	return func(v setting.Value) string {
		if v.Number < least || v.Number > most {
			return "a size from " + setting.FormatSize(least) + " to " + setting.FormatSize(most)
		}
		return ""
	}
}

// durationBetween makes the check of a duration.
func durationBetween(least, most time.Duration) setting.Check {
	return func(v setting.Value) string {
		if v.Duration < least || v.Duration > most {
			return "a duration from " + least.String() + " to " + most.String()
		}
		return ""
	}
}
