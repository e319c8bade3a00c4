package faults

import (
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher/harness"
)

// overflow writes in bursts while the destination comes and goes, so that there are several runs of loss.
func overflow(t *testing.T, sink *harness.Cloud, container *harness.Container, lines *harness.Lines) {
	t.Helper()
	for range 3 {
		sink.Fault(cloudwatch.FaultUnavailable)
		write(t, container, lines, 4000)
		sink.Heal()
		before := arrived(sink)
		waitFor(t, "some lines", 15*time.Second, func() bool { return arrived(sink) > before })
		// A line that certainly finds room ends the run of loss.
		waitFor(t, "an empty buffer", 30*time.Second, func() bool {
			s := status(t, container)
			return s.Received == lines.Written() && s.Pending == 0
		})
		write(t, container, lines, 10)
	}
}

// settled says whether nothing has arrived for a while.
func settled(sink *harness.Cloud) func() bool {
	last, since := int64(-1), time.Now()
	return func() bool {
		if n := arrived(sink); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	}
}

func TestAMarkerStandsWhereTheLossHappened(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		pairs        []string
	}{
		{"drop newest", "overflow-newest", []string{"--mode", "non-blocking"}},
		{"drop oldest", "overflow-oldest", []string{"--mode", "non-blocking", "--drop", "oldest"}},
		{"max-block", "max-block", []string{"--mode", "blocking", "--max-block", "100ms"}},
		{"max-block and drop oldest", "max-block", []string{"--mode", "blocking", "--max-block", "100ms", "--drop", "oldest"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := cloud(t)
			container := start(t, sink, append(c.pairs, "--max-buffer-size", "512k",
				"--awslogs-force-flush-interval-seconds", "1")...)
			lines := harness.Lines{Size: 500}
			overflow(t, sink, container, &lines)
			end := container.Remove()
			r := checkAll(t, sink, &lines, end)
			harness.Dropped(t, end, c.reason)
			if len(r.Markers) < 3 {
				t.Errorf("%d markers, want one for each of 3 runs at least", len(r.Markers))
			}
			for _, m := range r.Markers {
				if m.Reason != c.reason {
					t.Errorf("marker %+v: want reason %s", m.Marker, c.reason)
				}
			}
			t.Logf("%d lines, %d lost, %d markers", lines.Written(), r.Missing(), len(r.Markers))
		})
	}
}

func TestALossAtTheVeryEndHasItsMarkerToo(t *testing.T) {
	sink := cloud(t)
	sink.Fault(cloudwatch.FaultUnavailable)
	container := start(t, sink, "--mode", "non-blocking", "--max-buffer-size", "512k")
	lines := harness.Lines{Size: 500}
	write(t, container, &lines, 6000)
	container.CloseWriters()
	// The logger has read all before the destination returns, so the last line written is among the lost ones.
	waitFor(t, "a try", 15*time.Second, func() bool { return sink.Count("PutLogEvents")+sink.Count("CreateLogStream") > 1 })
	waitFor(t, "all lines", 15*time.Second, func() bool { return status(t, container).Received == lines.Written() })
	sink.Heal()
	end := container.Wait(time.Minute)
	container.CheckEnd(end)
	r := checkAll(t, sink, &lines, end)
	if n := len(r.Markers); n == 0 || r.Markers[n-1].LastSeq != lines.Written() {
		t.Errorf("%d markers: %+v; want the last one to tell of line %d", n, r.Markers, lines.Written())
	}
}

func TestWithoutLossMarkersTheLossIsCountedAllTheSame(t *testing.T) {
	sink := cloud(t)
	container := start(t, sink, "--mode", "non-blocking", "--max-buffer-size", "512k", "--loss-markers", "off")
	lines := harness.Lines{Size: 500}
	overflow(t, sink, container, &lines)
	end := container.Remove()
	r := harness.Read(t, sink.Messages(harness.Group, harness.Stream), "", lines.Written())
	r.CheckOrder(t, end)
	harness.Dropped(t, end, "overflow-newest")
	if len(r.Markers) != 0 || end.Exit == nil || end.Exit.Dropped != r.Missing() || end.Exit.Markers.Made != 0 {
		t.Errorf("%d markers, readers miss %d lines; exit line %+v", len(r.Markers), r.Missing(), end.Exit)
	}
}

func TestEachStreamHasItsOwnMarkers(t *testing.T) {
	sink := cloud(t)
	sink.Fault(cloudwatch.FaultUnavailable)
	container := start(t, sink, "--mode", "non-blocking", "--max-buffer-size", "512k")
	out, err := harness.Lines{Prefix: "o", Size: 500}, harness.Lines{Prefix: "e", Size: 500}
	for range 60 {
		write(t, container, &out, 50)
		if e := err.Write(container.Logger.Stderr, 50); e != nil {
			t.Fatal(e)
		}
	}
	sink.Heal()
	end := container.Remove()
	if end.Exit == nil {
		return
	}
	var told int64
	messages := sink.Messages(harness.Group, harness.Stream)
	for _, message := range messages {
		if m, ok, e := harness.ParseMarker(message); ok {
			if e != nil {
				t.Error(e)
			}
			told += m.Lost
		}
	}
	var lost int64
	for prefix, c := range map[string]struct {
		lines  *harness.Lines
		stream string
	}{"o": {&out, "stdout"}, "e": {&err, "stderr"}} {
		var own []string
		for _, m := range messages {
			if _, ok := harness.Number(m, prefix); ok {
				own = append(own, m)
			}
		}
		r := harness.Read(t, own, prefix, c.lines.Written())
		r.CheckOrder(t, end)
		lost += r.Missing()
		if s := end.Exit.Stream(c.stream); s.Received != c.lines.Written() || s.Dropped != r.Missing() {
			t.Errorf("%s: %d lines written, %d missing; the exit line says %d received, %d dropped",
				c.stream, c.lines.Written(), r.Missing(), s.Received, s.Dropped)
		}
	}
	if told != lost || lost == 0 {
		t.Errorf("the markers tell of %d lines, readers miss %d; want the same and some", told, lost)
	}
}
