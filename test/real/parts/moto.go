package parts

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spillway/spillway/test/launcher"
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
	ports, err := launcher.FreePorts(1)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-H", "127.0.0.1", "-p", strconv.Itoa(ports[0]))
	process, err := start(t, Moto, WorkDir(t, Moto), cmd)
	if err != nil {
		return nil, err
	}
	server := &MotoServer{Process: process, Endpoint: fmt.Sprintf("http://127.0.0.1:%d", ports[0])}
	return server, process.ready(func(ctx context.Context) error {
		return Get(ctx, server.Endpoint+"/moto-api/data.json", nil)
	})
}

// installMoto returns the path of moto_server in a virtual environment of the cache.
func installMoto() (string, error) {
	dir, err := cached("moto-"+motoVersion, func(dir string) error {
		python, err := lookPath("python3 python3-venv", "python3")
		if err != nil {
			return err
		}
		for _, command := range [][]string{
			{python, "-m", "venv", "--clear", dir},
			{filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--retries", "10", "moto[server]==" + motoVersion},
		} {
			if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s (it needs the Debian package python3-venv and PyPI): %w: %s", strings.Join(command, " "), err, out)
			}
		}
		return nil
	})
	return filepath.Join(dir, "bin", "moto_server"), err
}
