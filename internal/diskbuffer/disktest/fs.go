package disktest

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/spillway/spillway/internal/diskbuffer"
)

// dir is one process's view of a disk.
type dir struct {
	disk *Disk
	age  int
}

// begin enters a call. The error ends it before it did anything, unless fault
// says that it does a part first; half says that the power goes during it, so
// that whether it is done is a matter of luck. The lock is held on return.
func (d *dir) begin(call string, args ...any) (fault Fault, err error) {
	d.disk.mu.Lock()
	k := d.disk
	if k.off || d.age != k.age {
		return Fault{}, ErrPower
	}
	if k.Watch != nil {
		k.Watch(fmt.Sprintf("%d: %s %v", k.calls+1, call, args))
	}
	k.calls++
	if k.calls == k.cutAt {
		k.off = true
		if k.random.IntN(2) == 0 {
			return Fault{}, ErrPower
		}
		return Fault{Err: ErrPower, Times: 1}, nil
	}
	if k.faultAt > 0 && k.calls >= k.faultAt && (k.fault.Times < 0 || k.calls-k.faultAt < max(k.fault.Times, 1)) {
		if k.fault.Short {
			return k.fault, nil
		}
		return k.fault, k.fault.Err
	}
	return Fault{}, nil
}

// whole is the error of a call that cannot be done in part.
func (f Fault) whole(err error) error {
	if f.Short {
		return f.Err
	}
	return err
}

// end is what a call that was done returns: its error, or that of the power that
// went while it was done.
func (f Fault) end(err error) error {
	if err == nil {
		return f.Err
	}
	return err
}

func (d *dir) Create(name string) (diskbuffer.File, error) {
	fault, err := d.begin("create", name)
	defer d.disk.mu.Unlock()
	if err = fault.whole(err); err != nil {
		return nil, err
	}
	if d.disk.names[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	n := &inode{}
	d.disk.change(table{name: n})
	if fault.Err != nil {
		return nil, fault.Err
	}
	return &file{dir: d, name: name, inode: n, write: true}, nil
}

func (d *dir) Open(name string, write bool) (diskbuffer.File, error) {
	fault, err := d.begin("open", name, write)
	defer d.disk.mu.Unlock()
	if err = fault.end(err); err != nil {
		return nil, err
	}
	n := d.disk.names[name]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{dir: d, name: name, inode: n, write: write}, nil
}

func (d *dir) Remove(name string) error {
	fault, err := d.begin("remove", name)
	defer d.disk.mu.Unlock()
	if err = fault.whole(err); err != nil {
		return err
	}
	if d.disk.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	d.disk.change(table{name: nil})
	return fault.Err
}

func (d *dir) Rename(from, to string) error {
	fault, err := d.begin("rename", from, to)
	defer d.disk.mu.Unlock()
	if err = fault.whole(err); err != nil {
		return err
	}
	n := d.disk.names[from]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if from != to {
		d.disk.change(table{from: nil, to: n})
	}
	return fault.Err
}

// change is made in the cache, and waits there for a Sync.
func (d *Disk) change(c table) {
	d.names.apply(c)
	d.changes = append(d.changes, c)
}

func (d *dir) List() ([]diskbuffer.Entry, error) {
	fault, err := d.begin("list")
	defer d.disk.mu.Unlock()
	if err = fault.end(err); err != nil {
		return nil, err
	}
	var all []diskbuffer.Entry
	for _, name := range slices.Sorted(maps.Keys(d.disk.names)) {
		all = append(all, diskbuffer.Entry{Name: name, Size: int64(len(d.disk.names[name].data))})
	}
	// A directory has no order.
	d.disk.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all, nil
}

// Sync makes the names durable. A Sync that fails keeps them in the cache: a
// journal that cannot be written ends the file system, it does not lose an entry.
func (d *dir) Sync() error {
	fault, err := d.begin("sync directory")
	defer d.disk.mu.Unlock()
	if err = fault.whole(err); err != nil {
		return err
	}
	for _, c := range d.disk.changes {
		d.disk.durable.apply(c)
	}
	d.disk.changes = nil
	return fault.Err
}

func (d *dir) Space() (free, total int64, err error) {
	fault, err := d.begin("space")
	defer d.disk.mu.Unlock()
	if err = fault.end(err); err != nil {
		return 0, 0, err
	}
	return max(d.disk.free(), 0), d.disk.capacity, nil
}

func (d *Disk) free() int64 {
	free := d.capacity
	for _, n := range d.names {
		free -= int64(len(n.data))
	}
	return free
}

func (d *dir) Lock() error {
	fault, err := d.begin("lock")
	defer d.disk.mu.Unlock()
	if err = fault.end(err); err != nil {
		return err
	}
	if d.disk.locked != nil {
		return diskbuffer.ErrLocked
	}
	d.disk.locked = d
	return nil
}

func (d *dir) Close() error {
	fault, err := d.begin("close directory")
	defer d.disk.mu.Unlock()
	if d.disk.locked == d {
		d.disk.locked = nil
	}
	return fault.end(err)
}
