// Package deadletter keeps the records that no retry can deliver, until somebody
// has looked at them: whole, with their bytes as they arrived, where they came
// from, where they were going and what the destination said. Delivery puts them
// here before it counts them as dead-lettered; spillway deadletter lists, shows,
// replays and purges them.
//
// The store is an SQLite file in a directory of its own, letters-1.db, which the
// running process and the commands use at the same time; docs/adr/0009-dead-letters.md
// says why. Its tables:
//
//	letter   one row for each letter: id, key, revision, what record.Letter has,
//	         and the first 64 KiB of the body
//	rest     what a longer body has behind that, in parts of 256 KiB; the number
//	         of a part is id << 20 | part
//	replay   the ids of letters that somebody wants to be handed over once more
//	total    one row: how many letters there are, and the bytes of their bodies
//
// A letter is identified by destination, origin and body: putting one twice makes
// one entry, whose revision grows. Whoever has dealt with a letter removes it in
// the revision that he has seen, so that one which came back meanwhile stays.
//
// Each row carries a CRC32C of all its fields. What is damaged is read around, and
// counted. A file that can take no letter any more is set aside: it stays, and is
// read as far as it can be, while a new one with the next number takes the letters,
// with greater ids. No file is ever renamed or deleted here, since SQLite knows a
// file's log by the file's name.
//
// The store refuses to drop: a full one, and one that fails, says so, and the
// letter stays with whoever wanted to put it.
package deadletter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// ErrFull is the error of Put where the letters do not fit: max-dead-letter-size
// is reached, or the disk is full.
var ErrFull = errors.New("the dead letters are full")

const (
	// DefaultMax is max-dead-letter-size where nobody says otherwise.
	DefaultMax = 1 << 30
	// minMax is the least that the store is bounded to: its own tables and a write
	// of some size must fit.
	minMax = 1 << 20
	// defaultWait is how long a call waits for another process.
	defaultWait = 10 * time.Second
	// defaultPatience is how long a call waits for the disk.
	defaultPatience = 30 * time.Second
	// cutOffPatience is how much longer it waits where its context ends meanwhile.
	cutOffPatience = 2 * time.Second
)

// errHangs is where the disk does not answer. A call of the system that hangs cannot be
// ended, so what it does is left to itself.
var errHangs = errors.New("the disk does not answer; look at it, and whether others can write there")

// Options say how a store is used.
type Options struct {
	// Max bounds the files of the store, in bytes; DefaultMax where it is 0.
	Max int64
	// Wait is how long a call waits for other processes, 10 s where it is 0. What
	// they hold the store for takes milliseconds.
	Wait time.Duration
	// Patience is how long Put waits for the disk, 30 s where it is 0, and Close a third
	// of that.
	Patience time.Duration
	// Damaged is told of a file that was set aside because nothing could be written
	// to it any more; it may be nil. It is called by whoever puts or opens.
	Damaged func(error)
}

// Store is an open store. Its methods may be called by several goroutines at once,
// and other processes may use the directory at the same time.
type Store struct {
	dir string
	o   Options
	max atomic.Int64 // Options.Max, or what it was changed to

	access chan struct{} // holds one token, for file
	file   *file         // the one that takes letters; nil before it is used

	group  *group
	commit func(context.Context, []*call) error
}

// acquire takes the token of file, unless ctx ends before.
func (s *Store) acquire(ctx context.Context) error {
	select {
	case <-s.access:
		return nil
	default:
	}
	select {
	case <-s.access:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the file of dead letters: %w: %w", errHangs, ctx.Err())
	}
}

func (s *Store) release() { s.access <- struct{}{} }

// Open opens the store in dir. It makes the directory, and looks whether it may write
// there; the file is made or opened when the first letter comes, because most
// processes never have one, and a database takes memory. A file that is damaged so
// that it takes no letters is set aside then.
func Open(dir string, o Options) (*Store, error) {
	s, err := newStore(dir, o)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the dead letters: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.o.Wait)
	defer cancel()
	if err := s.locked(ctx, func() error { return nil }); err != nil {
		return nil, fmt.Errorf("open the dead letters in %s: %w", s.dir, err)
	}
	return s, nil
}

// OpenExisting opens the store in dir; without one the error is fs.ErrNotExist. It
// makes and sets aside nothing.
func OpenExisting(dir string, o Options) (*Store, error) {
	files, err := filesIn(dir)
	if err != nil {
		return nil, err
	}
	if len(files.numbers) == 0 {
		return nil, fmt.Errorf("open the dead letters in %s: %w", dir, fs.ErrNotExist)
	}
	return newStore(dir, o)
}

func newStore(dir string, o Options) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the directory of the dead letters: %w", err)
	}
	if o.Max <= 0 {
		o.Max = DefaultMax
	}
	o.Max = max(o.Max, minMax)
	if o.Wait <= 0 {
		o.Wait = defaultWait
	}
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	s := &Store{dir: abs, o: o, access: make(chan struct{}, 1), group: newGroup()}
	s.release()
	s.commit = func(ctx context.Context, calls []*call) error {
		return s.writing(ctx, func(f *file) error { return f.put(ctx, calls) })
	}
	s.max.Store(o.Max)
	return s, nil
}

// SetMax bounds the files of the store to another size from the next write on; 0 is
// DefaultMax.
func (s *Store) SetMax(size int64) error {
	if size <= 0 {
		size = DefaultMax
	}
	if s.max.Swap(max(size, minMax)) == max(size, minMax) {
		return nil
	}
	// A file gets its bounds when it is opened.
	return s.Close()
}

// Close lets go of the file; whoever uses the store again opens it. What was put is on the
// disk already. Where the disk hangs it gives up after a while, and says so.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.o.Patience/3)
	defer cancel()
	if err := s.acquire(ctx); err != nil {
		return fmt.Errorf("close the dead letters in %s: %w", s.dir, err)
	}
	f := s.file
	s.file = nil
	s.release()
	if f == nil {
		return nil
	}
	closed := make(chan error, 1)
	go func() { closed <- f.close() }()
	select {
	case err := <-closed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("close the dead letters in %s: %w", s.dir, errHangs)
	}
}

// writing runs do on the file that takes letters. Where that one is damaged it is
// set aside, and do runs once more, on a new one.
func (s *Store) writing(ctx context.Context, do func(*file) error) error {
	f, err := s.present(ctx)
	if err == nil {
		err = do(f)
	}
	if f == nil || !damaged(err) {
		return err
	}
	if err := s.setAside(ctx, f, err); err != nil {
		return err
	}
	if f, err = s.present(ctx); err != nil {
		return err
	}
	return do(f)
}

// present is the file that takes letters, which is made if there is none; where it is
// damaged, there is an error beside it. It is the one that is open, unless it has been deleted since or another process has set it
// aside: what would be written to that one nobody would look for.
func (s *Store) present(ctx context.Context) (*file, error) {
	if err := s.acquire(ctx); err != nil {
		return nil, err
	}
	defer s.release()
	files, err := filesIn(s.dir)
	if err != nil {
		return nil, err
	}
	if s.file != nil {
		if s.file.number == files.last() && s.file.isAt() {
			return s.file, nil
		}
		old := s.file
		s.file = nil
		if err := old.close(); err != nil && !damaged(err) {
			return nil, err
		}
	}
	number := files.last()
	if number == 0 {
		number = files.next
		if err := s.makeFile(ctx, number); err != nil {
			return nil, err
		}
	}
	f, err := s.openFile(number, s.bounds(files, number))
	if err != nil {
		return nil, err
	}
	if err := f.ours(ctx); err != nil {
		if closed := f.close(); !damaged(closed) {
			err = errors.Join(err, closed)
		}
		return f, err
	}
	s.file = f
	return f, nil
}

// setAside makes the successor of f, which is damaged. Nothing of f is deleted, and
// what can be read of it is still listed.
func (s *Store) setAside(ctx context.Context, f *file, why error) error {
	if err := s.makeFile(ctx, f.number+1); err != nil {
		return err
	}
	if s.o.Damaged != nil {
		s.o.Damaged(fmt.Errorf("%w; it is set aside, and what can be read of it is listed", why))
	}
	return nil
}
