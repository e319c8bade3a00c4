package diskbuffer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// OpenReadOnly opens a directory that exists, to look into it: every call that
// would change something is refused with fs.ErrPermission. It takes no lock, so
// that a process which uses the directory goes on.
func OpenReadOnly(path string) (FS, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open disk buffer: %w", err)
	}
	self, err := root.OpenFile(".", os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open disk buffer: %w", err), root.Close())
	}
	return &readOnlyDir{&dir{path: path, owner: Owner{-1, -1}, root: root, self: self}}, nil
}

// ReadMeta reads whose buffer a directory holds, and nothing else of it. It is
// fs.ErrNotExist where nothing says so; any other error may be damage.
func ReadMeta(dir FS) (Meta, error) {
	m, err := readMeta(dir)
	if err != nil {
		return Meta{}, fmt.Errorf("read %s: %w", metaName, err)
	}
	return m, nil
}

// readOnlyDir is a directory of a real file system that stays as it is.
type readOnlyDir struct{ *dir }

func refused(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrPermission} }

func (d *readOnlyDir) Create(name string) (File, error) { return nil, refused("create", name) }
func (d *readOnlyDir) Remove(name string) error         { return refused("remove", name) }
func (d *readOnlyDir) Rename(from, _ string) error      { return refused("rename", from) }
func (d *readOnlyDir) Lock() error                      { return refused("lock", lockName) }

func (d *readOnlyDir) Open(name string, write bool) (File, error) {
	if write {
		return nil, refused("open", name)
	}
	return d.dir.Open(name, false)
}

// InUse reports whether a process has the lock. The question holds the lock for
// its own moment, shared, in which nobody else can take it.
func (d *readOnlyDir) InUse() (bool, error) {
	f, err := d.root.Open(lockName)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at the lock of disk buffer %s: %w", d.path, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	locked := errors.Is(err, unix.EWOULDBLOCK)
	if locked {
		err = nil
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return false, fmt.Errorf("look at the lock of disk buffer %s: %w", d.path, err)
	}
	return locked, nil
}
