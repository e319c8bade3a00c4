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

// damaged reports whether err speaks of damage.
func damaged(err error) bool {
	var e *damageError
	return errors.As(err, &e) || code(err) == codeCorrupt || code(err) == codeNotADB
}
