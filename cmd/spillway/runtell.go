package main

import (
	"github.com/docker/go-units"

	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/version"
)

// tellStart logs that the run has begun and what it does, so that who starts it by hand, or
// reads the log of a container, sees that it is up, where it listens, and what an earlier
// run left to be delivered.
func (r *running) tellStart(file *runfile.File) {
	begun := []any{
		"version", version.String(), "file", r.path, "state_dir", r.dir.Path(),
		"memory", units.BytesSize(float64(file.Memory)), "legs", file.Legs(),
	}
	if recovered := r.work.Report().Recovered; recovered > 0 {
		begun = append(begun, "recovered", recovered)
	}
	r.log.Info("the run has begun", begun...)
	for i := range file.Sources {
		s := checkedSource(&file.Sources[i])
		r.log.Info("the source is open", "source", s.Name, "type", s.Type, "from", s.from())
	}
}
