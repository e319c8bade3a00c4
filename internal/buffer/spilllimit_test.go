package buffer_test

import (
	"testing"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// What a process with a larger memory writes to a disk that it took over must find room
// in one that has no more than that at which the disk was made.
func TestALargerMemoryWritesNoLargerRecords(t *testing.T) {
	disk := disktest.New(1)
	options := diskbuffer.Options{Max: 64 << 20}
	begin := func(limit int64) *buffer.Buffer {
		t.Helper()
		store, found := openStore(t, disk.Open, limit, options)
		return buffer.New(buffer.Config{Limit: limit, Mode: buffer.Spill, Disk: &buffer.Disk{Store: store, Durability: buffer.Kernel, Found: found}}, ledger.New())
	}
	life := func(limit int64) (largest int) {
		t.Helper()
		b := begin(limit)
		b.Body(b.Open("stdout"), time.Now().UnixNano(), []byte("a line"), record.Part{})
		largest = b.MaxBody()
		if !b.HandOver() {
			t.Fatal("the disk does not take what is held")
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		return largest
	}
	made := life(buffer.MinLimit)
	if got := life(16 * buffer.MinLimit); got > made {
		t.Errorf("a disk that was made for bodies of %d bytes gets some of %d", made, got)
	}
}
