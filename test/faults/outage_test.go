package faults

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// rate and lineSize are those of the table of proofs: 2 MB/s of 1 KB lines, one line a write.
const (
	rate     = 2_000_000
	lineSize = 1000
)

// outage is one row: the destination is away while a container writes evenly.
type outage struct {
	fault               string
	mode, buffer        string
	before, away, after time.Duration
}

func (o outage) String() string {
	return fmt.Sprintf("%s for %v, %s %s", o.fault, o.away, o.mode, o.buffer)
}

// outages are the rows of this size of the test. The small rows have small buffers, so that they overflow too.
func outages() (rows []outage) {
	for _, fault := range []string{cloudwatch.FaultUnavailable, cloudwatch.FaultReset, cloudwatch.FaultHang} {
		if !harness.Long() {
			for _, mode := range [][2]string{{"blocking", "1m"}, {"non-blocking", "512k"}} {
				rows = append(rows, outage{fault, mode[0], mode[1], 200 * time.Millisecond, 1200 * time.Millisecond, 300 * time.Millisecond})
			}
			continue
		}
		for _, mode := range [][2]string{{"blocking", "10m"}, {"non-blocking", "4m"}, {"non-blocking", "25m"}} {
			rows = append(rows,
				outage{fault, mode[0], mode[1], 10 * time.Second, 20 * time.Second, 15 * time.Second},
				outage{fault, mode[0], mode[1], 10 * time.Second, 5 * time.Minute, 30 * time.Second})
		}
	}
	return rows
}

func TestAnOutageLosesOnlyWhatIsCountedAndMarkedAndOnlyWhereTheModeSaysSo(t *testing.T) {
	for _, o := range outages() {
		t.Run(o.String(), func(t *testing.T) {
			t.Parallel() // Each one mostly waits; two at a time leave the machine idle enough to measure stalls.
			sink := cloud(t)
			container := start(t, sink, "--mode", o.mode, "--max-buffer-size", o.buffer, "--cleanup-time", "12s")
			time.AfterFunc(o.before, func() { sink.Fault(o.fault) })
			heal := time.AfterFunc(o.before+o.away, sink.Heal)
			lines := harness.Lines{Size: lineSize}
			stalls := launcher.NewStallWriter(container.Stdout)
			during := o.before + o.away + o.after
			beside := freeWrites(t, rate, during)
			if err := lines.Pace(stalls, rate, during); err != nil {
				t.Fatal(err)
			}
			if heal.Stop() {
				t.Fatal("the writer was done before the outage")
			}
			end := container.Remove()
			r := checkAll(t, sink, &lines, end)
			discarded := <-beside
			if discarded.err != nil {
				t.Fatal(discarded.err)
			}
			t.Logf("%d lines, %d lost in %d runs, %d twice; %s", lines.Written(), r.Missing(), len(r.Gaps), r.Duplicates,
				discarded.compare(stalls, during))
			if o.mode == "blocking" {
				if r.Missing() != 0 {
					t.Errorf("blocking lost %d lines", r.Missing())
				}
				return
			}
			if must := o.mustOverflow(); must || r.Missing() > 0 {
				harness.Dropped(t, end, "overflow-newest")
			}
			discarded.checkStalls(t, stalls, during)
		})
	}
}

// mustOverflow says whether what is written meanwhile is so much more than the buffer that packing cannot make it fit.
func (o outage) mustOverflow() bool {
	sizes := map[string]float64{"512k": 512 << 10, "4m": 4 << 20, "25m": 25 << 20}
	return o.mode == "non-blocking" && o.away.Seconds()*rate > 2*sizes[o.buffer]
}

// free is what writes cost that nobody holds up.
type free struct {
	*launcher.StallWriter
	err error
}

// extra is how much longer than into a reader that discards writes took, as a share of the time.
func (f free) extra(stalls *launcher.StallWriter, during time.Duration) float64 {
	return (stalls.Total.Seconds() - f.Total.Seconds()/float64(f.Writes)*float64(stalls.Writes)) / during.Seconds()
}

// compare tells how long a container's writes took.
func (f free) compare(stalls *launcher.StallWriter, during time.Duration) string {
	return fmt.Sprintf("longest write %v, %d over 20 ms, %.1f ms a second longer than into a reader that discards, whose longest is %v",
		stalls.Longest, stalls.Over20ms, f.extra(stalls, during)*1000, f.Longest)
}

// checkStalls holds a container's writes to the bars of the modes that must not hold it up, in the whole size. What a
// busy machine does to any writer is seen beside it, in the writes that nobody holds up.
func (f free) checkStalls(t *testing.T, stalls *launcher.StallWriter, during time.Duration) {
	t.Helper()
	if !harness.Long() {
		return
	}
	if most := 20*time.Millisecond + f.Longest; stalls.Longest > most {
		t.Errorf("the longest write took %v, want at most %v", stalls.Longest, most)
	}
	if extra := f.extra(stalls, during); extra > 0.1 {
		t.Errorf("writes took %.1f ms a second longer than into a reader that discards, want at most 100", extra*1000)
	}
}

// freeWrites measures the same writes at the same time into a reader that discards. If the test ends before, so do they.
func freeWrites(t *testing.T, rate int, during time.Duration) <-chan free {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Both may be closed already; if not, this ends the writer and the reader.
		w.Close()
		r.Close()
	})
	discarded := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, r)
		discarded <- err
	}()
	result := make(chan free, 1)
	go func() {
		lines, stalls := harness.Lines{Size: lineSize}, launcher.NewStallWriter(w)
		err := errors.Join(lines.Pace(stalls, rate, during), w.Close())
		result <- free{stalls, errors.Join(err, <-discarded)}
	}()
	return result
}
