package real

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDetached checks a container that nobody waits for: its lines arrive while its pipes are still
// open, since containerd keeps them open after its exit, and the logger ends with the task's rm.
func TestDetached(t *testing.T) {
	r := newRig(t)
	o := r.awslogs("detached").with(options{"awslogs-force-flush-interval-seconds": "1"})
	r.detach(t, "detached", r.uri(o), "seq 1 100")
	until(t, "the task is stopped", func() bool { return strings.Contains(r.tasks(t), "STOPPED") })
	until(t, "100 lines arrived", func() bool {
		// The stream is made by the logger at some time after its start: not there is not yet.
		messages, err := r.cloud.Messages(group, stream)
		return err == nil && len(messages) == 100
	})
	if line := r.exitLine(t, "detached"); line != nil {
		t.Errorf("the logger ended before the task was removed: %s", line.Raw)
	}
	r.remove(t, "detached")
	wantDelivered(t, r.balance(t, "detached"), 100)
}

// TestExec checks that a further process in a container has a logger of its own, and that the end of
// one is not the end of the other.
func TestExec(t *testing.T) {
	r := newRig(t)
	gate := r.gate(t, "exec")
	r.detach(t, "exec", r.uri(r.awslogs("exec").with(options{"awslogs-stream": "main"})), "echo first; read word < /tmp/exec; echo $word")
	o := r.awslogs("extra").with(options{"awslogs-stream": "extra"})
	if _, err := r.Ctr("tasks", "exec", "--exec-id", "extra", "--log-uri", r.uri(o), "exec", "/bin/sh", "-c", "echo from exec"); err != nil {
		t.Fatalf("run a further process: %v", err)
	}
	wantLines(t, r, "extra", "extra", "from exec")
	gate("last")
	until(t, "the task is stopped", func() bool { return strings.Contains(r.tasks(t), "STOPPED") })
	r.remove(t, "exec")
	wantLines(t, r, "exec", "main", "first", "last")
}

// TestPausedDestination stops the destination, its connections open and silent, before a container
// writes 50 MB into a blocking buffer of 10, and lets it go on after ten seconds: nothing is lost. A
// request that was answered too late may have been sent again, and is counted then.
func TestPausedDestination(t *testing.T) {
	const (
		lines = 500_000
		width = 100
		pause = 10 * time.Second
	)
	r := newRig(t)
	gate := r.gate(t, "paused")
	// Opening the gate before it pauses the server proves that the logger has delivered already.
	o := r.awslogs("paused").with(options{"mode": "blocking", "awslogs-force-flush-interval-seconds": "1"})
	r.detach(t, "paused", r.uri(o), "echo first 0000001; read word < /tmp/paused; "+numbered("out", lines, width))
	until(t, "the first line arrived", func() bool {
		messages, err := r.cloud.Messages(group, stream)
		return err == nil && len(messages) == 1
	})
	if err := r.moto.Pause(); err != nil {
		t.Fatal(err)
	}
	gate("go")
	// The pause is the fault itself; nothing is awaited by it.
	<-time.After(pause)
	if !strings.Contains(r.tasks(t), "RUNNING") {
		t.Error("the container wrote 50 MB into a blocking buffer of 10 MiB without being held up")
	}
	if err := r.moto.Resume(); err != nil {
		t.Fatal(err)
	}
	until(t, "the task is stopped", func() bool { return strings.Contains(r.tasks(t), "STOPPED") })
	r.remove(t, "paused")

	line := r.balance(t, "paused")
	wantDelivered(t, line, lines+1)
	seen := mustFollow(t, r.cloud, stream)
	seen.want(t, "out", lines)
	if int64(seen.repeats) > line.PossibleDuplicates {
		t.Errorf("%d lines arrived more than once, the balance counts %d as possible", seen.repeats, line.PossibleDuplicates)
	}
}

// detach starts a container that runs a shell script in the background.
func (r *rig) detach(t *testing.T, id, logURI, script string) {
	t.Helper()
	if _, err := r.Ctr("run", "--detach", "--rootfs", "--log-uri", logURI, r.Rootfs, id, "/bin/sh", "-c", script); err != nil {
		t.Fatalf("start container %s: %v", id, err)
	}
}

// remove deletes a stopped container's task, which ends its logger and waits for it, and then it.
func (r *rig) remove(t *testing.T, id string) {
	t.Helper()
	for _, what := range []string{"tasks", "containers"} {
		if _, err := r.Ctr(what, "delete", id); err != nil {
			t.Fatalf("delete from the %s: %v", what, err)
		}
	}
}

// tasks is the list of tasks with their states.
func (r *rig) tasks(t *testing.T) string {
	t.Helper()
	out, err := r.Ctr("tasks", "list")
	if err != nil {
		t.Fatal(err)
	}
	return out.Stdout
}

// gate makes a named pipe /tmp/NAME in the containers' root directory. A script that reads it waits
// there until the returned function writes a word, which itself waits for the script.
func (r *rig) gate(t *testing.T, name string) func(word string) {
	t.Helper()
	path := filepath.Join(r.Rootfs, "tmp", name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatalf("make a named pipe for %s: %v", name, err)
	}
	return func(word string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(word+"\n"), 0); err != nil {
			t.Fatalf("open the gate of %s: %v", name, err)
		}
	}
}

// until asks until the answer is yes, and fails the test when that takes two minutes.
func until(t *testing.T, what string, ask func() bool) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	tooLong := time.After(2 * time.Minute)
	for !ask() {
		select {
		case <-ticker.C:
		case <-tooLong:
			t.Fatalf("after two minutes it is still not so that %s", what)
		}
	}
}
