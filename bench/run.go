package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spillway/spillway/test/launcher"
)

// bench is what all runs share.
type bench struct {
	dir      string // For files that end with the benchmark.
	binaries string
	progress io.Writer
}

// measurement is one run of one peer. MB and GB are 10^6 and 10^9 bytes of lines without their newlines.
type measurement struct {
	Peer  peer  `json:"peer"`
	Run   int   `json:"run"`
	Lines int64 `json:"lines"`
	// Seconds run from the first write to the end of the logger, which ends when it has delivered everything.
	Seconds         float64 `json:"seconds"`
	MBPerSecond     float64 `json:"mb_per_second"`
	CPUSeconds      float64 `json:"cpu_seconds"` // Of the logger's process alone, from its start to its end.
	CPUSecondsPerGB float64 `json:"cpu_seconds_per_gb"`
	PeakRSS         int64   `json:"peak_rss_bytes"`

	Lost        int64   `json:"lost"`
	LostPercent float64 `json:"lost_percent"`
	Duplicates  int64   `json:"duplicates"`
	OutOfOrder  int64   `json:"out_of_order"`

	LongestWriteMS float64 `json:"longest_write_ms"`
	// WriteExcessMS is how much longer the writes of the worst second took together than those of a usual second
	// into a reader that discards.
	WriteExcessMS        float64 `json:"write_excess_ms"`
	LatestLeavingSeconds float64 `json:"latest_leaving_seconds"`

	IdleRSS       int64 `json:"idle_rss_bytes"`
	IdleAnonymous int64 `json:"idle_anonymous_bytes"`

	Problems []string `json:"problems"`
}

// runRow runs the row's peers in turn, the other one first in every second round, so that neither always finds the
// machine as its rival left it.
func (b *bench) runRow(ctx context.Context, r row, runs int) ([]measurement, error) {
	if r.kafka {
		return b.runKafka(ctx, r, runs)
	}
	if r.disk != nil || r.relay != nil {
		work := b.runDisk
		if r.relay != nil {
			work = b.runRelay
		}
		var all []measurement
		for run := range runs {
			both, err := work(ctx, r, run+1)
			if err != nil {
				return nil, fmt.Errorf("run %d: %w", run+1, err)
			}
			all = append(all, both...)
		}
		return all, nil
	}
	peers := []peer{spillway, docker}
	if len(r.generator) == 0 {
		peers = peers[:1]
	}
	var usual float64
	if r.discards {
		var err error
		if usual, err = b.discard(ctx, r); err != nil {
			return nil, err
		}
	}
	var all []measurement
	for run := range runs {
		for i := range peers {
			p := peers[(i+run)%len(peers)]
			m, err := b.runPeer(ctx, r, p, usual, uint64(run))
			if err != nil {
				return nil, fmt.Errorf("%s, run %d: %w", p, run+1, err)
			}
			m.Peer, m.Run = p, run+1
			m.print(b.progress, r)
			all = append(all, m)
		}
	}
	return all, nil
}

// runPeer is one run: sandbox, logger, generator, and the account of what came of it.
func (b *bench) runPeer(ctx context.Context, r row, p peer, usual float64, seed uint64) (m measurement, err error) {
	s, err := startServer(ctx, filepath.Join(b.binaries, "spillway"), r.latency)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	stateDir, err := os.MkdirTemp(b.dir, "state-")
	if err != nil {
		return m, fmt.Errorf("make a state directory: %w", err)
	}
	// Nothing on this machine but the flags decides how Spillway runs.
	if err := os.WriteFile(filepath.Join(stateDir, "node.yaml"), []byte("aws:\n  imds: false\n"), 0o600); err != nil {
		return m, fmt.Errorf("write a node file: %w", err)
	}
	logger, err := launcher.Start(ctx, p.spec(r, b.binaries, stateDir, s.url, seed))
	if err != nil {
		return m, err
	}
	defer logger.Kill()
	if len(r.generator) == 0 {
		return m, m.idle(ctx, logger)
	}
	var late follower
	if r.follow {
		late.start(ctx, s)
	}
	g, runErr := b.generate(ctx, r.generator, logger.Run)
	m.LatestLeavingSeconds = late.stop(g)
	logger.CloseWriters()
	end := logger.Wait(drainLimit)
	m.time(g, end, usual)
	arrived, err := s.report(ctx)
	if err != nil {
		return m, err
	}
	m.account(r, p, g, arrived, end)
	if runErr != nil {
		m.problem("the generator failed: %v", runErr)
	}
	if len(m.Problems) > 0 {
		m.problem("its stderr ends: %s", tail(logger.StderrText()))
	}
	return m, nil
}

// drainLimit ends a logger that does not end; no honest run on this table comes near it.
const drainLimit = 10 * time.Minute

// generated is the part of loggen's report that is used here.
type generated struct {
	Lines             int64     `json:"lines"`
	Bytes             int64     `json:"bytes"`
	FirstWriteAt      time.Time `json:"first_write_at"`
	Seconds           float64   `json:"seconds"`
	WriteSecondsTotal float64   `json:"write_seconds_total"`
	LongestWriteMS    float64   `json:"longest_write_ms"`
	PerSecond         []struct {
		WriteMS float64 `json:"write_ms"`
	} `json:"per_second"`
}

// generate runs loggen in the container's place and returns its report. An error in its writing is returned beside
// the report, for the account to tell how far it came.
func (b *bench) generate(ctx context.Context, args []string, run func(*exec.Cmd) error) (g generated, err error) {
	report := filepath.Join(b.dir, "loggen.json")
	cmd := exec.CommandContext(ctx, filepath.Join(b.binaries, "loggen"), append(args, "--report", report)...)
	runErr := run(cmd)
	text, err := os.ReadFile(report)
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	return g, errors.Join(runErr, err, os.Remove(report))
}

// discard measures the row's writes into a reader that throws everything away, and returns the milliseconds that they
// take in a usual second.
func (b *bench) discard(ctx context.Context, r row) (float64, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("open a pipe: %w", err)
	}
	drained := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{read}, make([]byte, 64<<10))
		drained <- errors.Join(err, read.Close())
	}()
	g, runErr := b.generate(ctx, append(r.generator, "--duration", "5s"), func(cmd *exec.Cmd) error {
		cmd.Stdout = write
		return cmd.Run()
	})
	if err := errors.Join(runErr, write.Close(), <-drained); err != nil {
		return 0, fmt.Errorf("write into a reader that discards: %w", err)
	}
	return g.WriteSecondsTotal * 1000 / float64(max(1, len(g.PerSecond))), nil
}
