package jsonfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spillway/spillway/internal/sink/appendfile"
)

// Modes of what is made.
const (
	fileMode fs.FileMode = 0o640
	dirMode  fs.FileMode = 0o750 | fs.ModeSetgid
)

// disk is what the sink does to the file system; tests put faults into it.
type disk interface {
	// open opens path to append, and tells its size. It makes what is missing.
	open(path string) (appendfile.File, int64, error)
	rename(from, to string) error
	remove(path string) error
	// pack turns path into path.gz. It tells whether there is either.
	pack(ctx context.Context, path string) (found bool, err error)
}

// osDisk is the file system.
type osDisk struct{}

var errNotRegular = errors.New("not a regular file")

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) remove(path string) error { return os.Remove(path) }

func (osDisk) open(path string) (appendfile.File, int64, error) {
	_, err := os.Stat(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if missing {
		if err := makeDir(filepath.Dir(path)); err != nil {
			return nil, 0, err
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, fileMode)
	if err != nil {
		return nil, 0, err
	}
	if missing {
		err = f.Chmod(fileMode)
	}
	var size int64
	if err == nil {
		size, err = endLine(f)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}

// makeDir makes a directory and those above it that are missing. The mode is
// set afterwards because the umask, and mkdir itself, take bits away.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeDir(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode.Perm()); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	return os.Chmod(dir, dirMode)
}

// endLine tells the size of the file, and ends its last line if an earlier
// writer was interrupted within it, so that the next entry is a line.
func endLine(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("log to %s: %w: give the path of a file", f.Name(), errNotRegular)
	}
	size := info.Size()
	if size == 0 {
		return 0, nil
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], size-1); err != nil {
		return 0, err
	}
	if last[0] == '\n' {
		return size, nil
	}
	_, err = f.WriteString("\n")
	return size + 1, err
}
