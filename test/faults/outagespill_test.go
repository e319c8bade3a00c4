package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// spillRate is that of the table of proofs for mode spill: 5 MB/s.
const spillRate = 5_000_000

// spillOutages are the rows of mode spill in this size of the test.
func spillOutages() (rows []outage) {
	for i, fault := range []string{cloudwatch.FaultUnavailable, cloudwatch.FaultReset, cloudwatch.FaultHang} {
		for j, durability := range []string{"memory", "kernel"} {
			row := outage{fault, durability, "4m", 2 * time.Second, 20 * time.Second, 3 * time.Second}
			switch {
			case harness.Long():
				rows = append(rows, outage{fault, durability, "4m", 10 * time.Second, 5 * time.Minute, 20 * time.Second})
			case !harness.CI() && i%2 == j: // One of each.
				continue
			case !harness.CI():
				row.buffer, row.before, row.away, row.after = "512k", 200*time.Millisecond, 900*time.Millisecond, 200*time.Millisecond
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func TestAnOutageLosesNothingInModeSpill(t *testing.T) {
	for _, o := range spillOutages() {
		t.Run(o.String(), func(t *testing.T) {
			t.Parallel() // As the other outages.
			o.spill(t)
		})
	}
}

func (o outage) spill(t *testing.T) {
	// What the destination has is told by its own account: the whole sizes are more than it can keep.
	sink := harness.NewCloud(t, cloudwatch.Options{KeepBytes: -1})
	setup := harness.Setup{Programs: programs, Cloud: sink, State: harness.StateDir(t), Set: map[string]string{
		"--mode": "spill", "--durability": o.mode, "--max-buffer-size": o.buffer, "--max-disk-size": "4g", "--cleanup-time": "11s",
	}}
	container := setup.Start(t)
	time.AfterFunc(o.before, func() { sink.Fault(o.fault) })
	heal := time.AfterFunc(o.before+o.away, sink.Heal)
	lines := harness.Lines{Size: lineSize}
	stalls := launcher.NewStallWriter(container.Stdout)
	during := o.before + o.away + o.after
	beside := freeWrites(t, spillRate, during)
	if err := lines.Pace(stalls, spillRate, during); err != nil {
		t.Fatal(err)
	}
	if heal.Stop() {
		t.Fatal("the writer was done before the outage")
	}
	end := container.Remove()
	lives := []launcher.Result{end}
	for end.Exit != nil && end.Exit.Pending > 0 {
		next := setup.Start(t)
		next.CloseWriters()
		left := end.Exit.Counts
		end = next.Wait(time.Minute)
		next.CheckEnd(end)
		lives = append(lives, end)
		if end.Exit != nil && (end.Exit.Recovered != left.Pending || end.Exit.Delivered == 0) {
			t.Fatalf("of %d lines left behind %d were recovered and %d delivered", left.Pending, end.Exit.Recovered, end.Exit.Delivered)
		}
	}
	discarded := <-beside
	if discarded.err != nil {
		t.Fatal(discarded.err)
	}
	twice := checkSpilled(t, sink, &lines, lives)
	limit := map[string]int64{"512k": 512 << 10, "4m": 4 << 20}[o.buffer]
	if lives[0].PeakRSS > limit+allowance {
		t.Errorf("the logger had %d bytes of memory, want at most %d", lives[0].PeakRSS, limit+allowance)
	}
	t.Logf("%d lines, 0 lost, %d twice, %d loggers; RSS %.1f MiB; %s", lines.Written(), twice, len(lives),
		float64(lives[0].PeakRSS)/(1<<20), discarded.compare(stalls, during))
	discarded.checkStalls(t, stalls, during)
}

// checkSpilled compares what was written with the destination's own account and with the balances of all loggers that
// followed each other on one disk buffer. Nothing may be missing. It returns how many lines came twice.
func checkSpilled(t *testing.T, sink *harness.Cloud, lines *harness.Lines, lives []launcher.Result) int64 {
	t.Helper()
	var sum launcher.Counts
	for _, end := range lives {
		if end.Exit == nil {
			return 0 // CheckEnd has said so.
		}
		sum.Received += end.Exit.Received
		sum.Delivered += end.Exit.Delivered
		sum.Dropped += end.Exit.Dropped
		sum.PossibleDuplicates += end.Exit.PossibleDuplicates
		sum.Markers.Made += end.Exit.Markers.Made
	}
	if n := lines.Written(); sum.Received != n || sum.Delivered != n || sum.Dropped != 0 || sum.Markers.Made != 0 {
		t.Errorf("%d lines written; the exit lines add up to %d received, %d delivered, %d dropped, %d markers",
			n, sum.Received, sum.Delivered, sum.Dropped, sum.Markers.Made)
	}
	account, _ := report(sink).Stream(harness.Group, harness.Stream)
	series, _ := account.SeriesNamed(lines.Prefix)
	whole := cloudwatch.SeriesReport{Name: lines.Prefix, First: 1, Last: uint64(lines.Written()), Gaps: series.Gaps}
	whole.Duplicates = min(series.Duplicates, uint64(sum.PossibleDuplicates))
	whole.Count = whole.Last + whole.Duplicates
	if fmt.Sprint(series) != fmt.Sprint(whole) || account.Events != series.Count {
		t.Errorf("the destination has %d events and %+v, want %+v alone; %d may have come twice", account.Events, series, whole,
			sum.PossibleDuplicates)
	}
	return int64(series.Duplicates)
}
