package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher/harness"
)

func TestAPoisonedLineIsFoundByHalvingAndStandsAlone(t *testing.T) {
	for _, poisoned := range [][]int64{{1}, {2500}, {5000}, {100, 101, 4000}} {
		t.Run(fmt.Sprint(poisoned), func(t *testing.T) {
			const poison, number = "POISON", 5000
			sink := harness.NewCloud(t, cloudwatch.Options{RefuseText: poison})
			container := start(t, sink)
			lines := harness.Lines{Size: 100}
			block := lines.Append(nil, number)
			for _, n := range poisoned {
				copy(block[n*100-50:], poison)
			}
			if _, err := container.Stdout.Write(block); err != nil {
				t.Fatal(err)
			}
			end := container.Remove()
			r := harness.Read(t, sink.Messages(harness.Group, harness.Stream), "", number)
			r.CheckOrder(t, end)
			if r.Missing() != int64(len(poisoned)) {
				t.Errorf("readers miss %v, want %v", r.Gaps, poisoned)
			}
			for _, n := range poisoned {
				if !missing(r, n) {
					t.Errorf("the poisoned line %d was delivered", n)
				}
			}
			harness.Dropped(t, end, "rejected-invalid")
			if end.Exit != nil && end.Exit.DroppedByReason["rejected-invalid"] != int64(len(poisoned)) {
				t.Errorf("dropped %v, want %d rejected-invalid", end.Exit.DroppedByReason, len(poisoned))
			}
			t.Logf("%d requests; %d markers", sink.Count("PutLogEvents"), len(r.Markers))
		})
	}
}

func missing(r harness.Reading, n int64) bool {
	for _, g := range r.Gaps {
		if g.First <= n && n <= g.Last {
			return true
		}
	}
	return false
}

func TestRejectedEventsAreCountedByTheirReason(t *testing.T) {
	for kind, why := range map[string]string{
		cloudwatch.RejectTooOld:  "rejected-too-old",
		cloudwatch.RejectTooNew:  "rejected-too-new",
		cloudwatch.RejectExpired: "rejected-expired",
	} {
		t.Run(why, func(t *testing.T) {
			sink := harness.NewCloud(t, cloudwatch.Options{Reject: kind, RejectEvents: 3})
			container := start(t, sink)
			lines := harness.Lines{Size: 100}
			write(t, container, &lines, 2000)
			end := container.Remove()
			r := harness.Read(t, sink.Messages(harness.Group, harness.Stream), "", lines.Written())
			r.CheckOrder(t, end)
			account, _ := report(sink).Stream(harness.Group, harness.Stream)
			// Each accepted request lost three events, markers among them.
			t.Logf("%d requests, readers miss %d lines, sandbox %+v", account.Requests, r.Missing(), account.Rejected)
			if end.Exit == nil {
				return
			}
			if n := end.Exit.DroppedByReason[why]; n != r.Missing() || n == 0 || n != end.Exit.Dropped {
				t.Errorf("readers miss %d lines, dropped %v; want the same number of %s", r.Missing(), end.Exit.DroppedByReason, why)
			}
		})
	}
}

// TestAMarkerThatIsRejectedIsNoLine rejects everything after an overflow, the markers too.
func TestAMarkerThatIsRejectedIsNoLine(t *testing.T) {
	sink := cloud(t)
	sink.Fault(cloudwatch.FaultUnavailable)
	container := start(t, sink, "--mode", "non-blocking", "--max-buffer-size", "512k")
	lines := harness.Lines{Size: 500}
	write(t, container, &lines, 6000)
	waitFor(t, "a refused attempt", 15*time.Second, func() bool { return len(sink.Calls()) > 1 })
	if err := sink.Sandbox.SetReject(cloudwatch.RejectTooOld, 10_000); err != nil {
		t.Fatal(err)
	}
	sink.Heal()
	end := container.Remove()
	if end.Exit == nil {
		return
	}
	e := end.Exit
	if e.Received != 6000 || e.Dropped != 6000 || e.DroppedByReason["overflow-newest"] == 0 || e.DroppedByReason["rejected-too-old"] == 0 {
		t.Errorf("received %d, dropped %v; want 6000, by overflow and by rejection", e.Received, e.DroppedByReason)
	}
	if e.Markers.Delivered != 0 || e.Markers.Made == 0 {
		t.Errorf("markers %+v; want some made and none delivered", e.Markers)
	}
}

// TestARequestThatTookEffectWithoutAnAnswerIsCountedAsPossiblyDouble loses answers, not events.
func TestARequestThatTookEffectWithoutAnAnswerIsCountedAsPossiblyDouble(t *testing.T) {
	sink := cloud(t)
	sink.Sandbox.Script(func(action string, n int) *cloudwatch.Answer {
		if action != "PutLogEvents" || n%2 == 0 {
			return nil
		}
		return &cloudwatch.Answer{Handle: true, Drop: true, Reset: n%4 == 1}
	})
	container := start(t, sink, "--mode", "blocking")
	lines := harness.Lines{Size: 500}
	for range 4 {
		before := arrived(sink)
		write(t, container, &lines, 3000)
		waitFor(t, "some lines", 15*time.Second, func() bool { return arrived(sink) > before })
	}
	end := container.Remove()
	r := harness.Read(t, sink.Messages(harness.Group, harness.Stream), "", lines.Written())
	if r.Missing() != 0 || r.Duplicates == 0 {
		t.Errorf("readers miss %d lines and find %d twice; want none and some", r.Missing(), r.Duplicates)
	}
	r.CheckOrder(t, end)
	harness.Dropped(t, end)
}
