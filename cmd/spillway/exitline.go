package main

import (
	"encoding/json"
	"errors"

	"github.com/spillway/spillway/internal/statedir"
)

// recordExit appends the last report of a process to the exit lines of a state
// directory.
func recordExit(dir *statedir.Dir, report any) error {
	exits, err := dir.Exits()
	if err != nil {
		return err
	}
	line, err := json.Marshal(report)
	if err == nil {
		_, err = exits.Write(append(line, '\n'))
	}
	return errors.Join(err, exits.Close())
}
