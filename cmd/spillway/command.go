package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

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

// exitStatus is the status as a shell gives it.
func exitStatus(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ExitCode()
}
