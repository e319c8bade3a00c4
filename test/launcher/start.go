package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Readiness is what arrived on fd 5.
type Readiness string

const (
	// ReadyByte means that the logger wrote a byte, which every scheme of log URI takes as ready.
	ReadyByte Readiness = "byte"
	// ReadyEOF means that fd 5 was closed without a byte: binary:// starts the container all the same, binary-v2://
	// fails the start.
	ReadyEOF Readiness = "eof"
)

// Start runs the logger and waits until it wrote to fd 5 or closed it. It returns an error if the program cannot be
// started or says nothing within the ready timeout, in which case the program has been killed and waited for. The end
// of ctx kills the logger. The caller must end every logger with Delete, Wait or Kill.
func Start(ctx context.Context, spec Spec) (*Logger, error) {
	pipes, err := openPipes(spec.Pipes)
	if err != nil {
		return nil, err
	}
	defer pipes.closeChildEnds()
	cmd := exec.CommandContext(ctx, spec.Binary, spec.argv()...)
	cmd.Env = spec.environment()
	cmd.Dir = spec.Dir
	cmd.ExtraFiles = []*os.File{pipes.outR, pipes.errR, pipes.readyW}
	if spec.Pipes != nil {
		cmd.ExtraFiles = []*os.File{spec.Pipes.outR, spec.Pipes.errR, pipes.readyW}
	}
	l := &Logger{Stdout: pipes.outW, Stderr: pipes.errW, spec: spec, cmd: cmd, done: make(chan struct{})}
	if spec.CaptureStderr {
		if l.stderr, err = unlinkedFile(); err != nil {
			pipes.closeParentEnds()
			return nil, err
		}
		cmd.Stderr = l.stderr
	}
	if spec.Groups != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: spec.Groups}}
	}
	l.started = time.Now()
	if err := spec.Cgroup.Start(cmd); err != nil {
		pipes.closeParentEnds()
		l.closeStderr()
		return nil, fmt.Errorf("start logger %s: %w", spec.Binary, err)
	}
	// The shim drops its copies of the read ends, so that the death of the logger breaks the pipe of the container.
	pipes.closeChildEnds()
	go l.reap()
	if err := l.awaitReady(pipes.readyR); err != nil {
		l.Kill()
		return nil, err
	}
	return l, nil
}

// awaitReady reads one byte from fd 5's other end, as the shim does, but with a limit.
func (l *Logger) awaitReady(readyR *os.File) error {
	defer readyR.Close()
	limit := l.spec.ReadyTimeout
	if limit == 0 {
		limit = DefaultReadyTimeout
	}
	if err := readyR.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return fmt.Errorf("set a deadline on the readiness pipe: %w", err)
	}
	n, err := readyR.Read(make([]byte, 1))
	l.ReadyAfter = time.Since(l.started)
	switch {
	case n == 1:
		l.Ready = ReadyByte
	case errors.Is(err, io.EOF):
		l.Ready = ReadyEOF
	default:
		return fmt.Errorf("wait for a byte or the end on fd 5 of %s for %v: %w", l.spec.Binary, limit, err)
	}
	return nil
}

// pipes are the three pipes between shim and logger, or one, where the container's are somebody else's.
type pipes struct {
	outR, outW, errR, errW, readyR, readyW *os.File
}

func openPipes(given *Pipes) (*pipes, error) {
	p := &pipes{}
	all := [][2]**os.File{{&p.readyR, &p.readyW}, {&p.outR, &p.outW}, {&p.errR, &p.errW}}
	if given != nil {
		all = all[:1]
	}
	for _, ends := range all {
		r, w, err := os.Pipe()
		if err != nil {
			p.closeChildEnds()
			p.closeParentEnds()
			return nil, fmt.Errorf("open a pipe for the logger: %w", err)
		}
		*ends[0], *ends[1] = r, w
	}
	return p, nil
}

// closeChildEnds closes what the logger holds. Closing twice is harmless: an os.File remembers that it is closed.
func (p *pipes) closeChildEnds() { closeAll(p.outR, p.errR, p.readyW) }

func (p *pipes) closeParentEnds() { closeAll(p.outW, p.errW, p.readyR) }

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// unlinkedFile makes a file without a name. A file and not a pipe, so that nothing that the logger leaves behind can
// keep a reader waiting.
func unlinkedFile() (*os.File, error) {
	f, err := os.CreateTemp("", "launcher-stderr-")
	if err != nil {
		return nil, fmt.Errorf("make a file for the logger's stderr: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("unlink the file for the logger's stderr: %w", err)
	}
	return f, nil
}

// Start starts cmd inside the group, or plainly where the group is nil. The starting thread enters the group and forks
// there, so that no page of the program is charged elsewhere; it is locked, so that nothing else runs on it meanwhile.
func (g *Cgroup) Start(cmd *exec.Cmd) error {
	if g == nil {
		return cmd.Start()
	}
	runtime.LockOSThread()
	leave, err := g.enter(cmd)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	startErr := cmd.Start()
	if err := leave(); err != nil {
		// The thread stays locked and ends with its goroutine: a thread inside the group must not run anything else.
		return errors.Join(startErr, err)
	}
	runtime.UnlockOSThread()
	return startErr
}
