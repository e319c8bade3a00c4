package seen

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"syscall"
)

// table is a set of the last limit keys, with a mark for each, in memory outside of
// the Go heap: a map of them takes twice as much, and what the heap holds is held
// one and a half times between collections. The zero value holds nothing.
//
// The memory has the keys in the order in which they came, and behind them an index
// with open addressing and linear probing: 4 bytes a slot, of which at least a quarter
// is empty. A slot is 0, or one more than the place of its key, doubled, and 1 where
// that is marked. Memory that is not used yet is mapped and not resident.
type table struct {
	mem   []byte
	slots []byte // the end of mem
	limit int
	n     int      // places that were ever used
	next  int      // where the next key goes, once there are limit and none is free
	free  []uint32 // places of keys that were forgotten
	shift int      // how much of a hash is no slot
}

const (
	keySize  = 16
	slotSize = 4
)

// newTable makes a table of at least one key.
func newTable(limit int) (table, error) {
	width := bits.Len(uint(limit + limit/3))
	size := limit*keySize + slotSize<<width
	mem, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return table{}, fmt.Errorf("map %d bytes: %w", size, err)
	}
	return table{mem: mem, slots: mem[limit*keySize:], limit: limit, shift: 64 - width}, nil
}

// close gives the memory back; the table holds nothing then.
func (t *table) close() error {
	mem := t.mem
	*t = table{}
	if mem == nil {
		return nil
	}
	if err := syscall.Munmap(mem); err != nil {
		return fmt.Errorf("unmap %d bytes: %w", len(mem), err)
	}
	return nil
}

func (t *table) key(place int) Key { return Key(t.mem[place*keySize:]) }

func (t *table) slot(i int) uint32 { return binary.LittleEndian.Uint32(t.slots[i*slotSize:]) }

func (t *table) put(i int, v uint32) { binary.LittleEndian.PutUint32(t.slots[i*slotSize:], v) }

func (t *table) after(i int) int { return (i + 1) & (len(t.slots)/slotSize - 1) }

// home is the slot at which the search for a key begins.
func (t *table) home(k Key) int {
	const odd = 0x9e3779b97f4a7c15
	return int(binary.LittleEndian.Uint64(k[8:]) * odd >> t.shift)
}

// find returns the slot of a key, or the empty one where it would be.
func (t *table) find(k Key) (i int, v uint32) {
	for i = t.home(k); ; i = t.after(i) {
		if v = t.slot(i); v == 0 || t.key(int(v>>1)-1) == k {
			return i, v
		}
	}
}

func (t *table) has(k Key) bool {
	if t.n == 0 {
		return false
	}
	_, v := t.find(k)
	return v != 0
}

func (t *table) marked(k Key) bool {
	if t.n == 0 {
		return false
	}
	_, v := t.find(k)
	return v&1 != 0
}

// mark marks a key, if it is there.
func (t *table) mark(k Key) {
	if t.n == 0 {
		return
	}
	if i, v := t.find(k); v != 0 {
		t.put(i, v|1)
	}
}

// add adds a key that is not there: in a place that is free, else in that of the oldest
// once there are limit.
func (t *table) add(k Key) {
	if t.limit == 0 || t.has(k) {
		return
	}
	place := t.n
	switch {
	case len(t.free) > 0:
		place = int(t.free[len(t.free)-1])
		t.free = t.free[:len(t.free)-1]
	case t.n == t.limit:
		place = t.next
		t.next = (t.next + 1) % t.limit
		t.remove(t.key(place))
	default:
		t.n++
	}
	copy(t.mem[place*keySize:], k[:])
	i, _ := t.find(k)
	t.put(i, uint32(place+1)<<1)
}

// forget takes a key out, if it is there, and frees its place.
func (t *table) forget(k Key) {
	if t.n == 0 {
		return
	}
	if _, v := t.find(k); v != 0 {
		t.free = append(t.free, v>>1-1)
		t.remove(k)
	}
}

// remove empties the slot of a key, and closes the gap: what stands behind it moves
// up where its search would pass the gap.
func (t *table) remove(k Key) {
	gap, _ := t.find(k)
	mask := len(t.slots)/slotSize - 1
	for i := t.after(gap); ; i = t.after(i) {
		v := t.slot(i)
		if v == 0 {
			break
		}
		if home := t.home(t.key(int(v>>1) - 1)); (i-home)&mask >= (i-gap)&mask {
			t.put(gap, v)
			gap = i
		}
	}
	t.put(gap, 0)
}

// each calls f for all keys, the oldest first where none was ever forgotten.
func (t *table) each(f func(k Key, marked bool)) {
	for i := range t.n {
		place := (t.next + i) % t.n
		k := t.key(place)
		if _, v := t.find(k); v != 0 && int(v>>1)-1 == place { // Else its place is free.
			f(k, v&1 != 0)
		}
	}
}
