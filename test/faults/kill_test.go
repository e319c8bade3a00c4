package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// inHands is what a reader takes from a pipe at once: a kill may cost as much of each stream, and the rest of a line.
const inHands = 64 << 10

// killing is one container whose logger is killed again and again while it writes.
type killing struct {
	durability   string
	buffer, disk string
	held         int64 // bytes that a kill may cost beside those in hand
	size         int   // of a line
	kills        int
	seed         uint64
}

func (k killing) String() string {
	return fmt.Sprintf("%d kills, %s %s %s, lines of %d, seed %d", k.kills, k.durability, k.buffer, k.disk, k.size, k.seed)
}

// killings are the rounds of this size of the test: buffers and disks so small that both fill and empty all the time,
// and others that never do.
func killings() (rounds []killing) {
	total, seed := harness.Pick(10, 200, 2000), uint64(time.Now().UnixNano())
	for n := 0; total > 0; n++ {
		k := killing{durability: "kernel", buffer: "256k", disk: "2m", size: 250, kills: min(20, total), seed: seed + uint64(n)}
		switch n % 5 {
		case 1:
			k.buffer, k.disk, k.size = "64k", "64m", 1000
		case 2:
			k.durability, k.disk = "power", "64m"
		case 3:
			k.durability, k.held = "memory", 256<<10
		case 4:
			k.buffer, k.disk, k.size = "10m", "1g", 80
		}
		total -= k.kills
		rounds = append(rounds, k)
	}
	return rounds
}

func TestAKilledLoggerLosesNoMoreThanItHadInItsHands(t *testing.T) {
	var all toll
	for _, k := range killings() {
		t.Run(k.String(), func(t *testing.T) { all.add(k.run(t)) })
	}
	t.Logf("in all: %v", all)
}

// toll is what kills cost.
type toll struct {
	kills, lossy     int // kills, and gaps in the lines
	written, missing int64
	bytes, largest   int64 // of the missing lines, and of those of one gap
	twice, possible  int64
	torn             int
}

func (a *toll) add(b toll) {
	a.kills, a.lossy, a.torn = a.kills+b.kills, a.lossy+b.lossy, a.torn+b.torn
	a.written, a.missing, a.bytes = a.written+b.written, a.missing+b.missing, a.bytes+b.bytes
	a.largest = max(a.largest, b.largest)
	a.twice, a.possible = a.twice+b.twice, a.possible+b.possible
}

func (a toll) String() string {
	return fmt.Sprintf("%d kills, %d lines written; %d missing in %d gaps, %d bytes, at most %d at once; %d cut in two; %d twice of %d possible",
		a.kills, a.written, a.missing, a.lossy, a.bytes, a.largest, a.torn, a.twice, a.possible)
}

// chatter writes numbered lines in bursts until it is told to stop.
type chatter struct {
	harness.Lines
	err error
}

func (c *chatter) run(w *os.File, seed uint64, stop <-chan struct{}) {
	random := rand.New(rand.NewPCG(seed, 1))
	for {
		if c.err = c.Write(w, 1+random.Int64N(100_000/int64(c.Size))); c.err != nil {
			return
		}
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(random.IntN(20)) * time.Millisecond):
		}
	}
}

func (k killing) run(t *testing.T) toll {
	sink := harness.NewCloud(t, cloudwatch.Options{KeepBytes: 1 << 30})
	pipes, err := launcher.NewPipes()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pipes.Close)
	setup := harness.Setup{Programs: programs, Cloud: sink, State: harness.StateDir(t), Set: map[string]string{
		"--mode": "spill", "--durability": k.durability, "--max-buffer-size": k.buffer, "--max-disk-size": k.disk,
		"--awslogs-force-flush-interval-seconds": "1", "--cleanup-time": "11s",
	}, Change: func(s *launcher.Spec) { s.Pipes = pipes }}
	out, err2 := &chatter{Lines: harness.Lines{Prefix: "out:", Size: k.size}}, &chatter{Lines: harness.Lines{Prefix: "err:", Size: k.size}}
	quiet, calm := make(chan struct{}), make(chan struct{})
	var writers, changes sync.WaitGroup
	writers.Go(func() { out.run(pipes.Stdout, k.seed, quiet) })
	writers.Go(func() { err2.run(pipes.Stderr, k.seed+1, quiet) })
	changes.Go(func() { weather(sink, k.seed, calm) })
	random := rand.New(rand.NewPCG(k.seed, 3))
	var a toll
	for range k.kills {
		kill(t, setup, random)
		a.kills++
		a.possible += offered(t, setup.State)
	}
	close(calm)
	changes.Wait()
	sink.Heal()
	sink.Sandbox.SetLatency(0)
	last := setup.Start(t)
	close(quiet)
	writers.Wait()
	if out.err != nil || err2.err != nil {
		t.Fatal(out.err, err2.err)
	}
	waitFor(t, "an end of the arrivals", time.Minute, settled(sink))
	waitFor(t, "all lines to be delivered", time.Minute, delivered(t, last))
	pipes.CloseWriters()
	end := last.Wait(time.Minute)
	last.CheckEnd(end)
	if end.Exit != nil && (end.Exit.Pending != 0 || end.Exit.Dropped != 0) {
		t.Errorf("the last logger has %d pending and %d dropped, want neither", end.Exit.Pending, end.Exit.Dropped)
	}
	if left := buffers(t, setup.State); len(left) != 0 {
		t.Errorf("the last logger leaves %v", left)
	}
	k.check(t, sink, &a, &out.Lines, &err2.Lines)
	if t.Failed() {
		t.Logf("what the last logger said: %s", harness.Indent(last.LogText()))
	}
	t.Log(a)
	return a
}

// kill starts a logger and kills it some microseconds later, in its start as well as in its work.
func kill(t *testing.T, setup harness.Setup, random *rand.Rand) {
	t.Helper()
	delay := 500 + random.IntN(30_000)
	if random.IntN(4) > 0 {
		delay = 10_000 + random.IntN(190_000)
	}
	spec := setup.Spec(t)
	setup.Change(&spec)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer time.AfterFunc(time.Duration(delay)*time.Microsecond, cancel).Stop()
	l, err := launcher.Start(ctx, spec)
	if errors.Is(err, context.Canceled) {
		return // A busy machine: the moment was over before there was a process.
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	<-l.Done()
	if r := l.Wait(time.Minute); r.Signal != syscall.SIGKILL {
		t.Errorf("a logger ended by itself, with status %d, %d µs after its start:\n%s", r.ExitCode, delay, harness.Indent(l.StderrText()))
	}
}

// weather makes the destination answer, answer late, refuse, hang and cut off, in any order, until it is told to stop.
func weather(sink *harness.Cloud, seed uint64, stop <-chan struct{}) {
	random := rand.New(rand.NewPCG(seed, 2))
	faults := []string{"", "", "", cloudwatch.FaultUnavailable, cloudwatch.FaultHang, cloudwatch.FaultReset}
	for {
		if fault := faults[random.IntN(len(faults))]; fault == "" {
			sink.Heal()
		} else {
			sink.Fault(fault)
		}
		sink.Sandbox.SetLatency(time.Duration(random.IntN(3)*random.IntN(60)) * time.Millisecond)
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(20+random.IntN(600)) * time.Millisecond):
		}
	}
}

// buffers are the disk buffers in a state directory.
func buffers(t *testing.T, state string) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(state, "buffers", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// offered counts what a killed logger has offered to the destination and not settled: what may come twice.
func offered(t *testing.T, state string) (n int64) {
	t.Helper()
	for _, path := range buffers(t, state) {
		dir, err := diskbuffer.OpenReadOnly(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := diskbuffer.Inspect(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := dir.Close(); err != nil {
			t.Fatal(err)
		}
		n += max(int64(r.Offered)-int64(r.Settled.Events), 0)
		if r.Lost != 0 {
			t.Errorf("a killed logger leaves a damaged buffer: %+v", r)
		}
	}
	return n
}

// check compares what was written with what readers find, and adds up what is missing and what came twice.
func (k killing) check(t *testing.T, sink *harness.Cloud, a *toll, writers ...*harness.Lines) {
	t.Helper()
	messages := sink.Messages(harness.Group, harness.Stream)
	own := make([][]string, len(writers))
	var torn []string
	for _, m := range messages {
		known := false
		for i, lines := range writers {
			if _, ok := harness.Number(m, lines.Prefix); ok {
				own[i], known = append(own[i], m), true
			}
		}
		if !known {
			torn = append(torn, m)
		}
	}
	for i, lines := range writers {
		r := harness.Read(t, own[i], lines.Prefix, lines.Written())
		sink.CheckReport(harness.Stream, lines.Prefix, r)
		if r.Disorder != 0 {
			t.Errorf("%d lines stand behind a later one", r.Disorder)
		}
		size := int64(lines.Size)
		if most := int64(k.kills) * (inHands + k.held + size); r.Missing()*size > most {
			t.Errorf("%d lines of %d bytes are missing after %d kills, want at most %d bytes", r.Missing(), size, k.kills, most)
		}
		if len(r.Gaps) > k.kills {
			t.Errorf("there are %d gaps after %d kills", len(r.Gaps), k.kills)
		}
		for _, g := range r.Gaps {
			lost := (g.Last - g.First + 1) * size
			a.largest = max(a.largest, lost)
			// With a full disk many loggers in a row may read and get rid of nothing; else hardly ever two.
			if k.disk != "2m" && lost > 2*(inHands+size) {
				t.Errorf("lines %d to %d are missing, %d bytes, which is more than was in the hands of two loggers", g.First, g.Last, lost)
			}
		}
		a.lossy += len(r.Gaps)
		a.written += lines.Written()
		a.missing += r.Missing()
		a.bytes += r.Missing() * size
		a.twice += r.Duplicates
	}
	if a.twice > a.possible {
		t.Errorf("%d lines came twice, and %d may have", a.twice, a.possible)
	}
	// A line whose first bytes were in the reader's hands ends as a line of its own.
	a.torn = len(torn)
	for _, m := range torn {
		if len(m) >= k.size || strings.Contains(m, "spillway-loss") {
			t.Errorf("%q is no end of a line", m)
		}
	}
	if len(torn) > len(writers)*k.kills {
		t.Errorf("%d lines are cut in two by %d kills", len(torn), k.kills)
	}
}
