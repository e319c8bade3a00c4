package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// diskFull is one case: the disk buffer has no more room while the destination is away.
type diskFull struct {
	whenFull, durability, fault string
	// device: it is the file system that is full; else the buffer has reached max-disk-size.
	device bool
}

func (f diskFull) String() string {
	what := "max-disk-size"
	if f.device {
		what = "full file system"
	}
	return fmt.Sprintf("%s, %s, %s, %s", what, f.whenFull, f.durability, f.fault)
}

func diskFulls() (cases []diskFull) {
	for _, device := range []bool{true, false} {
		for i, whenFull := range []string{"block", "drop-newest", "drop-oldest"} {
			for j, durability := range []string{"memory", "kernel", "power"} {
				for k, fault := range []string{cloudwatch.FaultUnavailable, cloudwatch.FaultHang} {
					// In the small size each once, and what is most delicate.
					if harness.CI() || harness.Long() || j == 1 && k == 1 && (i == 2 || device) || !device && j == 0 && k == 0 && i < 2 {
						cases = append(cases, diskFull{whenFull, durability, fault, device})
					}
				}
			}
		}
	}
	return cases
}

// Numbers of these tests: the disk holds a few megabytes, and more is written.
const (
	fullLine  = 500
	fullLines = 8000
)

func TestAFullDiskIsAMatterOfWhenFullAndResumesByItself(t *testing.T) {
	for _, f := range diskFulls() {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel() // Each one mostly waits.
			f.run(t)
		})
	}
}

func (f diskFull) run(t *testing.T) {
	sink := cloud(t)
	sink.Fault(f.fault)
	container, clear := f.start(t, sink)
	lines := harness.Lines{Size: fullLine}
	written := make(chan error, 1)
	go func() { written <- lines.Write(container.Stdout, fullLines) }()
	if f.whenFull == "block" {
		f.stalls(t, container, written)
	} else {
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		waitFor(t, "all lines to be read", 30*time.Second, func() bool { return status(t, container).Received == fullLines })
	}
	if f.device {
		clear()
	} else {
		sink.Heal()
	}
	if f.whenFull == "block" {
		if err := within(written, 30*time.Second); err != nil {
			t.Fatalf("the writer, once there is room: %v", err)
		}
	}
	waitFor(t, "all lines to be read", 30*time.Second, func() bool { return status(t, container).Received == fullLines })
	if !f.device {
		waitFor(t, "all lines to be delivered", 30*time.Second, delivered(t, container))
	}
	// There is room now, so nothing more may go. A file system that had none is looked at again after a moment.
	waitFor(t, "the disk to be used again", 30*time.Second, func() bool {
		before := status(t, container)
		write(t, container, &lines, 20)
		waitFor(t, "20 lines to be read", 30*time.Second, func() bool { return status(t, container).Received == lines.Written() })
		return status(t, container).Dropped == before.Dropped
	})
	before := status(t, container)
	write(t, container, &lines, 2000)
	waitFor(t, "2,000 lines to be read", 30*time.Second, func() bool { return status(t, container).Received == lines.Written() })
	if dropped := status(t, container).Dropped - before.Dropped; dropped != 0 {
		t.Errorf("%d of 2000 lines are dropped though there is room", dropped)
	}
	sink.Heal()
	waitFor(t, "all lines to be delivered", time.Minute, delivered(t, container))
	end := container.Remove()
	f.check(t, sink, &lines, end)
}

// start starts the logger, and gives what makes room on its file system.
func (f diskFull) start(t *testing.T, sink *harness.Cloud) (container *harness.Container, clear func()) {
	t.Helper()
	setup := harness.Setup{Programs: programs, Cloud: sink, Set: map[string]string{
		"--mode": "spill", "--durability": f.durability, "--when-full": f.whenFull, "--max-buffer-size": "256k",
		"--max-disk-size": "2m", "--min-free-disk": "1", "--awslogs-force-flush-interval-seconds": "1", "--cleanup-time": "11s",
	}}
	if !f.device {
		return setup.Start(t), nil
	}
	setup.State, setup.Set["--max-disk-size"] = smallFileSystem(t), "16m"
	// What the logger needs beside its disk buffer has its room.
	container = setup.Start(t)
	return container, ballast(t, setup.State, 3<<20)
}

// smallFileSystem mounts an ext4 of 32 MiB from an image file, until the test ends.
func smallFileSystem(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not run: mounting a small file system needs root")
	}
	dir := harness.StateDir(t)
	image, disk := filepath.Join(dir, "image"), filepath.Join(dir, "d")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 32<<20); err != nil {
		t.Fatal(err)
	}
	for _, words := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, disk}} {
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Skipf("not run: a small file system: %s: %v: %s", words[0], err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", disk).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return disk
}

// ballast fills the file system of a directory but for the given bytes, and returns what takes the ballast away.
func ballast(t *testing.T, dir string, leave int64) func() {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Fallocate(int(file.Fd()), 0, 0, int64(s.Bavail)*s.Bsize-leave); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(file.Name()); err != nil {
			t.Error(err)
		}
	}
}

// status asks the container's logger.
func status(t *testing.T, container *harness.Container) launcher.Counts {
	t.Helper()
	s, _ := harness.AskStatus(t, programs, container.State)
	return s.Counts
}

// delivered says whether nothing is left to deliver.
func delivered(t *testing.T, container *harness.Container) func() bool {
	return func() bool { return status(t, container).Pending == 0 }
}

// stalls fails the test unless the writer stands still before it is done.
func (f diskFull) stalls(t *testing.T, container *harness.Container, written chan error) {
	t.Helper()
	last, since := int64(-1), time.Now()
	waitFor(t, "the writer to stand still", 30*time.Second, func() bool {
		if n := status(t, container).Received; n != last {
			last, since = n, time.Now()
		}
		return last > 0 && time.Since(since) > 300*time.Millisecond
	})
	select {
	case err := <-written:
		t.Fatalf("all lines were taken (%v), though there is no room", err)
	default:
	}
	if s := status(t, container); s.Dropped != 0 {
		t.Errorf("%d lines are dropped, want none: the container waits", s.Dropped)
	}
}

func within(done <-chan error, limit time.Duration) error {
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return fmt.Errorf("not done after %v", limit)
	}
}

// check compares all accounts, and what is missing with what was to be dropped.
func (f diskFull) check(t *testing.T, sink *harness.Cloud, lines *harness.Lines, end launcher.Result) {
	t.Helper()
	var r harness.Reading
	if f.durability == "power" && f.whenFull == "drop-oldest" {
		// While nothing is synced a marker may leave alone, and what goes then has another, so they may be neighbours.
		r = readAll(t, sink, lines, []launcher.Result{end})
	} else {
		r = checkAll(t, sink, lines, end)
	}
	if end.Exit != nil && end.Exit.Pending != 0 {
		t.Errorf("%d lines are pending", end.Exit.Pending)
	}
	f.checkMissing(t, r)
	if f.whenFull != "block" && end.Exit != nil {
		harness.Dropped(t, end, map[string]string{"drop-newest": "overflow-newest", "drop-oldest": "overflow-oldest"}[f.whenFull])
	}
	t.Logf("%d lines, %d lost in %d runs, %d twice", lines.Written(), r.Missing(), len(r.Gaps), r.Duplicates)
}

// checkMissing fails the test unless it is the right lines that are missing.
func (f diskFull) checkMissing(t *testing.T, r harness.Reading) {
	t.Helper()
	if f.whenFull == "block" {
		if r.Missing() != 0 {
			t.Errorf("%d lines are missing, want none", r.Missing())
		}
		return
	}
	if r.Missing() < fullLines/8 || r.Missing() > fullLines*3/4 {
		t.Errorf("%d of %d lines are missing; the disk holds more than a quarter of them", r.Missing(), fullLines)
		return
	}
	// The oldest are behind those that were in requests, and the newest before those that came when there was room.
	first, last := r.Gaps[0].First, r.Gaps[len(r.Gaps)-1].Last
	if oldest := f.whenFull == "drop-oldest"; oldest && (first > fullLines/8 || last > fullLines*4/5) || !oldest && first < fullLines/8 {
		t.Errorf("with %s lines %d to %d are missing", f.whenFull, first, last)
	}
}
