package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher/harness"
)

// What a start may take, whatever waits on the disk.
const (
	startTime   = time.Second
	startMemory = 30 << 20
)

// TestAStartDoesNotTakeLongerForALargeBacklog: a killed logger leaves a backlog on the disk; the next one, and after it
// spillway drain, find it out of a cold page cache.
func TestAStartDoesNotTakeLongerForALargeBacklog(t *testing.T) {
	const size = 250
	backlog := harness.Pick[int64](32<<20, 1<<30, 20<<30)
	state := harness.StateDir(t)
	var space unix.Statfs_t
	if err := unix.Statfs(state, &space); err != nil {
		t.Fatal(err)
	}
	if free, need := int64(space.Bavail)*space.Bsize, backlog+backlog/4+int64(space.Blocks)*space.Bsize/20; free < need {
		t.Skipf("not run: a backlog of %d bytes: %s has %d bytes free, and it takes %d", backlog, state, free, need)
	}
	sink := harness.NewCloud(t, cloudwatch.Options{KeepBytes: -1})
	sink.Fault(cloudwatch.FaultHang)
	setup := harness.Setup{Programs: programs, Cloud: sink, State: state, Set: map[string]string{
		"--mode": "spill", "--durability": "kernel", "--max-disk-size": "40g", "--cleanup-time": "11s",
	}}
	first := setup.Start(t)
	lines := backlog / size
	written := flood{"", size, lines * size}
	if err := written.pourInto(first.Stdout); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "all lines to be received", time.Minute, func() bool { s, _ := harness.AskStatus(t, programs, state); return s.Received == lines })
	if err := first.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	first.Wait(time.Minute)

	coolBuffers(t, state)
	began := time.Now()
	second := setup.Start(t)
	ready := time.Since(began)
	var s harness.Status
	waitFor(t, "the records to be recovered", time.Minute, func() bool { s, _ = harness.AskStatus(t, programs, state); return s.Recovered > 0 })
	known := time.Since(began)
	if s.Recovered != lines || s.Pending != lines {
		t.Errorf("%d records recovered and %d pending, want %d of both", s.Recovered, s.Pending, lines)
	}
	checkStart(t, "spillway-shim", backlog, ready, known, residentPeak(t, second.Pid()))
	second.Delete(0)

	coolBuffers(t, state)
	sink.Heal()
	drainStarts(t, sink, state, backlog)
}

// drainStarts starts spillway drain and waits for the first record of the backlog at the destination.
func drainStarts(t *testing.T, sink *harness.Cloud, state string, backlog int64) {
	t.Helper()
	var said bytes.Buffer
	drain := exec.CommandContext(t.Context(), programs.Spillway, "drain", state)
	drain.Env = append(os.Environ(), "AWS_EC2_METADATA_DISABLED=true", "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=example")
	drain.Stdout, drain.Stderr = &said, &said
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("drain said: %s", said.String())
		}
	})
	began := time.Now()
	if err := drain.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the first record from drain", time.Minute, func() bool { return arrived(sink) > 0 })
	known := time.Since(began)
	peak := residentPeak(t, drain.Process.Pid)
	if err := drain.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := drain.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	checkStart(t, "spillway drain", backlog, known, known, peak)
}

// checkStart prints how a start went, and asserts it in the whole size.
func checkStart(t *testing.T, what string, backlog int64, ready, known time.Duration, peak int64) {
	t.Helper()
	t.Logf("%s, backlog of %d MiB: ready after %v, the backlog known or delivered from after %v, RSS at most %.1f MiB", what, backlog>>20,
		ready.Round(time.Millisecond), known.Round(time.Millisecond), float64(peak)/(1<<20))
	if harness.Long() && (known > startTime || peak > startMemory) {
		t.Errorf("%s: want at most %v and %d MiB", what, startTime, startMemory>>20)
	}
}

// residentPeak is the largest RSS that a process has had.
func residentPeak(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(text), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(peak, &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// coolBuffers takes what is in the buffers out of the page cache.
func coolBuffers(t *testing.T, state string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(state, "buffers", "*", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files in buffers: %v", len(files), err)
	}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
