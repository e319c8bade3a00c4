package run_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/record"
)

// TestTagThatNoDiskKeeps: it becomes a dead letter, and holds up nobody.
func TestTagThatNoDiskKeeps(t *testing.T) {
	r := newRig(t)
	s := r.start(r.file(1<<20, "** spill: one"))
	long := strings.Repeat("t", record.MaxName+1)
	r.expect(s.hand(long, "a"), true)
	r.expect(s.hand("short", "b"), true)
	report := r.stop(time.Minute)
	if report.DeadLettered != 1 || report.Delivered != 1 {
		t.Errorf("%+v", report.Sheet)
	}
	if want := []string{long + " a rejected-unmatched"}; !slices.Equal(r.letters.got, want) {
		t.Errorf("%q", r.letters.got)
	}
}

// TestRecordThatNoBufferHolds becomes dead letters before it is vouched for, and
// what came with it is delivered.
func TestRecordThatNoBufferHolds(t *testing.T) {
	for _, pattern := range []string{"**", "** spill"} {
		r := newRig(t)
		s := r.start(r.file(256<<10, pattern+": one"))
		long := noise(100_000)
		r.expect(s.hand("tag", "a", long, "b"), true)
		report := r.stop(time.Minute)
		if report.DeadLettered != 4 || report.Delivered != 2 || report.Dropped != 0 {
			t.Errorf("%+v", report.Sheet)
		}
		r.has("one", "tag ", []string{"a", "b"})
		var all string
		for _, letter := range r.letters.got {
			all += strings.TrimSuffix(strings.TrimPrefix(letter, "tag "), " too-large")
		}
		if all != long {
			t.Errorf("the dead letters have %d bytes of %d", len(all), len(long))
		}
	}
}
