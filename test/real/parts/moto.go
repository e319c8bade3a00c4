package parts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// motoVersion is pinned: what the server enforces and what it lets pass changes between releases.
const motoVersion = "5.2.5"

// MotoServer is a CloudWatch Logs server written by others, moto's stand-alone server from PyPI. It
// keeps everything in memory, takes any key and any region, and enforces the order within a batch,
// unknown groups and streams, and the age of events; not sizes, counts or the span of a batch.
type MotoServer struct {
	*Process
	// Endpoint is its base address, `http://127.0.0.1:PORT`.
	Endpoint string
}

// StartMoto starts a moto server on a free port. The first start on a machine makes a virtual
// environment in the cache directory and installs moto there, which takes a minute.
func StartMoto(t testing.TB) *MotoServer {
	t.Helper()
	server, err := startMoto(t)
	need(t, Moto, err)
	return server
}

func startMoto(t testing.TB) (*MotoServer, error) {
	t.Helper()
	program, err := installMoto()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-H", "127.0.0.1", "-p", strconv.Itoa(port))
	process, err := start(t, Moto, WorkDir(t, Moto), cmd)
	if err != nil {
		return nil, err
	}
	server := &MotoServer{Process: process, Endpoint: fmt.Sprintf("http://127.0.0.1:%d", port)}
	return server, process.ready(func(ctx context.Context) error {
		return getOK(ctx, server.Endpoint+"/moto-api/data.json")
	})
}

// Pause stops the server as a whole, with its connections open and silent: a destination that
// hangs. Resume lets it go on where it was.
func (m *MotoServer) Pause() error { return m.Signal(syscall.SIGSTOP) }

// Resume is the end of Pause.
func (m *MotoServer) Resume() error { return m.Signal(syscall.SIGCONT) }

// installMoto returns the path of moto_server in a virtual environment of the cache, and makes that
// first where it is not there or not complete. A lock lets several test runs share one cache.
func installMoto() (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "moto-"+motoVersion)
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("open the lock of moto's directory: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock moto's directory: %w", err)
	}
	program := filepath.Join(dir, "bin", "moto_server")
	// The mark is written last, so an installation that was interrupted is made anew.
	mark := filepath.Join(dir, "complete")
	if _, err := os.Stat(mark); err == nil {
		return program, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("look for moto: %w", err)
	}
	python, err := lookPath("python3 python3-venv", "python3")
	if err != nil {
		return "", err
	}
	for _, command := range [][]string{
		{python, "-m", "venv", "--clear", dir},
		{filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--retries", "10", "moto[server]==" + motoVersion},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("install moto %s in %s (it needs the Debian package python3-venv and PyPI): %v: %w: %s", motoVersion, dir, command, err, out)
		}
	}
	if err := os.WriteFile(mark, nil, 0o644); err != nil {
		return "", fmt.Errorf("mark moto as installed: %w", err)
	}
	return program, nil
}

// getOK asks an HTTP address and wants status 200.
func getOK(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", address, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s: %w", address, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s: status %s, want 200", address, response.Status)
	}
	return nil
}
