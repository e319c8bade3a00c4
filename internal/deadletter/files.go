package deadletter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	newName    = "new.db"
	lockName   = "lock"   // held while a file is made
	replayName = "replay" // held by the process that replays
	askedName  = "asked"  // there while something is to be replayed
	// idsOfFile is how far apart the ids of successive files begin, so that an id
	// names one letter, and its file.
	idsOfFile = 1_000_000_000_000
	// maxNumber keeps ids within 63 bits.
	maxNumber = 1_000_000
)

// companions are what SQLite keeps beside a file while it is in use.
var companions = []string{"", "-wal", "-shm"}

func fileName(number int) string { return "letters-" + strconv.Itoa(number) + ".db" }

// path is that of the file of a number.
func (s *Store) path(number int) string { return filepath.Join(s.dir, fileName(number)) }

// numberOf is the number of the file that a letter of this id is in.
func numberOf(id int64) int { return int((id-1)/idsOfFile) + 1 }

// files are the files of a store.
type files struct {
	numbers []int // in order; the last takes letters, the others were set aside
	next    int   // one of which nothing is there, not even a log that was left behind
}

func (f files) last() int {
	if len(f.numbers) == 0 {
		return 0
	}
	return f.numbers[len(f.numbers)-1]
}

// filesIn looks which files a store has; without its directory it has none.
func filesIn(dir string) (f files, err error) {
	f.next = 1
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, fmt.Errorf("look for dead letters: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		for _, suffix := range companions {
			text, _ := strings.CutPrefix(strings.TrimSuffix(name, suffix), "letters-")
			n, err := strconv.Atoi(strings.TrimSuffix(text, ".db"))
			if err != nil || n < 1 || n > maxNumber || name != fileName(n)+suffix {
				continue
			}
			f.next = max(f.next, n+1)
			if suffix == "" {
				f.numbers = append(f.numbers, n)
			}
		}
	}
	slices.Sort(f.numbers)
	return f, nil
}

// mostLog is the largest log.
const mostLog = 2 << 20

// bounds are those of the file of that number: what was set aside takes room, and
// so does the log.
func (s *Store) bounds(all files, number int) bounds {
	left := s.max.Load()
	for _, n := range all.numbers {
		if info, err := os.Lstat(s.path(n)); err == nil && n != number {
			left -= info.Size()
		}
	}
	log := min(mostLog, s.max.Load()/16)
	// However much was set aside, some room is left: what is damaged must not stop
	// what is not.
	return bounds{max(left, s.max.Load()/8) - 2*log, log}
}

// makeFile makes the file of that number if it is missing. It appears with its
// tables in it or not at all.
func (s *Store) makeFile(ctx context.Context, number int) error {
	path, made := s.path(number), filepath.Join(s.dir, newName)
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make dead letters: %w", err)
	}
	err := s.locked(ctx, func() error {
		if _, err := os.Lstat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, suffix := range companions {
			if err := os.Remove(made + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := s.fill(ctx, made, int64(number-1)*idsOfFile); err != nil {
			return err
		}
		if err := os.Rename(made, path); err != nil {
			return err
		}
		return syncDir(s.dir)
	})
	if err != nil {
		return fmt.Errorf("make dead letters in %s: %w", s.dir, err)
	}
	return nil
}

// fill makes a file with empty tables, whose first id is behind after.
func (s *Store) fill(ctx context.Context, path string, after int64) error {
	// SQLite would make it readable for others.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	made, err := openPath(path, s.bounds(files{}, 0), s.o.Wait, fresh)
	if err != nil {
		return err
	}
	_, err = made.db.ExecContext(ctx, "BEGIN IMMEDIATE;"+fmt.Sprintf(schema, after, applicationID, version)+"COMMIT;")
	// Closing writes the log into the file and deletes it.
	return errors.Join(made.explain("make the tables", err), made.close())
}

// locked runs do while no other process makes files of the store. Reading and
// writing letters needs no such lock.
func (s *Store) locked(ctx context.Context, do func() error) (err error) {
	lock, err := os.OpenFile(filepath.Join(s.dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, s.o.Wait)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return do()
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("lock %s: %w", lockName, err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("lock %s: another process holds it: %w", lockName, ctx.Err())
		}
	}
}

// syncDir makes what was renamed in dir outlast a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
