package parts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BusyboxRootfs makes DIR/rootfs with a static busybox and a link for each of its commands: enough
// of a system to run shell scripts in, with no image and no registry.
func BusyboxRootfs(dir string) (string, error) {
	busybox, err := lookPath("busybox-static", "busybox")
	if err != nil {
		return "", err
	}
	rootfs := filepath.Join(dir, "rootfs")
	for _, sub := range []string{"bin", "dev", "etc", "proc", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(rootfs, sub), 0o755); err != nil {
			return "", fmt.Errorf("make a root directory for containers: %w", err)
		}
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		return "", fmt.Errorf("read busybox: %w", err)
	}
	inside := filepath.Join(rootfs, "bin", "busybox")
	if err := os.WriteFile(inside, program, 0o755); err != nil {
		return "", fmt.Errorf("copy busybox: %w", err)
	}
	// Installed from within, so that the links point at /bin/busybox, as the container sees it. A
	// busybox that is not static fails here, not later in a container with an obscure message.
	install := exec.Command("chroot", rootfs, "/bin/busybox", "--install", "-s", "/bin")
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install busybox's commands in %s (a static busybox is needed: apt-get install busybox-static): %w: %s", rootfs, err, out)
	}
	return rootfs, nil
}
