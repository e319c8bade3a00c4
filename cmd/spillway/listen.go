package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spillway/spillway/internal/console"
	"github.com/spillway/spillway/internal/statedir"
)

// listenForStatus opens the socket on which status asks, for this process as one of the
// command; the server is nil where the state directory has no room for its name.
func listenForStatus(dir *statedir.Dir, command string, log *slog.Logger) (*console.Server, error) {
	run, err := dir.Sub(statedir.Run)
	if err != nil {
		return nil, err
	}
	server, err := console.Listen(run, fmt.Sprintf("%s-%d", command, os.Getpid()))
	if errors.Is(err, console.ErrPathTooLong) {
		log.Warn("spillway status will not see this run", "error", err)
		return nil, nil
	}
	return server, err
}
