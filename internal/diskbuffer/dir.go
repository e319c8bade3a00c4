package diskbuffer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// OpenDir opens a directory as an FS, and makes it with mode 0700 where it is
// missing. Names are resolved inside of it alone, links that lead out are
// refused. A path of which a parent is missing is an error of the caller: the
// state directory exists.
func OpenDir(path string, owner Owner) (FS, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open disk buffer %s: %w", path, err)
	}
	made := false
	switch err := os.Mkdir(full, 0o700); {
	case err == nil:
		made = true
	case !errors.Is(err, os.ErrExist):
		return nil, fmt.Errorf("make disk buffer: %w", err)
	}
	if made && owner != (Owner{-1, -1}) {
		if err := os.Lchown(full, owner.UID, owner.GID); err != nil {
			return nil, fmt.Errorf("give disk buffer to its owner: %w", err)
		}
	}
	root, err := os.OpenRoot(full)
	if err != nil {
		return nil, fmt.Errorf("open disk buffer: %w", err)
	}
	self, err := root.OpenFile(".", os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open disk buffer: %w", err), root.Close())
	}
	d := &dir{path: full, owner: owner, root: root, self: self}
	if made {
		if err := syncParent(full); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	return d, nil
}

// syncParent makes a new directory durable.
func syncParent(path string) error {
	parent, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("make disk buffer durable: %w", err)
	}
	if err := errors.Join(parent.Sync(), parent.Close()); err != nil {
		return fmt.Errorf("make disk buffer durable: %w", err)
	}
	return nil
}

// dir is a directory of a real file system.
type dir struct {
	path  string
	owner Owner
	root  *os.Root
	self  *os.File // the directory itself
	lock  *os.File
}

func (d *dir) Create(name string) (File, error) {
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := d.own(f); err != nil {
		return nil, errors.Join(err, f.Close(), d.root.Remove(name))
	}
	return &file{f: f, fd: int(f.Fd())}, nil
}

func (d *dir) own(f *os.File) error {
	if d.owner == (Owner{-1, -1}) {
		return nil
	}
	return f.Chown(d.owner.UID, d.owner.GID)
}

func (d *dir) Open(name string, write bool) (File, error) {
	flag := os.O_RDONLY
	if write {
		flag = os.O_RDWR
	}
	f, err := d.root.OpenFile(name, flag, 0)
	if err != nil {
		return nil, err
	}
	// The kernel's own measure of reading ahead is left as it is: asking for twice as
	// much made reading a cold backlog slower. See Ahead.
	return &file{f: f, fd: int(f.Fd())}, nil
}

func (d *dir) Remove(name string) error { return d.root.Remove(name) }

func (d *dir) Rename(from, to string) error { return d.root.Rename(from, to) }

// List asks for one name after the other again where one has gone meanwhile.
func (d *dir) List() ([]Entry, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	slices.Sort(names)
	var all []Entry
	for _, name := range names {
		info, err := d.root.Lstat(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			all = append(all, Entry{name, info.Size()})
		}
	}
	return all, nil
}

func (d *dir) Sync() error { return d.self.Sync() }

func (d *dir) Space() (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(d.self.Fd()), &st); err != nil {
		return 0, 0, fmt.Errorf("statfs %s: %w", d.path, err)
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}

// lockTries bounds how often a lock file may be replaced while it is taken.
const lockTries = 10

// Lock locks the lock file, and then makes sure that it still is the lock file:
// who empties a buffer removes it together with its lock.
func (d *dir) Lock() error {
	if d.lock != nil {
		return nil
	}
	for range lockTries {
		f, err := d.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return fmt.Errorf("open the lock of disk buffer %s: %w", d.path, err)
		}
		ours, err := d.take(f)
		if ours {
			d.lock = f
			return nil
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("lock disk buffer %s: %w", d.path, err)
		}
	}
	return fmt.Errorf("lock disk buffer %s: its lock file was replaced %d times meanwhile", d.path, lockTries)
}

func (d *dir) take(f *os.File) (bool, error) {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return false, err
	}
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := d.root.Lstat(lockName)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil || !os.SameFile(mine, named) {
		return false, err
	}
	return true, d.own(f)
}

// RemoveDir removes the directory, which must be empty.
func (d *dir) RemoveDir() error { return os.Remove(d.path) }

func (d *dir) Close() error {
	var err error
	if d.lock != nil {
		err = d.lock.Close()
		d.lock = nil
	}
	return errors.Join(err, d.self.Close(), d.root.Close())
}

// file is a file of a real file system.
type file struct {
	f  *os.File
	fd int
	// rest is what a short write has left. Only one write runs at a time.
	rest [][]byte
	null *os.File // where Ahead puts what it reads
}

func (f *file) WriteAt(off int64, pieces ...[]byte) error {
	for {
		n, err := unix.Pwritev(f.fd, pieces, off)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return &os.PathError{Op: "pwritev", Path: f.f.Name(), Err: err}
		}
		off += int64(n)
		if pieces = f.after(pieces, n); len(pieces) == 0 {
			return nil
		}
		if n == 0 {
			return &os.PathError{Op: "pwritev", Path: f.f.Name(), Err: io.ErrShortWrite}
		}
	}
}

// after is what is left of pieces behind the first n bytes. It leaves the
// caller's slice as it is.
func (f *file) after(pieces [][]byte, n int) [][]byte {
	for len(pieces) > 0 && n >= len(pieces[0]) {
		n -= len(pieces[0])
		pieces = pieces[1:]
	}
	if n > 0 {
		f.rest = append(f.rest[:0], pieces...)
		f.rest[0] = f.rest[0][n:]
		pieces = f.rest
	}
	return pieces
}

func (f *file) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

func (f *file) Truncate(size int64) error { return f.f.Truncate(size) }

func (f *file) Sync() error {
	for {
		err := unix.Fdatasync(f.fd)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "fdatasync", Path: f.f.Name(), Err: err}
		}
		return nil
	}
}

func (f *file) Drop(from, to int64) {
	if to <= from {
		return
	}
	unix.SyncFileRange(f.fd, from, to-from, unix.SYNC_FILE_RANGE_WRITE) //nolint:errcheck // A hint; Sync tells of errors.
	unix.Fadvise(f.fd, from, to-from, unix.FADV_DONTNEED)               //nolint:errcheck // A hint.
}

// Ahead reads and throws away. The kernel reads ahead of a reader in large pages;
// what it is only advised to read comes in small ones, and more slowly. Between a
// file and /dev/null nothing is copied.
func (f *file) Ahead(from, to int64) {
	if f.null == nil {
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			return
		}
		f.null = null
	}
	for from < to {
		n, err := unix.Sendfile(int(f.null.Fd()), f.fd, &from, int(to-from))
		if n <= 0 || err != nil {
			return
		}
	}
}

func (f *file) Close() error {
	err := f.f.Close()
	if f.null != nil {
		err = errors.Join(err, f.null.Close())
	}
	return err
}
