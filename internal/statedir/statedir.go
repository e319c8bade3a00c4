// Package statedir is the one directory in which Spillway keeps its state: the
// local store, the disk buffers, the exit lines, the sockets that status asks,
// and the program's own log where there is no journal. Which directory it is,
// config.StateDir says.
//
//	local/         the local store
//	buffers/       one directory for each disk buffer: records not delivered yet
//	dead-letters/  records that no retry can deliver
//	chunks/        which chunks the sources of a run have taken
//	spool/         messages that are too large for memory, while they are received
//	parts/         parts of lines that were acknowledged, until the line is whole
//	run/           one socket for each process that runs
//	log/           own logs
//	exits.jsonl    one line for each process that ended, with its last balance
package statedir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Dir is an open state directory.
type Dir struct {
	path string
	root *os.Root
}

// Open opens the directory and makes it, for its owner alone, where it is
// missing.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w; give another with --state-dir or SPILLWAY_STATE_DIR", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open the state directory: %w; give another with --state-dir or SPILLWAY_STATE_DIR", err)
	}
	return &Dir{path: path, root: root}, nil
}

// Close lets go of the directory; files that were opened in it stay open.
func (d *Dir) Close() error { return d.root.Close() }

// Sub returns the path of a directory in the state directory, which is made
// where it is missing.
func (d *Dir) Sub(name string) (string, error) {
	if err := d.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make %s in the state directory %s: %w", name, d.path, err)
	}
	return filepath.Join(d.path, name), nil
}

// Path is the directory's path.
func (d *Dir) Path() string { return d.path }

// Hash turns a foreign name into one that a file may have.
func Hash(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8])
}

// Names of the parts.
const (
	Local       = "local"
	Run         = "run"
	Log         = "log"
	Buffers     = "buffers"
	DeadLetters = "dead-letters"
	Chunks      = "chunks"
	Spool       = "spool"
	Parts       = "parts"

	exits    = "exits.jsonl"
	oldExits = "exits.jsonl.1"
	exitsMax = 10 << 20
)

// Exits opens the file of exit lines for appending. It is rotated here, at the
// start of a process, since at its end the process may not be allowed to.
func (d *Dir) Exits() (*os.File, error) {
	for {
		f, err := d.root.OpenFile(exits, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open %s in %s: %w", exits, d.path, err)
		}
		info, err := f.Stat()
		if err == nil && info.Size() <= exitsMax {
			return f, nil
		}
		if err == nil {
			err = d.rotate(info, f)
		}
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return f, nil // Another process rotates it at this moment, with what is written here.
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("rotate %s in %s: %w", exits, d.path, err)
		}
	}
}

// rotate puts the full file aside, unless another process has done so since it
// was opened: a second renaming would put the new file in the place of the full
// one. Only who holds the lock of a file renames it.
func (d *Dir) rotate(full fs.FileInfo, f *os.File) error {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return err
	}
	present, err := d.root.Stat(exits)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(present, full) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.root.Rename(exits, oldExits)
}

// ExitsPath is the path of the file of exit lines.
func (d *Dir) ExitsPath() string { return filepath.Join(d.path, exits) }
