package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// spillSetup is a container in mode spill, whose state directory stays.
func spillSetup(t *testing.T, sink *harness.Cloud, pairs ...string) harness.Setup {
	t.Helper()
	set := map[string]string{"--mode": "spill", "--durability": "kernel", "--max-buffer-size": "512k",
		"--awslogs-force-flush-interval-seconds": "1", "--cleanup-time": "11s"}
	for i := 0; i+1 < len(pairs); i += 2 {
		set[pairs[i]] = pairs[i+1]
	}
	return harness.Setup{Programs: programs, Cloud: sink, State: harness.StateDir(t), Set: set}
}

// handOver ends a logger by SIGTERM and checks that it took no longer than a destination that is away may make it.
func handOver(t *testing.T, container *harness.Container) launcher.Result {
	t.Helper()
	end := container.Remove()
	if harness.Long() && end.Duration > time.Second {
		t.Errorf("the logger ended %v after SIGTERM, want less than 1 s", end.Duration)
	}
	if end.Exit == nil {
		t.FailNow()
	}
	return end
}

func TestALoggerHandsOverToItsSuccessorAndKeepsTheOrder(t *testing.T) {
	for i, durability := range []string{"memory", "kernel", "power"} {
		for j, fault := range []string{cloudwatch.FaultUnavailable, cloudwatch.FaultHang, cloudwatch.FaultReset} {
			if i != j && !harness.CI() && !harness.Long() {
				continue // In the small size each once.
			}
			t.Run(durability+", "+fault, func(t *testing.T) {
				t.Parallel() // Each one mostly waits.
				sink := cloud(t)
				setup := spillSetup(t, sink, "--durability", durability)
				lines := harness.Lines{Size: 500}
				var lives []launcher.Result
				left := int64(0)
				for range harness.Pick(2, 3, 3) {
					// Some lines are delivered, the rest is left behind.
					container := setup.Start(t)
					before := arrived(sink)
					write(t, container, &lines, 1000)
					waitFor(t, "some lines", 15*time.Second, func() bool { return arrived(sink) > before })
					sink.Fault(fault)
					write(t, container, &lines, 3000)
					end := handOver(t, container)
					if end.Exit.Recovered != left || end.Exit.Pending == 0 {
						t.Errorf("%d lines were left behind; the exit line tells of %d recovered and %d pending", left,
							end.Exit.Recovered, end.Exit.Pending)
					}
					t.Logf("%d pending; ended after %v", end.Exit.Pending, end.Duration)
					left = end.Exit.Pending
					lives = append(lives, end)
					sink.Heal()
				}
				last := setup.Start(t)
				waitFor(t, "all lines to be delivered", time.Minute, delivered(t, last))
				end := last.Remove()
				if end.Exit.Recovered != left || end.Exit.Pending != 0 {
					t.Errorf("%d lines were left behind; the last exit line tells of %d recovered and %d pending", left,
						end.Exit.Recovered, end.Exit.Pending)
				}
				checkSpilled(t, sink, &lines, append(lives, end))
				if dirs := buffers(t, setup.State); len(dirs) != 0 {
					t.Errorf("the last logger leaves %v", dirs)
				}
			})
		}
	}
}

// TestTheOldestGoWhileRequestsHang is a full disk of which the oldest records are dropped while still older ones are in
// requests, and then the end of the logger, at every stage: what is in requests may be on the disk a second time.
func TestTheOldestGoWhileRequestsHang(t *testing.T) {
	for _, recovers := range []bool{false, true} {
		for i, fault := range []string{cloudwatch.FaultHang, cloudwatch.FaultUnavailable} {
			if recovers == (i == 1) && !harness.CI() && !harness.Long() {
				continue
			}
			t.Run(fmt.Sprintf("%s, recovers %v", fault, recovers), func(t *testing.T) {
				t.Parallel()
				sink := cloud(t)
				setup := spillSetup(t, sink, "--when-full", "drop-oldest", "--max-disk-size", "2m", "--max-buffer-size", "256k")
				sink.Fault(fault)
				container := setup.Start(t)
				lines := harness.Lines{Size: 500}
				write(t, container, &lines, 8000)
				waitFor(t, "all to be read", 30*time.Second, func() bool { return status(t, container).Received == 8000 })
				if recovers {
					// What was in requests is delivered, and then the destination is away again.
					sink.Sandbox.SetLatency(100 * time.Millisecond)
					sink.Heal()
					waitFor(t, "some lines", 30*time.Second, func() bool { return arrived(sink) > 0 })
					sink.Fault(fault)
					sink.Sandbox.SetLatency(0)
				}
				first := handOver(t, container)
				sink.Heal()
				next := setup.Start(t)
				waitFor(t, "all lines to be delivered", time.Minute, delivered(t, next))
				last := next.Remove()
				if first.Exit.Pending != last.Exit.Recovered || last.Exit.Pending != 0 || last.Exit.Dropped != 0 {
					t.Errorf("of %d lines left behind %d were recovered, %d dropped, %d are pending", first.Exit.Pending,
						last.Exit.Recovered, last.Exit.Dropped, last.Exit.Pending)
				}
				harness.Dropped(t, first, "overflow-oldest")
				r := readAll(t, sink, &lines, []launcher.Result{first, last})
				t.Logf("%d dropped, %d left behind, %d twice", first.Exit.Dropped, first.Exit.Pending, r.Duplicates)
			})
		}
	}
}

func TestTwoLoggersOfOneContainerHaveABufferEach(t *testing.T) {
	sink := cloud(t)
	sink.Fault(cloudwatch.FaultUnavailable)
	setup := spillSetup(t, sink)
	one, two := setup.Start(t), setup.Start(t)
	a, b := harness.Lines{Prefix: "a:", Size: 500}, harness.Lines{Prefix: "b:", Size: 500}
	write(t, one, &a, 2000)
	write(t, two, &b, 3000)
	waitFor(t, "two buffers", 15*time.Second, func() bool { return len(buffers(t, setup.State)) == 2 })
	ends := []launcher.Result{handOver(t, one), handOver(t, two)}
	if ends[0].Exit.Pending != 2000 || ends[1].Exit.Pending != 3000 {
		t.Errorf("%d and %d lines are left behind, want 2000 and 3000", ends[0].Exit.Pending, ends[1].Exit.Pending)
	}
	sink.Heal()
	// Two successors, one after the other, for a logger has one buffer at a time.
	for range ends {
		next := setup.Start(t)
		next.CloseWriters()
		end := next.Wait(time.Minute)
		next.CheckEnd(end)
		ends = append(ends, end)
	}
	if n := ends[2].Exit.Recovered + ends[3].Exit.Recovered; n != 5000 || ends[2].Exit.Pending+ends[3].Exit.Pending != 0 {
		t.Errorf("%d lines were recovered, want 5000", n)
	}
	for _, lines := range []*harness.Lines{&a, &b} {
		var own []string
		for _, m := range sink.Messages(harness.Group, harness.Stream) {
			if _, ok := harness.Number(m, lines.Prefix); ok {
				own = append(own, m)
			}
		}
		if r := harness.Read(t, own, lines.Prefix, lines.Written()); r.Missing() != 0 || r.Duplicates != 0 || r.Disorder != 0 {
			t.Errorf("of %d lines %d are missing, %d came twice, %d are out of order", lines.Written(), r.Missing(), r.Duplicates, r.Disorder)
		}
	}
	if dirs := buffers(t, setup.State); len(dirs) != 0 {
		t.Errorf("the successors leave %v", dirs)
	}
}

// readAll compares what readers find with the sums of the exit lines of all loggers that followed each other: what is
// missing, what is dropped and what the markers tell of.
func readAll(t *testing.T, sink *harness.Cloud, lines *harness.Lines, lives []launcher.Result) harness.Reading {
	t.Helper()
	r := harness.Read(t, sink.Messages(harness.Group, harness.Stream), lines.Prefix, lines.Written())
	sink.CheckReport(harness.Stream, lines.Prefix, r)
	var received, dropped, possible, told int64
	for _, end := range lives {
		if end.Exit == nil {
			return r // CheckEnd has said so.
		}
		received, dropped = received+end.Exit.Received, dropped+end.Exit.Dropped
		possible += end.Exit.PossibleDuplicates
	}
	// One of which an attempt had no answer may come twice, like a record, and then in the same words.
	seen := map[harness.Marker]bool{}
	for _, m := range r.Markers {
		if again := seen[m.Marker]; !again || possible == 0 {
			told += m.Lost
		}
		seen[m.Marker] = true
	}
	if received != lines.Written() || dropped != r.Missing() || told != r.Missing() || r.Disorder != 0 || len(r.Strays) != 0 {
		t.Errorf("%d lines written, %d received; %d missing, %d dropped, the markers tell of %d; %d out of order, %d strays",
			lines.Written(), received, r.Missing(), dropped, told, r.Disorder, len(r.Strays))
		t.Logf("the markers are %+v; missing are %v", r.Markers, r.Gaps)
	}
	if r.Duplicates > possible {
		t.Errorf("%d lines came twice, %d may have", r.Duplicates, possible)
	}
	return r
}
