package diskbuffer

import "errors"

// ErrLocked says that another process has the buffer.
var ErrLocked = errors.New("another process uses this disk buffer")

// FS is the seam under the store: one directory of regular files. OpenDir opens
// a real one; tests have one that fails on demand, and one that loses what was
// not synced. Its methods are called by several goroutines at once.
type FS interface {
	// Create makes a file that must not exist yet, with mode 0600.
	Create(name string) (File, error)
	// Open opens a file; a missing one is fs.ErrNotExist.
	Open(name string, write bool) (File, error)
	// Remove unlinks a file. What has it open can still read it.
	Remove(name string) error
	// Rename replaces to by from, atomically.
	Rename(from, to string) error
	// List returns the regular files, in any order.
	List() ([]Entry, error)
	// Sync makes creations, renames and removals durable.
	Sync() error
	// Space returns the bytes of the file system that an unprivileged writer may
	// still take, and all it has.
	Space() (free, total int64, err error)
	// Lock takes the lock of the directory until Close; ErrLocked when another
	// process has it.
	Lock() error
	// Close gives the lock back.
	Close() error
}

// Entry is a regular file of the directory.
type Entry struct {
	Name string
	Size int64 // bytes
}

// File is one open file. WriteAt, Sync and Drop may run at the same time.
type File interface {
	// WriteAt writes all pieces, one behind the other, or returns an error; what
	// is in the file between off and the end of the pieces is then undefined.
	WriteAt(off int64, pieces ...[]byte) error
	// ReadAt is that of io.ReaderAt.
	ReadAt(p []byte, off int64) (int, error)
	// Truncate changes the size.
	Truncate(size int64) error
	// Sync makes data and size durable, as fdatasync does.
	Sync() error
	// Drop begins to write back what is dirty in the range, and takes what is
	// clean out of the page cache. It is best effort.
	Drop(from, to int64)
	// Ahead brings the range into the page cache. It is best effort, takes as long as
	// the disk does, and has one caller at a time.
	Ahead(from, to int64)
	Close() error
}

// Owner is whom the files and the directory belong to; -1 keeps what it is.
type Owner struct{ UID, GID int }
