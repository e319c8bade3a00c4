package buffer

import (
	"cmp"
	"maps"
	"slices"

	"github.com/spillway/spillway/internal/ledger"
)

// table holds the streams. Names are foreign data, so that there may come any
// number of them: those of which nothing is held are forgotten beyond maxStreams.
type table struct {
	all     map[uint32]*stream
	named   map[string]*stream
	next    uint32  // the index of the next stream; none is given twice
	last    *stream // the one that was asked for last
	holding int     // of how many something is held
	// order is all of them as they are looked at for being forgotten.
	order []*stream
	// telling are those that may have a loss to tell, and unannounced those that the
	// disk does not know, both by index.
	telling     []*stream
	unannounced []*stream
}

// maxStreams is how many streams are kept though nothing of them is held.
const maxStreams = ledger.MaxNamedStreams

// streamCost is about what a stream takes of the heap, in bytes, with its entries in
// the tables of the buffer and of the disk, and what the heap holds beside that
// between collections. Those of which something is held count against the limit of
// the buffer, beyond maxStreams.
const streamCost = 2 << 10

// looks is how many streams are looked at for being forgotten when one is added
// beyond maxStreams.
const looks = 4

func newTable() table {
	return table{all: make(map[uint32]*stream), named: make(map[string]*stream)}
}

// at returns a stream of which something is held.
func (t *table) at(index uint32) *stream {
	if t.last == nil || t.last.Index != index {
		t.last = t.all[index]
	}
	return t.last
}

// sorted returns all streams by their index.
func (t *table) sorted() []*stream { return byIndex(slices.Collect(maps.Values(t.all))) }

func byIndex(all []*stream) []*stream {
	slices.SortFunc(all, func(a, b *stream) int { return cmp.Compare(a.Index, b.Index) })
	return all
}

// add adds a stream.
func (t *table) add(st *stream) {
	t.all[st.Index] = st
	if t.named[st.Name] == nil {
		t.named[st.Name] = st
	}
	t.next = max(t.next, st.Index+1)
	t.order = append(t.order, st)
	if !st.announced {
		i, _ := find(t.unannounced, st.Index)
		t.unannounced = slices.Insert(t.unannounced, i, st)
	}
}

// remove forgets a stream.
func (t *table) remove(st *stream) {
	delete(t.all, st.Index)
	if t.named[st.Name] == st {
		delete(t.named, st.Name)
	}
	if t.last == st {
		t.last = nil
	}
	// Without a disk none is ever announced, and one is forgotten for each new tag.
	if i, found := find(t.unannounced, st.Index); found {
		t.unannounced = slices.Delete(t.unannounced, i, i+1)
	}
}

// find returns the place of a stream among some by index, and whether it is there.
func find(some []*stream, index uint32) (int, bool) {
	return slices.BinarySearchFunc(some, index, func(st *stream, index uint32) int { return cmp.Compare(st.Index, index) })
}

// tells notes that a stream may have a loss to tell.
func (t *table) tells(st *stream) {
	if st.telling {
		return
	}
	st.telling = true
	i, _ := find(t.telling, st.Index)
	t.telling = slices.Insert(t.telling, i, st)
}

// tellers returns the streams that have a loss to tell, by index.
func (t *table) tellers() []*stream {
	t.telling = slices.DeleteFunc(t.telling, func(st *stream) bool {
		st.telling = st.untold()
		return !st.telling
	})
	return t.telling
}
