package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spillway/spillway/test/launcher"
)

// scale is how large a run is: the volume of the drain rows in bytes, and a factor for the rows that take time.
type scale struct {
	volume  int64
	seconds float64
}

// row is one line of work.
type row struct {
	name, title string
	latency     time.Duration // Of each request to the sandbox.
	generator   []string      // Arguments of loggen; empty for the idle row.
	both        []launcher.Arg
	spillway    []launcher.Arg // Options for Spillway alone, where Docker refuses them.
	lossless    bool           // Nothing may be missing at the end.
	follow      bool           // Measure how late records leave while they are written.
	discards    bool           // Measure the generator's writes into a reader that discards, too.
	other       peer           // Beside whom Spillway is measured; the zero value is Docker.
	disk        diskWork       // Instead of loggers, for rows of the disk buffer: volume bytes in payloads.
	relay       *relayWork     // Instead of loggers, for rows of spillway run: volume bytes of entries.
	kafka       bool           // Instead of loggers: spillway run from a Kafka broker, volume bytes of values.
	payload     int
	volume      int64
	figures     []figure
}

// figure is one measure of a row, with the bar for Spillway if there is one.
type figure struct {
	name, unit string
	of         func(*measurement) float64
	worst      bool // The largest of the runs counts, not the median.
	bar        bar
}

// bar is a goal, in words and as a test on Spillway's figure and the other's. The zero value is no goal.
type bar struct {
	text string
	met  func(spillway, other float64) bool
}

func atMost(limit float64) bar {
	return bar{fmt.Sprintf("≤ %g", limit), func(s, _ float64) bool { return s <= limit }}
}

func atLeast(limit float64) bar {
	return bar{fmt.Sprintf("≥ %g", limit), func(s, _ float64) bool { return s >= limit }}
}

func timesBare(factor float64) bar {
	return bar{fmt.Sprintf("≥ %g × the bare file's", factor), func(s, b float64) bool { return s >= factor*b }}
}

func timesStraight(factor float64) bar {
	return bar{fmt.Sprintf("≥ %g × straight", factor), func(s, b float64) bool { return s >= factor*b }}
}

func timesDocker(factor float64) bar {
	return bar{fmt.Sprintf("≥ %g × Docker's", factor), func(s, d float64) bool { return s >= factor*d }}
}

// Figures that several rows share.
func rate(b bar) figure {
	return figure{name: "rate", unit: "MB/s", of: func(m *measurement) float64 { return m.MBPerSecond }, bar: b}
}

func processor(b bar) figure {
	return figure{name: "processor", unit: "CPU-s/GB", of: func(m *measurement) float64 { return m.CPUSecondsPerGB }, bar: b}
}

func peak() figure {
	return figure{name: "peak RSS", unit: "MiB", of: func(m *measurement) float64 { return mib(m.PeakRSS) }}
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// allRows is the table of the benchmark. 250-byte lines and 64 KiB writes are what an application with a buffered
// logger makes; one write for each line is what an unbuffered one makes.
func allRows(s scale) []row {
	drain := []string{"--bytes", strconv.FormatInt(s.volume, 10), "--write-size", "64k"}
	rows := []row{
		{
			name: "drain", title: "drain, 250-byte lines, 64 KiB writes, 0 ms a request",
			generator: drain, lossless: true,
			figures: []figure{rate(timesDocker(3.5)), processor(atMost(3)), peak()},
		},
		{
			name: "drain-60ms", title: "drain at 60 ms a request, `--max-buffer-size 64m`",
			latency: 60 * time.Millisecond, generator: drain, lossless: true,
			spillway: []launcher.Arg{{Key: "--max-buffer-size", Value: "64m"}},
			figures:  []figure{rate(timesDocker(16)), processor(bar{}), peak()},
		},
		{
			name: "drain-spill", title: "drain through the disk, `--mode spill --durability kernel`, 0 ms a request",
			generator: drain, lossless: true,
			spillway: []launcher.Arg{{Key: "--mode", Value: "spill"}, {Key: "--durability", Value: "kernel"}},
			figures:  []figure{rate(timesDocker(2.5)), processor(bar{}), peak()},
		},
		burst(s, "4m", 8, atMost(0)),
		burst(s, "4m", 12, atMost(2)),
		burst(s, "1m", 2, atMost(0)),
		burst(s, "1m", 12, bar{}),
		{
			name: "trickle", title: "trickle: 1,000 writes a second of one 1 KB line",
			generator: []string{"--size", "1000", "--rate", "1MB/s", "--duration", s.duration(30)},
			lossless:  true, follow: true,
			figures: []figure{
				processor(atMost(15)),
				{name: "latest record leaves after", unit: "s", worst: true, bar: atMost(flushInterval + 0.2),
					of: func(m *measurement) float64 { return m.LatestLeavingSeconds }},
			},
		},
		{
			name: "idle", title: "idle `spillway-shim`, 5 s after its start",
			figures: []figure{
				{name: "RSS", unit: "MiB", of: func(m *measurement) float64 { return mib(m.IdleRSS) }, bar: atMost(12)},
				{name: "of which anonymous", unit: "MiB", of: func(m *measurement) float64 { return mib(m.IdleAnonymous) }, bar: atMost(5)},
			},
		},
	}
	return append(append(append(rows, diskRows(s)...), relayRows(s)...), kafkaRow(s))
}

// flushInterval is the default of awslogs-force-flush-interval-seconds.
const flushInterval = 5.0

// burst is a non-blocking row in which each second's lines are written at once at the start of the second.
func burst(s scale, buffer string, megabytes int, lost bar) row {
	return row{
		name:    fmt.Sprintf("burst-%s-%d", buffer, megabytes),
		title:   fmt.Sprintf("one-second bursts, non-blocking, %d MB/s into `%s`, 60 ms a request", megabytes, buffer),
		latency: 60 * time.Millisecond,
		generator: []string{
			"--burst", "--write-size", "64k", "--rate", fmt.Sprintf("%dMB/s", megabytes), "--duration", s.duration(20),
		},
		both:     []launcher.Arg{{Key: "--mode", Value: "non-blocking"}, {Key: "--max-buffer-size", Value: buffer}},
		discards: true,
		figures: []figure{
			{name: "lost", unit: "%", of: func(m *measurement) float64 { return m.LostPercent }, bar: lost},
			{name: "longest write", unit: "ms", worst: true, of: func(m *measurement) float64 { return m.LongestWriteMS }, bar: atMost(20)},
			{name: "writes longer than into a discarding reader", unit: "ms/s", worst: true,
				of: func(m *measurement) float64 { return m.WriteExcessMS }, bar: atMost(100)},
		},
	}
}

// duration scales a number of seconds for loggen.
func (s scale) duration(seconds float64) string {
	return time.Duration(seconds * s.seconds * float64(time.Second)).String()
}

func rowNames() (names []string) {
	for _, r := range allRows(scale{}) {
		names = append(names, r.name)
	}
	return names
}

// chooseRows picks rows by name, in the order of the table.
func chooseRows(names string, s scale) ([]row, error) {
	rows := allRows(s)
	if names == "" {
		return rows, nil
	}
	wanted := strings.Split(names, ",")
	for _, name := range wanted {
		if !slices.Contains(rowNames(), name) {
			return nil, fmt.Errorf("--row %q: expected one of %s", name, strings.Join(rowNames(), ", "))
		}
	}
	return slices.DeleteFunc(rows, func(r row) bool { return !slices.Contains(wanted, r.name) }), nil
}
