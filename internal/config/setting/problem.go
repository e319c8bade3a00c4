// Package setting is what all configuration has in common, wherever it is written:
// the kinds of values and how a text becomes one, the checks that more than one
// option needs, and how to say what is wrong.
//
// It knows no option. Its callers are internal/config, which has the options of
// loggers, and internal/config/runfile, which has those of sources and sinks; both
// bring their own tables.
package setting

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

// Problem is one thing that is wrong with the configuration. All errors about a
// configuration are Problems, joined with errors.Join; a program that meets one
// ends with exit code 2.
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

// Problems gathers Problems, so that one start shows everything that is wrong.
type Problems struct{ list []error }

// Add appends a Problem.
func (p *Problems) Add(one *Problem) { p.list = append(p.list, one) }

// AddAll appends all that another part of the configuration has found; nil is
// nothing.
func (p *Problems) AddAll(err error) {
	if err != nil {
		p.list = append(p.list, err)
	}
}

// Len returns how many there are; what AddAll has added counts as one.
func (p *Problems) Len() int { return len(p.list) }

// Err returns all of them as one error, or nil.
func (p *Problems) Err() error { return errors.Join(p.list...) }

// List returns the Problems that an error is made of, in their order. What is no
// Problem is left out.
func List(err error) []*Problem {
	switch e := err.(type) { //nolint:errorlint // the tree of errors is walked here
	case nil:
	case *Problem:
		return []*Problem{e}
	case interface{ Unwrap() []error }:
		var all []*Problem
		for _, one := range e.Unwrap() {
			all = append(all, List(one)...)
		}
		return all
	}
	return nil
}

// Quote shows foreign text in an error: quoted, and cut where it is long.
func Quote(text string) string {
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

// NotShown stands in an error for a value that might be a secret.
const NotShown = "a value that is not shown"
