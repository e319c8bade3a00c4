package faults

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/spillway/spillway/test/launcher/harness"
)

// namespaced is set in the process that has mounts of its own.
const namespaced = "SPILLWAY_TEST_POWERCUT"

// TestAPowerCutLosesNothingThatWasSynced takes an image of a disk while a buffer writes to it at level power, as a power
// cut would leave it, and looks into it: every record that was acknowledged before must be there. The images are clones
// that XFS makes at one moment, which a plain copy is not; mounting a clone replays its journal.
//
// Such an image holds whatever the file system has sent to its disk, flushed or not, but nothing that is still in the
// page cache. What a disk may do to writes that were not flushed is for the simulated cuts beside the disk buffer.
//
// The work is done in a process with a mount namespace of its own, so that nothing stays mounted however it ends.
func TestAPowerCutLosesNothingThatWasSynced(t *testing.T) {
	if os.Getenv(namespaced) == "" {
		inNamespace(t)
		return
	}
	cuts := harness.Pick(2, 10, 200)
	images := reflinks(t)
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			d := newLiveDisk(t, images, kind)
			random := rand.New(rand.NewPCG(7, uint64(len(kind))))
			var total cut
			for n := 1; n <= cuts && !t.Failed(); n++ {
				if n%10 == 0 {
					d.writer.restart(t)
				}
				d.writer.goOn(t, random.Uint64N(10_000))
				c := d.cut(t, n%2 == 0)
				total.records += c.records
				total.lost += c.lost
				total.beyond += c.beyond
			}
			acknowledged := d.writer.stop(t)
			t.Logf("%d cuts: %d records acknowledged, %d of them lost; %d looked at in the images, %d of them later than what was "+
				"acknowledged when the cut began", cuts, acknowledged, total.lost, total.records, total.beyond)
		})
	}
}

// inNamespace runs the test again in a process whose mounts nobody else sees. They end with it.
func inNamespace(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not run: power cuts on ext4 and XFS: mounting images needs root")
	}
	for _, tool := range []string{"mkfs.ext4", "mkfs.xfs", "mount", "umount", "cp"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("not run: power cuts on ext4 and XFS: %v; install e2fsprogs, xfsprogs, mount and coreutils", err)
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skipf("not run: power cuts on ext4 and XFS: this kernel has no loop devices: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The signal is sent when this thread ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The programs of the other tests are not built once more.
	child := exec.CommandContext(t.Context(), self, "-test.v", "-test.run=^"+t.Name()+"$", "-binary", programs.Shim)
	child.Env = append(os.Environ(), namespaced+"=1", "TMPDIR="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := child.CombinedOutput()
	t.Logf("%s", out)
	switch text := string(out); {
	case err != nil:
		t.Fatalf("the process with the mounts: %v", err)
	case strings.Contains(text, "--- SKIP"):
		t.Skip("not run: power cuts on ext4 and XFS: see above")
	}
}

// reflinks mounts an XFS on which a file that is in use can be cloned at one moment.
func reflinks(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	image := filepath.Join(dir, "images.img")
	sparse(t, image, 4<<30)
	tool(t, "mkfs.xfs", "-q", "-m", "reflink=1", image)
	mounted := filepath.Join(dir, "images")
	if err := os.Mkdir(mounted, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "xfs", "-o", "loop,discard", image, mounted).CombinedOutput(); err != nil {
		t.Skipf("not run: power cuts on ext4 and XFS: mount an XFS with reflinks: %v: %s", err, out)
	}
	t.Cleanup(func() { unmount(t, mounted) })
	return mounted
}

// liveDisk is a mounted image, with a buffer in it that is written to.
type liveDisk struct {
	images, kind, image string
	writer              *powerWriter
	cuts                int
}

func newLiveDisk(t *testing.T, images, kind string) *liveDisk {
	t.Helper()
	d := &liveDisk{images: images, kind: kind, image: filepath.Join(images, kind+".img")}
	sparse(t, d.image, 384<<20)
	tool(t, "mkfs."+kind, "-q", d.image)
	t.Cleanup(func() {
		if err := os.Remove(d.image); err != nil {
			t.Error(err)
		}
	})
	mounted := filepath.Join(images, kind)
	d.mount(t, d.image, mounted)
	d.writer = startWriter(t, filepath.Join(mounted, "buffer"))
	// Runs before the unmounting.
	t.Cleanup(func() { d.writer.stop(t) })
	return d
}

// mount mounts an image of the disk until the test ends. A clone of an XFS has the same identity as the original,
// which is mounted, too.
func (d *liveDisk) mount(t *testing.T, image, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	options := map[string]string{"xfs": "loop,nouuid", "ext4": "loop"}[d.kind]
	tool(t, "mount", "-t", d.kind, "-o", options, image, to)
	t.Cleanup(func() { unmount(t, to) })
}

// cut clones the image while it is in use, and holds what the clone has against what was acknowledged before. A still cut
// lets nothing be synced meanwhile, though it is written: then the last acknowledged record may not lean on a later
// sync. The other cuts fall into the midst of syncing, deleting and beginning segments.
func (d *liveDisk) cut(t *testing.T, still bool) (c cut) {
	t.Helper()
	if still {
		d.writer.syncing.Lock()
		defer d.writer.syncing.Unlock()
	}
	d.cuts++
	clone := filepath.Join(d.images, "clone.img")
	before := d.writer.state()
	tool(t, "cp", "--reflink=always", d.image, clone)
	after := d.writer.state()
	if still && before != after {
		t.Errorf("it went on from %+v to %+v during a still cut", before, after)
	}
	// A test of its own, so that its mounts end with it.
	t.Run(fmt.Sprintf("cut %d", d.cuts), func(t *testing.T) {
		t.Cleanup(func() {
			if err := os.Remove(clone); err != nil {
				t.Error(err)
			}
		})
		mounted := filepath.Join(d.images, "clone")
		d.mount(t, clone, mounted)
		c = recoverFrom(t, filepath.Join(mounted, "buffer"), before, after)
	})
	return c
}

func sparse(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmp.Or(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// unmount ends a mount, and with it the loop device, which goes with its last user.
func unmount(t *testing.T, path string) {
	if out, err := exec.Command("umount", path).CombinedOutput(); err != nil {
		t.Errorf("umount %s: %v: %s", path, err, out)
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			t.Errorf("detach %s: %v", path, err)
		}
	}
}
