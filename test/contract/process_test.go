package contract

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// The tests of this file are about the process itself: its state directory, its own log, its pipes.

func TestThePipesGrowToOneMiB(t *testing.T) {
	ours(t)
	container := toFile(logFile(t, true)).Start(t)
	for _, w := range []*os.File{container.Stdout, container.Logger.Stderr} {
		size, err := unix.FcntlInt(w.Fd(), unix.F_GETPIPE_SZ, 0)
		if err != nil {
			t.Fatal(err)
		}
		if size != 1<<20 {
			t.Errorf("a pipe holds %d bytes, want 1 MiB", size)
		}
	}
	container.Remove()
}

func TestTheLoggersOwnLogNeverHoldsWhatPassesThrough(t *testing.T) {
	ours(t)
	harness.NeedLogFiles(t)
	sink := cloud(t)
	container := toCloud(sink, "--verbose", "true").Start(t)
	container.Shell("echo my-password-is-swordfish")
	container.Remove()
	if text := container.LogText(); strings.Contains(text, "swordfish") || len(text) == 0 {
		t.Errorf("the logger's own log:\n%s", harness.Indent(text))
	}
}

func TestATooSmallBufferIsRaisedWithAWarning(t *testing.T) {
	ours(t)
	harness.NeedLogFiles(t)
	sink := cloud(t)
	container := toCloud(sink, "--max-buffer-size", "1k").Start(t)
	container.Shell("printf " + someLine)
	container.Remove()
	if diff := cmp.Diff([]string{someLine}, sink.Messages(harness.Group, harness.Stream)); diff != "" {
		t.Errorf("events in the stream (-want +got):\n%s", diff)
	}
	if text := container.LogText(); !strings.Contains(text, "max-buffer-size") || !strings.Contains(text, "WARN") {
		t.Errorf("no warning about max-buffer-size:\n%s", harness.Indent(text))
	}
}

func TestAStateDirectoryTooLongForASocketWorksWithoutOne(t *testing.T) {
	ours(t)
	state := filepath.Join(harness.StateDir(t), strings.Repeat("long/", 40))
	sink := cloud(t)
	setup := toCloud(sink, "--state-dir", state)
	setup.Change = func(s *launcher.Spec) { s.StateDir = state }
	container := setup.Start(t)
	if container.Ready != launcher.ReadyByte {
		t.Fatalf("fd 5 gave %q, want a byte", container.Ready)
	}
	container.Shell("printf " + someLine)
	container.Remove()
	if diff := cmp.Diff([]string{someLine}, sink.Messages(harness.Group, harness.Stream)); diff != "" {
		t.Errorf("events in the stream (-want +got):\n%s", diff)
	}
}

// TestAStuckNeighbourHoldsUpNoStart leaves a socket in the state directory whose owner accepts nobody any more.
func TestAStuckNeighbourHoldsUpNoStart(t *testing.T) {
	ours(t)
	state := harness.StateDir(t)
	if err := os.Mkdir(filepath.Join(state, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	address := &unix.SockaddrUnix{Name: filepath.Join(state, "run", "0123456789abcdef.sock")}
	open := func() int {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	listener := open()
	if err := errors.Join(unix.Bind(listener, address), unix.Listen(listener, 0)); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := unix.Connect(open(), address); errors.Is(err, unix.EAGAIN) {
			break // Nobody else finds room.
		}
	}
	setup := toFile(logFile(t, true), "--state-dir", state)
	setup.Change = func(s *launcher.Spec) { s.StateDir = state }
	container := setup.Start(t)
	if container.Ready != launcher.ReadyByte {
		t.Fatalf("fd 5 gave %q, want a byte", container.Ready)
	}
	container.Shell("echo one")
	container.Remove()
}

func TestExitLinesStayInOneFileThatIsRotated(t *testing.T) {
	ours(t)
	state := harness.StateDir(t)
	exits := filepath.Join(state, "exits.jsonl")
	old := bytes.Repeat([]byte(`{"received":1,"unaccounted":0}`+"\n"), 400_000)
	if err := os.WriteFile(exits, old, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		setup := toFile(logFile(t, true), "--state-dir", state)
		setup.Change = func(s *launcher.Spec) { s.StateDir = state }
		container := setup.Start(t)
		container.Shell("echo one")
		container.Remove()
	}
	text, err := os.ReadFile(exits)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 1<<20 || bytes.Count(text, []byte("\n")) != 2 {
		t.Errorf("exits.jsonl has %d bytes and %d lines; want it rotated and 2", len(text), bytes.Count(text, []byte("\n")))
	}
	all, err := filepath.Glob(exits + "*")
	if err != nil || len(all) != 2 {
		t.Errorf("exit lines are in %v (%v); want the file and the one before it", all, err)
	}
}

// rotateTwice does to the exit lines what other loggers do when they become too many, twice: the file that a running
// logger has open is deleted.
func rotateTwice(t *testing.T, state string) (exits string) {
	t.Helper()
	exits = filepath.Join(state, "exits.jsonl")
	for range 2 {
		if err := errors.Join(os.Rename(exits, exits+".1"), os.WriteFile(exits, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return exits
}

func TestTheExitLineOutlivesTwoRotations(t *testing.T) {
	ours(t)
	container := toFile(logFile(t, true)).Start(t)
	exits := rotateTwice(t, container.State)
	container.Shell("echo one")
	container.Remove()
	text, err := os.ReadFile(exits)
	if err != nil || launcher.LastExitLine(text, harness.ContainerID) == nil {
		t.Errorf("no exit line in the present file (%v):\n%s", err, harness.Indent(string(text)))
	}
}

// TestAnExitLineThatCannotBeWrittenIsToldOf has given up the right to open another file.
func TestAnExitLineThatCannotBeWrittenIsToldOf(t *testing.T) {
	ours(t)
	harness.NeedLogFiles(t)
	sink := cloud(t)
	container := privileged(t, toCloud(sink, "--uid", nobody, "--gid", nobody))
	rotateTwice(t, container.State)
	container.Shell("echo one")
	container.Remove()
	if text := container.LogText(); !strings.Contains(text, "the exit line stands in this log only") {
		t.Errorf("no word of the exit line:\n%s", harness.Indent(text))
	}
}

func TestStatusShowsARunningLoggerAndForgetsIt(t *testing.T) {
	ours(t)
	sink := cloud(t)
	container := toCloud(sink).Start(t)
	container.Shell("seq 1 100")
	waitFor(t, "a status of 100 delivered", func() bool {
		s, _ := harness.AskStatus(t, programs, container.State)
		return len(s.Processes) == 1 && s.Processes[0].Container == harness.ContainerID && s.Received == 100 &&
			s.Delivered == 100 && s.Unaccounted == 0
	})
	container.Remove()
	if s, text := harness.AskStatus(t, programs, container.State); len(s.Processes) != 0 {
		t.Errorf("the status still knows the logger:\n%s", harness.Indent(text))
	}
}

func TestAnEndpointMayEndInASlash(t *testing.T) {
	sink := cloud(t)
	container := toCloud(sink, "--awslogs-endpoint", sink.URL()+"/").Start(t)
	container.Shell("printf " + someLine)
	container.Remove()
	if diff := cmp.Diff([]string{someLine}, sink.Messages(harness.Group, harness.Stream)); diff != "" {
		t.Errorf("events in the stream (-want +got):\n%s", diff)
	}
}

// TestAMultilineEventHasATimeOfItsOwn is about a defect of Docker's driver: once the pattern stops matching, every later
// event carries the time of the first.
func TestAMultilineEventHasATimeOfItsOwn(t *testing.T) {
	ours(t)
	sink := cloud(t)
	container := toCloud(sink, "--awslogs-multiline-pattern", "^NEVER", "--awslogs-force-flush-interval-seconds", "1").Start(t)
	var written []int64
	for i := range 3 {
		written = append(written, time.Now().UnixMilli())
		container.Shell("echo continuation")
		waitFor(t, "the event, which the flush interval ends", func() bool {
			return len(sink.Events(harness.Group, harness.Stream)) == i+1
		})
	}
	container.Remove()
	events := sink.Events(harness.Group, harness.Stream)
	if len(events) != len(written) {
		t.Fatalf("%d events, want one for each line", len(events))
	}
	for i, e := range events {
		if e.Timestamp < written[i] || i+1 < len(written) && e.Timestamp >= written[i+1] {
			t.Errorf("event %d has the time %d, lines were written at %v", i+1, e.Timestamp, written)
		}
	}
}
