// Package parts brings up the real programs that the tests in test/real run against: containerd
// with runc, a CloudWatch Logs server that others wrote (moto), Docker's daemon, and Spillway's own
// sandbox beside them. Each part gets its own directories, sockets and free ports on the loopback
// address, keeps a log, is asked until it answers before a test may use it, and ends with the test
// that started it; nothing is ended that was not started here.
//
// It refuses to change the machine: it installs no system package and touches no service that runs
// already. What is missing is reported by the name of the part, with the reason and the remedy.
// Only the tests in test/real call it.
package parts

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The names of the parts, as skips, failures and SPILLWAY_REAL_MISSING_OK spell them.
const (
	Containerd = "containerd"
	Moto       = "moto"
	Dockerd    = "dockerd"
	// FluentLogger is @fluent-org/logger, in Node.
	FluentLogger = "fluent-logger"
)

// Need skips the test at once unless real parts were asked for with SPILLWAY_REAL=1, so that the
// ordinary test run needs only Go. The skip names the parts that were not run. Every test here
// begins with it.
func Need(t testing.TB, names ...string) {
	t.Helper()
	if os.Getenv("SPILLWAY_REAL") != "1" {
		t.Skipf("not run against real %s: set SPILLWAY_REAL=1 (make test-real)", strings.Join(names, ", "))
	}
}

// need fails the test because a part could not be brought up. A missing part is a failure, since a
// run that quietly tests less than it says is worth nothing; only SPILLWAY_REAL_MISSING_OK, a list
// of names separated by commas, turns it into a skip with the name and the reason.
func need(t testing.TB, name string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("SPILLWAY_REAL_MISSING_OK"), ","), name) {
		t.Skipf("could not run %s, which SPILLWAY_REAL_MISSING_OK allows: %v", name, err)
	}
	t.Fatalf("could not run %s: %v", name, err)
}

// lookPath finds the first of the names that is installed, and says what would install it.
func lookPath(debianPackage string, names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find %s: not installed; apt-get install %s", strings.Join(names, " or "), debianPackage)
}

// asRoot refuses parts that make namespaces, mounts and control groups without the right to.
func asRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("it makes mounts and control groups: run as root")
	}
	return nil
}

// WorkDir makes a directory for one part, or for what one test keeps, that is removed with the test.
// Its path is short and names the part alone, because a unix socket's path may
// have 107 bytes at most and t.TempDir puts the test's whole name into it.
func WorkDir(t testing.TB, part string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "spillway-"+part+"-")
	if err != nil {
		t.Fatalf("make a directory for %s: %v", part, err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the directory of %s: %v", part, err)
		}
	})
	return dir
}
