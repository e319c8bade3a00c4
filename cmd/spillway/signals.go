package main

import (
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// watcher passes signals on to the command, and lets a second one end the
// delivery after the command has ended.
type watcher struct {
	log     *slog.Logger
	giveUp  func() // ends the delivery
	signals chan os.Signal
	started chan signalled // gets the command, once
	ended   chan struct{}  // closed when the command has ended
	over    chan struct{}
	done    chan struct{}
}

// signalled is what gets signals: an *os.Process.
type signalled interface{ Signal(os.Signal) error }

// watchSignals catches signals until the end of the program.
func (e *execution) watchSignals() *watcher {
	w := newWatcher(e.log, func() { e.pipeline.StopBy(time.Now()) })
	signal.Notify(w.signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	go w.run()
	return w
}

func newWatcher(log *slog.Logger, giveUp func()) *watcher {
	return &watcher{
		log: log, giveUp: giveUp, signals: make(chan os.Signal, 8), started: make(chan signalled, 1),
		ended: make(chan struct{}), over: make(chan struct{}), done: make(chan struct{}),
	}
}

// forwardTo says that the command runs. It is called at most once.
func (w *watcher) forwardTo(p signalled) { w.started <- p }

// commandEnded says that it does no more. It is called at most once.
func (w *watcher) commandEnded() { close(w.ended) }

// stop ends the watching. Signals stay caught, since the program is about to end
// by itself, with a status of its own.
func (w *watcher) stop() {
	close(w.over)
	<-w.done
}

func (w *watcher) run() {
	defer close(w.done)
	var (
		command signalled
		early   []os.Signal // each once, as the kernel keeps them
		ending  int         // signals that mean to end
		ended   = w.ended   // nil when it has been seen
	)
	for {
		select {
		case <-w.over:
			return
		case command = <-w.started:
			for _, s := range early {
				w.forward(command, s)
			}
		case <-ended:
			ended = nil
			if ending > 1 {
				w.giveUp()
			}
		case s := <-w.signals:
			if s == unix.SIGINT || s == unix.SIGTERM {
				ending++
			}
			switch {
			case ended == nil && ending > 1:
				w.giveUp()
			case ended == nil:
				w.log.Warn("the command has ended and its output is being delivered; a second signal ends that")
			case command == nil && !slices.Contains(early, s):
				early = append(early, s)
			case command != nil && !fromTerminal(s):
				// The terminal has sent its own to the command as well.
				w.forward(command, s)
			}
		}
	}
}

func (w *watcher) forward(to signalled, s os.Signal) {
	if err := to.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		w.log.Warn("passing a signal on to the command failed", "signal", s.String(), "error", err)
	}
}

// fromTerminal reports whether s may have come from the terminal's keys, which
// signal the whole foreground process group.
func fromTerminal(s os.Signal) bool {
	return (s == unix.SIGINT || s == unix.SIGQUIT) && term.IsTerminal(int(os.Stdin.Fd()))
}
