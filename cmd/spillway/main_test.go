package main

import (
	"errors"
	"fmt"
	"testing"
)

// What asks for an exit code alone must not take another error's text with it.
func TestUntold(t *testing.T) {
	broken := errors.New("the disk is broken")
	for _, c := range []struct {
		err  error
		want string
	}{
		{&exitError{code: exitFailed}, ""},
		{usage(broken), "the disk is broken"},
		{fmt.Errorf("open: %w", usage(broken)), "the disk is broken"},
		{errors.Join(broken, &exitError{code: exitFailed}), "the disk is broken"},
		{errors.Join(&exitError{code: exitLoss}, errors.Join(broken, usage(broken))), "the disk is broken\nthe disk is broken"},
	} {
		got := ""
		if err := untold(c.err); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("untold(%q) = %q, want %q", c.err, got, c.want)
		}
	}
}
