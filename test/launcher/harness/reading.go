package harness

import (
	"slices"
	"testing"

	"github.com/spillway/spillway/test/launcher"
)

// Reading is what readers of the destination find of one writer's numbered lines.
type Reading struct {
	// Distinct counts the different numbers, Duplicates what came again, and Repeated the numbers that came again, be
	// it once or several times.
	Distinct, Duplicates, Repeated int64
	// Disorder counts lines that stand behind a line with a higher number, first appearances alone.
	Disorder int64
	// Gaps are the runs of numbers that are missing, in order, up to the last number written.
	Gaps []Run
	// Markers are the loss markers with the numbers of the lines around them.
	Markers []Placed
	// Strays are messages that are neither.
	Strays []string
}

// Run is a run of numbers, both ends included.
type Run struct{ First, Last int64 }

// Placed is a marker with the highest number that stands before it, 0 if none, and the next number behind it, 0 if none.
type Placed struct {
	Marker
	Before, Behind int64
}

// Read sorts messages into lines with the given prefix and markers. written is the last number that was written.
func Read(t testing.TB, messages []string, prefix string, written int64) Reading {
	t.Helper()
	var r Reading
	seen := make([]uint8, written+1)
	var highest int64
	open := 0 // the first marker that has no line behind it yet
	for _, message := range messages {
		if n, ok := Number(message, prefix); ok {
			if n < 1 || n > written {
				t.Errorf("line number %d was never written", n)
				continue
			}
			if seen[n] > 0 {
				r.Duplicates++
				if seen[n] == 1 {
					seen[n] = 2
					r.Repeated++
				}
				continue
			}
			seen[n] = 1
			r.Distinct++
			if n < highest {
				r.Disorder++
			}
			highest = max(highest, n)
			for ; open < len(r.Markers); open++ {
				r.Markers[open].Behind = n
			}
			continue
		}
		m, ok, err := ParseMarker(message)
		switch {
		case err != nil:
			t.Error(err)
		case ok:
			r.Markers = append(r.Markers, Placed{Marker: m, Before: highest})
		default:
			r.Strays = append(r.Strays, message[:min(len(message), 80)])
		}
	}
	r.Gaps = gaps(seen)
	return r
}

// gaps gives the runs of numbers from 1 that were not seen.
func gaps(seen []uint8) (runs []Run) {
	for n := int64(1); n < int64(len(seen)); n++ {
		switch {
		case seen[n] > 0:
		case len(runs) > 0 && runs[len(runs)-1].Last == n-1:
			runs[len(runs)-1].Last = n
		default:
			runs = append(runs, Run{n, n})
		}
	}
	return runs
}

// Missing counts the numbers in the gaps.
func (r Reading) Missing() (n int64) {
	for _, g := range r.Gaps {
		n += g.Last - g.First + 1
	}
	return n
}

// CheckAccounted fails the test unless the loss is the same number wherever it is told: what readers miss, what the
// exit line counts as dropped, and the sum of the markers; and unless each marker names exactly the numbers that are
// missing at its place. The lines must be the only ones of their stream, so that a line's number is its sequence number.
func (r Reading) CheckAccounted(t testing.TB, written int64, end launcher.Result) {
	t.Helper()
	r.CheckOrder(t, end)
	if end.Exit == nil {
		return // CheckBalance has said so.
	}
	if end.Exit.Received != written {
		t.Errorf("%d lines written, %d received", written, end.Exit.Received)
	}
	if end.Exit.Dropped != r.Missing() {
		t.Errorf("readers miss %d lines, the exit line says %d dropped", r.Missing(), end.Exit.Dropped)
	}
	var told, bytes int64
	for _, m := range r.Markers {
		told += m.Lost
		bytes += m.Bytes
	}
	if told != r.Missing() || bytes != end.Exit.Bytes.Dropped {
		t.Errorf("readers miss %d lines, the markers tell of %d lines of %d bytes, the exit line of %d bytes",
			r.Missing(), told, bytes, end.Exit.Bytes.Dropped)
	}
	if m := end.Exit.Markers; m.Delivered != int64(len(r.Markers)) {
		t.Errorf("readers find %d markers, the exit line says %d delivered of %d", len(r.Markers), m.Delivered, m.Made)
	}
	r.checkMarkers(t)
}

// CheckReport fails the test unless the sandbox's own account of the stream agrees with what was read: it counts
// events as they arrive, and this reads them back.
func (c *Cloud) CheckReport(stream, prefix string, r Reading) {
	c.t.Helper()
	report := c.Sandbox.Report()
	if report.Forgotten != 0 {
		c.t.Errorf("the sandbox has forgotten %d events: the test needs a larger KeepBytes", report.Forgotten)
	}
	account, _ := report.Stream(Group, stream)
	series, _ := account.SeriesNamed(prefix)
	if int64(series.Count) != r.Distinct+r.Duplicates || int64(series.Duplicates) != r.Duplicates || series.OutOfOrder != 0 {
		c.t.Errorf("the sandbox counts %d lines, %d of them duplicates, %d out of order; read were %d and %d duplicates",
			series.Count, series.Duplicates, series.OutOfOrder, r.Distinct, r.Duplicates)
	}
	var told int64
	for _, m := range r.Markers {
		told += m.Lost
	}
	if m := account.LossMarkers; int64(m.Count) != int64(len(r.Markers)) || int64(m.Lost) != told || m.Unreadable != 0 {
		c.t.Errorf("the sandbox counts %+v loss markers, read were %d of %d lines", m, len(r.Markers), told)
	}
}

// CheckOrder fails the test if there is disorder, a stray message, or more duplicates than were counted as possible.
func (r Reading) CheckOrder(t testing.TB, end launcher.Result) {
	t.Helper()
	if r.Disorder != 0 {
		t.Errorf("%d lines stand behind a later one", r.Disorder)
	}
	if len(r.Strays) != 0 {
		t.Errorf("%d messages are neither lines nor markers, the first: %q", len(r.Strays), r.Strays[0])
	}
	if end.Exit != nil && r.Repeated > end.Exit.PossibleDuplicates {
		t.Errorf("%d lines came more than once, %d were counted as possible duplicates", r.Repeated, end.Exit.PossibleDuplicates)
	}
}

// checkMarkers compares each marker with its place.
func (r Reading) checkMarkers(t testing.TB) {
	t.Helper()
	var told []Run
	for _, m := range r.Markers {
		if m.Lost != m.LastSeq-m.FirstSeq+1 {
			t.Errorf("marker %+v: %d lost, but its numbers span %d", m.Marker, m.Lost, m.LastSeq-m.FirstSeq+1)
		}
		if m.LastTime.Before(m.FirstTime) {
			t.Errorf("marker %+v: its last time is before its first", m.Marker)
		}
		if m.Before != m.FirstSeq-1 || (m.Behind != 0 && m.Behind != m.LastSeq+1) {
			t.Errorf("marker %+v stands between lines %d and %d; want %d and %d",
				m.Marker, m.Before, m.Behind, m.FirstSeq-1, m.LastSeq+1)
		}
		told = append(told, Run{m.FirstSeq, m.LastSeq})
	}
	if !slices.Equal(told, r.Gaps) {
		t.Errorf("the markers name the runs %v, readers miss %v", some(told), some(r.Gaps))
	}
}

// some keeps a message short.
func some(runs []Run) []Run { return runs[:min(len(runs), 12)] }
