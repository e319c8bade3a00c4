package faults

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

func signal(t *testing.T, container *harness.Container, sig os.Signal) {
	t.Helper()
	if err := container.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func TestNoSignalButSIGTERMEndsTheLogger(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGPIPE} {
		t.Run(sig.String(), func(t *testing.T) {
			sink := cloud(t)
			container := start(t, sink)
			lines := harness.Lines{Size: 100}
			write(t, container, &lines, 1000)
			signal(t, container, sig)
			write(t, container, &lines, 1000)
			checkComplete(t, sink, &lines, container.Remove())
		})
	}
}

func TestASecondSIGTERMLeavesTheBooksInOrder(t *testing.T) {
	sink := cloud(t)
	sink.Sandbox.SetLatency(200 * time.Millisecond)
	container := start(t, sink)
	lines := harness.Lines{Size: 500}
	write(t, container, &lines, 5000)
	container.CloseWriters()
	signal(t, container, syscall.SIGTERM)
	signal(t, container, syscall.SIGTERM)
	end := container.Wait(launcher.KillDelay)
	container.CheckEnd(end)
	if end.Exit != nil && end.Exit.Received != lines.Written() {
		t.Errorf("%d lines written, %d received", lines.Written(), end.Exit.Received)
	}
	t.Logf("ended after %v; dropped %v", end.Duration, end.Exit.DroppedByReason)
}

func TestLinesThatAreWrittenAfterSIGTERMArrive(t *testing.T) {
	sink := cloud(t)
	container := start(t, sink)
	lines := harness.Lines{Size: 100}
	write(t, container, &lines, 1000)
	signal(t, container, syscall.SIGTERM)
	for range 5 {
		time.Sleep(30 * time.Millisecond)
		write(t, container, &lines, 100)
	}
	container.CloseWriters()
	end := container.Wait(launcher.KillDelay)
	container.CheckEnd(end)
	checkComplete(t, sink, &lines, end)
}

func TestPipesThatNobodyClosesEndAtTheDeadline(t *testing.T) {
	sink := cloud(t)
	container := start(t, sink, "--cleanup-time", "1s", "--awslogs-force-flush-interval-seconds", "1")
	lines := harness.Lines{Size: 100}
	write(t, container, &lines, 1000)
	// A busy machine may need the second to connect.
	waitFor(t, "the lines", 15*time.Second, func() bool { return arrived(sink) == lines.Written() })
	signal(t, container, syscall.SIGTERM)
	end := container.Wait(launcher.KillDelay)
	container.CheckEnd(end)
	checkComplete(t, sink, &lines, end)
	t.Logf("ended %v after SIGTERM", end.Duration)
}

// TestAWriterThatNeverStopsCannotKeepTheLoggerBeyondItsTime leaves the pipe open and full.
func TestAWriterThatNeverStopsCannotKeepTheLoggerBeyondItsTime(t *testing.T) {
	for _, fault := range []string{"", cloudwatch.FaultHang} {
		sink := harness.NewCloud(t, cloudwatch.Options{KeepBytes: -1})
		if fault != "" {
			sink.Fault(fault)
		}
		container := start(t, sink, "--cleanup-time", "1s", "--max-buffer-size", "1m")
		stopped := make(chan error, 1)
		go func() {
			for lines := (harness.Lines{Size: 200}); ; {
				if err := lines.Write(container.Stdout, 1000); err != nil {
					stopped <- err
					return
				}
			}
		}()
		waitFor(t, "a request", 15*time.Second, func() bool { return len(sink.Calls()) > 0 })
		signal(t, container, syscall.SIGTERM)
		end := container.Wait(launcher.KillDelay)
		if err := <-stopped; !errors.Is(err, syscall.EPIPE) {
			t.Errorf("the writer ended with %v, want a broken pipe", err)
		}
		container.CheckEnd(end)
		t.Logf("fault %q: ended %v after SIGTERM; received %d, dropped %v", fault, end.Duration, end.Exit.Received, end.Exit.DroppedByReason)
	}
}

func TestTheEndOfBothStreamsWithoutSIGTERMHasNoDeadline(t *testing.T) {
	sink := cloud(t)
	sink.Fault(cloudwatch.FaultUnavailable)
	container := start(t, sink, "--mode", "blocking", "--cleanup-time", "1s")
	lines := harness.Lines{Size: 500}
	write(t, container, &lines, 2000)
	container.CloseWriters()
	// Longer than the cleanup time, which only SIGTERM starts.
	time.Sleep(harness.Pick(1500*time.Millisecond, 3*time.Second, 60*time.Second))
	sink.Heal()
	end := container.Wait(30 * time.Second)
	container.CheckEnd(end)
	checkComplete(t, sink, &lines, end)
}

func TestAHangingDestinationCannotKeepTheLoggerBeyondItsTime(t *testing.T) {
	sink := cloud(t)
	sink.Fault(cloudwatch.FaultHang)
	container := start(t, sink, "--cleanup-time", harness.Pick("1s", "5s", "12s"))
	lines := harness.Lines{Size: 500}
	write(t, container, &lines, 2000)
	end := container.Remove()
	harness.Dropped(t, end, "shutdown")
	if end.Exit != nil && end.Exit.Dropped != lines.Written() {
		t.Errorf("%d lines written, %d dropped", lines.Written(), end.Exit.Dropped)
	}
	t.Logf("ended after %v", end.Duration)
}
