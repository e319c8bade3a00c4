package main

import (
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/run"
)

// catchRunSignals catches the signals of run until the end of the program.
func catchRunSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	return signals
}

// untilEnd does what the signals say until the run is to end, and ends it.
func (r *running) untilEnd(file *runfile.File, signals <-chan os.Signal) (run.Report, error) {
	for ended := r.work.Ended(); ; {
		select {
		case <-ended:
			return r.stop(file, signals, false)
		case s := <-signals:
			if s != unix.SIGHUP {
				return r.stop(file, signals, true)
			}
			if next, err := r.reload(); err != nil {
				r.work.Refuse(err)
				r.log.Error("the configuration stays as it was", "file", r.path, "error", err)
			} else {
				file, ended = next, r.work.Ended()
			}
		}
	}
}

// reload reads the file again and changes the run to it, or leaves it as it is.
func (r *running) reload() (*runfile.File, error) {
	file, err := r.load()
	if err != nil {
		return nil, err
	}
	if err := r.sameState(file); err != nil {
		return nil, err
	}
	did, err := r.work.Reload(file)
	if err != nil {
		return nil, err
	}
	r.setLevel(file)
	if err := r.letters.SetMax(file.MaxDeadLetters); err != nil {
		r.log.Error("the file of dead letters was not closed", "error", err)
	}
	r.log.Info("the configuration was read again", "file", r.path, "legs_kept", did.LegsKept, "legs_changed", did.LegsChanged,
		"legs_begun", did.LegsBegun, "legs_leaving", did.LegsLeaving, "sources_kept", did.SourcesKept, "sources_begun", did.SourcesBegun,
		"sources_ended", did.SourcesEnded)
	for _, e := range did.Ending {
		r.log.Info("this has not ended yet; status shows when it has", "what", e.What, "since", e.Since)
	}
	return file, nil
}

// stop ends the run: within the file's time after a signal, in any time where the
// sources have ended by themselves. A signal that comes meanwhile ends the delivery.
func (r *running) stop(file *runfile.File, signals <-chan os.Signal, signalled bool) (run.Report, error) {
	over := make(chan struct{})
	hastened := make(chan struct{})
	go func() {
		defer close(hastened)
		for {
			select {
			case <-over:
				return
			case s := <-signals:
				if s == unix.SIGHUP {
					continue
				}
				if signalled {
					r.log.Warn("a second signal ends the delivery")
					r.work.Hasten(time.Now())
					continue
				}
				signalled = true
				r.work.Hasten(time.Now().Add(file.ShutdownTimeout))
			}
		}
	}()
	deadline := time.Time{}
	if signalled {
		r.log.Info("the run ends: its sources stop, and what is held is delivered", "within", file.ShutdownTimeout)
		deadline = time.Now().Add(file.ShutdownTimeout)
	}
	report, err := r.work.Stop(deadline)
	close(over)
	<-hastened
	return report, err
}

// sameState refuses a file that names another state directory: its disk buffers
// and dead letters cannot move while they are in use.
func (r *running) sameState(file *runfile.File) error {
	if path := r.statePath(file); filepath.Clean(path) != filepath.Clean(r.dir.Path()) {
		return &stateChanged{from: r.dir.Path(), to: path}
	}
	return nil
}

// stateChanged is the error of a reload that needs a restart.
type stateChanged struct{ from, to string }

func (e *stateChanged) Error() string {
	return "the state directory was " + e.from + " and would be " + e.to + "; restart spillway run to change it"
}
