package contract

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

const (
	otherGroup     = "non-existent-group"
	otherStream    = "non-existent-stream"
	someLine       = "test-e2e-log-4f6cbd5e"
	fileKey        = "AKIDOFTHEFILE"
	fileSecret     = "secretofthefile"
	datetimeFormat = `\[%b %d, %Y %H:%M:%S\]`
)

// awslogsCase is one container that prints log with printf, without a line end of its own.
type awslogsCase struct {
	name          string
	group, stream string
	exists        bool // the stream, beforehand
	set           []string
	log           string
	want          []string // events in the stream at the end; nil: no such stream
	fails         bool     // the start fails, and with it the container's first write
}

// Each multiline event ends with a line end, as Docker's driver re-appends it; the last one too, which the original
// suite does not check because the original loggers lose it.
var awslogsCases = []awslogsCase{
	{name: "an existing group and a new stream at the defaults",
		group: harness.Group, stream: otherStream, log: someLine, want: []string{someLine}},
	{name: "a multiline pattern starts a new event",
		group: harness.Group, stream: otherStream, set: []string{"--awslogs-multiline-pattern", "^TEST"},
		log: "TEST one\nmore\nTEST two\nTEST", want: []string{"TEST one\nmore\n", "TEST two\n", "TEST\n"}},
	{name: "a datetime format starts a new event",
		group: harness.Group, stream: otherStream, set: []string{"--awslogs-datetime-format", datetimeFormat},
		log: "[May 01, 2017 19:00:01] one\nmore\n[May 01, 2017 19:00:04] two\n[May 01, 2017 19:00:05]",
		want: []string{"[May 01, 2017 19:00:01] one\nmore\n", "[May 01, 2017 19:00:04] two\n",
			"[May 01, 2017 19:00:05]\n"}},
	{name: "create-group false and create-stream true with an existing group and a new stream",
		group: harness.Group, stream: otherStream, log: someLine, want: []string{someLine},
		set: []string{"--awslogs-create-group", "false", "--awslogs-create-stream", "true"}},
	{name: "create-group false with a missing group fails",
		group: otherGroup, stream: otherStream, log: someLine, fails: true,
		set: []string{"--awslogs-create-group", "false"}},
	{name: "create-group false and create-stream false with a missing stream starts and delivers nothing",
		group: harness.Group, stream: otherStream, log: someLine,
		set: []string{"--awslogs-create-group", "false", "--awslogs-create-stream", "false", "--cleanup-time", "1s"}},
	{name: "create-group true and create-stream true with a missing group and stream",
		group: otherGroup, stream: otherStream, log: someLine, want: []string{someLine},
		set: []string{"--awslogs-create-group", "true", "--awslogs-create-stream", "true"}},
	{name: "create-group false and create-stream false with an existing group and stream",
		group: harness.Group, stream: harness.Stream, exists: true, log: someLine, want: []string{someLine},
		set: []string{"--awslogs-create-group", "false", "--awslogs-create-stream", "false"}},
}

func TestAwslogs(t *testing.T) {
	for _, c := range awslogsCases {
		t.Run(c.name, func(t *testing.T) {
			sink := cloud(t)
			if c.exists {
				sink.CreateStream(c.stream)
			}
			setup := toCloud(sink, append(c.set, "--awslogs-group", c.group, "--awslogs-stream", c.stream)...)
			if c.fails {
				checkFailedStart(t, setup)
				return
			}
			container := setup.Start(t)
			container.Shell("printf '%s' '" + c.log + "'")
			container.Remove()
			if diff := cmp.Diff(c.want, sink.Messages(c.group, c.stream)); diff != "" {
				t.Errorf("events in the stream (-want +got):\n%s", diff)
			}
		})
	}
}

// checkFailedStart fails the test unless the logger ends before it is ready and the container's process fails.
func checkFailedStart(t *testing.T, setup harness.Setup) {
	t.Helper()
	if !programs.Foreign {
		setup.Set["--start-requires-destination"] = ""
	}
	container := setup.Start(t)
	if container.Ready != launcher.ReadyEOF {
		t.Fatalf("fd 5 gave %q, want the end without a byte", container.Ready)
	}
	end := container.Wait(launcher.KillDelay)
	if end.ExitCode != 1 || end.Killed {
		t.Errorf("ended with status %d, killed %v; want 1", end.ExitCode, end.Killed)
	}
	if err := container.Run(shell("sleep 0.1; printf " + someLine)); err == nil {
		t.Error("the container's process ended well without a logger")
	}
	if !programs.Foreign && !strings.Contains(container.StderrText(), otherGroup) {
		t.Errorf("stderr does not name the group:\n%s", harness.Indent(container.StderrText()))
	}
}

func TestAwslogsFormatSetsTheHeaderOnEveryCall(t *testing.T) {
	sink := cloud(t)
	container := toCloud(sink, "--awslogs-format", "json/emf").Start(t)
	container.Shell("printf " + someLine)
	container.Remove()
	if sink.Count("PutLogEvents") == 0 {
		t.Error("no PutLogEvents")
	}
	for _, call := range sink.Calls() {
		if got := call.Header.Get("X-Amzn-Logs-Format"); call.Action != "" && got != "json/emf" {
			t.Errorf("%s with x-amzn-logs-format %q, want json/emf", call.Action, got)
		}
	}
}

func TestAwslogsWithoutACredentialsEndpointUsesTheCredentialsFile(t *testing.T) {
	sink := cloud(t)
	setup := toCloud(sink)
	setup.NoCredentials = true
	file := filepath.Join(t.TempDir(), "credentials")
	text := "[default]\naws_access_key_id = " + fileKey + "\naws_secret_access_key = " + fileSecret + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	setup.Node = harness.QuietNode + "  credentials-file: " + file + "\n"
	if programs.Foreign {
		setup.Change = func(s *launcher.Spec) { s.ExtraEnv = append(s.ExtraEnv, "AWS_SHARED_CREDENTIALS_FILE="+file) }
	}
	container := setup.Start(t)
	container.Shell("printf " + someLine)
	container.Remove()
	if diff := cmp.Diff([]string{someLine}, sink.Messages(harness.Group, harness.Stream)); diff != "" {
		t.Errorf("events in the stream (-want +got):\n%s", diff)
	}
	for _, call := range sink.Calls() {
		if !strings.Contains(call.Header.Get("Authorization"), "Credential="+fileKey+"/") {
			t.Errorf("%s%s with Authorization %q, want the key of the file", call.Path, call.Action,
				call.Header.Get("Authorization"))
		}
	}
}

func TestAwslogsEventsCarryTheTimeAtWhichTheyWereWritten(t *testing.T) {
	sink := cloud(t)
	container := toCloud(sink).Start(t)
	before := time.Now().UnixMilli()
	container.Shell("echo one; echo two")
	container.Remove()
	// The logger reads a little after the write, so the upper bound is its own end.
	after := time.Now().UnixMilli()
	events := sink.Events(harness.Group, harness.Stream)
	if len(events) != 2 {
		t.Fatalf("%d events, want 2", len(events))
	}
	for _, e := range events {
		if e.Timestamp < before || e.Timestamp > after {
			t.Errorf("event %q at %d, written between %d and %d", e.Message, e.Timestamp, before, after)
		}
	}
}
