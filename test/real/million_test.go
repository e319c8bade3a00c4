package real

import (
	"testing"
)

// TestMillionLines is the main job on real parts: a container writes a million numbered lines to
// its stdout and a thousand to its stderr at once, and the destination has each of them, once and
// in the order of its stream, as the balance says.
func TestMillionLines(t *testing.T) {
	const (
		outLines = 1_000_000
		errLines = 1_000
		width    = 64
	)
	r := newRig(t)
	r.run(t, "million", r.uri(r.awslogs("million")),
		numbered("err", errLines, width)+" >&2 & "+numbered("out", outLines, width)+"; wait")

	seen := mustFollow(t, r.cloud, stream)
	seen.want(t, "out", outLines)
	seen.want(t, "err", errLines)
	if seen.repeats != 0 {
		t.Errorf("%d lines arrived more than once, want none", seen.repeats)
	}
	line := r.balance(t, "million")
	wantDelivered(t, line, outLines+errLines)
	if line.Bytes.Delivered != seen.bytes {
		t.Errorf("the balance says %d bytes delivered, the destination has %d", line.Bytes.Delivered, seen.bytes)
	}
	if line.PossibleDuplicates != 0 {
		t.Errorf("the balance says %d possible duplicates, want none without a fault", line.PossibleDuplicates)
	}
	for name, lines := range map[string]int64{"stdout": outLines, "stderr": errLines} {
		if got := line.Stream(name); got.Received != lines || got.Delivered != lines {
			t.Errorf("stream %s: received %d, delivered %d, want %d both: %s", name, got.Received, got.Delivered, lines, line.Raw)
		}
	}
}
