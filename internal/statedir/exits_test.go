package statedir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// rotateTwice makes other processes fill the file of exit lines twice, so that
// the one which is open now is deleted.
func rotateTwice(t *testing.T, d *Dir) {
	t.Helper()
	for range 2 {
		if err := os.Truncate(d.ExitsPath(), exitsMax+1); err != nil {
			t.Fatal(err)
		}
		write(t, d, "another")
	}
}

// TestALongLifeOutlastsTwoRotations: the file that was opened at the start is
// deleted, and the line goes into its successor.
func TestALongLifeOutlastsTwoRotations(t *testing.T) {
	d := open(t, t.TempDir())
	f, err := d.Exits()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := d.AppendExit(f, []byte("early\n")); err != nil || read(t, d.ExitsPath()) != "early\n" {
		t.Errorf("the file holds %q (%v)", read(t, d.ExitsPath()), err)
	}
	rotateTwice(t, d)
	if err := d.AppendExit(f, []byte("mine\n")); err != nil {
		t.Error(err)
	}
	if got := read(t, d.ExitsPath()); got != "another\nmine\n" {
		t.Errorf("the file holds %q", got)
	}
}

// TestALongLifeThatMayNotOpenTheSuccessor says so.
func TestALongLifeThatMayNotOpenTheSuccessor(t *testing.T) {
	above := t.TempDir()
	d := open(t, filepath.Join(above, "state"))
	f, err := d.Exits()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rotateTwice(t, d)
	// Root may open anything but what is not there: nothing is made in a folder
	// that was deleted.
	if err := os.RemoveAll(d.Path()); err != nil {
		t.Fatal(err)
	}
	err = d.AppendExit(f, []byte("mine\n"))
	if !errors.Is(err, ErrExitsGone) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error is %v, want that the file is gone and why there is no other", err)
	}
}
