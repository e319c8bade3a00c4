package launcher

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Cgroup is a control group with a memory limit, version 1 or 2, below the group of the calling process. Its methods
// belong to one goroutine at a time.
type Cgroup struct {
	dir     string // of the group
	home    string // of the caller's own group
	version int
}

// NewMemoryCgroup makes a group that may hold limit bytes. The error names what is missing: the right to make groups,
// or the memory controller. The caller removes the group with Remove after the logger has ended.
func NewMemoryCgroup(name string, limit int64) (*Cgroup, error) {
	g, err := findMemoryController()
	if err != nil {
		return nil, err
	}
	g.dir = filepath.Join(g.home, fmt.Sprintf("%s-%d", name, os.Getpid()))
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a control group (that needs root): %w", err)
	}
	file := "memory.limit_in_bytes"
	if g.version == 2 {
		file = "memory.max"
	}
	if err := g.write(file, strconv.FormatInt(limit, 10)); err != nil {
		return nil, errors.Join(fmt.Errorf("limit the memory of a control group: %w", err), g.Remove())
	}
	return g, nil
}

// findMemoryController reads /proc/self/cgroup: a version 1 hierarchy has the line N:memory:/path, version 2 0::/path.
func findMemoryController() (*Cgroup, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("find the memory controller: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[1] == "memory":
			home := filepath.Join("/sys/fs/cgroup/memory", parts[2])
			if _, err := os.Stat(home); err == nil {
				return &Cgroup{home: home, version: 1}, nil
			}
		case parts[0] == "0" && parts[1] == "":
			home := filepath.Join("/sys/fs/cgroup", parts[2])
			delegated, err := os.ReadFile(filepath.Join(home, "cgroup.subtree_control"))
			if err == nil && strings.Contains(string(delegated), "memory") {
				return &Cgroup{home: home, version: 2}, nil
			}
		}
	}
	return nil, errors.New("find the memory controller: neither a version 1 hierarchy nor a version 2 group that hands it on; run as root where /sys/fs/cgroup is writable")
}

// enter makes cmd start inside the group, and gives a function that brings the calling thread back. Version 1 moves
// the thread, since a child starts where the thread that forks is; version 2 has a clone flag for it.
func (g *Cgroup) enter(cmd *exec.Cmd) (leave func() error, err error) {
	if g.version == 2 {
		dir, err := os.Open(g.dir)
		if err != nil {
			return nil, fmt.Errorf("open control group: %w", err)
		}
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
		return dir.Close, nil
	}
	thread := []byte(strconv.Itoa(unix.Gettid()))
	if err := os.WriteFile(filepath.Join(g.dir, "tasks"), thread, 0); err != nil {
		return nil, fmt.Errorf("enter control group %s: %w", g.dir, err)
	}
	return func() error { return os.WriteFile(filepath.Join(g.home, "tasks"), thread, 0) }, nil
}

// OOMKills is how many processes of the group the kernel killed for memory.
func (g *Cgroup) OOMKills() (int64, error) {
	file := "memory.oom_control"
	if g.version == 2 {
		file = "memory.events"
	}
	text, err := os.ReadFile(filepath.Join(g.dir, file))
	if err != nil {
		return 0, fmt.Errorf("count the kills of a control group: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			return strconv.ParseInt(n, 10, 64)
		}
	}
	return 0, fmt.Errorf("count the kills of a control group: no line oom_kill in %s", file)
}

// Peak is the most memory that the group held, in bytes, page cache included.
func (g *Cgroup) Peak() (int64, error) {
	file := "memory.max_usage_in_bytes"
	if g.version == 2 {
		file = "memory.peak"
	}
	text, err := os.ReadFile(filepath.Join(g.dir, file))
	if err != nil {
		return 0, fmt.Errorf("read the peak of a control group: %w", err)
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// Remove removes the group. The kernel says EBUSY for a moment after the last process has gone.
func (g *Cgroup) Remove() error {
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := os.Remove(g.dir)
		if err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("remove control group: %w", err)
		}
	}
}

func (g *Cgroup) write(file, value string) error {
	return os.WriteFile(filepath.Join(g.dir, file), []byte(value), 0)
}
