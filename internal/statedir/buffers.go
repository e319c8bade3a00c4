package statedir

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// hashSize is the length of a Hash, in characters.
const hashSize = 16

// BufferName is what the disk buffer of an identity is called in the directory
// Buffers: the first of its siblings, or the n-th from 2 on, which is made where
// those before it are in use.
func BufferName(identity string, n int) string {
	if n < 2 {
		return Hash(identity)
	}
	return Hash(identity) + "-" + strconv.Itoa(n)
}

// Buffer is one directory that holds a disk buffer.
type Buffer struct {
	// Hash is that of its identity, and Sibling its number among those of that
	// identity, from 1: a smaller number is not always the older buffer.
	Hash    string
	Sibling int
	// Path is the directory's path.
	Path string
}

// ListBuffers returns the disk buffers of a state directory, siblings together and
// by their numbers. It makes nothing, and leaves out what is no directory or has
// another name. Without a state directory there is fs.ErrNotExist; without
// buffers the list is empty.
func ListBuffers(stateDir string) ([]Buffer, error) {
	dir := filepath.Join(stateDir, Buffers)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(stateDir); err != nil {
			return nil, fmt.Errorf("list the disk buffers: %w", err)
		}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the disk buffers: %w", err)
	}
	var all []Buffer
	for _, e := range entries {
		// A symbolic link is no directory here: what a buffer's own user could make
		// must not lead elsewhere.
		if b, ok := parseBufferName(e.Name()); ok && e.IsDir() {
			b.Path = filepath.Join(dir, e.Name())
			all = append(all, b)
		}
	}
	slices.SortFunc(all, func(a, b Buffer) int {
		return cmp.Or(cmp.Compare(a.Hash, b.Hash), cmp.Compare(a.Sibling, b.Sibling))
	})
	return all, nil
}

// parseBufferName is the inverse of BufferName.
func parseBufferName(name string) (Buffer, bool) {
	hash, number, numbered := strings.Cut(name, "-")
	if len(hash) != hashSize || strings.Trim(hash, "0123456789abcdef") != "" {
		return Buffer{}, false
	}
	b := Buffer{Hash: hash, Sibling: 1}
	if numbered {
		n, err := strconv.Atoi(number)
		if err != nil || n < 2 || strconv.Itoa(n) != number {
			return Buffer{}, false
		}
		b.Sibling = n
	}
	return b, true
}
