package contract

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// badInput is one wrong start. The error has to contain every one of says: the name of what is wrong and what would be
// right, so that a reader knows what to do.
type badInput struct {
	name  string
	set   []string
	unset []string
	words []string // behind the pairs
	node  string   // the node file
	file  bool     // for the driver json-file, else for awslogs
	says  []string
}

var badInputs = []badInput{
	{name: "a flag that does not exist", set: []string{"--awslogs-grup", "g"}, says: []string{"awslogs-grup", "awslogs-group"}},
	{name: "a flag that does not exist, with an equals sign", set: []string{"--awslogs-grup=g", ""}, says: []string{"awslogs-grup", "awslogs-group"}},
	{name: "a word that is no flag", words: []string{"stray"}, says: []string{"stray"}},
	{name: "no driver", unset: []string{"--log-driver"}, says: []string{"log-driver", "awslogs", "json-file"}},
	{name: "a driver that does not exist", set: []string{"--log-driver", "syslog"}, says: []string{"syslog", "awslogs", "json-file"}},
	{name: "splunk comes later", set: []string{"--log-driver", "splunk"}, says: []string{"splunk", "awslogs", "json-file"}},
	{name: "a mode that does not exist", set: []string{"--mode", "sometimes"}, says: []string{"mode", "sometimes", "blocking", "non-blocking"}},
	{name: "a size that is none", set: []string{"--max-buffer-size", "ten"}, says: []string{"max-buffer-size", "ten"}},
	{name: "a negative size", set: []string{"--max-buffer-size", "-5m"}, says: []string{"max-buffer-size", "-5m"}},
	{name: "a boolean that is none", set: []string{"--awslogs-create-group", "maybe"}, says: []string{"awslogs-create-group", "maybe", "true", "false"}},
	{name: "a drop policy that does not exist", set: []string{"--drop", "middle"}, says: []string{"drop", "middle", "newest", "oldest"}},
	{name: "a duration that is none", set: []string{"--cleanup-time", "soon"}, says: []string{"cleanup-time", "soon"}},
	{name: "more cleanup time than containerd gives", set: []string{"--cleanup-time", "13s"}, says: []string{"cleanup-time", "13s", "12s"}},
	{name: "a negative max-block", set: []string{"--max-block", "-1s"}, says: []string{"max-block", "-1s"}},
	{name: "a value for loss-markers that does not exist", set: []string{"--loss-markers", "maybe"}, says: []string{"loss-markers", "maybe", "on", "off"}},
	{name: "both multiline options", set: []string{"--awslogs-multiline-pattern", "^A", "--awslogs-datetime-format", "%Y"},
		says: []string{"awslogs-multiline-pattern", "awslogs-datetime-format"}},
	{name: "a multiline pattern that does not compile", set: []string{"--awslogs-multiline-pattern", "["}, says: []string{"awslogs-multiline-pattern", "["}},
	{name: "a format that does not exist", set: []string{"--awslogs-format", "xml"}, says: []string{"awslogs-format", "xml", "json/emf"}},
	{name: "a format with a multiline option", set: []string{"--awslogs-format", "json/emf", "--awslogs-multiline-pattern", "^A"},
		says: []string{"awslogs-format", "awslogs-multiline-pattern"}},
	{name: "no region", unset: []string{"--awslogs-region"}, says: []string{"awslogs-region"}},
	{name: "an empty region", set: []string{"--awslogs-region", ""}, says: []string{"awslogs-region"}},
	{name: "no group", unset: []string{"--awslogs-group"}, says: []string{"awslogs-group"}},
	{name: "a flush interval of none", set: []string{"--awslogs-force-flush-interval-seconds", "0"}, says: []string{"awslogs-force-flush-interval-seconds"}},
	{name: "a number that is none", set: []string{"--awslogs-max-buffered-events", "many"}, says: []string{"awslogs-max-buffered-events", "many"}},
	{name: "a tag template that does not parse", set: []string{"--tag", "{{.Nope"}, says: []string{"tag", "{{.Nope"}},
	{name: "an endpoint that is no address", set: []string{"--awslogs-endpoint", "::not a url::"}, says: []string{"awslogs-endpoint", "::not a url::"}},
	{name: "the user root", set: []string{"--uid", "0"}, says: []string{"uid"}},
	{name: "a user that is no number", set: []string{"--uid", "nobody"}, says: []string{"uid", "nobody"}},
	{name: "json-file without a path", file: true, unset: []string{"--log-path"}, says: []string{"log-path"}},
	{name: "json-file with no files", file: true, set: []string{"--max-size", "1k", "--max-file", "0"}, says: []string{"max-file"}},
	{name: "json-file with a size that is none", file: true, set: []string{"--max-size", "big"}, says: []string{"max-size", "big"}},
	{name: "json-file that compresses and does not rotate", file: true, set: []string{"--compress", "true"}, says: []string{"compress", "max-size", "max-file"}},
	{name: "an option of the other driver", file: true, set: []string{"--awslogs-group", "g"}, says: []string{"awslogs-group", "json-file"}},
	{name: "a node file that does not exist", set: []string{"--config", "/nonexistent/node.yaml"}, says: []string{"/nonexistent/node.yaml"}},
	{name: "a node file that is no YAML", node: "defaults: [\n", says: []string{"node.yaml:"}},
	{name: "an unknown key in the node file", node: "defaults:\n  max-bufer-size: 1m\n", says: []string{"node.yaml:2:3", "max-bufer-size", "max-buffer-size"}},
	{name: "a bad value in the node file", node: "defaults:\n  mode: sometimes\n", says: []string{"node.yaml:2:", "sometimes", "non-blocking"}},
	{name: "an unknown section in the node file", node: "defalts:\n  mode: blocking\n", says: []string{"node.yaml:1:1", "defalts", "defaults"}},
}

func TestBadInputEndsWithStatus2AndOneClearError(t *testing.T) {
	ours(t)
	sink := cloud(t)
	for _, c := range badInputs {
		t.Run(c.name, func(t *testing.T) {
			setup := toCloud(sink, c.set...)
			if c.file {
				setup = toFile(logFile(t, true), c.set...)
			}
			setup.Unset, setup.Node = c.unset, c.node
			setup.Change = func(s *launcher.Spec) { s.Literal = c.words }
			container := setup.Start(t)
			if container.Ready != launcher.ReadyEOF {
				t.Errorf("fd 5 gave %q, want the end without a byte", container.Ready)
			}
			if end := container.Wait(launcher.KillDelay); end.ExitCode != 2 {
				t.Errorf("ended with status %d, want 2", end.ExitCode)
			}
			checkOneError(t, container.StderrText(), c.says)
		})
	}
	if calls := sink.Calls(); len(calls) != 0 {
		t.Errorf("wrong starts made %d calls to the destination", len(calls))
	}
}

// checkOneError fails the test unless the text is one line that contains all of says.
func checkOneError(t *testing.T, text string, says []string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 1 || lines[0] == "" {
		t.Errorf("stderr has %d lines, want one error:\n%s", len(lines), harness.Indent(text))
	}
	for _, word := range says {
		if !strings.Contains(text, word) {
			t.Errorf("the error does not say %q:\n%s", word, harness.Indent(text))
		}
	}
	t.Logf("says: %s", strings.TrimSpace(text))
}

func TestANodeFileThatCannotBeReadEndsTheStart(t *testing.T) {
	ours(t)
	dir := t.TempDir() // a folder is unreadable as a file, for root too
	container := toCloud(cloud(t), "--config", dir).Start(t)
	if end := container.Wait(launcher.KillDelay); end.ExitCode != 2 || container.Ready != launcher.ReadyEOF {
		t.Errorf("fd 5 gave %q, status %d; want the end and 2", container.Ready, end.ExitCode)
	}
	checkOneError(t, container.StderrText(), []string{dir})
}

func TestAStateDirectoryThatCannotBeMadeIsNamed(t *testing.T) {
	ours(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	container := toCloud(cloud(t), "--state-dir", filepath.Join(file, "state")).Start(t)
	// Whether it goes on without a state is its own decision; that it says so is not.
	container.Delete(0)
	if !strings.Contains(container.StderrText(), file) {
		t.Errorf("stderr does not name %s:\n%s", file, harness.Indent(container.StderrText()))
	}
}

func TestHelpShowsEveryFlagAndTheExitCodes(t *testing.T) {
	ours(t)
	cmd := shell(`exec "$0" --help </dev/null`)
	cmd.Args = append(cmd.Args, programs.Shim)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("--help ended with %v", err)
	}
	for _, word := range []string{"log-driver", "container-id", "container-name", "mode", "max-buffer-size", "uid", "gid",
		"cleanup-time", "verbose", "awslogs-group", "awslogs-region", "awslogs-stream", "awslogs-create-group",
		"awslogs-create-stream", "awslogs-credentials-endpoint", "awslogs-multiline-pattern", "awslogs-datetime-format",
		"awslogs-endpoint", "awslogs-format", "log-path", "max-size", "max-file", "compress", "json-file-labels",
		"json-file-labels-regex", "json-file-env", "json-file-env-regex", "json-file-tag", "config", "state-dir",
		"start-requires-destination", "drop", "max-block", "loss-markers", "binary://", "xit"} {
		if !strings.Contains(string(out), word) {
			t.Errorf("--help does not mention %q", word)
		}
	}
}

func TestALoggerStartedByHandSaysWhatItIsFor(t *testing.T) {
	ours(t)
	cmd := shell(`exec 3<&- 4<&- 5<&-; exec "$0" --log-driver json-file --log-path "$1" </dev/null`)
	cmd.Args = append(cmd.Args, programs.Shim, filepath.Join(t.TempDir(), "x.log"))
	cmd.Env = []string{"SPILLWAY_STATE_DIR=" + harness.StateDir(t)}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "containerd") || strings.Contains(string(out), "goroutine ") {
		t.Errorf("without the pipes of containerd: %v, and says:\n%s\nwant status 2 and the word containerd",
			err, harness.Indent(string(out)))
	}
}
