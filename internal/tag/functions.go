package tag

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"
)

const (
	// maxWork bounds what the functions of one template make, in bytes, since
	// a template can double a value again and again.
	maxWork = 4 << 20
	// stepCost is what a round of a loop takes of maxWork, so that all loops
	// together end after 1,024 rounds.
	stepCost = maxWork / 1024
)

// budget is the work that a template may still do.
type budget struct{ left int }

// spend takes n from the budget, before the work is done where that is known.
func (b *budget) spend(n int) error {
	if n < 0 || n > b.left {
		return fmt.Errorf("the template does too much: expected at most %d rounds of loops and %d bytes of values made by functions", maxWork/stepCost, maxWork)
	}
	b.left -= n
	return nil
}

// functions returns Docker's functions for templates, and in place of the
// built-in ones that make text the same within the budget.
func functions(b *budget) template.FuncMap {
	return template.FuncMap{
		"json":     b.json,
		"split":    b.split,
		"join":     b.join,
		"title":    b.text(strings.Title), //nolint:staticcheck // Docker's title is this very function.
		"lower":    b.text(strings.ToLower),
		"upper":    b.text(strings.ToUpper),
		"pad":      b.pad,
		"truncate": b.truncate,

		"print":    b.print(fmt.Sprint),
		"println":  b.print(fmt.Sprintln),
		"html":     b.print(template.HTMLEscaper),
		"js":       b.print(template.JSEscaper),
		"urlquery": b.print(template.URLQueryEscaper),
		"printf":   b.printf,

		stepName: func() (string, error) { return "", b.spend(stepCost) },
	}
}

// text returns f within the budget.
func (b *budget) text(f func(string) string) func(string) (string, error) {
	return func(s string) (string, error) {
		if err := b.spend(len(s)); err != nil {
			return "", err
		}
		return f(s), nil
	}
}

// print returns f within the budget. The arguments count before they are
// printed, the result after.
func (b *budget) print(f func(...any) string) func(...any) (string, error) {
	return func(args ...any) (string, error) {
		for _, a := range args {
			if s, ok := a.(string); ok {
				if err := b.spend(len(s)); err != nil {
					return "", err
				}
			}
		}
		s := f(args...)
		return s, b.spend(len(s))
	}
}

// printf refuses wide fields before it prints, because each may take a million
// bytes of spaces.
func (b *budget) printf(format string, args ...any) (string, error) {
	if hasWideField(format) {
		return "", fmt.Errorf("print by the format %.64q: expected widths and precisions of at most 4 digits, and none as *", format)
	}
	return b.print(func(args ...any) string { return fmt.Sprintf(format, args...) })(args...)
}

// hasWideField reports whether a verb of a format has a width or a precision
// of more than 4 digits, or takes one from an argument.
func hasWideField(format string) bool {
	_, verbs, _ := strings.Cut(format, "%")
	for verb := range strings.SplitSeq(verbs, "%") {
		spec := verb[:len(verb)-len(strings.TrimLeft(verb, "+-# 0123456789.[]*"))]
		for run := range strings.FieldsFuncSeq(spec, func(r rune) bool { return r < '0' || r > '9' }) {
			if len(run) > 4 {
				return true
			}
		}
		if strings.Contains(spec, "*") {
			return true
		}
	}
	return false
}

// json returns v as JSON in one line, with < > & as they are.
func (b *budget) json(v any) (string, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(buf.String(), "\n"), b.spend(buf.Len())
}

func (b *budget) split(s, sep string) ([]string, error) {
	const sizeOfString = 16
	if err := b.spend((strings.Count(s, sep) + 1) * sizeOfString); err != nil {
		return nil, err
	}
	return strings.Split(s, sep), nil
}

func (b *budget) join(list []string, sep string) (string, error) {
	size := len(sep) * len(list)
	for _, s := range list {
		size += len(s)
	}
	if err := b.spend(size); err != nil {
		return "", err
	}
	return strings.Join(list, sep), nil
}

// pad puts spaces before and behind s, unless it is empty.
func (b *budget) pad(s string, before, behind int) (string, error) {
	if before < 0 || behind < 0 {
		return "", fmt.Errorf("pad by %d and %d spaces: expected none below 0", before, behind)
	}
	if s == "" {
		return "", nil
	}
	for _, n := range []int{before, behind, len(s)} {
		if err := b.spend(n); err != nil {
			return "", err
		}
	}
	return strings.Repeat(" ", before) + s + strings.Repeat(" ", behind), nil
}

// truncate returns the first n bytes of s, without a cut in a character.
func (b *budget) truncate(s string, n int) (string, error) {
	if n < 0 {
		return "", fmt.Errorf("truncate to %d bytes: expected none below 0", n)
	}
	return truncate(s, n), nil
}
