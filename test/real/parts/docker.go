package parts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// dockerImage is the name of the one image that a DockerServer has.
const dockerImage = "busybox:local"

// DockerServer is a running Docker daemon with one busybox image and no network. Its built-in log
// drivers are clients written by others.
type DockerServer struct {
	*Process
	docker string
	host   string
}

// StartDockerd starts a Docker daemon with directories of its own that leaves the machine's network
// and packet filter alone. environment is added to the daemon's: its log drivers take their
// credentials from there.
func StartDockerd(t testing.TB, environment ...string) *DockerServer {
	t.Helper()
	server, err := startDockerd(t, environment)
	need(t, Dockerd, err)
	return server
}

func startDockerd(t testing.TB, environment []string) (*DockerServer, error) {
	t.Helper()
	if err := asRoot(); err != nil {
		return nil, err
	}
	tini, err := lookPath("tini", "tini")
	if err != nil {
		return nil, err
	}
	daemon, err := lookPath("docker.io", "dockerd")
	if err != nil {
		return nil, err
	}
	// The distribution's client first: another one that comes earlier in PATH may be too new to
	// speak with the distribution's daemon.
	client, err := lookPath("docker.io", "/usr/bin/docker", "docker")
	if err != nil {
		return nil, err
	}
	dir := WorkDir(t, Dockerd)
	rootfs, err := BusyboxRootfs(dir)
	if err != nil {
		return nil, err
	}
	server := &DockerServer{docker: client, host: "unix://" + filepath.Join(dir, "d.sock")}
	t.Cleanup(func() { unmountBelow(t, dir) })
	cmd := exec.Command(tini, "-s", "--", daemon, "--host", server.host,
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "--pidfile", filepath.Join(dir, "d.pid"),
		"--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--userland-proxy=false")
	cmd.Env = append(os.Environ(), environment...)
	if server.Process, err = start(t, Dockerd, dir, cmd); err != nil {
		return nil, err
	}
	err = server.ready(func(ctx context.Context) error {
		return exec.CommandContext(ctx, client, "--host", server.host, "version").Run()
	})
	if err != nil {
		return nil, err
	}
	return server, server.importImage(rootfs)
}

// importImage makes the daemon's one image from a directory, with no registry.
func (d *DockerServer) importImage(rootfs string) error {
	archive := filepath.Join(filepath.Dir(rootfs), "image.tar")
	if out, err := exec.Command("tar", "-C", rootfs, "-cf", archive, ".").CombinedOutput(); err != nil {
		return fmt.Errorf("pack the image: %w: %s", err, out)
	}
	_, err := d.Docker("import", archive, dockerImage)
	return err
}

// Run runs a container without a network to its end and removes it; options come before the image
// and command after it.
func (d *DockerServer) Run(options []string, command ...string) (Output, error) {
	args := append([]string{"run", "--rm", "--network", "none"}, options...)
	return d.Docker(append(append(args, dockerImage), command...)...)
}

// Docker runs one command of the docker client against this daemon and waits for it.
func (d *DockerServer) Docker(args ...string) (Output, error) {
	return command(d.docker, append([]string{"--host", d.host}, args...)...)
}

// unmountBelow takes away the mounts that the daemon leaves in its directory when it ends, which
// would keep it from being removed: a network namespace, and where mounts are private the data
// directory bound to itself.
func unmountBelow(t testing.TB, dir string) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Errorf("look for mounts of %s: %v", Dockerd, err)
		return
	}
	lines := strings.Split(string(mounts), "\n")
	// Later mounts may stand on earlier ones.
	slices.Reverse(lines)
	for _, line := range lines {
		// The fifth field is the mount point (proc(5)).
		fields := strings.Fields(line)
		if len(fields) < 5 || !strings.HasPrefix(fields[4], dir+"/") {
			continue
		}
		if err := syscall.Unmount(fields[4], syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s, which %s left: %v", fields[4], Dockerd, err)
		}
	}
}
