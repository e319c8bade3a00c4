package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/sink/appendfile"
)

// folder is what the store does to its folder; an *os.Root is one. Tests put
// faults into it.
type folder interface {
	OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error)
	Rename(from, to string) error
	Remove(name string) error
	Close() error
}

const (
	readOnly = os.O_RDONLY
	fileMode = fs.FileMode(0o600)
	lockName = "lock"
)

// segmentFile is a segment's file.
type segmentFile interface {
	appendfile.File
	Datasync() error
}

type syncedFile struct{ *os.File }

func osFile(f *os.File) segmentFile { return syncedFile{f} }

// Datasync waits until what was written is on the disk.
func (f syncedFile) Datasync() error {
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

// store is a folder of segments, as its writers see it.
type store struct {
	folder      folder
	wrap        func(*os.File) segmentFile
	maxSize     int64
	segmentSize int64
	leastSize   int64 // what a segment counts at least, which bounds their number
}

// ownSegment is the segment that we write to.
type ownSegment struct {
	segment
	file segmentFile
}

// newSegment makes a segment, and room for it, or for need bytes if that is
// more.
func (s *store) newSegment(ctx context.Context, g segment, need int64) (*ownSegment, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.makeRoom(max(need, s.segmentSize)); err != nil {
		return nil, err
	}
	// The file gets its name only when it is locked, for a segment without a lock
	// is taken for one whose writer was killed.
	scratch := g.base() + scratchEnd
	f, err := s.folder.OpenFile(scratch, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	err = tryLock(f, unix.LOCK_EX)
	if err == nil {
		err = s.folder.Rename(scratch, g.name())
	}
	if err == nil {
		err = s.sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &ownSegment{segment: g, file: s.wrap(f)}, nil
}

// finish gives a segment its final name, or deletes it if nothing is in it.
func (s *store) finish(g segment, c counts) error {
	from := g.name()
	if c.size == 0 {
		return s.folder.Remove(from)
	}
	g.closed, g.counts = true, c
	return s.folder.Rename(from, g.name())
}

// sync makes names survive a power cut.
func (s *store) sync() error {
	dir, err := s.folder.OpenFile(".", readOnly, 0)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// tryOut makes a file and deletes it.
func (s *store) tryOut(name string) error {
	f, err := s.folder.OpenFile(name, os.O_WRONLY|os.O_CREATE, fileMode)
	if err != nil {
		return err
	}
	// Another writer may have swept it away by now.
	return errors.Join(f.Close(), ignoreMissing(s.folder.Remove(name)))
}

// lockWait is the pause between two attempts to get the store's lock, which
// others hold for milliseconds.
const lockWait = 5 * time.Millisecond

// lock keeps other writers from making and deleting segments.
func (s *store) lock(ctx context.Context) (unlock func(), err error) {
	f, err := s.folder.OpenFile(lockName, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	for {
		err := tryLock(f, unix.LOCK_EX)
		if err == nil {
			return func() {
				// It was opened to be locked and has nothing to write.
				_ = f.Close()
			}, nil
		}
		if errors.Is(err, errLocked) {
			select {
			case <-time.After(lockWait):
				continue
			case <-ctx.Done():
				err = fmt.Errorf("%w: %w", err, ctx.Err())
			}
		}
		return nil, errors.Join(err, f.Close())
	}
}

var errLocked = errors.New("another program holds the lock")

// tryLock locks the file, or reports errLocked. The lock ends with the file.
func tryLock(f *os.File, how int) error {
	err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errLocked
	}
	if err != nil {
		return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// isScratch tells whether a file may be deleted by whoever holds the lock.
func isScratch(name string) bool { return strings.HasSuffix(name, scratchEnd) }
