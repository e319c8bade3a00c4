package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/spillway/spillway/internal/source/pipe"
)

// grandchildren is how long the end of the pipes is awaited once the command has
// ended: something that it started may hold them open for ever.
const grandchildren = 2 * time.Second

// runCommand runs the command, reads what it writes until the end, and returns
// its exit status.
func (e *execution) runCommand() (status int, err error) {
	cmd := exec.Command(e.command[0], e.command[1:]...)
	cmd.Stdin = os.Stdin
	readers, writers, err := e.pipes(cmd)
	if err != nil {
		return 0, err
	}
	watch := e.signals
	err = cmd.Start()
	for _, w := range writers {
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return 0, fmt.Errorf("start the command: %w", err)
	}
	watch.forwardTo(cmd.Process)
	read := e.read(readers)
	if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
		return 0, fmt.Errorf("wait for the command: %w", err)
	}
	watch.commandEnded()
	select {
	case err = <-read:
	case <-time.After(grandchildren):
		for _, r := range readers {
			err = errors.Join(err, r.Stop())
		}
		err = errors.Join(err, <-read)
	}
	// A signal may still end the delivery, so it is awaited here.
	e.pipeline.Drain()
	return exitStatus(cmd.ProcessState), err
}

// pipes connects the command's output.
func (e *execution) pipes(cmd *exec.Cmd) (readers []*pipe.Reader, writers []*os.File, err error) {
	for _, out := range []struct {
		name string
		to   *io.Writer
		tee  *os.File
	}{{"stdout", &cmd.Stdout, os.Stdout}, {"stderr", &cmd.Stderr, os.Stderr}} {
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			return nil, nil, fmt.Errorf("make a pipe for the command's %s: %w", out.name, err)
		}
		r, err := pipe.Open(ends[0], out.name)
		if err != nil {
			return nil, nil, err
		}
		if size, err := r.Grow(); err != nil {
			e.log.Debug("the pipe keeps its size", "stream", out.name, "size", size, "error", err)
		}
		w := os.NewFile(uintptr(ends[1]), out.name)
		intake := e.pipeline.Intake()
		joiner, err := e.destination.Joiner(intake.MaxBody())
		if err != nil {
			return nil, nil, err
		}
		o := pipe.Options{Joiner: joiner}
		if e.tee {
			o.Tee = out.tee
		}
		*out.to = w
		writers = append(writers, w)
		readers = append(readers, pipe.New(r, intake.Open(out.name), intake, o))
	}
	return readers, writers, nil
}

// read runs the readers; the channel gets one value when all have ended.
func (e *execution) read(readers []*pipe.Reader) <-chan error {
	errs := make([]error, len(readers))
	var all sync.WaitGroup
	for i, r := range readers {
		all.Go(func() { errs[i] = r.Run() })
	}
	done := make(chan error, 1)
	go func() {
		all.Wait()
		done <- errors.Join(errs...)
	}()
	return done
}

// watcher passes signals on to the command, and lets a second one end the
// delivery after the command has ended.
type watcher struct {
	execution *execution
	signals   chan os.Signal
	process   atomic.Pointer[os.Process]
	ended     atomic.Bool
	over      chan struct{}
	done      chan struct{}
}

func (e *execution) watchSignals() *watcher {
	w := &watcher{execution: e, signals: make(chan os.Signal, 8), over: make(chan struct{}), done: make(chan struct{})}
	signal.Notify(w.signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	go w.run()
	return w
}

func (w *watcher) forwardTo(p *os.Process) { w.process.Store(p) }
func (w *watcher) commandEnded()           { w.ended.Store(true) }

// stop ends the watching. Signals stay caught, since the program is about to end
// by itself, with a status of its own.
func (w *watcher) stop() {
	close(w.over)
	<-w.done
}

func (w *watcher) run() {
	defer close(w.done)
	ending := 0
	for {
		var s os.Signal
		select {
		case s = <-w.signals:
		case <-w.over:
			return
		}
		if s == unix.SIGINT || s == unix.SIGTERM {
			ending++
		}
		switch {
		case w.ended.Load() && ending > 1:
			w.execution.pipeline.StopBy(time.Now())
		case w.ended.Load():
			w.execution.log.Warn("the command has ended and its output is being delivered; a second signal drops what is left")
		case fromTerminal(s):
			// The terminal has sent it to the command as well.
		case w.process.Load() != nil:
			if err := w.process.Load().Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
				w.execution.log.Warn("passing a signal on to the command failed", "signal", s.String(), "error", err)
			}
		}
	}
}

// fromTerminal reports whether s may have come from the terminal's keys, which
// signal the whole foreground process group.
func fromTerminal(s os.Signal) bool {
	return (s == unix.SIGINT || s == unix.SIGQUIT) && term.IsTerminal(int(os.Stdin.Fd()))
}

// exitStatus is the status as a shell gives it.
func exitStatus(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ExitCode()
}
