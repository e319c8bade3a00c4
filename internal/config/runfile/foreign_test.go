package runfile

import (
	"slices"
	"strings"
	"testing"
)

// A foreign name leads to an option that there is, is none itself, and stands there once.
func TestForeign(t *testing.T) {
	check := func(types []Type, tables map[string]foreign) {
		for _, k := range types {
			ours := shownNames(k.Options)
			var seen []string
			for _, one := range tables[k.Name] {
				for ours1 := range strings.FieldsSeq(one.ours) {
					if !slices.Contains(ours, ours1) {
						t.Errorf("%s: %q leads to %q, which is no option", k.Name, one.theirs, ours1)
					}
				}
				for name := range strings.FieldsSeq(one.theirs) {
					if slices.Contains(ours, name) || slices.Contains(seen, name) || name != strings.ToLower(name) {
						t.Errorf("%s: %q is an option itself, has capital letters, or stands there twice", k.Name, name)
					}
					seen = append(seen, name)
				}
			}
		}
		for name := range tables {
			if !slices.ContainsFunc(types, func(k Type) bool { return k.Name == name }) {
				t.Errorf("%s is no type", name)
			}
		}
	}
	check(SourceTypes(), sourceForeign)
	check(SinkTypes(), sinkForeign)
	check(SinkTypes(), map[string]foreign{"elasticsearch": searchForeign})
	for _, one := range searchForeign {
		for name := range strings.FieldsSeq(one.theirs) {
			if _, ok := ofPlugin(name); ok {
				t.Errorf("%q is told of fluentd's plugin already", name)
			}
		}
	}
	for _, one := range otherTypes {
		known := slices.ContainsFunc(append(SourceTypes(), SinkTypes()...), func(k Type) bool { return k.Name == one.ours && !k.Later })
		if !known {
			t.Errorf("%s is no type", one.ours)
		}
	}
}

func shownNames(options []Option) (all []string) {
	for _, o := range options {
		all = append(all, o.Name)
	}
	return all
}

// A date in the manner of strftime would be part of the name of one file for ever.
func TestDatesOfOthers(t *testing.T) {
	for text, want := range map[string]bool{
		"type: file, path: '/k/%Y/{tag}'":                true,
		"type: file, path: '/k/100%/{date}'":             false,
		"type: cloudwatch, group: g, stream: '{tag}-%d'": true,
		"type: cloudwatch, group: g, stream: '{tag}'":    false,
	} {
		f, err := Parse("F", []byte(whole("", text, "")), noEnvironment)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(f.Warnings, "\n"), "stands for itself; a date is {date}"); got != want {
			t.Errorf("%s: warned %v, the warnings are %q", text, got, f.Warnings)
		}
	}
}
