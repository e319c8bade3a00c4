package harness

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/test/launcher"
)

// ForeignKey and ForeignSecret are the credentials that a foreign logger finds in its environment.
const (
	ForeignKey    = "AKIDOFTHEENVIRONMENT"
	ForeignSecret = "secretoftheenvironment"
)

// QuietNode is a node file that keeps the instance metadata service out of a test.
const QuietNode = "aws:\n  imds: false\n"

// ContainerID and ContainerName are what the tests call their container.
const (
	ContainerID   = "210987654321"
	ContainerName = "test-container-name"
)

// Setup is one container's logger. The zero value of every field but Programs is usable.
type Setup struct {
	Programs *Programs
	// Cloud, if not nil, gives the destination, and credentials unless NoCredentials is set.
	Cloud         *Cloud
	NoCredentials bool
	// Set are further arguments; a key given here replaces one of the same name. Unset are keys to leave out.
	Set   map[string]string
	Unset []string
	// Node is the text of the node file; empty means QuietNode.
	Node string
	// State is the state directory of an earlier container; empty means one of its own.
	State string
	// Change alters the start itself.
	Change func(*launcher.Spec)
}

// Container is a running logger with its state directory.
type Container struct {
	*launcher.Logger
	State string
	t     testing.TB
	setup Setup
}

// Start starts the logger and fails the test if it does not become ready in one of the two ways. Whatever the test
// does, the logger is gone and its directory removed at the test's end.
func (s Setup) Start(t testing.TB) *Container {
	t.Helper()
	spec := s.Spec(t)
	if s.Change != nil {
		s.Change(&spec)
	}
	l, err := launcher.Start(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	c := &Container{Logger: l, State: spec.StateDir, t: t, setup: s}
	t.Cleanup(func() {
		l.Kill()
		if strings.Contains(l.StderrText(), "goroutine ") {
			t.Error("the logger crashed")
		}
		if t.Failed() {
			t.Logf("what the logger said, process %d:\n%s", l.Pid(), Indent(c.LogText()))
		}
		l.Close()
	})
	return c
}

// Spec gives the start of the logger without starting it.
func (s Setup) Spec(t testing.TB) launcher.Spec {
	t.Helper()
	state := s.State
	if state == "" {
		state = StateDir(t)
	}
	args := map[string]string{"--container-id": ContainerID, "--container-name": ContainerName}
	var env []string
	if !s.Programs.Foreign {
		args["--state-dir"] = state
		args["--config"] = filepath.Join(state, "node.yaml")
		node := s.Node
		if node == "" {
			node = QuietNode
		}
		if err := os.WriteFile(args["--config"], []byte(node), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if s.Cloud != nil {
		for _, a := range s.Cloud.Args() {
			args[a.Key] = a.Value
		}
		switch {
		case s.NoCredentials:
		case s.Programs.Foreign:
			env = []string{"AWS_ACCESS_KEY_ID=" + ForeignKey, "AWS_SECRET_ACCESS_KEY=" + ForeignSecret}
		default:
			args["--awslogs-credentials-endpoint"] = s.Cloud.URL() + "/credentials"
		}
	}
	maps.Copy(args, s.Set)
	for _, key := range s.Unset {
		delete(args, key)
	}
	spec := launcher.Spec{
		Binary: s.Programs.Shim, ContainerID: ContainerID, ExtraEnv: env, CaptureStderr: true, StateDir: state,
		Dir: state, Seed: uint64(time.Now().UnixNano()),
	}
	// A sorted list, so that the seed alone decides the order.
	for _, key := range slices.Sorted(maps.Keys(args)) {
		spec.Args = append(spec.Args, launcher.Arg{Key: key, Value: args[key]})
	}
	return spec
}

// StateDir makes a state directory that ends with the test. Its path is short, because sockets in it may have at most
// 107 bytes in theirs.
func StateDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "spw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// LogText is what the logger has said so far to people: its stderr and the log files of its state directory.
func (c *Container) LogText() string {
	c.t.Helper()
	files, err := filepath.Glob(filepath.Join(c.State, "log", "*"))
	if err != nil {
		c.t.Fatal(err)
	}
	text := c.StderrText()
	for _, file := range files {
		more, err := os.ReadFile(file)
		if err != nil {
			c.t.Fatal(err)
		}
		text += string(more)
	}
	return text
}

// NeedLogFiles skips the test where the logger would write to the machine's journal instead of files.
func NeedLogFiles(t testing.TB) {
	t.Helper()
	const socket = "/run/systemd/journal/socket"
	if _, err := os.Stat(socket); err == nil {
		t.Skipf("not run: %s exists, so the logger's own log is in the journal", socket)
	}
}

// Shell runs a shell script as the container's process and fails the test unless it ends with status 0.
func (c *Container) Shell(script string) {
	c.t.Helper()
	if err := c.Run(exec.Command("/bin/sh", "-c", script)); err != nil {
		c.t.Fatalf("the container's process: %v", err)
	}
}

// Remove deletes the container at zero gap, as containerd does, and fails the test unless the logger ended by itself
// with status 0 and, if it is ours, with a balance in order.
func (c *Container) Remove() launcher.Result {
	c.t.Helper()
	r := c.Delete(0)
	c.CheckEnd(r)
	return r
}

// CheckEnd fails the test unless the logger ended by itself with status 0 and, if it is ours, with a balance in order,
// in which nothing is pending where there is no disk to leave it on.
func (c *Container) CheckEnd(r launcher.Result) {
	c.t.Helper()
	if r.Killed || r.ExitCode != 0 {
		c.t.Errorf("the logger ended with status %d (signal %d, killed %v) after %v; want 0 by itself",
			r.ExitCode, int(r.Signal), r.Killed, r.Duration)
	}
	switch {
	case c.setup.Programs.Foreign:
	case c.setup.Set["--mode"] == "spill":
		CheckBalanceWithDisk(c.t, r)
	default:
		CheckBalance(c.t, r)
	}
}
