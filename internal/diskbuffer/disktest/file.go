package disktest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"
)

// file is an open file.
type file struct {
	*inode
	dir    *dir
	name   string
	write  bool
	closed bool
}

func (f *file) begin(call string, args ...any) (Fault, error) {
	fault, err := f.dir.begin(call+" "+f.name, args...)
	if err == nil && f.closed {
		err = fs.ErrClosed
	}
	return fault, err
}

func (f *file) WriteAt(off int64, pieces ...[]byte) error {
	data := slices.Concat(pieces...)
	fault, err := f.begin("write", off, len(data))
	defer f.dir.disk.mu.Unlock()
	if err != nil {
		return err
	}
	if !f.write || off < 0 {
		return fmt.Errorf("disktest: write to %s at %d, writable %t: %w", f.name, off, f.write, syscall.EBADF)
	}
	k := f.dir.disk
	if fault.Err != nil && len(data) > 0 {
		n := k.random.IntN(len(data))
		if errors.Is(fault.Err, ErrPower) {
			n = k.random.IntN(len(data) + 1)
		}
		if end := off + int64(n); errors.Is(fault.Err, ErrPower) && n < len(data) {
			// A process that is killed leaves off at the end of a page.
			n = max(n-int(end%4096), 0)
		}
		data = data[:n]
	}
	grows := off + int64(len(data)) - int64(len(f.data))
	if free := k.free(); k.names[f.name] == f.inode && grows > max(free, 0) {
		data = data[:max(int64(len(data))-(grows-max(free, 0)), 0)]
		fault.Err = syscall.ENOSPC
	}
	if len(data) > 0 {
		f.step(step{at: int(off), data: data})
	}
	return fault.Err
}

// step changes the file in the cache.
func (n *inode) step(s step) {
	n.data = s.do(n.data)
	n.log = append(n.log, s)
}

// do changes bytes as the step says.
func (s step) do(data []byte) []byte {
	size := s.resize(len(data))
	if size > len(data) {
		data = append(data, make([]byte, size-len(data))...)
	}
	copy(data[s.at:size], s.data)
	return data[:size]
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	fault, err := f.begin("read", off, len(p))
	defer f.dir.disk.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if off >= int64(len(f.data)) {
		return 0, fault.end(io.EOF)
	}
	n := copy(p, f.data[off:])
	if fault.Err != nil {
		return f.dir.disk.random.IntN(n + 1), fault.Err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) Truncate(size int64) error {
	fault, err := f.begin("truncate", size)
	defer f.dir.disk.mu.Unlock()
	if err = fault.whole(err); err != nil {
		return err
	}
	if !f.write || size < 0 {
		return fmt.Errorf("disktest: truncate %s to %d, writable %t: %w", f.name, size, f.write, syscall.EBADF)
	}
	f.step(step{at: int(size)})
	return fault.Err
}

// Sync makes the file's bytes and size durable, not its name. A Sync that fails
// loses pages: see the package.
func (f *file) Sync() error {
	fault, err := f.begin("sync")
	defer f.dir.disk.mu.Unlock()
	k := f.dir.disk
	switch {
	case fault.Err != nil && !errors.Is(fault.Err, ErrPower):
		f.disk = slices.Clone(k.after(f.inode))
		if k.random.IntN(2) == 0 {
			// The cache gave the pages up, too, but not the size.
			n := copy(f.data, f.disk)
			clear(f.data[n:])
		}
	case err != nil:
		return err
	default:
		for _, s := range f.log {
			f.disk = s.do(f.disk)
		}
	}
	f.log = nil
	return fault.Err
}

// Drop does nothing: what is in the cache is not seen by a program.
func (f *file) Drop(_, _ int64) {}

// Ahead does nothing, for the same reason.
func (f *file) Ahead(_, _ int64) {}

func (f *file) Close() error {
	fault, err := f.begin("close")
	defer f.dir.disk.mu.Unlock()
	f.closed = true
	return fault.end(err)
}
