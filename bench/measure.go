package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spillway/spillway/test/launcher"
)

func (m *measurement) problem(format string, args ...any) {
	m.Problems = append(m.Problems, fmt.Sprintf(format, args...))
}

// time fills in what was measured of the generator's writes and of the logger's process. It is called right after the
// logger's end.
func (m *measurement) time(g generated, end launcher.Result, usual float64) {
	m.Seconds = time.Since(g.FirstWriteAt).Seconds()
	m.Lines = g.Lines
	m.MBPerSecond = float64(g.Bytes) / 1e6 / m.Seconds
	m.CPUSeconds = end.CPU.Seconds()
	m.CPUSecondsPerGB = m.CPUSeconds / (float64(g.Bytes) / 1e9)
	m.PeakRSS = end.PeakRSS
	m.LongestWriteMS = g.LongestWriteMS
	for _, s := range g.PerSecond {
		m.WriteExcessMS = max(m.WriteExcessMS, s.WriteMS-usual)
	}
}

// account compares what was written with what arrived, and with what the logger says of itself.
func (m *measurement) account(r row, p peer, g generated, arrived arrivals, end launcher.Result) {
	m.Lost = g.Lines - arrived.distinct
	m.LostPercent = 100 * float64(m.Lost) / float64(max(1, g.Lines))
	m.Duplicates, m.OutOfOrder = arrived.duplicates, arrived.outOfOrder
	if m.Duplicates != 0 || m.OutOfOrder != 0 {
		m.problem("%d duplicates and %d out of order, expected none", m.Duplicates, m.OutOfOrder)
	}
	if arrived.untracked != 0 {
		m.problem("the sandbox lost track of %d lines: the volume is too large for it", arrived.untracked)
	}
	if r.lossless && m.Lost != 0 {
		m.problem("%d of %d lines are missing, expected all", m.Lost, g.Lines)
	}
	if end.Killed || end.ExitCode != 0 {
		m.problem("the logger ended with exit code %d, signal %v", end.ExitCode, end.Signal)
	}
	if p != spillway {
		return // Docker's driver keeps no account that could be compared.
	}
	switch e := end.Exit; {
	case e == nil:
		m.problem("it kept no account: %v", end.ExitErr)
	case e.Received != g.Lines || e.Dropped != m.Lost || e.Delivered != arrived.distinct || e.Difference() != 0:
		m.problem("the exit line says %d received, %d delivered, %d dropped; %d were written, %d arrived",
			e.Received, e.Delivered, e.Dropped, g.Lines, arrived.distinct)
	}
}

// idleTime is how long a logger is left alone before its memory is read.
const idleTime = 5 * time.Second

// idle measures a logger to which nothing is written.
func (m *measurement) idle(ctx context.Context, l *launcher.Logger) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(idleTime):
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", l.Pid()))
	if err != nil {
		return fmt.Errorf("read the memory of the logger: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		into := map[string]*int64{"Rss:": &m.IdleRSS, "Anonymous:": &m.IdleAnonymous}[fields[0]]
		if into == nil {
			continue
		}
		kib, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return fmt.Errorf("read the memory of the logger from %q: %w", line, err)
		}
		*into = kib << 10
	}
	l.CloseWriters()
	if end := l.Wait(drainLimit); end.Killed || end.ExitCode != 0 {
		m.problem("the idle logger ended with exit code %d, signal %v", end.ExitCode, end.Signal)
	}
	return nil
}

// print shows one run as it ends.
func (m *measurement) print(w io.Writer, r row) {
	fmt.Fprintf(w, "%s, %s, run %d:", r.name, m.Peer, m.Run)
	for _, f := range r.figures {
		fmt.Fprintf(w, " %s %s %s;", f.name, number(f.of(m)), f.unit)
	}
	fmt.Fprintln(w)
	for _, p := range m.Problems {
		fmt.Fprintf(w, "  %s\n", p)
	}
}

// tail is the end of a text, for a message.
func tail(text string) string {
	const most = 1000
	return strings.TrimSpace(text[max(0, len(text)-most):])
}
