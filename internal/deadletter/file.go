package deadletter

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"modernc.org/sqlite"
)

// Result codes of SQLite, https://www.sqlite.org/rescode.html. The low byte is
// the kind.
const (
	codeError      = 1
	codeBusy       = 5
	codeReadOnly   = 8
	codeCorrupt    = 11
	codeFull       = 13
	codeTooBig     = 18
	codeConstraint = 19
	codeNotADB     = 26
)

// Facts of the file, https://www.sqlite.org/fileformat2.html.
const (
	pageSize = 4096
	// applicationID is "SpDL".
	applicationID = 0x5370444c
	version       = 1
)

// cacheKiB bounds the page cache of one connection; a store has at most two.
const cacheKiB = 512

// bounds say how large a file and its log may get, in bytes. The log lies beside the
// file; it is written into the file when it has this size, and may exceed it by
// what is committed at once.
type bounds struct{ file, log int64 }

// schema makes the tables of a new file; its first letter gets the id behind the
// number given.
const schema = `
CREATE TABLE letter (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	key BLOB NOT NULL UNIQUE,
	revision INTEGER NOT NULL,
	destination TEXT NOT NULL,
	source TEXT NOT NULL,
	tag TEXT NOT NULL,
	origin TEXT NOT NULL,
	seq INTEGER NOT NULL,
	time INTEGER NOT NULL,
	encoding INTEGER NOT NULL,
	status INTEGER NOT NULL,
	reason TEXT NOT NULL,
	detail TEXT NOT NULL,
	attempts INTEGER NOT NULL,
	first INTEGER NOT NULL,
	last INTEGER NOT NULL,
	size INTEGER NOT NULL,
	sum INTEGER NOT NULL,
	head BLOB NOT NULL
);
CREATE TABLE rest (
	part INTEGER PRIMARY KEY,
	sum INTEGER NOT NULL,
	bytes BLOB NOT NULL
);
CREATE TABLE replay (letter INTEGER PRIMARY KEY);
CREATE TABLE total (letters INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO total VALUES (0, 0);
INSERT INTO sqlite_sequence VALUES ('letter', %d);
PRAGMA application_id = %d;
PRAGMA user_version = %d;`

var errNewer = errors.New("a newer spillway has made them")

// file is one open SQLite file of a store.
type file struct {
	number int
	path   string
	info   fs.FileInfo
	db     *sql.DB
}

// openFile opens the file of that number, which is there.
func (s *Store) openFile(number int, b bounds) (*file, error) {
	f, err := openPath(s.path(number), b, s.o.Wait, nil)
	if err != nil {
		return nil, err
	}
	f.number = number
	return f, nil
}

// fresh are settings of a file that has nothing in it yet. They would take the lock of
// writing each time, also where they change nothing.
var fresh = url.Values{"_auto_vacuum": {"INCREMENTAL"}}

func openPath(path string, b bounds, wait time.Duration, more url.Values) (*file, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("open the dead letters: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open the dead letters: found %s at %s; expected a file", info.Mode().Type(), path)
	}
	q := url.Values{
		"mode":          {"rw"},
		"_busy_timeout": {strconv.FormatInt(wait.Milliseconds(), 10)},
		"_journal_mode": {"WAL"},
		// A commit returns when it is synced.
		"_synchronous": {"FULL"},
		"_txlock":      {"immediate"},
		"_defensive":   {"1"},
		"_dqs":         {"0"},
		"_pragma": {
			fmt.Sprintf("cache_size(-%d)", cacheKiB), "temp_store(FILE)", "mmap_size(0)", "trusted_schema(OFF)", "cell_size_check(ON)",
			// The log is cut back to this after each checkpoint.
			fmt.Sprintf("journal_size_limit(%d)", b.log), fmt.Sprintf("wal_autocheckpoint(%d)", b.log/pageSize),
			fmt.Sprintf("max_page_count(%d)", b.file/pageSize),
		},
	}
	maps.Copy(q, more)
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open the dead letters in %s: %w", path, err)
	}
	// One connection writes, the other reads meanwhile.
	db.SetMaxOpenConns(2)
	db.SetMaxIdleConns(2)
	return &file{path: path, info: info, db: db}, nil
}

// execer runs a statement in a transaction.
type execer func(ctx context.Context, query string, args ...any) error

// inTransaction runs do in a transaction that writes.
func (f *file) inTransaction(ctx context.Context, what string, do func(execer) error) (err error) {
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return f.explain(what, err)
	}
	defer func() {
		if rolled := tx.Rollback(); rolled != nil && !errors.Is(rolled, sql.ErrTxDone) && err == nil {
			err = f.explain("take back", rolled)
		}
	}()
	err = do(func(ctx context.Context, query string, args ...any) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
	if err != nil {
		return f.explain(what, err)
	}
	return f.explain(what, tx.Commit())
}

// isAt reports whether the file is still the one under its name.
func (f *file) isAt() bool {
	info, err := os.Lstat(f.path)
	return err == nil && os.SameFile(info, f.info)
}

func (f *file) close() error {
	if err := f.db.Close(); err != nil {
		return fmt.Errorf("close the dead letters in %s: %w", f.path, err)
	}
	return nil
}

// ours looks whether the file is one of ours.
func (f *file) ours(ctx context.Context) error {
	var id, format, letters int64
	err := f.db.QueryRowContext(ctx, "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version").Scan(&id, &format)
	switch {
	case err != nil:
		return f.explain("read", err)
	case id == applicationID && format > version:
		return fmt.Errorf("%s: found dead letters of format %d; expected %d: %w", f.path, format, version, errNewer)
	case id != applicationID || format != version:
		return &damageError{f.path, fmt.Errorf("found application id %#x and format %d; expected %#x and %d", id, format, applicationID, version)}
	}
	if err := f.db.QueryRowContext(ctx, "SELECT letters FROM total").Scan(&letters); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return &damageError{f.path, err}
		}
		return f.explain("read", err)
	}
	return nil
}

// explain says what was attempted on which file, and what can be done about it.
func (f *file) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	if code(err) != 0 && damaged(err) || code(err) == codeReadOnly && f.mayWrite() {
		return &damageError{f.path, err}
	}
	switch code(err) {
	case codeFull:
		return fmt.Errorf("%w: %s: %s: %w; replay or purge what is there, or raise max-dead-letter-size or the room on the disk", ErrFull, f.path, what, err)
	case codeBusy:
		return fmt.Errorf("dead letters in %s: %s: another process holds them for too long: %w", f.path, what, err)
	}
	return fmt.Errorf("dead letters in %s: %s: %w", f.path, what, err)
}

// mayWrite reports whether the file system lets us write to the file. Where it does
// and SQLite does not, the file's header asks for a program that does not exist.
func (f *file) mayWrite() bool {
	const writable = 2
	return syscall.Access(f.path, writable) == nil
}

// code is the kind of an error of SQLite, and 0 for others.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}
