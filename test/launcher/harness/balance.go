package harness

import (
	"testing"

	"github.com/spillway/spillway/test/launcher"
)

// CheckBalance fails the test unless there is an exit line whose numbers agree with each other: nothing unaccounted,
// nothing left pending in a logger that has no disk, reasons that add up to the drops, and streams that add up to the
// whole, in records and in bytes.
func CheckBalance(t testing.TB, r launcher.Result) {
	t.Helper()
	CheckBalanceWithDisk(t, r)
	if r.Exit == nil {
		return
	}
	for what, n := range map[string]int64{"records": r.Exit.Pending, "bytes": r.Exit.Bytes.Pending} {
		if n != 0 {
			t.Errorf("%d %s pending at the end of a logger that keeps nothing", n, what)
		}
	}
}

// CheckBalanceWithDisk is CheckBalance for a logger that leaves on its disk what it could not deliver.
func CheckBalanceWithDisk(t testing.TB, r launcher.Result) {
	t.Helper()
	if r.Exit == nil {
		t.Errorf("exit line: %v", r.ExitErr)
		return
	}
	e := r.Exit
	defer func() {
		if t.Failed() {
			t.Logf("exit line: %s", e.Raw)
		}
	}()
	checkCounts(t, "records", e.Counts)
	checkCounts(t, "bytes", e.Bytes)
	var sum launcher.Counts
	for _, s := range e.Streams {
		checkCounts(t, "records of "+s.Stream, s.Counts)
		sum.Received += s.Received
		sum.Delivered += s.Delivered
		sum.Dropped += s.Dropped
		sum.Markers.Made += s.Markers.Made
		sum.Markers.Delivered += s.Markers.Delivered
	}
	if sum.Received != e.Received || sum.Delivered != e.Delivered || sum.Dropped != e.Dropped {
		t.Errorf("the streams add up to received %d, delivered %d, dropped %d; the whole says %d, %d, %d",
			sum.Received, sum.Delivered, sum.Dropped, e.Received, e.Delivered, e.Dropped)
	}
	m := e.Markers
	if m.Made != m.Delivered+m.Pending+m.Refused || sum.Markers.Made != m.Made || sum.Markers.Delivered != m.Delivered {
		t.Errorf("markers: made %d, delivered %d, pending %d, refused %d; the streams add up to made %d, delivered %d",
			m.Made, m.Delivered, m.Pending, m.Refused, sum.Markers.Made, sum.Markers.Delivered)
	}
}

func checkCounts(t testing.TB, what string, c launcher.Counts) {
	t.Helper()
	if c.Unaccounted != 0 || c.Difference() != 0 {
		t.Errorf("%s: unaccounted %d, and %d received + %d recovered - %d delivered - %d dropped - %d dead-lettered - %d pending = %d; want 0",
			what, c.Unaccounted, c.Received, c.Recovered, c.Delivered, c.Dropped, c.DeadLettered, c.Pending, c.Difference())
	}
	if min(c.Received, c.Recovered, c.Delivered, c.Dropped, c.Pending) < 0 {
		t.Errorf("%s: a number is below 0: %+v", what, c)
	}
	var reasons int64
	for _, n := range c.DroppedByReason {
		reasons += n
	}
	if reasons != c.Dropped {
		t.Errorf("%s: dropped %d, but the reasons %v add up to %d", what, c.Dropped, c.DroppedByReason, reasons)
	}
}

// Dropped fails the test unless exactly the given reasons occur in the exit line, each at least once.
func Dropped(t testing.TB, r launcher.Result, reasons ...string) {
	t.Helper()
	if r.Exit == nil {
		return // CheckBalance has said so.
	}
	left := make(map[string]bool)
	for _, why := range reasons {
		left[why] = true
		if r.Exit.DroppedByReason[why] == 0 {
			t.Errorf("dropped by reason: %v; want some for %s", r.Exit.DroppedByReason, why)
		}
	}
	for why, n := range r.Exit.DroppedByReason {
		if n != 0 && !left[why] {
			t.Errorf("dropped by reason: %v; want none for %s", r.Exit.DroppedByReason, why)
		}
	}
}
