package kafka

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// put reads n bytes of batches into a block. room is what was taken for them: what is
// larger, as a batch is that a broker sends whole, is held in memory where there is
// more, and else in a file.
func (m *memory) put(in io.Reader, n int, room int64) (*block, error) {
	var b *block
	switch {
	case int64(class(n)) <= room:
		b = m.block(n)
	case m.more(int64(n) - room):
		// It is larger than usual, and would be garbage for long.
		b = &block{data: mapMemory(n), in: m, size: int64(n), mapped: true}
		m.overdraw(b.size)
	default:
		return m.putAside(in, n)
	}
	if _, err := io.ReadFull(in, b.data); err != nil {
		b.release()
		return nil, err
	}
	return b, nil
}

// more reports whether there are n bytes more; a block takes them at once.
func (m *memory) more(n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.free >= n
}

// putAside is put for what memory has no room for. What of it is not looked at just now
// is nowhere but in the file, and is no memory of this process.
func (m *memory) putAside(in io.Reader, n int) (b *block, err error) {
	f, err := os.CreateTemp(m.spool, "batch-*")
	if err != nil {
		return nil, fmt.Errorf("put aside a batch of %d bytes, for which there is no memory: %w", n, err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = fmt.Errorf("put aside a batch of %d bytes, for which there is no memory: %w", n, err)
		}
	}()
	if err := os.Remove(f.Name()); err != nil {
		return nil, err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, in, make([]byte, 128<<10)); err != nil {
		return nil, err
	}
	data, err := unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	// It counts as half of all, so that at most two are there at a time.
	b = &block{data: data, in: m, size: m.all / 2, mapped: true, aside: true}
	m.overdraw(b.size)
	return b, nil
}

// passed gives back the pages of a mapped block between two places, which are looked at no
// more. Of a file all are given back: who looks at them again reads them from there.
func (b *block) passed(from, to int) {
	if b.aside {
		from, to = 0, len(b.data)
	}
	dropPages(b.data, from, to)
}

// dropPages gives back whole pages between two places of what is mapped.
func dropPages(data []byte, from, to int) {
	page := os.Getpagesize()
	from = (from + page - 1) &^ (page - 1)
	if to < len(data) {
		to &^= page - 1
	}
	if from < to {
		// What cannot be given back is given back with the mapping.
		_ = unix.Madvise(data[from:to], unix.MADV_DONTNEED)
	}
}

// mapMemory returns n bytes outside of the Go heap. Where the system has none, there is none in the heap either.
func mapMemory(n int) []byte {
	data, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		panic("out of memory: map " + strconv.Itoa(n) + " bytes for what is large: " + err.Error())
	}
	return data
}

// unmap ends a mapping, which cannot fail for one that is there.
func unmap(data []byte) {
	if err := unix.Munmap(data); err != nil {
		panic("BUG: unmap a block: " + err.Error())
	}
}
