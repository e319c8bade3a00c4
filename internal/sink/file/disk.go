package file

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/sink/appendfile"
)

// handle is an open file.
type handle interface {
	appendfile.File
	Datasync() error
}

// about is what is known of a file that was opened.
type about struct {
	size    int64
	changed time.Time
	made    []string // folders in which a name is new
}

// disk is what the sink does to the file system; tests put faults into it.
type disk interface {
	// open opens path to append, and locks it. It makes what is missing, and cuts
	// off what stands behind the last newline.
	open(path string, fileMode, dirMode fs.FileMode) (handle, about, error)
	// same reports whether path leads to the file.
	same(h handle, path string) bool
	rename(from, to string) error
	syncDir(dir string) error
	tryOut(dir string, dirMode fs.FileMode) error
	// For files that are no longer written: the names in a folder, and what is done
	// to them.
	list(dir string) ([]string, error)
	remove(path string) error
	create(path string, mode fs.FileMode) (*os.File, error)
	read(path string) (*os.File, error)
}

// osDisk is the file system.
type osDisk struct{}

type osFile struct{ *os.File }

// Datasync waits until what was written is on the disk.
func (f osFile) Datasync() error {
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

var errNotRegular = errors.New("not a regular file")

func (osDisk) open(path string, fileMode, dirMode fs.FileMode) (handle, about, error) {
	var a about
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if a.made, err = makeDir(filepath.Dir(path), dirMode); err != nil {
			return nil, a, err
		}
		a.made = append(a.made, filepath.Dir(path))
		if f, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, fileMode); err == nil {
			err = f.Chmod(fileMode)
		}
	}
	if f == nil {
		return nil, a, err
	}
	if err == nil {
		err = a.prepare(f)
	}
	if err != nil {
		return nil, a, errors.Join(err, f.Close())
	}
	return osFile{f}, a, nil
}

// prepare locks a file and brings it to the end of its last line.
func (a *about) prepare(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("log to %s: %w: give the path of a file", f.Name(), errNotRegular)
	}
	// The lock goes with the file. Who shared it would take back what we have written.
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errors.New("another process, or another sink, writes to it")
		}
		return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	a.changed = info.ModTime()
	a.size, err = endOfLines(f, info.Size())
	if err == nil && a.size < info.Size() {
		err = f.Truncate(a.size)
	}
	return err
}

// endOfLines is the place behind the last newline before end.
func endOfLines(f *os.File, end int64) (int64, error) {
	buf := make([]byte, 4<<10)
	for end > 0 {
		n := min(int64(len(buf)), end)
		if _, err := f.ReadAt(buf[:n], end-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return end - n + int64(i) + 1, nil
		}
		end -= n
	}
	return 0, nil
}

// makeDir makes a directory and those above it that are missing, and returns
// those in which it made one. The mode is set afterwards because the umask takes
// bits away.
func makeDir(dir string, mode fs.FileMode) ([]string, error) {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	above := filepath.Dir(dir)
	made, err := makeDir(above, mode)
	if err != nil {
		return made, err
	}
	if err := os.Mkdir(dir, mode.Perm()); errors.Is(err, fs.ErrExist) {
		return made, nil
	} else if err != nil {
		return made, err
	}
	return append(made, above), os.Chmod(dir, mode)
}

func (osDisk) same(h handle, path string) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	ours, err := h.Stat()
	return err == nil && os.SameFile(ours, there)
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) remove(path string) error { return os.Remove(path) }

func (osDisk) read(path string) (*os.File, error) { return os.Open(path) }

func (osDisk) create(path string, mode fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(mode); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (osDisk) syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (osDisk) list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// tryOut makes a file in a folder, which it makes where it is missing, and deletes
// it.
func (osDisk) tryOut(dir string, dirMode fs.FileMode) error {
	if _, err := makeDir(dir, dirMode); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".spillway-check-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
