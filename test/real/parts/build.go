package parts

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Binaries are the two programs as they are installed: side by side, because the shim looks for the
// main program beside itself when it needs credentials that only that one can get.
type Binaries struct {
	// Spillway is the path of the main program.
	Spillway string
	// Shim is the path of the containerd logger.
	Shim string
}

// BuildSpillway builds the two programs from this module, as they are shipped: without cgo and
// without the race detector. A build that fails is a failure and never a skip, since the programs
// are what is tested. Go's cache makes every build after the first a matter of a second or two.
func BuildSpillway(t testing.TB) Binaries {
	t.Helper()
	module, err := moduleDir()
	if err != nil {
		t.Fatalf("build %s: %v", Spillway, err)
	}
	dir := WorkDir(t, Spillway)
	cmd := exec.Command("go", "build", "-o", dir+"/", "./cmd/spillway", "./cmd/spillway-shim")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v:\n%s", Spillway, err, out)
	}
	// The directory is made for its owner alone, but a shim that drops its privileges must still
	// reach the program beside it.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("open the directory of the programs: %v", err)
	}
	return Binaries{Spillway: filepath.Join(dir, "spillway"), Shim: filepath.Join(dir, "spillway-shim")}
}

// moduleDir is the directory of the module that the tests belong to.
func moduleDir() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for the module: %w", err)
	}
	path := strings.TrimSpace(string(out))
	if path == "" || path == os.DevNull {
		return "", errors.New("find the module's directory: run the tests inside the module")
	}
	return filepath.Dir(path), nil
}
