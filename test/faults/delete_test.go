package faults

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher/harness"
)

// TestDeleteAtZeroGapLosesNothing runs many short containers, each deleted right after its last byte.
func TestDeleteAtZeroGapLosesNothing(t *testing.T) {
	runs := harness.Pick(40, 300, 10_000)
	random := rand.New(rand.NewPCG(1, uint64(runs)))
	var sink *harness.Cloud
	var longest, total time.Duration
	var lost, written int64
	for run := range runs {
		if run%100 == 0 {
			sink = harness.NewCloud(t, cloudwatch.Options{KeepBytes: 256 << 20})
		}
		r := shortRun(t, sink, run, random)
		lost, written = lost+r.lost, written+r.written
		longest, total = max(longest, r.took), total+r.took
		if t.Failed() {
			t.Fatalf("run %d of %d: %+v", run+1, runs, r)
		}
	}
	t.Logf("%d runs, %d lines: %d lost; from delete to exit %v on average, %v at most",
		runs, written, lost, (total / time.Duration(runs)).Round(time.Microsecond), longest.Round(time.Microsecond))
}

// short is what one short run showed.
type short struct {
	stream        string
	mode          string
	size          int
	written, lost int64
	took          time.Duration
}

// shortRun runs one container of 1 to 5,000 lines, a few of them on stderr.
func shortRun(t *testing.T, sink *harness.Cloud, run int, random *rand.Rand) short {
	t.Helper()
	s := short{stream: fmt.Sprintf("run-%d", run), mode: []string{"blocking", "non-blocking"}[run%2], size: 20 + random.IntN(280)}
	l := start(t, sink, "--mode", s.mode, "--awslogs-stream", s.stream)
	out := harness.Lines{Size: s.size}
	err := harness.Lines{Prefix: "e", Size: 40}
	if e := err.Write(l.Logger.Stderr, random.Int64N(4)); e != nil {
		t.Fatal(e)
	}
	if e := out.Write(l.Stdout, 1+random.Int64N(5000)); e != nil {
		t.Fatal(e)
	}
	end := l.Remove()
	s.written, s.took = out.Written()+err.Written(), end.Duration
	messages := sink.Messages(harness.Group, s.stream)
	s.lost = s.written - int64(len(messages))
	for _, lines := range []*harness.Lines{&out, &err} {
		var own []string
		for _, m := range messages {
			if _, ok := harness.Number(m, lines.Prefix); ok {
				own = append(own, m)
			}
		}
		r := harness.Read(t, own, lines.Prefix, lines.Written())
		r.CheckOrder(t, end)
		sink.CheckReport(s.stream, lines.Prefix, r)
		if r.Distinct != lines.Written() {
			t.Errorf("%d of %d lines with prefix %q arrived", r.Distinct, lines.Written(), lines.Prefix)
		}
	}
	if end.Exit != nil && (end.Exit.Received != s.written || end.Exit.Dropped != 0) {
		t.Errorf("%d lines written, %d received, %d dropped", s.written, end.Exit.Received, end.Exit.Dropped)
	}
	if harness.Long() && s.took > time.Second {
		t.Errorf("the logger ended %v after the delete, want at most 1 s", s.took)
	}
	return s
}
