// Package disktest is a directory in memory that goes wrong on request: it fails
// any call, loses power at any call, and lets a test damage what it holds.
//
// A power cut is harsher than that of a real disk, so that what survives it
// survives a real one. What a file was told since its last Sync arrives sector by
// sector, each as it stood after any of those writes; its size likewise; and each
// change of a name since the directory's last Sync happened or did not, whatever
// became of the others. A disk of every second seed tears within a sector, too. A failed
// Sync loses pages as Linux does: what was dirty may or may not have been
// written, counts as clean from then on, and no later Sync writes it.
//
// The package refuses to be a file system: one directory, no links, no times, no
// permissions. Everything random comes from the seed. It is used by tests of the
// disk buffer, and of those above it.
package disktest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/spillway/spillway/internal/diskbuffer"
)

// ErrPower is what every call gets once the power is cut or the process that
// opened the directory is killed.
var ErrPower = errors.New("disktest: the power is off")

// Fault is what goes wrong with a call.
type Fault struct {
	// Err is what the call returns.
	Err error
	// Short makes a write or a read that fails do a part of its work first.
	Short bool
	// Times is how many calls in a row fail, 0 for one, -1 for all that follow.
	Times int
}

// Disk is the medium with the cache above it. All its methods may be called at
// once.
type Disk struct {
	// Watch, where set, is told each call before it is made.
	Watch func(call string)

	mu       sync.Mutex
	random   *rand.Rand
	sector   int
	tears    bool
	capacity int64
	age      int // processes and powers that came and went
	off      bool
	calls    int
	cutAt    int
	faultAt  int
	fault    Fault
	// names is the directory as programs see it, durable as the disk holds it,
	// changes what leads from the one to the other.
	names, durable table
	changes        []table
	locked         *dir
}

// table says which file has which name. As a change of another table it is
// atomic, and nil takes a name away.
type table map[string]*inode

func (t table) apply(change table) {
	for name, n := range change {
		if n == nil {
			delete(t, name)
		} else {
			t[name] = n
		}
	}
}

// inode is one file: as programs see it, as the disk holds it, and what leads
// from the one to the other.
type inode struct {
	data, disk []byte
	log        []step
}

// step is one write, or a truncation where data is nil.
type step struct {
	at   int
	data []byte
}

// New makes an empty disk of 1 TiB. The seed also chooses sectors of 512 bytes or
// 4 KiB, and whether power cuts tear within one.
func New(seed uint64) *Disk {
	d := &Disk{
		random: rand.New(rand.NewPCG(seed, 0)), sector: 512, capacity: 1 << 40,
		names: table{}, durable: table{},
	}
	if d.random.IntN(2) == 0 {
		d.sector = 4096
	}
	d.tears = d.random.IntN(2) == 0
	return d
}

// Tears says whether a power cut may leave less than a whole sector of a write.
func (d *Disk) Tears() bool { return d.tears }

// Calls is how many calls were made so far: all of FS and File but Drop.
func (d *Disk) Calls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// Fail makes the n-th call from now, from 1, go wrong. It replaces the fault that
// was planned before; n of 0 plans none.
func (d *Disk) Fail(n int, f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.faultAt = f, 0
	if n > 0 {
		d.faultAt = d.calls + n
	}
}

// Failed says whether the planned fault has happened.
func (d *Disk) Failed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.faultAt > 0 && d.calls >= d.faultAt
}

// CutAt plans a power cut in the middle of the n-th call from now, from 1: the
// call may or may not have reached the cache, and returns ErrPower like all after
// it. Restart then shows what is left.
func (d *Disk) CutAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutAt = d.calls + n
}

// Off says whether the planned power cut has happened.
func (d *Disk) Off() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.off
}

// SetCapacity bounds the sum of the file sizes, in bytes; a write beyond it ends
// at it, with ENOSPC.
func (d *Disk) SetCapacity(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = bytes
}

// Open is a process's handle of the directory. It works until the next Kill or
// Restart.
func (d *Disk) Open() diskbuffer.FS {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &dir{disk: d, age: d.age}
}

// Kill ends the process: its handles are dead and its lock is free, and what it
// wrote stays.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kill()
}

func (d *Disk) kill() {
	d.age++
	d.locked, d.off, d.cutAt, d.faultAt = nil, false, 0, 0
}

// Restart cuts the power, if it is not off already, and brings the disk back
// with what was durable and a part of the rest.
func (d *Disk) Restart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kill()
	odds := d.random.IntN(4)
	for _, c := range d.changes {
		// All, none or any of the changes.
		if odds == 0 || odds > 1 && d.random.IntN(2) == 0 {
			d.durable.apply(c)
		}
	}
	// In order, so that the seed decides alone.
	for _, name := range slices.Sorted(maps.Keys(d.durable)) {
		n := d.durable[name]
		n.disk = d.after(n)
		n.data, n.log = append([]byte(nil), n.disk...), nil
	}
	d.changes, d.names = nil, maps.Clone(d.durable)
}

// after is what the disk holds of a file when its log is broken off: of each
// sector, and of the size, a state that it had at some time.
func (d *Disk) after(n *inode) []byte {
	if len(n.log) == 0 {
		return n.disk
	}
	fixed := d.random.IntN(len(n.log) + 1)
	style := d.random.IntN(4)
	pick := func() int {
		switch style {
		case 0:
			return fixed
		case 1:
			return len(n.log)
		}
		return d.random.IntN(len(n.log) + 1)
	}
	size := len(n.disk)
	for _, s := range n.log[:pick()] {
		size = s.resize(size)
	}
	out := make([]byte, size)
	for at := 0; at < size; at += d.sector {
		to := out[at:min(at+d.sector, size)]
		if !n.touched(at, at+len(to)) {
			n.replay(to, at, 0)
			continue
		}
		n.replay(to, at, pick())
		if d.tears && style > 1 && d.random.IntN(4) == 0 {
			torn := d.random.IntN(len(to))
			n.replay(to[torn:], at+torn, pick())
		}
	}
	return out
}

func (s step) resize(size int) int {
	if s.data == nil {
		return s.at
	}
	return max(size, s.at+len(s.data))
}

func (n *inode) touched(from, to int) bool {
	for _, s := range n.log {
		if s.data == nil && s.at < to || s.data != nil && s.at < to && s.at+len(s.data) > from {
			return true
		}
	}
	return false
}

// replay fills to with the file's bytes from at on, as they stood after the first
// steps of the log.
func (n *inode) replay(to []byte, at, steps int) {
	clear(to)
	if at < len(n.disk) {
		copy(to, n.disk[at:])
	}
	for _, s := range n.log[:steps] {
		switch {
		case s.data == nil:
			clear(to[min(max(s.at-at, 0), len(to)):])
		case s.at >= at+len(to) || s.at+len(s.data) <= at:
		case s.at >= at:
			copy(to[s.at-at:], s.data)
		default:
			copy(to, s.data[at-s.at:])
		}
	}
}

// String lists the files, for messages.
func (d *Disk) String() string {
	text := ""
	for _, name := range d.Names() {
		text += fmt.Sprintf(" %s (%d)", name, d.Size(name))
	}
	return "files:" + text
}
