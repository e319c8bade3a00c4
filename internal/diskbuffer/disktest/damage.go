package disktest

import (
	"maps"
	"slices"
)

// Clone is another disk with the same files, all of them durable, and the same
// capacity; no process has it open.
func (d *Disk) Clone(seed uint64) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := New(seed)
	c.capacity = d.capacity
	for name, n := range d.names {
		c.put(name, n.data)
	}
	return c
}

// Names are the names of the files, in order.
func (d *Disk) Names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.names))
}

// Size is the size of a file in bytes, 0 where there is none.
func (d *Disk) Size(name string) int {
	return len(d.Bytes(name))
}

// Bytes are a copy of a file's bytes, nil where there is none.
func (d *Disk) Bytes(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.names[name]; n != nil {
		return append([]byte{}, n.data...)
	}
	return nil
}

// Put makes a file, or replaces one, durably.
func (d *Disk) Put(name string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.put(name, data)
}

func (d *Disk) put(name string, data []byte) {
	n := &inode{data: slices.Clone(data), disk: slices.Clone(data)}
	d.names[name], d.durable[name] = n, n
}

// Delete takes a file away, durably.
func (d *Disk) Delete(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.names, name)
	delete(d.durable, name)
}

// Flip inverts the bits of mask in one byte of a file.
func (d *Disk) Flip(name string, at int, mask byte) {
	data := d.Bytes(name)
	data[at] ^= mask
	d.Put(name, data)
}

// Shorten cuts a file off.
func (d *Disk) Shorten(name string, size int) { d.Put(name, d.Bytes(name)[:size]) }

// Zero overwrites the bytes of a file from one place to another with zeros.
func (d *Disk) Zero(name string, from, to int) {
	data := d.Bytes(name)
	clear(data[from:to])
	d.Put(name, data)
}

// Duplicate makes a second file with the same bytes.
func (d *Disk) Duplicate(from, to string) { d.Put(to, d.Bytes(from)) }

// Swap exchanges the bytes of two files.
func (d *Disk) Swap(a, b string) {
	x, y := d.Bytes(a), d.Bytes(b)
	d.Put(a, y)
	d.Put(b, x)
}
