package launcher

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"
)

// Logger is a running logger. Its methods may be called from several goroutines.
type Logger struct {
	// Ready says what came on fd 5, and ReadyAfter how long after the start.
	Ready      Readiness
	ReadyAfter time.Duration
	// Stdout and Stderr are the write ends that the container would hold; nil where Spec.Pipes has them.
	Stdout, Stderr *os.File

	spec    Spec
	cmd     *exec.Cmd
	stderr  *os.File
	started time.Time
	done    chan struct{} // closed once the process has been waited for
	ended   time.Time
	peakRSS atomic.Int64
}

// Result is how a logger ended.
type Result struct {
	// ExitCode is the exit status, or -1 if a signal ended the process; Signal then says which.
	ExitCode int
	Signal   syscall.Signal
	// Duration runs from the closing of the write ends to the end of the process; 0 if it had ended before.
	Duration time.Duration
	// Killed says that the logger outlived KillAfter and got SIGKILL.
	Killed bool
	// Exit is the exit line, nil if there is none; ExitErr says why not.
	Exit    *ExitLine
	ExitErr error
	// PeakRSS is the largest resident size seen, in bytes: sampled, since the kernel's ru_maxrss of a vforked child
	// includes the peak of its parent.
	PeakRSS int64
	// CPU is user and system time together, of the logger and of the children that it waited for.
	CPU time.Duration
}

// Pid is the process id of the logger.
func (l *Logger) Pid() int { return l.cmd.Process.Pid }

// Done is closed when the logger has ended.
func (l *Logger) Done() <-chan struct{} { return l.done }

// reap waits for the process, so that its end is seen at once wherever it is awaited.
func (l *Logger) reap() {
	// The error only repeats the exit status, which ProcessState holds.
	_ = l.cmd.Wait()
	l.ended = time.Now()
	close(l.done)
}

// Run runs a command as the container's process: the logger's pipes are its stdout and stderr. It returns the error of
// cmd.Run; a command that was killed by SIGPIPE had no logger any more.
func (l *Logger) Run(cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = l.Stdout, l.Stderr
	return cmd.Run()
}

// CloseWriters closes both write ends, so that the logger sees the end of both streams.
func (l *Logger) CloseWriters() { closeAll(l.Stdout, l.Stderr) }

// Signal sends a signal to the logger. That it has ended already is not an error.
func (l *Logger) Signal(sig os.Signal) error {
	if err := l.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to the logger: %w", sig, err)
	}
	return nil
}

// Delete does what containerd does when a task is deleted: it closes the write ends, waits for gap (containerd: 0),
// sends SIGTERM, and SIGKILL after KillAfter.
func (l *Logger) Delete(gap time.Duration) Result {
	l.SamplePeak()
	closed := time.Now()
	l.CloseWriters()
	if gap > 0 {
		time.Sleep(gap)
	}
	if err := l.Signal(syscall.SIGTERM); err != nil {
		return Result{ExitCode: -1, ExitErr: err}
	}
	limit := l.spec.KillAfter
	if limit == 0 {
		limit = KillDelay
	}
	killed := !l.await(limit)
	if killed {
		l.Kill()
	}
	return l.result(closed, killed)
}

// Wait waits until the logger ends by itself, at most for limit; then it is killed. The write ends stay as they are.
func (l *Logger) Wait(limit time.Duration) Result {
	from := time.Now()
	killed := !l.await(limit)
	if killed {
		l.Kill()
	}
	return l.result(from, killed)
}

// Kill ends the logger with SIGKILL, waits for it and closes the write ends. It may be called at any time.
func (l *Logger) Kill() {
	// Only a process that has ended cannot be killed by its parent.
	_ = l.cmd.Process.Kill()
	<-l.done
	l.CloseWriters()
}

// await waits for the end of the process and samples its memory meanwhile.
func (l *Logger) await(limit time.Duration) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		l.SamplePeak()
		select {
		case <-l.done:
			return true
		case <-deadline.C:
			return false
		case <-tick.C:
		}
	}
}

func (l *Logger) result(from time.Time, killed bool) Result {
	r := Result{Killed: killed, PeakRSS: l.peakRSS.Load(), ExitCode: l.cmd.ProcessState.ExitCode()}
	if d := l.ended.Sub(from); d > 0 {
		r.Duration = d
	}
	if status, ok := l.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		r.Signal = status.Signal()
	}
	r.CPU = l.cmd.ProcessState.UserTime() + l.cmd.ProcessState.SystemTime()
	r.Exit, r.ExitErr = l.exitLine()
	return r
}

// StderrText is what the logger wrote on stderr so far, at most its last MiB; empty unless CaptureStderr was set.
func (l *Logger) StderrText() string {
	if l.stderr == nil {
		return ""
	}
	const most = 1 << 20
	info, err := l.stderr.Stat()
	if err != nil {
		return fmt.Sprintf("(stderr of the logger cannot be read: %v)", err)
	}
	from := max(info.Size()-most, 0)
	text := make([]byte, info.Size()-from)
	n, err := l.stderr.ReadAt(text, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Sprintf("(stderr of the logger cannot be read: %v)", err)
	}
	return string(text[:n])
}

// Close releases the captured stderr. It is for callers that start very many loggers; others leave it to the collector.
func (l *Logger) Close() { l.closeStderr() }

func (l *Logger) closeStderr() { closeAll(l.stderr) }
