package faults

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// allowance is what the process may hold beside its buffer.
const allowance = 24 << 20

// flood is a kind of output that has been known to make loggers hold many times their limit.
type flood struct {
	name  string
	size  int64 // of a line, with its line end
	bytes int64 // in this size of the test
}

func (f flood) lines() int64 { return f.bytes / f.size }

func floods() []flood {
	return []flood{
		{"empty lines", 1, harness.Pick[int64](3_000_000, 6_000_000, 60_000_000)},
		{"lines of 1 byte", 2, harness.Pick[int64](4_000_000, 6_000_000, 20_000_000)},
		{"lines of 200 KB", 200_001, harness.Pick[int64](10_000_000, 40_000_000, 100_000_000)},
		{"lines of 5 MiB", 5<<20 + 1, harness.Pick[int64](22_000_000, 53_000_000, 105_000_000)},
	}
}

// text makes some whole lines, at least 64 KiB, of letters that look random: a buffer that compresses gains little.
func (f flood) text() []byte {
	random := rand.New(rand.NewPCG(2, uint64(f.size)))
	block := make([]byte, f.size*max(1, (64<<10)/f.size))
	for i := range block {
		block[i] = '0' + byte(random.IntN(64))
		if int64(i)%f.size == f.size-1 {
			block[i] = '\n'
		}
	}
	return block
}

func TestMemoryStaysUnderTheBufferAnd24MiBWhateverIsWritten(t *testing.T) {
	for _, mode := range []string{"non-blocking", "blocking"} {
		for _, f := range floods() {
			t.Run(mode+", "+f.name, func(t *testing.T) { testFlood(t, mode, f) })
		}
	}
}

func testFlood(t *testing.T, mode string, f flood) {
	group, err := launcher.NewMemoryCgroup("spillway-memory", 1<<20+allowance)
	if err != nil {
		t.Skipf("not run: the limit of memory: %v", err)
	}
	t.Cleanup(func() {
		if err := group.Remove(); err != nil {
			t.Error(err)
		}
	})
	sink := harness.NewCloud(t, cloudwatch.Options{KeepBytes: -1})
	sink.Fault(cloudwatch.FaultHang)
	container := startWith(t, sink, func(s *launcher.Spec) { s.Cgroup = group },
		"--mode", mode, "--max-buffer-size", "1m", "--cleanup-time", "12s")
	written := make(chan error, 1)
	go func() { written <- pour(container, f) }()
	if mode == "blocking" {
		// The writer stalls before it is done, and only the destination's recovery lets it go on.
		select {
		case err := <-written:
			t.Errorf("%d bytes went into a buffer of 1m while nothing was delivered (%v)", f.bytes, err)
			written <- err
		case <-time.After(harness.Pick(300*time.Millisecond, time.Second, 10*time.Second)):
		}
		sink.Heal()
	}
	if err := <-written; err != nil {
		t.Errorf("write: %v", err)
	}
	if mode == "non-blocking" {
		sink.Heal()
	}
	// With the end of both streams and no SIGTERM there is no deadline.
	container.CloseWriters()
	end := container.Wait(10 * time.Minute)
	container.CheckEnd(end)
	checkFlood(t, sink, mode, f, end)
	kills, killsErr := group.OOMKills()
	peak, peakErr := group.Peak()
	if kills != 0 || killsErr != nil || peakErr != nil {
		t.Errorf("%d kills for memory (%v, %v)", kills, killsErr, peakErr)
	}
	t.Logf("%d lines: group at most %.1f MiB of %.1f, process %.1f MiB, %v of CPU", f.lines(), float64(peak)/(1<<20),
		float64(1<<20+allowance)/(1<<20), float64(end.PeakRSS)/(1<<20), end.CPU.Round(time.Millisecond))
}

// pour writes the flood.
func pour(container *harness.Container, f flood) error { return f.pourInto(container.Stdout) }

func (f flood) pourInto(w io.Writer) error {
	block := f.text()
	for left := f.lines() * f.size; left > 0; {
		n, err := w.Write(block[:min(left, int64(len(block)))])
		if err != nil {
			return fmt.Errorf("%d bytes from the end: %w", left, err)
		}
		left -= int64(n)
	}
	return nil
}

// checkFlood compares the exit line with the destination's account. Long lines arrive in parts, so events are counted
// against the exit line and bytes against what was written.
func checkFlood(t *testing.T, sink *harness.Cloud, mode string, f flood, end launcher.Result) {
	t.Helper()
	if end.Exit == nil {
		return // CheckEnd has said so.
	}
	report := sink.Sandbox.Report()
	account, _ := report.Stream(harness.Group, harness.Stream)
	e := end.Exit
	if events := int64(account.Events) - int64(account.LossMarkers.Count); events != e.Delivered {
		t.Errorf("the destination took %d events, the exit line says %d delivered", events, e.Delivered)
	}
	if int64(account.LossMarkers.Lost) != e.Dropped || int64(account.LossMarkers.Count) != e.Markers.Delivered {
		t.Errorf("the destination has %+v markers; the exit line says %d dropped, %+v", account.LossMarkers, e.Dropped, e.Markers)
	}
	if e.LinesRead != f.lines() {
		t.Errorf("%d lines written, %d read", f.lines(), e.LinesRead)
	}
	if want := f.lines() * (f.size - 1); e.Bytes.Received != want {
		t.Errorf("%d bytes written without the line ends, %d received", want, e.Bytes.Received)
	}
	if empty := strings.HasPrefix(f.name, "empty"); empty && e.EmptyLines+e.Dropped < f.lines() || !empty && e.EmptyLines != 0 {
		t.Errorf("%d lines written, %d counted as empty", f.lines(), e.EmptyLines)
	}
	if mode == "blocking" && e.Dropped != 0 {
		t.Errorf("blocking dropped %d: %v", e.Dropped, e.DroppedByReason)
	}
	t.Logf("received %d, delivered %d, dropped %d %v", e.Received, e.Delivered, e.Dropped, e.DroppedByReason)
}

func TestMemoryIsGivenBackWhenTheLoggerIsIdle(t *testing.T) {
	sink := cloud(t)
	container := start(t, sink)
	idle := func(when string) launcher.Memory {
		time.Sleep(harness.Pick(100*time.Millisecond, 2*time.Second, 5*time.Second)) // It gives back what it needs no more.
		m, err := container.Memory()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: resident %.1f MiB, of which anonymous %.1f", when,
			float64(m.Resident)/(1<<20), float64(m.Anonymous)/(1<<20))
		return m
	}
	// What a logger needs before it has seen a line.
	container.Shell("echo one")
	waitFor(t, "the first line", 15*time.Second, func() bool { return arrived(sink) == 1 })
	first := idle("idle after one line")
	if harness.Long() && (first.Resident > 12<<20 || first.Anonymous > 5<<20) {
		t.Errorf("idle: %+v; want at most 12 MiB resident, 5 MiB of it anonymous", first)
	}
	lines := harness.Lines{Size: 250}
	write(t, container, &lines, 100_000)
	waitFor(t, "all lines", 30*time.Second, func() bool { return arrived(sink) == 100_001 })
	idle("idle after 25 MB")
	container.Remove()
}
