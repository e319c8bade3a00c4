package contract

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// The tests of this file are named for the defects that the end-to-end suite of shim-loggers-for-containerd does not
// see. D8, unbounded memory, and D10, a slow drain, are in test/faults; D12, groups that stay, is in
// privileges_test.go; D18, a token among the arguments, waits for a driver that has a token.

func TestD1TheLastLinesArriveWithOneSecondOfCleanupTime(t *testing.T) {
	sink := cloud(t)
	container := toCloud(sink, "--cleanup-time", "1s").Start(t)
	container.Shell("echo one; echo two")
	container.Remove()
	if diff := cmp.Diff([]string{"one", "two"}, sink.Messages(harness.Group, harness.Stream)); diff != "" {
		t.Errorf("events in the stream (-want +got):\n%s", diff)
	}
}

func TestD2TheLastMultilineEventArrivesOfBothStreamsEachWhole(t *testing.T) {
	ours(t) // Docker's driver mixes both streams into one event.
	sink := cloud(t)
	container := toCloud(sink, "--awslogs-multiline-pattern", "^START").Start(t)
	container.Shell("echo START out; echo START err >&2; echo more out; echo more err >&2; echo last out; echo last err >&2")
	container.Remove()
	got := sink.Messages(harness.Group, harness.Stream)
	want := map[string]bool{"START out\nmore out\nlast out\n": true, "START err\nmore err\nlast err\n": true}
	if len(got) != 2 || !want[got[0]] || !want[got[1]] {
		t.Errorf("events %q, want the two of %v", got, want)
	}
}

func TestD3WhatIsInThePipeAtSIGTERMIsRead(t *testing.T) {
	sink := cloud(t)
	container := toCloud(sink).Start(t)
	lines := harness.Lines{Size: 110}
	if err := lines.Write(container.Stdout, 5000); err != nil {
		t.Fatal(err)
	}
	container.Remove()
	r := harness.Read(t, sink.Messages(harness.Group, harness.Stream), "", 5000)
	if r.Distinct != 5000 || r.Disorder != 0 {
		t.Errorf("%d of 5000 lines arrived, %d out of order", r.Distinct, r.Disorder)
	}
}

func TestD4ASingleLineOfAShortContainerArrivesInNonBlockingMode(t *testing.T) {
	for range harness.Pick(10, 60, 200) {
		sink := cloud(t)
		container := toCloud(sink, "--mode", "non-blocking").Start(t)
		container.Shell("echo the only line")
		container.Remove()
		if diff := cmp.Diff([]string{"the only line"}, sink.Messages(harness.Group, harness.Stream)); diff != "" {
			t.Fatalf("events in the stream (-want +got):\n%s", diff)
		}
	}
}

func TestD5AndD6WhatOverflowsIsCountedAndNotAsSent(t *testing.T) {
	ours(t)
	sink := cloud(t)
	sink.Fault(cloudwatch.FaultHang)
	container := toCloud(sink, "--mode", "non-blocking", "--max-buffer-size", "256k", "--cleanup-time", "1s").Start(t)
	lines := harness.Lines{Size: 100}
	if err := lines.Write(container.Stdout, 30_000); err != nil {
		t.Fatal(err)
	}
	end := container.Remove()
	harness.Dropped(t, end, "overflow-newest", "shutdown")
	if e := end.Exit; e != nil && (e.Received != 30_000 || e.Dropped != 30_000 || e.Bytes.Received != 30_000*99 || e.Delivered != 0) {
		t.Errorf("exit line %s; want 30000 lines of 99 bytes received and dropped, none delivered", e.Raw)
	}
}

func TestD7FalseMeansFalse(t *testing.T) {
	sink := cloud(t)
	container := toCloud(sink, "--awslogs-create-stream", "false", "--cleanup-time", "1s").Start(t)
	container.Shell("echo one")
	container.Delete(0)
	if n := sink.Count("CreateLogStream"); n != 0 {
		t.Errorf("%d calls of CreateLogStream with create-stream false", n)
	}
}

func TestD9AnErrorInTheLastFlushDiscardsNothing(t *testing.T) {
	sink := cloud(t)
	container := toCloud(sink).Start(t)
	sink.Fault(cloudwatch.FaultUnavailable, "PutLogEvents")
	lines := harness.Lines{Size: 200}
	if err := lines.Write(container.Stdout, 2000); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(1500*time.Millisecond, sink.Heal)
	end := container.Remove()
	r := harness.Read(t, sink.Messages(harness.Group, harness.Stream), "", 2000)
	if !programs.Foreign {
		r.CheckAccounted(t, 2000, end)
	}
	if r.Distinct != 2000 {
		t.Errorf("%d of 2000 lines arrived", r.Distinct)
	}
}

func TestD11ErrorsOfTheDestinationLoseNothingThatItTakesLater(t *testing.T) {
	for name, answer := range map[string]cloudwatch.Answer{
		"a server's error":    {Status: 500, Type: "InternalFailure", Message: "We encountered an internal error."},
		"throttling":          {Status: 400, Type: "ThrottlingException", Message: "Rate exceeded"},
		"a missing stream":    {Status: 400, Type: "ResourceNotFoundException", Message: "The specified log stream does not exist."},
		"an expired token":    {Status: 400, Type: "ExpiredTokenException", Message: "The security token included in the request is expired"},
		"a refused right":     {Status: 400, Type: "AccessDeniedException", Message: "User is not authorized to perform: logs:PutLogEvents"},
		"an unknown error":    {Status: 418, Type: "TeapotException"},
		"an answer of no use": {Status: 502, Body: []byte("<html>Bad Gateway</html>")},
		"a lost connection":   {Drop: true},
	} {
		t.Run(name, func(t *testing.T) {
			sink := cloud(t)
			container := toCloud(sink).Start(t)
			sink.Sandbox.Script(func(action string, _ int) *cloudwatch.Answer {
				if action != "PutLogEvents" {
					return nil
				}
				return &answer
			})
			lines := harness.Lines{Size: 500}
			if err := lines.Write(container.Stdout, 1000); err != nil {
				t.Fatal(err)
			}
			// Two refused attempts show that the first was no accident.
			waitFor(t, "two attempts", func() bool { return sink.Count("PutLogEvents") >= 2 })
			sink.Heal()
			end := container.Remove()
			r := harness.Read(t, sink.Messages(harness.Group, harness.Stream), "", 1000)
			if r.Distinct != 1000 {
				t.Errorf("%d of 1000 lines arrived", r.Distinct)
			}
			if !programs.Foreign {
				r.CheckAccounted(t, 1000, end)
			}
			if asked := credentialsAsked(sink); answer.Type == "ExpiredTokenException" && asked < 2 && !programs.Foreign {
				t.Errorf("credentials were asked for %d times, want again after the token had expired", asked)
			}
		})
	}
}

func credentialsAsked(sink *harness.Cloud) (n int) {
	for _, call := range sink.Calls() {
		if call.Path == "/credentials" {
			n++
		}
	}
	return n
}

func TestD13TeardownIsTold(t *testing.T) {
	for _, mode := range []string{"blocking", "non-blocking"} {
		sink := cloud(t)
		container := toCloud(sink, "--mode", mode).Start(t)
		container.Shell("echo one")
		end := container.Remove()
		t.Logf("%s: ready after %v, teardown in %v", mode, container.ReadyAfter, end.Duration)
		if limit := time.Second; harness.Long() && end.Duration > limit && !programs.Foreign {
			t.Errorf("%s: teardown took %v, want at most %v", mode, end.Duration, limit)
		}
	}
}

func TestD14ContainersOfOneIdInTwoNamespacesDoNotMeet(t *testing.T) {
	ours(t)
	state := harness.StateDir(t)
	var containers []*harness.Container
	var sinks []*harness.Cloud
	for _, namespace := range []string{"blue", "green"} {
		sink := cloud(t)
		setup := toCloud(sink, "--state-dir", state)
		setup.Change = func(s *launcher.Spec) { s.Namespace, s.StateDir = namespace, state }
		sinks, containers = append(sinks, sink), append(containers, setup.Start(t))
	}
	for i, c := range containers {
		c.Shell(fmt.Sprintf("echo line of %d", i))
	}
	for i, c := range containers {
		c.Remove()
		if diff := cmp.Diff([]string{fmt.Sprintf("line of %d", i)}, sinks[i].Messages(harness.Group, harness.Stream)); diff != "" {
			t.Errorf("events of container %d (-want +got):\n%s", i, diff)
		}
	}
	text, err := os.ReadFile(filepath.Join(state, "exits.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, namespace := range []string{"blue", "green"} {
		if strings.Count(string(text), namespace) == 0 {
			t.Errorf("no exit line of namespace %s:\n%s", namespace, harness.Indent(string(text)))
		}
	}
}

func TestD15ABlackHoleDoesNotHoldUpTheStart(t *testing.T) {
	for _, mode := range []string{"blocking", "non-blocking"} {
		sink := cloud(t)
		sink.Fault(cloudwatch.FaultHang)
		container := toCloud(sink, "--mode", mode, "--cleanup-time", "1s").Start(t)
		if container.Ready != launcher.ReadyByte {
			t.Errorf("%s: fd 5 gave %q, want a byte while nothing answers", mode, container.Ready)
		}
		t.Logf("%s: ready after %v", mode, container.ReadyAfter)
		container.Shell("echo one")
		container.Delete(0)
	}
}

func TestD16AMissingStreamThatMustNotBeMadeIsNoSilentLoss(t *testing.T) {
	ours(t)
	sink := cloud(t)
	container := toCloud(sink, "--awslogs-create-stream", "false", "--cleanup-time", "1s").Start(t)
	container.Shell("seq 1 10")
	end := container.Remove()
	harness.Dropped(t, end, "shutdown")
	harness.NeedLogFiles(t)
	if text := container.LogText(); !strings.Contains(text, harness.Stream) {
		t.Errorf("nothing names the missing stream:\n%s", harness.Indent(text))
	}
}

func TestD17AndD19TheEndOfOneStreamLeavesTheOtherAlone(t *testing.T) {
	sink := cloud(t)
	container := toCloud(sink).Start(t)
	container.Logger.Stderr.Close()
	lines := harness.Lines{Size: 1000}
	if err := lines.Write(container.Stdout, 3000); err != nil {
		t.Fatal(err)
	}
	container.Remove()
	if r := harness.Read(t, sink.Messages(harness.Group, harness.Stream), "", 3000); r.Distinct != 3000 {
		t.Errorf("%d of 3000 lines arrived", r.Distinct)
	}
}

func TestD20AShortContainerIdWorksInATemplate(t *testing.T) {
	sink := cloud(t)
	setup := toCloud(sink, "--container-id", "c1", "--tag", "{{.ID}}")
	setup.Unset = []string{"--awslogs-stream"}
	setup.Change = func(s *launcher.Spec) { s.ContainerID = "c1" }
	container := setup.Start(t)
	container.Shell("echo one")
	container.Remove()
	if diff := cmp.Diff([]string{"one"}, sink.Messages(harness.Group, "c1")); diff != "" {
		t.Errorf("events in stream c1 (-want +got):\n%s", diff)
	}
}

// waitFor polls until something outside this process has happened.
func waitFor(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited three minutes in vain for %s", what)
		}
	}
}
