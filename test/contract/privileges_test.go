package contract

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// nobody is a user and group that own nothing.
const nobody = "65534"

// privileged starts a logger with supplementary groups, as a shim under a service manager may have them.
func privileged(t *testing.T, setup harness.Setup) *harness.Container {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not run: dropping privileges needs root")
	}
	setup.Change = func(s *launcher.Spec) { s.Groups = []uint32{4, 24, 27} }
	return setup.Start(t)
}

// threads gives the fields of every thread of the process: each has credentials of its own.
func threads(t *testing.T, pid string) (all []map[string]string) {
	t.Helper()
	files, err := filepath.Glob("/proc/" + pid + "/task/*/status")
	if err != nil || len(files) == 0 {
		t.Fatalf("list the threads of process %s: %d found, %v", pid, len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		fields := make(map[string]string)
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(line, ":")
			fields[key] = strings.Join(strings.Fields(value), " ")
		}
		all = append(all, fields)
	}
	return all
}

func TestPrivilegesAreDroppedWithTheSupplementaryGroups(t *testing.T) {
	sink := cloud(t)
	container := privileged(t, toCloud(sink, "--uid", nobody, "--gid", nobody))
	status, err := container.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, fields := range threads(t, status["Pid"]) {
		want := strings.Repeat(" "+nobody, 4)[1:]
		if fields["Uid"] != want || fields["Gid"] != want {
			t.Errorf("thread %s has Uid %s, Gid %s; want all %s", fields["Pid"], fields["Uid"], fields["Gid"], nobody)
		}
		// The group itself may stand among the supplementary ones.
		if groups := fields["Groups"]; groups != "" && groups != nobody {
			t.Errorf("thread %s keeps the groups %s", fields["Pid"], groups)
		}
		for _, set := range []string{"CapPrm", "CapEff"} {
			if strings.Trim(fields[set], "0") != "" {
				t.Errorf("thread %s keeps capabilities: %s %s", fields["Pid"], set, fields[set])
			}
		}
	}
	container.Shell("printf " + someLine)
	container.Remove()
	if diff := cmp.Diff([]string{someLine}, sink.Messages(harness.Group, harness.Stream)); diff != "" {
		t.Errorf("events in the stream (-want +got):\n%s", diff)
	}
	if programs.Foreign {
		return
	}
	// The state was opened before: its directory belongs to root and is closed to others.
	text, err := os.ReadFile(filepath.Join(container.State, "exits.jsonl"))
	if err != nil || launcher.LastExitLine(text, harness.ContainerID) == nil {
		t.Errorf("no exit line in the state directory after the drop (%v):\n%s", err, harness.Indent(string(text)))
	}
}

func TestWithoutUidPrivilegesStay(t *testing.T) {
	container := privileged(t, toFile(logFile(t, true)))
	status, err := container.Status()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(status["Uid"], "0") || !strings.Contains(status["Groups"], "24") {
		t.Errorf("Uid %s, Groups %s; want what it was started with", status["Uid"], status["Groups"])
	}
}

func TestJSONFileIsWrittenByTheDroppedUser(t *testing.T) {
	dir := filepath.Join(harness.StateDir(t), "logs")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "c.log")
	container := privileged(t, toFile(path, "--uid", nobody, "--gid", nobody, "--max-size", "1k", "--max-file", "3"))
	container.Shell("for i in $(seq 1 50); do echo line-$i-padding-padding-padding; done")
	container.Remove()
	if len(generations(t, path)) != 3 {
		t.Errorf("files %v, want 3", generations(t, path))
	}
	checkTail(t, generations(t, path), "line-%d-padding-padding-padding", 50)
}
