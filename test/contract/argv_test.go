package contract

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

func TestKeysAndValuesComeInAnyOrder(t *testing.T) {
	for seed := range uint64(12) {
		path := logFile(t, true)
		setup := toFile(path, "--mode", "blocking", "--max-buffer-size", "1m", "--max-size", "1m", "--max-file", "2",
			"--compress", "false", "--cleanup-time", "2s", "--verbose", "false")
		setup.Change = func(s *launcher.Spec) { s.Seed = seed }
		container := setup.Start(t)
		container.Shell("echo one")
		container.Remove()
		if n := len(entries(t, path)); n != 1 {
			t.Errorf("seed %d: %d entries, want 1", seed, n)
		}
	}
}

// argvCases show by whether a missing group is made how --awslogs-create-group was understood.
var argvCases = []struct {
	name    string
	set     []string // pairs of the query
	literal []string // words behind them
	created bool
}{
	{name: "a boolean without a value is true", set: []string{"--awslogs-create-group", ""}, created: true},
	{name: "a boolean with the value true", set: []string{"--awslogs-create-group", "true"}, created: true},
	{name: "a boolean with the value false is false", set: []string{"--awslogs-create-group", "false"}},
	{name: "a boolean with the value 1", set: []string{"--awslogs-create-group", "1"}, created: true},
	{name: "a boolean with the value False is false", set: []string{"--awslogs-create-group", "False"}},
	{name: "an equals sign inside the key, with an empty value", set: []string{"--awslogs-create-group=true", ""}, created: true},
	{name: "an equals sign and false inside the key, with an empty value", set: []string{"--awslogs-create-group=false", ""}},
	{name: "an equals sign in one word", literal: []string{"--awslogs-create-group=true"}, created: true},
	{name: "a bare boolean before another flag", literal: []string{"--awslogs-create-group", "--mode", "blocking"}, created: true},
	{name: "a bare boolean at the end", literal: []string{"--mode=blocking", "--awslogs-create-group"}, created: true},
	{name: "false as a word of its own at the end", literal: []string{"--mode=blocking", "--awslogs-create-group", "false"}},
	{name: "absent values of other flags change nothing", created: true,
		set: []string{"--awslogs-create-group", "true", "--mode", "", "--max-buffer-size", "", "--awslogs-multiline-pattern", "",
			"--awslogs-datetime-format", "", "--awslogs-format", "", "--uid", "", "--gid", "", "--cleanup-time", "", "--tag", ""}},
	{name: "an empty argument never lets its key take the next word", created: true,
		literal: []string{"--awslogs-multiline-pattern", "", "--awslogs-create-group", "", "--mode", ""}},
}

func TestEveryFormOfAnArgumentIsUnderstood(t *testing.T) {
	ours(t)
	for _, c := range argvCases {
		t.Run(c.name, func(t *testing.T) {
			sink := cloud(t)
			setup := toCloud(sink, append(c.set, "--awslogs-group", otherGroup, "--start-requires-destination", "")...)
			setup.Change = func(s *launcher.Spec) { s.Literal = c.literal }
			container := setup.Start(t)
			want := launcher.ReadyEOF
			if c.created {
				want = launcher.ReadyByte
			}
			if container.Ready != want {
				t.Fatalf("fd 5 gave %q, want %q", container.Ready, want)
			}
			if !c.created {
				if end := container.Wait(launcher.KillDelay); end.ExitCode != 1 {
					t.Errorf("ended with status %d, want 1", end.ExitCode)
				}
				return
			}
			container.Shell("printf " + someLine)
			container.Remove()
			if diff := cmp.Diff([]string{someLine}, sink.Messages(otherGroup, harness.Stream)); diff != "" {
				t.Errorf("events in the stream (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAValueMayBeginWithDashes(t *testing.T) {
	sink := cloud(t)
	container := toCloud(sink, "--awslogs-multiline-pattern", "---").Start(t)
	container.Shell(`printf '%s\n' '--- one' more '--- two'`)
	container.Remove()
	if diff := cmp.Diff([]string{"--- one\nmore\n", "--- two\n"}, sink.Messages(harness.Group, harness.Stream)); diff != "" {
		t.Errorf("events in the stream (-want +got):\n%s", diff)
	}
}

func TestTheContainersOptionBeatsTheNodesAndTheNodesBeatsTheBuiltIn(t *testing.T) {
	ours(t)
	for name, c := range map[string]struct {
		set     []string
		created bool
	}{
		"the node's default holds":     {created: true},
		"the container's own beats it": {set: []string{"--awslogs-create-group", "false"}},
	} {
		t.Run(name, func(t *testing.T) {
			sink := cloud(t)
			setup := toCloud(sink, append(c.set, "--awslogs-group", otherGroup, "--start-requires-destination", "")...)
			setup.Node = "defaults:\n  awslogs-create-group: true\n" + harness.QuietNode
			if got := setup.Start(t).Ready == launcher.ReadyByte; got != c.created {
				t.Errorf("the group was made: %v, want %v", got, c.created)
			}
		})
	}
}

func TestDockersAwslogsOptionsAreTaken(t *testing.T) {
	ours(t)
	sink := cloud(t)
	setup := toCloud(sink, "--awslogs-force-flush-interval-seconds", "1", "--awslogs-max-buffered-events", "100",
		"--tag", "{{.Name}}-{{.ID}}")
	setup.Unset = []string{"--awslogs-stream"}
	container := setup.Start(t)
	container.Shell("printf " + someLine)
	container.Remove()
	stream := harness.ContainerName + "-" + harness.ContainerID[:12]
	if diff := cmp.Diff([]string{someLine}, sink.Messages(harness.Group, stream)); diff != "" {
		t.Errorf("events in stream %s (-want +got):\n%s", stream, diff)
	}
}

func TestTheBufferOptionsAreTaken(t *testing.T) {
	ours(t)
	path := logFile(t, true)
	container := toFile(path, "--mode", "blocking", "--max-buffer-size", "1m", "--drop", "oldest", "--max-block", "2s",
		"--loss-markers", "off").Start(t)
	container.Shell("echo one")
	container.Remove()
	if n := len(entries(t, path)); n != 1 {
		t.Errorf("%d entries, want 1", n)
	}
}

func TestTheExitLineIsKeptInTheStateDirectory(t *testing.T) {
	ours(t)
	container := toFile(logFile(t, true)).Start(t)
	container.Shell("seq 1 10; echo e >&2")
	container.Remove()
	text, err := os.ReadFile(filepath.Join(container.State, "exits.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	e := launcher.LastExitLine(text, harness.ContainerID)
	if e == nil || e.Received != 11 || e.Delivered != 11 || e.Stream("stdout").Received != 10 || e.Stream("stderr").Received != 1 {
		t.Errorf("exits.jsonl holds:\n%s\nwant a line of container %s with 10 lines of stdout and 1 of stderr",
			harness.Indent(string(text)), harness.ContainerID)
	}
}
