package faults

import (
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// slow is a destination that is too slow for what is left at the end.
type slow struct {
	name     string
	begin    func(*harness.Cloud)
	mustDrop bool // so slow that something must be left
}

func slowSinks() []slow {
	latency := harness.Pick(250*time.Millisecond, 500*time.Millisecond, time.Second)
	return []slow{
		{name: "each request takes its time", begin: func(c *harness.Cloud) { c.Sandbox.SetLatency(latency) }},
		{name: "one request at a time is let in", begin: func(c *harness.Cloud) { admitEvery(c, 4*latency) }, mustDrop: true},
	}
}

// admitEvery makes the destination take one request of events in each interval and throttle the others.
func admitEvery(c *harness.Cloud, interval time.Duration) {
	var mu sync.Mutex
	var next time.Time
	c.Sandbox.Script(func(action string, _ int) *cloudwatch.Answer {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); action != "PutLogEvents" || !now.Before(next) {
			next = now.Add(interval)
			return nil
		}
		return &cloudwatch.Answer{Status: 400, Type: "ThrottlingException", Message: "Rate exceeded"}
	})
}

// TestD10ASlowDestinationAtTheEndIsCutOffInTimeAndTheLossIsCounted fills the buffer, ends the container and leaves the
// logger too little time.
func TestD10ASlowDestinationAtTheEndIsCutOffInTimeAndTheLossIsCounted(t *testing.T) {
	for _, mode := range []string{"non-blocking", "blocking"} {
		for _, c := range slowSinks() {
			t.Run(mode+", "+c.name, func(t *testing.T) { testSlowSink(t, mode, c) })
		}
	}
}

func testSlowSink(t *testing.T, mode string, c slow) {
	buffer, cleanup, bytes := "4m", "1500ms", int64(12_000_000)
	if harness.Long() {
		buffer, cleanup, bytes = "25m", "12s", 80_000_000
	}
	sink := cloud(t)
	container := start(t, sink, "--mode", mode, "--max-buffer-size", buffer, "--cleanup-time", cleanup)
	// The logger learns how slow the destination is by an answer to one line.
	c.begin(sink)
	container.Shell("echo first")
	waitFor(t, "the first line", 15*time.Second, func() bool { return arrived(sink) == 1 })
	lines := harness.Lines{Size: lineSize}
	var end launcher.Result
	if mode == "non-blocking" {
		write(t, container, &lines, bytes/lineSize)
		end = container.Delete(0)
		if end.Exit != nil && end.Exit.Received != lines.Written()+1 {
			t.Errorf("%d lines written, %d received", lines.Written()+1, end.Exit.Received)
		}
	} else {
		// A blocking writer is held up, so it is still writing when the pipe closes under it.
		cut := make(chan error, 1)
		go func() { cut <- lines.Write(container.Stdout, bytes/lineSize) }()
		time.Sleep(harness.Pick(200*time.Millisecond, time.Second, 2*time.Second))
		end = container.Delete(0)
		if err := <-cut; !errors.Is(err, os.ErrClosed) {
			t.Errorf("the writer ended with %v before the pipe was closed: it was never held up", err)
		}
	}
	container.CheckEnd(end)
	checkCutOff(t, sink, c, end)
}

// checkCutOff fails the test unless the count of what was delivered is what the destination has.
func checkCutOff(t *testing.T, sink *harness.Cloud, c slow, end launcher.Result) {
	t.Helper()
	if end.Exit == nil {
		return // CheckEnd has said so.
	}
	account, _ := report(sink).Stream(harness.Group, harness.Stream)
	has := int64(account.Events) - int64(account.LossMarkers.Count)
	// What is cut off while it waits for its answer may be there all the same. The logger is to leave time for the
	// answers; on a machine that is busy with other tests that may fail, so it is asserted in the whole size alone.
	if late := has - end.Exit.Delivered; late < 0 || late > end.Exit.DroppedByReason["shutdown"] || late > 0 && harness.Long() {
		t.Errorf("the destination has %d lines, the exit line says %d delivered of %d", has, end.Exit.Delivered, end.Exit.Received)
	}
	for why, n := range end.Exit.DroppedByReason {
		if n != 0 && why != "shutdown" && why != "overflow-newest" {
			t.Errorf("dropped %v; want shutdown and overflow-newest alone", end.Exit.DroppedByReason)
		}
	}
	if c.mustDrop && end.Exit.DroppedByReason["shutdown"] == 0 {
		t.Errorf("nothing dropped at the end, so the test proved nothing: %v", end.Exit.DroppedByReason)
	}
	t.Logf("ended after %v: received %d, delivered %d, dropped %v", end.Duration.Round(time.Millisecond),
		end.Exit.Received, end.Exit.Delivered, end.Exit.DroppedByReason)
}
