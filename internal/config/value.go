package config

import (
	"slices"
	"strconv"

	"github.com/spillway/spillway/internal/config/setting"
)

// value is an option's value with its origin.
type value struct {
	setting.Value

	given   bool // false if the option is unset
	level   Level
	where   string // "FILE:LINE:COLUMN" if it came from a file
	spelled string // the name under which it was given
	note    string // what Explain says beside it
}

// newValue is a value of that text, given under a name, and not yet parsed.
func newValue(text string, level Level, spelled string) value {
	return value{Value: setting.Value{Text: text}, given: text != "", level: level, spelled: spelled}
}

// origin says in an error where the value stands.
func (v value) origin() string {
	switch {
	case v.where != "":
		return v.where + ": " + v.spelled
	case v.level == LevelEnvironment:
		return "the environment, for --" + v.spelled
	}
	return "--" + v.spelled
}

// place is origin in a warning, which may speak of a default as well.
func (v value) place() string {
	if v.where != "" {
		return v.origin()
	}
	return v.spelled
}

// parse fills the typed fields from the text and checks them against the row.
func (v *value) parse(o *Option) *Problem {
	expected := v.Convert(o.Kind, o.Enum, o.synonyms)
	if expected == "" && o.check != nil {
		expected = o.check(v.Value)
	}
	if expected == "" {
		return nil
	}
	problem := &Problem{Where: v.origin(), Found: show(o, v.Text), Expected: expected}
	if slices.Contains(o.notYet, v.Text) {
		problem.Do = strconv.Quote(v.Text) + " is not in this version of Spillway, it comes in a later one"
	}
	return problem
}

// show is setting.Quote for the value of an option; that of a secret stays hidden,
// and so does that of an unknown one, which may be a secret with a misspelt name.
func show(o *Option, text string) string {
	if o == nil || o.Secret() {
		return setting.NotShown
	}
	return setting.Quote(text)
}

// flagName shows a name that may be foreign text: it is quoted unless it looks
// like a name.
func flagName(name string) string {
	for _, r := range name {
		if !setting.Alphanumeric(r) && r != '-' {
			return setting.Quote("--" + name)
		}
	}
	if len(name) > 64 {
		return setting.Quote("--" + name)
	}
	return "--" + name
}
