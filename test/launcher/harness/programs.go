// Package harness is what the contract tests and the fault tests share: the programs under test, a CloudWatch Logs
// endpoint on loopback with faults that a test switches, numbered lines and what may have become of them, and the checks
// of a balance. It drives programs from outside only: nothing here looks into the packages of the logger.
//
// It refuses to be used outside tests: it fails the test instead of returning errors.
package harness

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Programs are the programs under test.
type Programs struct {
	// Shim is the logger.
	Shim string
	// Spillway is the program beside it, empty for a foreign logger.
	Spillway string
	// Foreign says that the logger knows none of our own flags: it is somebody else's.
	Foreign bool
	// Remove removes what was built.
	Remove func() error
}

// Main runs the tests of a package, with the programs under test prepared before and removed behind them.
func Main(m *testing.M, programs **Programs) {
	binary := flag.String("binary", "", "`path` of the logger to test; empty builds ./cmd/spillway-shim and ./cmd/spillway")
	flag.Parse()
	var err error
	if *programs, err = Prepare(*binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := (*programs).Remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Prepare gives the programs: those at the given path, or, where it is empty, freshly built ones in a folder of their
// own, the shim and spillway side by side as they are installed.
func Prepare(binary string) (*Programs, error) {
	if binary == "" {
		return build()
	}
	path, err := filepath.Abs(binary)
	if err != nil {
		return nil, fmt.Errorf("find the logger %s: %w", binary, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// Only the text counts: help may well end with a status other than 0.
	help, err := exec.CommandContext(ctx, path, "--help").CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("ask the logger %s for its flags: %w", binary, err)
	}
	p := &Programs{Shim: path, Remove: func() error { return nil }}
	p.Foreign = !bytes.Contains(help, []byte("start-requires-destination"))
	if beside := filepath.Join(filepath.Dir(path), "spillway"); !p.Foreign {
		if _, err := os.Stat(beside); err == nil {
			p.Spillway = beside
		}
	}
	return p, nil
}

// build builds both programs from this source tree.
func build() (*Programs, error) {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return nil, errors.New("build the programs under test: this file's own path is unknown")
	}
	root := filepath.Join(filepath.Dir(here), "..", "..", "..")
	dir, err := os.MkdirTemp("", "spillway-programs-")
	if err != nil {
		return nil, fmt.Errorf("build the programs under test: %w", err)
	}
	// As "make build" makes them: memory is measured, and libc is a part of it.
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "nethttpomithttp2", "-ldflags", "-s -w",
		"-o", dir+string(filepath.Separator), "./cmd/spillway-shim", "./cmd/spillway")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("build the programs under test: %w\n%s", err, out), os.RemoveAll(dir))
	}
	// A logger that drops its privileges still runs its neighbour: others must be able to reach both.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("build the programs under test: %w", err), os.RemoveAll(dir))
	}
	return &Programs{
		Shim: filepath.Join(dir, "spillway-shim"), Spillway: filepath.Join(dir, "spillway"),
		Remove: func() error { return os.RemoveAll(dir) },
	}, nil
}

// Long says whether the whole versions run: every number of the table of proofs, and stalls asserted.
func Long() bool { return os.Getenv("SPILLWAY_LONG") == "1" }

// CI says whether the middle versions run.
func CI() bool { return os.Getenv("SPILLWAY_CI") == "1" }

// Pick gives the number for this run: small in a plain go test, middle under SPILLWAY_CI=1, whole under SPILLWAY_LONG=1.
func Pick[T any](small, middle, whole T) T {
	switch {
	case Long():
		return whole
	case CI():
		return middle
	}
	return small
}

// Indent makes the output of a program readable inside a test's message.
func Indent(text string) string {
	return "\t| " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n\t| ")
}
