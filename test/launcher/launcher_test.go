package launcher

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// start starts the stub with the given arguments.
func start(t *testing.T, change func(*Spec), args ...Arg) *Logger {
	t.Helper()
	spec := Spec{Binary: os.Args[0], Args: append(args, Arg{"--stub", ""}), Seed: 7, CaptureStderr: true}
	if change != nil {
		change(&spec)
	}
	l, err := Start(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Kill)
	return l
}

func TestEveryLineOfAContainerReachesTheLogger(t *testing.T) {
	l := start(t, nil)
	if l.Ready != ReadyByte {
		t.Fatalf("fd 5 gave %q, want a byte", l.Ready)
	}
	if err := l.Run(exec.Command("/bin/sh", "-c", "seq 1 20000; seq 1 10 >&2")); err != nil {
		t.Fatal(err)
	}
	r := l.Delete(0)
	if r.ExitCode != 0 || r.Killed || r.ExitErr != nil {
		t.Fatalf("ended with %+v", r)
	}
	if r.Exit.Received != 20010 || r.Exit.Stream("stdout").Received != 20010 || r.Exit.Difference() != 0 {
		t.Fatalf("exit line %s, want 20010 received", r.Exit.Raw)
	}
	if r.PeakRSS == 0 || r.CPU == 0 {
		t.Fatalf("peak %d bytes, cpu %v: want both above 0", r.PeakRSS, r.CPU)
	}
}

func TestTheEnvironmentHoldsTwoVariablesAndTheOrderOfArgumentsFollowsTheSeed(t *testing.T) {
	seen := make(map[string]bool)
	for seed := range uint64(8) {
		l := start(t, func(s *Spec) { s.Seed, s.ContainerID = seed, "c1" },
			Arg{"--echo", ""}, Arg{"--a", "1"}, Arg{"--b", "two words"}, Arg{"--c", "3"})
		l.Delete(0)
		text := l.StderrText()
		if !strings.Contains(text, "\nENV CONTAINER_ID=c1|CONTAINER_NAMESPACE=default\n") {
			t.Fatalf("environment of the logger:\n%s", text)
		}
		args, _, _ := strings.Cut(strings.TrimPrefix(text, "ARGS "), "\n")
		for _, pair := range []string{"--a|1", "--b|two words", "--c|3", "--echo|", "--stub|"} {
			if !strings.Contains(args+"|", pair+"|") {
				t.Fatalf("arguments %q lack the pair %q", args, pair)
			}
		}
		seen[args] = true
	}
	if len(seen) < 4 {
		t.Fatalf("8 seeds gave %d orders of 5 pairs", len(seen))
	}
}

func TestALoggerThatEndsBeforeItIsReadyIsSeenAsEndOfFile(t *testing.T) {
	l := start(t, nil, Arg{"--ready", "eof"})
	if l.Ready != ReadyEOF {
		t.Fatalf("fd 5 gave %q, want the end", l.Ready)
	}
	if r := l.Wait(2 * time.Minute); r.ExitCode != 1 || r.Exit != nil || r.ExitErr == nil {
		t.Fatalf("ended with %+v, want 1 and no exit line", r)
	}
	// Nobody reads any more: the container gets SIGPIPE.
	err := l.Run(exec.Command("/bin/sh", "-c", "echo into the void"))
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("a write without a logger ended with %v, want SIGPIPE or a failed write", err)
	}
}

func TestALoggerThatNeverSpeaksFailsTheStart(t *testing.T) {
	_, err := Start(context.Background(), Spec{Binary: os.Args[0], Args: []Arg{{"--stub", ""}, {"--ready", "never"}},
		ReadyTimeout: 300 * time.Millisecond})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want a deadline", err)
	}
}

func TestALoggerThatIgnoresSIGTERMIsKilled(t *testing.T) {
	l := start(t, func(s *Spec) { s.KillAfter = 200 * time.Millisecond }, Arg{"--ignore-term", ""})
	if r := l.Delete(0); !r.Killed || r.Signal != syscall.SIGKILL || r.ExitCode != -1 {
		t.Fatalf("ended with %+v, want SIGKILL", r)
	}
}

func TestAMemoryCgroupHoldsTheLoggerFromItsFirstInstruction(t *testing.T) {
	group, err := NewMemoryCgroup("spillway-launcher", 32<<20)
	if err != nil {
		t.Skipf("not run: %v", err)
	}
	l := start(t, func(s *Spec) { s.Cgroup = group }, Arg{"--eat", ""})
	r := l.Wait(2 * time.Minute)
	kills, err := group.OOMKills()
	if err != nil || kills != 1 || r.Signal != syscall.SIGKILL || r.Killed {
		t.Fatalf("64 MiB under a limit of 32 MiB: %d kills (%v), %+v; want one by the kernel", kills, err, r)
	}
	if err := group.Remove(); err != nil {
		t.Fatal(err)
	}
	if own, err := os.ReadFile("/proc/thread-self/cgroup"); err != nil || strings.Contains(string(own), "spillway-launcher") {
		t.Fatalf("the test's own thread is in %s (%v)", own, err)
	}
}

// slowWriter takes a given time for each write.
type slowWriter []time.Duration

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep((*w)[0])
	*w = (*w)[1:]
	return len(p), nil
}

func TestAStallWriterMeasuresTheLongestWriteAndTheSum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewStallWriter(&slowWriter{3 * time.Millisecond, 50 * time.Millisecond, 20 * time.Millisecond})
		for range 3 {
			if _, err := s.Write(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
		}
		if s.Longest != 50*time.Millisecond || s.Total != 73*time.Millisecond || s.Over20ms != 1 || s.Bytes != 300 || s.Writes != 3 {
			t.Fatalf("measured %+v", s)
		}
	})
}

func TestPipesOutliveALogger(t *testing.T) {
	pipes, err := NewPipes()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pipes.Close)
	given := func(s *Spec) { s.Pipes = pipes }
	first := start(t, given)
	first.Kill()
	if _, err := pipes.Stdout.WriteString("one\ntwo\n"); err != nil {
		t.Fatalf("a pipe without a logger does not take what is written: %v", err)
	}
	second := start(t, given)
	pipes.CloseWriters()
	if err := second.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	r := second.Wait(KillDelay)
	if r.ExitCode != 0 || r.Exit == nil || r.Exit.Received != 2 {
		t.Errorf("the second logger ended with %+v, want what the first one left", r)
	}
}
