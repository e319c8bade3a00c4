package faults

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// TestACredentialProcessThatHangsIsEndedWithTheLogger puts a program that never answers in the place of spillway, which
// the logger runs for credentials of a file.
func TestACredentialProcessThatHangsIsEndedWithTheLogger(t *testing.T) {
	dir := harness.StateDir(t)
	shim, note := filepath.Join(dir, filepath.Base(programs.Shim)), filepath.Join(dir, "pid")
	copyProgram(t, programs.Shim, shim)
	script := fmt.Sprintf("#!/bin/sh\necho $$ >%s.new; mv %s.new %s\nexec sleep 1000\n", note, note, note)
	if err := os.WriteFile(filepath.Join(dir, "spillway"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	other := *programs
	other.Shim = shim
	container := harness.Setup{
		Programs: &other, Cloud: cloud(t), NoCredentials: true, Set: map[string]string{"--cleanup-time": "1s"},
		Node: harness.QuietNode + "  credentials-file: /nonexistent/credentials\n",
	}.Start(t)
	if container.Ready != launcher.ReadyByte {
		t.Fatalf("fd 5 gave %q, want a byte", container.Ready)
	}
	container.Shell("echo one")
	waitFor(t, "the credential process", 15*time.Second, func() bool { _, err := os.Stat(note); return err == nil })
	text, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !gone(pid) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
	})
	checkNoPipes(t, pid, container)
	harness.Dropped(t, container.Remove(), "shutdown")
	waitFor(t, "the end of the credential process", 5*time.Second, func() bool { return gone(pid) })
}

// checkNoPipes fails the test if the process holds a pipe of the container: it would keep it from ending.
func checkNoPipes(t *testing.T, pid int, container *harness.Container) {
	t.Helper()
	own := make(map[string]bool)
	for _, f := range []*os.File{container.Stdout, container.Logger.Stderr} {
		link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		own[link] = true
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(fds) == 0 {
		t.Fatalf("list the descriptors of process %d: %d found, %v", pid, len(fds), err)
	}
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && own[link] {
			t.Errorf("the credential process holds %s as %s", link, filepath.Base(fd))
		}
	}
}

// gone says whether the process has ended; a zombie that waits for its parent has.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
