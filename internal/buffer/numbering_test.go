package buffer_test

import (
	"testing"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/ledger"
)

// Streams of which a disk does not know the incarnations get some of their own, which are
// the same whenever it is taken over: what knows records by their numbers would take
// those of one stream for those of the other.
func TestStreamsWithoutIncarnations(t *testing.T) {
	adopt := func(disk byte) (all [][12]byte) {
		t.Helper()
		store, err := diskbuffer.Create(disktest.New(1).Open(), diskbuffer.Meta{Identity: "a", Limit: buffer.MinLimit}, diskbuffer.Options{Max: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		found := &diskbuffer.Found{
			Meta: diskbuffer.Meta{Incarnation: [12]byte{disk}}, Streams: []diskbuffer.Stream{{Index: 0, Name: "a"}, {Index: 1, Name: "b"}},
			Pending: make([]diskbuffer.Count, 2),
		}
		b := buffer.New(buffer.Config{Limit: buffer.MinLimit, Mode: buffer.Spill, Disk: &buffer.Disk{Store: store, Found: found, Durability: buffer.Kernel}}, ledger.New())
		for _, s := range b.Streams() {
			all = append(all, s.Incarnation)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		return all
	}
	first, again, other := adopt(1), adopt(1), adopt(2)
	if len(first) != 2 || len(again) != 2 || len(other) != 2 {
		t.Fatalf("%x, %x and %x, want two each", first, again, other)
	}
	if first[0] == first[1] || first[0] == ([12]byte{}) || first[0] == other[0] || first[1] == other[1] {
		t.Errorf("%x, and of another disk %x: want four that differ", first, other)
	}
	if first[0] != again[0] || first[1] != again[1] {
		t.Errorf("%x, and then %x: want the same", first, again)
	}
}
