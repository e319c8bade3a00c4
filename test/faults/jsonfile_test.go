package faults

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// startFile starts a logger that writes the given file.
func startFile(t *testing.T, path string, pairs ...string) *harness.Container {
	t.Helper()
	return start(t, nil, append([]string{"--log-driver", "json-file", "--log-path", path}, pairs...)...)
}

// checkFile compares every account of the lines of stdout with the entries of the file, which must all be whole.
func checkFile(t *testing.T, path string, lines *harness.Lines, end launcher.Result) harness.Reading {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var messages []string
	for line := range bytes.Lines(text) {
		var entry struct {
			Log string `json:"log"`
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Fatalf("%q is no entry of a json-file log: %v", line[:min(len(line), 200)], err)
		}
		messages = append(messages, strings.TrimSuffix(entry.Log, "\n"))
	}
	r := harness.Read(t, messages, lines.Prefix, lines.Written())
	r.CheckAccounted(t, lines.Written(), end)
	return r
}

func TestALogFileThatCannotBeOpenedHoldsUpNoStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "c.log")
	if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	container := startFile(t, path)
	if container.Ready != launcher.ReadyByte {
		t.Fatalf("fd 5 gave %q, want a byte", container.Ready)
	}
	lines := harness.Lines{Size: 100}
	write(t, container, &lines, 1000)
	waitFor(t, "a red status", 15*time.Second, func() bool { return red(t, container, path) })
	if err := os.Remove(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a green status", 15*time.Second, func() bool { return green(t, container) })
	container.CloseWriters()
	end := container.Wait(time.Minute)
	container.CheckEnd(end)
	if r := checkFile(t, path, &lines, end); r.Missing() != 0 {
		t.Errorf("the file misses %d lines", r.Missing())
	}
}

func TestAFullDiskTearsNoLineAndLosesNoneInBlockingMode(t *testing.T) {
	for _, mode := range []string{"blocking", "non-blocking"} {
		t.Run(mode, func(t *testing.T) {
			disk := smallDisk(t)
			path := filepath.Join(disk, "c.log")
			container := startFile(t, path, "--mode", mode, "--max-buffer-size", "256k")
			lines := harness.Lines{Size: 500}
			written := make(chan error, 1)
			go func() { written <- lines.Write(container.Stdout, 10_000) }()
			waitFor(t, "a red status", 15*time.Second, func() bool { return red(t, container, "no space left on device") })
			mount(t, "none", disk, syscall.MS_REMOUNT, "size=64m")
			if err := <-written; err != nil {
				t.Fatal(err)
			}
			container.CloseWriters()
			end := container.Wait(time.Minute)
			container.CheckEnd(end)
			r := checkFile(t, path, &lines, end)
			if lost := r.Missing() != 0; lost != (mode == "non-blocking") {
				t.Errorf("the file misses %d lines", r.Missing())
			}
			t.Logf("%d lines lost, %d markers", r.Missing(), len(r.Markers))
		})
	}
}

// smallDisk mounts a file system of 256 KiB that ends with the test.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not run: mounting a small disk needs root")
	}
	disk := harness.StateDir(t)
	if err := syscall.Mount("none", disk, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("not run: mounting a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return disk
}

func mount(t *testing.T, source, target string, flags uintptr, data string) {
	t.Helper()
	if err := syscall.Mount(source, target, "tmpfs", flags, data); err != nil {
		t.Fatal(err)
	}
}
