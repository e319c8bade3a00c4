package faults

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// trouble is a destination that takes nothing, and what makes it take things again.
type trouble struct {
	name  string
	pairs []string
	begin func(*harness.Cloud)
	end   func(*testing.T, *harness.Cloud)
	says  string // what a message about it has to contain
}

func troubles() []trouble {
	heal := func(_ *testing.T, c *harness.Cloud) { c.Heal() }
	return []trouble{
		{name: "refused credentials", begin: func(c *harness.Cloud) {
			c.Refuse(400, "UnrecognizedClientException", "The security token included in the request is invalid.",
				"PutLogEvents", "CreateLogStream", "DescribeLogStreams", "DescribeLogGroups")
		}, end: heal, says: "UnrecognizedClientException"},
		{name: "a refused right", begin: func(c *harness.Cloud) { c.Fault(cloudwatch.FaultDenied) }, end: heal,
			says: "AccessDeniedException"},
		{name: "a missing group", pairs: []string{"--awslogs-group", "late-group"}, begin: func(*harness.Cloud) {},
			end: func(_ *testing.T, c *harness.Cloud) {
				c.MustCall("CreateLogGroup", map[string]any{"logGroupName": "late-group"}, nil)
			}, says: "late-group"},
		{name: "a missing stream that must not be made", pairs: []string{"--awslogs-create-stream", "false"},
			begin: func(*harness.Cloud) {}, end: func(_ *testing.T, c *harness.Cloud) { c.CreateStream(harness.Stream) },
			says: "log stream"},
		{name: "no credentials", pairs: []string{"--awslogs-credentials-endpoint", "http://127.0.0.1:1/credentials"},
			begin: func(*harness.Cloud) {}, says: "127.0.0.1:1"},
		{name: "an endpoint that nobody listens on", pairs: []string{"--awslogs-endpoint", "http://127.0.0.1:1"},
			begin: func(*harness.Cloud) {}, says: "127.0.0.1:1"},
	}
}

func TestADestinationInTroubleHoldsUpNoStartAndIsTold(t *testing.T) {
	harness.NeedLogFiles(t)
	for _, c := range troubles() {
		t.Run(c.name, func(t *testing.T) {
			sink := cloud(t)
			c.begin(sink)
			container := start(t, sink, append(c.pairs, "--cleanup-time", "1s")...)
			if container.Ready != launcher.ReadyByte {
				t.Fatalf("fd 5 gave %q, want a byte", container.Ready)
			}
			t.Logf("ready after %v", container.ReadyAfter)
			lines := harness.Lines{Size: 100}
			write(t, container, &lines, 100)
			waitFor(t, "a warning", 15*time.Second, func() bool { return strings.Contains(container.LogText(), c.says) })
			waitFor(t, "a red status", 15*time.Second, func() bool { return red(t, container, c.says) })
			checkWarnings(t, container, c.says)
			if c.end == nil {
				end := container.Remove()
				harness.Dropped(t, end, "shutdown")
				return
			}
			c.end(t, sink)
			group := harness.Group
			if len(c.pairs) > 0 && c.pairs[0] == "--awslogs-group" {
				group = c.pairs[1]
			}
			waitFor(t, "the lines", 15*time.Second, func() bool {
				account, _ := report(sink).Stream(group, harness.Stream)
				return account.Events == 100
			})
			waitFor(t, "a status that is not red", 15*time.Second, func() bool { return green(t, container) })
			end := container.Remove()
			harness.Dropped(t, end)
		})
	}
}

// checkWarnings waits and counts: one warning at once, and one a minute while it lasts.
func checkWarnings(t *testing.T, container *harness.Container, says string) {
	t.Helper()
	wait := harness.Pick(700*time.Millisecond, 3*time.Second, 130*time.Second)
	time.Sleep(wait)
	var warnings int
	for line := range strings.Lines(container.LogText()) {
		if strings.Contains(line, says) {
			warnings++
		}
	}
	// The first may come in two forms: as the start finds it and as the first delivery does.
	if least, most := 1+int(wait/time.Minute), 2+int(wait/time.Minute); warnings < least || warnings > most {
		t.Errorf("%d lines say %q in %v; want one at once and one a minute:\n%s", warnings, says, wait,
			harness.Indent(container.LogText()))
	}
}

// red asks whether the status is red, for programs and for people, with the cause.
func red(t *testing.T, container *harness.Container, says string) bool {
	t.Helper()
	s, text := harness.AskStatus(t, programs, container.State)
	return len(s.Processes) == 1 && !s.Processes[0].Health.Up && strings.Contains(s.Processes[0].Health.Error, says) &&
		strings.Contains(text, "RED") && strings.Contains(text, says)
}

// green asks whether the status is green again.
func green(t *testing.T, container *harness.Container) bool {
	t.Helper()
	s, text := harness.AskStatus(t, programs, container.State)
	return len(s.Processes) == 1 && s.Processes[0].Health.Up && strings.Contains(text, "GREEN")
}

func report(c *harness.Cloud) *cloudwatch.Report {
	r := c.Sandbox.Report()
	return &r
}

func TestADestinationInTroubleFailsTheStartWhereThatIsAskedFor(t *testing.T) {
	for _, c := range troubles() {
		t.Run(c.name, func(t *testing.T) {
			sink := cloud(t)
			c.begin(sink)
			container := start(t, sink, append(c.pairs, "--start-requires-destination", "")...)
			if container.Ready != launcher.ReadyEOF {
				t.Fatalf("fd 5 gave %q, want the end without a byte", container.Ready)
			}
			if end := container.Wait(launcher.KillDelay); end.ExitCode != 1 {
				t.Errorf("ended with status %d, want 1", end.ExitCode)
			}
			if text := container.StderrText(); !strings.Contains(text, c.says) {
				t.Errorf("stderr does not say %q:\n%s", c.says, harness.Indent(text))
			}
		})
	}
}

func TestAnEndpointThatNeverAcceptsHoldsUpNoStart(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	address := "http://" + listener.Addr().String()
	container := start(t, cloud(t), "--awslogs-endpoint", address, "--awslogs-credentials-endpoint", address+"/credentials",
		"--cleanup-time", "1s")
	if container.Ready != launcher.ReadyByte {
		t.Fatalf("fd 5 gave %q, want a byte", container.Ready)
	}
	container.Shell("echo one")
	harness.Dropped(t, container.Remove(), "shutdown")
}

func TestThrottledCreateLogStreamFailsNoContainer(t *testing.T) {
	for _, flags := range [][]string{nil, {"--start-requires-destination", ""}} {
		sink := cloud(t)
		times := harness.Pick(3, 5, 50)
		sink.Sandbox.Script(func(action string, n int) *cloudwatch.Answer {
			if action != "CreateLogStream" || n > times {
				return nil
			}
			return &cloudwatch.Answer{Status: 400, Type: "ThrottlingException", Message: "Rate exceeded"}
		})
		container := startWith(t, sink, func(s *launcher.Spec) { s.ReadyTimeout = 5 * time.Minute }, flags...)
		if container.Ready != launcher.ReadyByte {
			t.Fatalf("%v: fd 5 gave %q, want a byte", flags, container.Ready)
		}
		lines := harness.Lines{Size: 100}
		write(t, container, &lines, 1000)
		waitFor(t, "the lines", 5*time.Minute, func() bool { return arrived(sink) == 1000 })
		checkComplete(t, sink, &lines, container.Remove())
	}
}

func TestWhatIsDeletedInMidRunIsMadeAgain(t *testing.T) {
	for _, what := range []string{"DeleteLogGroup", "DeleteLogStream"} {
		t.Run(what, func(t *testing.T) {
			sink := cloud(t)
			container := start(t, sink, "--awslogs-create-group", "true", "--awslogs-force-flush-interval-seconds", "1")
			lines := harness.Lines{Size: 100}
			write(t, container, &lines, 500)
			waitFor(t, "the first half", 15*time.Second, func() bool { return arrived(sink) == 500 })
			in := map[string]any{"logGroupName": harness.Group}
			if what == "DeleteLogStream" {
				in["logStreamName"] = harness.Stream
			}
			sink.MustCall(what, in, nil)
			write(t, container, &lines, 500)
			end := container.Remove()
			messages := sink.Messages(harness.Group, harness.Stream)
			r := harness.Read(t, messages, "", 1000)
			r.CheckOrder(t, end)
			if r.Distinct != 500 || len(r.Gaps) != 1 || r.Gaps[0] != (harness.Run{First: 1, Last: 500}) {
				t.Errorf("the new stream has %d lines and lacks %v; want the second half", r.Distinct, r.Gaps)
			}
			harness.Dropped(t, end)
			if end.Exit != nil && end.Exit.Delivered != 1000 {
				t.Errorf("%d delivered, want 1000", end.Exit.Delivered)
			}
		})
	}
}
