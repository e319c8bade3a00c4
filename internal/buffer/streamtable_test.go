package buffer

import (
	"slices"
	"testing"

	"github.com/spillway/spillway/internal/record"
)

// TestUnannouncedAreByIndex: streams that the disk does not know are told to it in the
// order of their indices, in whatever order they came, and those that are forgotten
// are not told.
func TestUnannouncedAreByIndex(t *testing.T) {
	table := newTable()
	streams := make(map[uint32]*stream)
	for _, index := range []uint32{3, 9, 1, 7, 5, 0} {
		streams[index] = &stream{Stream: &record.Stream{Index: index, Name: "lost"}, announced: index == 0}
		table.add(streams[index])
	}
	for _, index := range []uint32{7, 1, 0} {
		table.remove(streams[index])
	}
	var left []uint32
	for _, st := range table.unannounced {
		left = append(left, st.Index)
	}
	if want := []uint32{3, 5, 9}; !slices.Equal(left, want) || table.next != 10 {
		t.Errorf("streams %v are to be told of, want %v; the next is %d", left, want, table.next)
	}
}
