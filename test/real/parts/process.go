package parts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// readyWithin is how long a part may take until it answers; a cold machine under load is slow.
	readyWithin = 3 * time.Minute
	// askEvery is the pause between two questions to a part that is starting.
	askEvery = 20 * time.Millisecond
	// askAtMost bounds one question to a part whose client would go on asking by itself.
	askAtMost = 2 * time.Second
	// metadataAge is how long a client of Kafka waits before it asks again for topics.
	metadataAge = 100 * time.Millisecond
	// stopWithin is how long a part may take from SIGTERM until it is killed.
	stopWithin = 20 * time.Second
)

// Process is a program that was started here and is ended here, and by its own pid only. Its
// methods may be called by several goroutines.
type Process struct {
	name string
	// LogPath is the file that takes the program's stdout and stderr.
	LogPath string
	process *os.Process
	// wholeGroup says that the program's children end with it.
	wholeGroup bool
	// ended is closed after the program was waited for; how it ended is set before that.
	ended chan struct{}
	err   error
	how   string
}

// start runs a program with its output in DIR/NAME.log and no stdin. The test's end ends it; so
// does the death of the test's process, which a time-out of the test runner brings about.
func start(t testing.TB, name, dir string, cmd *exec.Cmd) (*Process, error) {
	t.Helper()
	return startProcess(t, &Process{name: name}, dir, cmd)
}

// startGroup does the same with a program that starts others which are to end with it: they are
// killed when it has ended, however that came.
func startGroup(t testing.TB, name, dir string, cmd *exec.Cmd) (*Process, error) {
	t.Helper()
	return startProcess(t, &Process{name: name, wholeGroup: true}, dir, cmd)
}

func startProcess(t testing.TB, p *Process, dir string, cmd *exec.Cmd) (*Process, error) {
	t.Helper()
	name := p.name
	logFile, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, fmt.Errorf("make a log for %s: %w", name, err)
	}
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGTERM
	p.LogPath, p.ended = logFile.Name(), make(chan struct{})
	started := make(chan error, 1)
	go func() {
		// The kernel sends the parent-death signal when the thread that started the child ends, so
		// this goroutine keeps its thread for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		p.process = cmd.Process
		started <- err
		if err == nil {
			groupErr := p.endGroup()
			p.err = errors.Join(cmd.Wait(), groupErr)
			p.how = cmd.ProcessState.String()
		}
		if closeErr := logFile.Close(); p.err == nil {
			p.err = closeErr
		}
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	t.Cleanup(func() { p.finish(t) })
	return p, nil
}

// endGroup waits for the end of the program and then kills what is left of its group, before the
// program is waited for: until then nobody else can have its number.
func (p *Process) endGroup() error {
	if !p.wholeGroup {
		return nil
	}
	for {
		err := unix.Waitid(unix.P_PID, p.process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil {
			err = unix.Kill(-p.process.Pid, unix.SIGKILL)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end the process group of %s: %w", p.name, err)
		}
		return nil
	}
}

// finish is the end of the part with its test; a failed test shows the end of the part's log.
func (p *Process) finish(t testing.TB) {
	if err := p.Stop(); err != nil {
		t.Errorf("stop %s: %v", p.name, err)
	}
	if t.Failed() {
		t.Logf("the end of the log of %s:\n%s", p.name, Tail(p.LogPath))
	}
}

// Signal sends a signal to the program alone, not to its children.
func (p *Process) Signal(signal os.Signal) error {
	if err := p.process.Signal(signal); err != nil {
		return fmt.Errorf("send %v to %s: %w", signal, p.name, err)
	}
	return nil
}

// Stop ends the program: SIGCONT, in case a test has stopped it, SIGTERM, and SIGKILL when that
// took longer than stopWithin, which is an error. A program that ended by itself is no error.
func (p *Process) Stop() error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	if err := p.Resume(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopWithin):
	}
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	return fmt.Errorf("%s did not end within %v of SIGTERM and was killed", p.name, stopWithin)
}

// Kill ends the program at once, as a crash would, and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.ended
	return nil
}

// Pause stops the program as a whole, with its connections open and silent: a destination that
// hangs. Resume lets it go on where it was.
func (p *Process) Pause() error { return p.pause(syscall.SIGSTOP) }

// Resume is the end of Pause.
func (p *Process) Resume() error { return p.pause(syscall.SIGCONT) }

func (p *Process) pause(signal syscall.Signal) error {
	if !p.wholeGroup {
		return p.Signal(signal)
	}
	select {
	case <-p.ended:
		return fmt.Errorf("send %v to %s: %w", signal, p.name, os.ErrProcessDone)
	default:
	}
	err := syscall.Kill(-p.process.Pid, signal)
	if errors.Is(err, syscall.ESRCH) {
		err = os.ErrProcessDone
	}
	if err != nil {
		return fmt.Errorf("send %v to the process group of %s: %w", signal, p.name, err)
	}
	return nil
}

// ready asks until the answer is no error. It gives up early when the program has ended, and quotes
// its log then, because that is where the reason is.
func (p *Process) ready(ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended before it was ready (%s); its log ends:\n%s", p.name, p.how, Tail(p.LogPath))
		case <-ctx.Done():
			return fmt.Errorf("%s was not ready within %v: %w; its log ends:\n%s", p.name, readyWithin, err, Tail(p.LogPath))
		case <-ticker.C:
		}
	}
}

// Tail returns the last 4 KiB of a file for a message, or why they cannot be read.
func Tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4096):])
}
