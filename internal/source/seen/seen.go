// Package seen remembers the chunks that a source has taken, so that one which
// its sender sends again is not delivered again. It holds keys and nothing of what
// is in a chunk; how a key is made, what a chunk is admitted to and what an answer
// looks like is its callers' business, the sources that acknowledge chunks.
//
// A chunk is under way from Begin until it has reached the level at which its
// source answers, and known from then on. The last keys that became known are
// kept, up to a limit. A key goes into the file only when its chunk is settled:
// what is in a disk buffer is remembered there, and a key that outlived its chunk
// would acknowledge what is nowhere.
//
// The file is a header of 16 bytes, "spillway chunks" and a newline, and then 20
// bytes for each key: the key and the CRC32C of it, little-endian. It is written
// without syncs: after a loss of power what is missing at its end costs possible
// duplicates, and no record. Damaged entries are passed over, a torn one is cut off.
package seen

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// Key identifies a chunk: see record.Origin.
type Key = [16]byte

// State is what is known of a chunk.
type State uint8

// The states.
const (
	// New: it has not been seen, and is under way from now on.
	New State = iota
	// UnderWay: it was admitted before and not answered, and will be when that one is.
	UnderWay
	// Known: it was answered, or would have been, had its sender been there.
	Known
)

// PerKey is the most that one key takes in memory, in bytes, of which a source's
// share of the budget is charged. It lies outside the Go heap.
const PerKey = 32

// Chunks are the chunks of one source. Its methods may be called by several
// goroutines at once.
type Chunks struct {
	limit int

	mu       sync.Mutex
	underWay map[Key]func(ok bool)
	known    table
	path     string
	file     *os.File // nil where nothing is kept
	written  int      // entries in the file
	scratch  []byte
	users    int
	trouble  error
}

// Open returns the chunks of a source of which the last limit are remembered, in
// the file at path; with an empty path they are forgotten at the end of the
// process, and with a limit of 0 as soon as they are answered. The file is locked:
// two processes must not answer for each other's chunks. note says, for the log,
// what of the file was damaged.
func Open(path string, limit int) (c *Chunks, note string, err error) {
	c = &Chunks{limit: limit, users: 1, underWay: make(map[Key]func(bool))}
	if limit <= 0 {
		return c, "", nil
	}
	if c.known, err = newTable(limit); err != nil {
		return nil, "", fmt.Errorf("make room for remembered chunks: %w", err)
	}
	if path == "" {
		return c, "", nil
	}
	if note, err = c.openFile(path); err != nil {
		return nil, "", errors.Join(fmt.Errorf("open the file of remembered chunks: %w", err), c.known.close())
	}
	return c, note, nil
}

// Begin tells what is known of the chunk. Where it is New or UnderWay, answer is
// called once, by Reached, Refused or a later Begin: of several senders of one
// chunk the last hears what becomes of it, and the others, which have given up,
// hear that they need not wait.
func (c *Chunks) Begin(k Key, answer func(ok bool)) State {
	c.mu.Lock()
	known := c.known.has(k)
	before, underWay := c.underWay[k]
	if underWay || !known {
		c.underWay[k] = answer
	}
	c.mu.Unlock()
	switch {
	case underWay:
		// Though it may be settled where it is now to go, somebody else it went to
		// before a change of the file may not have it yet.
		before(false)
		return UnderWay
	case known:
		return Known
	}
	return New
}

// Reached says that a chunk is where its source vouches for it: whoever asked
// last is answered, and the chunk is known from now on.
func (c *Chunks) Reached(k Key) {
	c.mu.Lock()
	answer := c.end(k)
	c.known.add(k)
	c.mu.Unlock()
	if answer != nil {
		answer(true)
	}
}

// Settled says that nothing of these chunks is held any more, so that it is only
// here that they can be remembered. It may come before Reached or after it, and
// calls nobody.
func (c *Chunks) Settled(keys ...Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range keys {
		c.known.add(k)
	}
	c.write(keys)
}

// Has reports whether a chunk, or a part of one that has a key of its own, is known.
func (c *Chunks) Has(k Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known.has(k)
}

// Took says that a part of a chunk is where its source vouches for it: it is known from
// now on, whatever becomes of the other parts.
func (c *Chunks) Took(k Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.add(k)
}

// Forget says that nobody asks for these keys any more, so that they make room for
// others. The file may have them for a while, and so may who opens it next.
func (c *Chunks) Forget(keys ...Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range keys {
		c.known.forget(k)
	}
}

// Refused says that a chunk was not kept: it is forgotten, so that it is taken
// when it is sent again.
func (c *Chunks) Refused(k Key) {
	c.mu.Lock()
	answer := c.end(k)
	c.mu.Unlock()
	if answer != nil {
		answer(false)
	}
}

// end takes a chunk off what is under way and returns who is to be answered.
func (c *Chunks) end(k Key) func(bool) {
	answer := c.underWay[k]
	delete(c.underWay, k)
	return answer
}

// State is how many chunks there are, for status.
func (c *Chunks) State() (underWay, known int, trouble error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.underWay), c.known.n, c.trouble
}

// Share returns the chunks for another user, who closes them too.
func (c *Chunks) Share() *Chunks {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users++
	return c
}

// Close ends the use of the file, with the last user; nothing is known any more then. Chunks that
// are under way are left to their callers.
func (c *Chunks) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users--; c.users > 0 {
		return nil
	}
	err := c.known.close()
	if c.file == nil {
		return err
	}
	if e := c.file.Close(); e != nil {
		err = errors.Join(err, fmt.Errorf("close the file of remembered chunks: %w", e))
	}
	c.file = nil
	return errors.Join(c.trouble, err)
}
