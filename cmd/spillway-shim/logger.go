package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/console"
	"github.com/spillway/spillway/internal/pipeline"
	"github.com/spillway/spillway/internal/source/pipe"
	"github.com/spillway/spillway/internal/statedir"
)

// logger is the life of one container's output.
type logger struct {
	options     *config.Resolved
	log         *slog.Logger
	closers     []io.Closer
	state       *statedir.Dir
	exits       *os.File
	console     *console.Server
	destination *catalog.Destination
	disk        *buffer.Disk // in mode spill
	identity    pipeline.Identity

	pipes [2]*pipe.Descriptor // standard output and error of the container
	ready *os.File

	pipeline *pipeline.Pipeline
	readers  []*pipe.Reader
}

// names of the two streams, by the order of pipes.
var names = [2]string{"stdout", "stderr"}

// newLogger opens everything that must be open before privileges are given up.
func newLogger(options *config.Resolved) (*logger, error) {
	l := &logger{options: options}
	if err := l.open(); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// run is the logger's life after everything is open.
func (l *logger) run() int {
	debug.SetMemoryLimit(heapLimit)
	for _, w := range append(l.options.Warnings, l.destination.Warnings...) {
		l.log.Warn(w)
	}
	// The logger's death would be SIGPIPE for the container.
	signal.Ignore(unix.SIGHUP)
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, unix.SIGTERM, unix.SIGINT)
	if err := dropPrivileges(l.options.Shim()); err != nil {
		return l.fail(err)
	}
	if err := l.startRequires(); err != nil {
		return l.fail(err)
	}
	if err := l.start(); err != nil {
		return l.fail(err)
	}
	if err := l.sayReady(); err != nil {
		// Nobody waits for the byte any more, but the container's output still comes.
		l.log.Warn("saying ready failed", "error", err)
	}
	ended := l.read()
	select {
	case <-ended:
		if l.disk != nil {
			// What is not delivered soon can be delivered later, by another process.
			l.stopBy(time.Now())
		}
	case <-terminated:
		l.terminate(ended)
	}
	go func() {
		// After the end of both pipes delivery has no deadline, until containerd says
		// that time is short.
		<-terminated
		l.stopBy(time.Now())
	}()
	l.pipeline.Drain()
	<-ended
	return l.end()
}

// startRequires asks the destination where its owner wants the container to
// fail without it.
func (l *logger) startRequires() error {
	if !l.options.Shim().StartRequiresDestination {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	err := l.destination.Sink.Check(ctx)
	var throttled interface{ Throttled() bool }
	if errors.As(err, &throttled) && throttled.Throttled() {
		// A destination that is busy is there, and no reason to fail a container.
		l.log.Warn("the destination throttles; the container starts all the same", "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s does not take records, and start-requires-destination is set: %w", l.destination.Name, err)
	}
	return nil
}

// startTimeout bounds the question of start-requires-destination.
const startTimeout = 20 * time.Second

func (l *logger) start() error {
	l.pipeline = pipeline.Start(pipeline.For(l.options.Buffer(), l.disk, l.destination, l.log))
	intake, threads := l.pipeline.Intake(), newProcessors()
	for i, fd := range l.pipes {
		joiner, err := l.destination.Joiner(intake.MaxBody())
		if err != nil {
			return err
		}
		size, err := fd.Grow()
		l.log.Debug("pipe", "stream", names[i], "size", size, "growing", fmt.Sprint(err))
		l.readers = append(l.readers, pipe.New(fd, intake.Open(names[i]), intake, pipe.Options{Joiner: joiner, Busy: threads.busy}))
	}
	l.console.Serve(func() any { return l.pipeline.Report(l.identity) })
	return nil
}

// sayReady tells containerd to go on: one byte, which binary-v2 demands, and
// then the end of the file, which is enough for binary.
func (l *logger) sayReady() error {
	_, err := l.ready.Write([]byte{0})
	return errors.Join(err, l.ready.Close())
}

// read reads both pipes; the channel is closed when both have ended.
func (l *logger) read() <-chan struct{} {
	var both sync.WaitGroup
	for i, r := range l.readers {
		both.Go(func() {
			if err := r.Run(); err != nil {
				l.log.Error("a pipe cannot be read; what the container writes from now on is not seen",
					"stream", names[i], "error", err)
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		both.Wait()
		close(ended)
	}()
	return ended
}

// terminate bounds the rest of the logger's life: containerd has closed the
// pipes and kills it 12 s after its signal. Reading and delivering go on
// together until the pipes end.
func (l *logger) terminate(ended <-chan struct{}) {
	l.stopBy(time.Now())
	<-ended
}

func (l *logger) stopBy(signalled time.Time) {
	deadline := signalled.Add(l.options.Shim().CleanupTime)
	l.pipeline.Hurry()
	l.pipeline.StopBy(deadline)
	time.AfterFunc(time.Until(deadline), func() {
		for _, r := range l.readers {
			if err := r.Stop(); err != nil {
				l.log.Warn("ending the reading failed", "error", err)
			}
		}
	})
}

// end writes the last balance and closes everything.
func (l *logger) end() int {
	errs := []error{l.pipeline.Close()}
	// What is left on the disk is known now.
	report := l.pipeline.Report(l.identity)
	line, err := json.Marshal(report)
	if err != nil {
		return l.fail(errors.Join(append(errs, err)...))
	}
	line = append(line, '\n')
	_, err = os.Stderr.Write(line)
	errs = append(errs, err, l.appendExit(line))
	l.log.Info("the container's output has ended", "balance", string(line[:len(line)-1]))
	if err := errors.Join(errs...); err != nil {
		return l.fail(err)
	}
	l.close()
	return exitDone
}

// appendExit writes the exit line into the state directory. A logger that has
// outlived the file and may not open another has the line on standard error and
// in its log, so that is no failure.
func (l *logger) appendExit(line []byte) error {
	err := l.state.AppendExit(l.exits, line)
	if errors.Is(err, statedir.ErrExitsGone) {
		l.log.Warn("the exit line stands in this log only", "error", err)
		return nil
	}
	return err
}

// fail ends the process with a message where people look.
func (l *logger) fail(err error) int {
	l.log.Error("the logger ends", "error", err.Error())
	fmt.Fprintln(os.Stderr, "spillway-shim:", err)
	l.close()
	return exitFailed
}

func (l *logger) close() {
	if l.disk != nil && l.pipeline == nil {
		if err := l.disk.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "spillway-shim: close:", err)
		}
	}
	for _, c := range slices.Backward(l.closers) {
		if err := c.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "spillway-shim: close:", err)
		}
	}
}
