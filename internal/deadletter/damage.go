package deadletter

import (
	"errors"
	"fmt"
)

// damageError is the error of a file that holds what it should not.
type damageError struct {
	path string
	err  error
}

func (e *damageError) Error() string { return fmt.Sprintf("%s is damaged: %v", e.path, e.err) }

func (e *damageError) Unwrap() error { return e.err }

// damaged reports whether err speaks of damage. Where SQLite does not say so, it is
// what our statements, which are right, fail by on a file that is not: a table that
// is missing, a value beyond all size, a number that is there already.
func damaged(err error) bool {
	var e *damageError
	if errors.As(err, &e) {
		return true
	}
	switch code(err) {
	case codeError, codeCorrupt, codeTooBig, codeConstraint, codeNotADB:
		return true
	}
	return false
}
