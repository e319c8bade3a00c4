package multiline

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
)

const (
	// maxPattern is the longest pattern or datetime format, in bytes. It bounds
	// the memory of compiling one, which repetitions such as x{1000} multiply.
	maxPattern = 4096
	// maxProgram is the largest compiled pattern, in instructions of 40 bytes;
	// matching holds some 100 bytes for each. A pattern within it stays below
	// 3 MiB in a logger that runs once for each container.
	maxProgram = 16384
)

// Compile compiles the value of awslogs-multiline-pattern: a regular
// expression in Go's syntax, matched anywhere in a line unless it is anchored.
// It refuses an empty pattern, one over 4,096 bytes, and one that compiles to
// more than 16,384 instructions.
func Compile(pattern string) (*regexp.Regexp, error) {
	if err := checkLength(pattern); err != nil {
		return nil, fmt.Errorf("compile multiline pattern %.64q: %w", pattern, err)
	}
	re, err := compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("compile multiline pattern %.64q: %w; expected a regular expression in the syntax of Go (RE2)", pattern, err)
	}
	return re, nil
}

// checkLength refuses an option's value that is empty or too long.
func checkLength(value string) error {
	if value == "" {
		return errors.New("it is empty; leave the option out to have every line as an event")
	}
	if len(value) > maxPattern {
		return fmt.Errorf("it has %d bytes, expected at most %d", len(value), maxPattern)
	}
	return nil
}

// compile compiles a regular expression after a look at the size of its
// program, because package regexp itself takes programs of over 100 MB.
func compile(text string) (*regexp.Regexp, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if bad, ok := errors.AsType[*syntax.Error](err); ok {
		return nil, fmt.Errorf("%s at %.64q", bad.Code, bad.Expr)
	}
	if err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if len(prog.Inst) > maxProgram {
		return nil, fmt.Errorf("it needs %d instructions, expected at most %d: use smaller repetition counts", len(prog.Inst), maxProgram)
	}
	return regexp.Compile(text)
}
