package parts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// containerdConfig gives a containerd directories and sockets of its own, away from a system one.
// The Kubernetes plugin is off: it wants a network and plays no part in a binary logger's life.
const containerdConfig = `version = 2
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "%[1]s/c.sock"
[ttrpc]
  address = "%[1]s/c.sock.ttrpc"
`

// ContainerdServer is a running containerd with a busybox directory to run containers from. Its
// methods may be called by several goroutines.
type ContainerdServer struct {
	*Process
	// Namespace is the containerd namespace of every container here; it names the test's process,
	// since containers of two test runs with one name would share a control group.
	Namespace string
	// Rootfs is the directory that containers run in. They share it: a test that writes files into
	// it must name them after itself.
	Rootfs string
	ctr    string
	socket string
}

// StartContainerd starts a containerd under a subreaper, so that the shims it leaves behind become
// no zombies. Containers that still run when the test ends are killed and deleted before it stops.
func StartContainerd(t testing.TB) *ContainerdServer {
	t.Helper()
	server, err := startContainerd(t)
	need(t, Containerd, err)
	return server
}

func startContainerd(t testing.TB) (*ContainerdServer, error) {
	t.Helper()
	if err := asRoot(); err != nil {
		return nil, err
	}
	tini, err := lookPath("tini", "tini")
	if err != nil {
		return nil, err
	}
	daemon, err := lookPath("containerd", "containerd")
	if err != nil {
		return nil, err
	}
	// containerd's shim finds runc in PATH by itself; without it every container would fail.
	if _, err := lookPath("runc", "runc"); err != nil {
		return nil, err
	}
	ctr, err := lookPath("containerd", "ctr")
	if err != nil {
		return nil, err
	}
	dir := WorkDir(t, Containerd)
	rootfs, err := BusyboxRootfs(dir)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, containerdConfig, dir), 0o644); err != nil {
		return nil, fmt.Errorf("write containerd's configuration: %w", err)
	}
	process, err := start(t, Containerd, dir, exec.Command(tini, "-s", "--", daemon, "-c", config))
	if err != nil {
		return nil, err
	}
	server := &ContainerdServer{
		Process: process, Rootfs: rootfs, ctr: ctr, socket: filepath.Join(dir, "c.sock"),
		Namespace: fmt.Sprintf("spillway-test-%d", os.Getpid()),
	}
	t.Cleanup(func() { server.clear(t) })
	return server, process.ready(func(ctx context.Context) error {
		return exec.CommandContext(ctx, ctr, "--address", server.socket, "version").Run()
	})
}

// Ctr runs one ctr command, as `ctr --address … --namespace … ARGS`, and waits for it. Its error
// holds the command's stderr. The environment is the test's, which no container and no logger sees.
func (c *ContainerdServer) Ctr(args ...string) (Output, error) {
	return command(c.ctr, append([]string{"--address", c.socket, "--namespace", c.Namespace}, args...)...)
}

// Run runs a container to its end and deletes it: `ctr run --rm --rootfs --log-uri URI`. It returns
// when the logger has ended, because deleting the task waits for it. The error is also the
// container's own exit status other than 0.
func (c *ContainerdServer) Run(id, logURI string, command ...string) (Output, error) {
	args := []string{"run", "--rm", "--rootfs", "--log-uri", logURI, c.Rootfs, id}
	return c.Ctr(append(args, command...)...)
}

// clear ends what tests left running and takes the control groups away, before containerd stops:
// its shims outlive it by design.
func (c *ContainerdServer) clear(t testing.TB) {
	listed, err := c.Ctr("containers", "list", "--quiet")
	if err != nil {
		t.Errorf("list the containers left behind: %v", err)
		return
	}
	for _, id := range strings.Fields(listed.Stdout) {
		t.Logf("container %s was left behind and is ended", id)
		// A task may be gone already, and then there is only the container to delete: the last
		// command decides.
		_, killErr := c.Ctr("tasks", "kill", "--signal", "SIGKILL", id)
		_, taskErr := c.Ctr("tasks", "delete", "--force", id)
		if _, err := c.Ctr("containers", "delete", id); err != nil {
			t.Errorf("delete container %s: %v", id, errors.Join(err, killErr, taskErr))
		}
	}
	groups, err := filepath.Glob(filepath.Join("/sys/fs/cgroup/*", c.Namespace))
	if err != nil {
		t.Errorf("list control groups: %v", err)
	}
	for _, group := range append(groups, filepath.Join("/sys/fs/cgroup", c.Namespace)) {
		if err := os.Remove(group); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Logf("an empty control group stays behind: %v", err)
		}
	}
}
