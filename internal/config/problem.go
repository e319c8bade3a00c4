package config

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

// Problem is one thing that is wrong with the configuration. All errors of this
// package are Problems, joined with errors.Join; a program that meets one ends
// with exit code 2.
type Problem struct {
	Where    string // "--name", or "FILE:LINE:COLUMN: name", or "FILE"
	Found    string // what is there
	Expected string // what should be there
	Do       string // what to do about it; may be empty
	Cause    error  // what the operating system or a parser said; may be nil
}

// Error returns "where: found …; expected …; what to do".
func (p *Problem) Error() string {
	text := p.Where + ": found " + p.Found + "; expected " + p.Expected
	if p.Do != "" {
		text += "; " + p.Do
	}
	return text
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// problems gathers Problems, so that one start shows everything that is wrong.
type problems struct{ list []error }

func (p *problems) add(one *Problem) { p.list = append(p.list, one) }

// err returns all of them as one error, or nil.
func (p *problems) err() error { return errors.Join(p.list...) }

// quote shows foreign text in an error: quoted, and cut where it is long.
func quote(text string) string {
	const most = 100
	if len(text) <= most {
		return strconv.Quote(text)
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strconv.Quote(text[:cut]) + "… (" + strconv.Itoa(len(text)) + " bytes)"
}

// show is quote for the value of an option; that of a secret stays hidden, and
// so does that of an unknown one, which may be a secret with a misspelt name.
func show(o *Option, text string) string {
	if o == nil || o.Secret() {
		return "a value that is not shown"
	}
	return quote(text)
}

// flagName shows a name that may be foreign text: it is quoted unless it looks
// like a name.
func flagName(name string) string {
	for _, r := range name {
		if !alphanumeric(r) && r != '-' {
			return quote("--" + name)
		}
	}
	if len(name) > 64 {
		return quote("--" + name)
	}
	return "--" + name
}
