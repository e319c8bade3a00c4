package real

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway/spillway/test/launcher"
)

// TestSpill stops the destination, its connections open and silent, before a container writes 50 MB
// into a buffer of 10 in mode spill: the container is not held up, its logger leaves on the disk what
// it could not deliver, and once the destination is back `spillway drain`, which is told nothing but
// the state directory, delivers it, in order and behind what had arrived.
func TestSpill(t *testing.T) {
	const (
		lines = 500_000
		width = 100
	)
	for _, durability := range []string{"memory", "kernel", "power"} {
		t.Run(durability, func(t *testing.T) {
			r := newRig(t)
			gate := r.gate(t, "spill")
			o := r.awslogs("spill").with(options{
				"mode": "spill", "durability": durability, "awslogs-force-flush-interval-seconds": "1",
			})
			r.detach(t, "spill", r.uri(o), "echo first 0000001; read word < /tmp/spill; "+numbered("out", lines, width))
			until(t, "the first line arrived", func() bool {
				messages, err := r.cloud.Messages(group, stream)
				return err == nil && len(messages) == 1
			})
			if err := r.moto.Pause(); err != nil {
				t.Fatal(err)
			}
			gate("go")
			until(t, "the task is stopped, though nobody takes its lines", func() bool { return strings.Contains(r.tasks(t), "STOPPED") })
			r.remove(t, "spill")
			left := r.balance(t, "spill")
			if left.Received != lines+1 || left.Delivered != 1 || left.Dropped != 0 || left.Pending != lines {
				t.Errorf("received %d, delivered %d, dropped %d, pending %d; want %d, 1, 0, %d: %s",
					left.Received, left.Delivered, left.Dropped, left.Pending, lines+1, lines, left.Raw)
			}
			if err := r.moto.Resume(); err != nil {
				t.Fatal(err)
			}
			drained := r.drain(t)
			if drained.Recovered != lines || drained.Delivered != lines || drained.Dropped != 0 || drained.Pending != 0 {
				t.Errorf("recovered %d, delivered %d, dropped %d, pending %d; want %d, %d, 0, 0: %s",
					drained.Recovered, drained.Delivered, drained.Dropped, drained.Pending, lines, lines, drained.Raw)
			}
			seen := mustFollow(t, r.cloud, stream)
			seen.want(t, "out", lines)
			if int64(seen.repeats) > drained.PossibleDuplicates {
				t.Errorf("%d lines arrived more than once, the balance counts %d as possible", seen.repeats, drained.PossibleDuplicates)
			}
			if buffers, err := filepath.Glob(filepath.Join(r.stateDir, "buffers", "*")); err != nil || len(buffers) > 0 {
				t.Errorf("%q are left, %v; want no buffer", buffers, err)
			}
		})
	}
}

// drain empties what loggers have left behind, and returns the balance.
func (r *rig) drain(t *testing.T) *launcher.ExitLine {
	t.Helper()
	cmd := exec.Command(r.bin.Spillway, "drain", "--json", r.stateDir)
	cmd.Env = append(os.Environ(), "AWS_EC2_METADATA_DISABLED=true")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("spillway drain ended with %v: %s%s", err, stdout.Bytes(), stderr.Bytes())
	}
	line := launcher.LastExitLine(stdout.Bytes(), "")
	if line == nil || line.Unaccounted != 0 || line.Difference() != 0 {
		t.Fatalf("the balance of spillway drain is missing or does not add up: %s", stdout.Bytes())
	}
	return line
}
