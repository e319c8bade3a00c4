package buffer_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// unsyncable is a directory in which syncs fail for a while, and nothing else does.
type unsyncable struct {
	diskbuffer.FS
	broken *atomic.Bool
}

func (f unsyncable) Create(name string) (diskbuffer.File, error) {
	file, err := f.FS.Create(name)
	return unsyncableFile{file, f.broken}, err
}

func (f unsyncable) RemoveDir() error { return nil }

type unsyncableFile struct {
	diskbuffer.File
	broken *atomic.Bool
}

func (f unsyncableFile) Sync() error {
	if f.broken.Load() {
		return errors.New("input/output error")
	}
	return f.File.Sync()
}

// TestPowerIsNotPromisedAfterASyncForRoom: where room on a full disk is made, what is
// in flight is written and synced once more. If that sync fails, no later one tells
// what of the chunks before it is on the disk, and none of them is vouched for.
func TestPowerIsNotPromisedAfterASyncForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		store, err := diskbuffer.Create(unsyncable{disktest.New(1).Open(), &broken}, diskbuffer.Meta{Identity: "a"}, diskbuffer.Options{Max: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		b := buffer.New(buffer.Config{
			Limit: 256 << 10, Mode: buffer.Spill, NoLossMarkers: true,
			Disk: &buffer.Disk{Store: store, Durability: buffer.Power, WhenFull: buffer.DropOldestFull},
		}, ledger.New())
		keep := func() (stop func()) { return keeping(b) }
		var safe, lost, sent int
		admit := func() {
			sent++
			b.Admit(nil, &record.Chunk{
				Tag: "app", Encoding: record.EncodingEntry, Bodies: []byte(entry(strings.Repeat("x", 8<<10))), Count: 1, Level: record.LevelPower,
				Done: func(ok bool) {
					if ok {
						safe++
					} else {
						lost++
					}
				},
			})
		}
		stop := keep()
		admit()
		synctest.Wait()
		r := b.Take(true)
		if safe != 1 || r == nil {
			t.Fatalf("%d are safe; a request: %v", safe, r)
		}
		stop()
		broken.Store(true)
		for range 200 {
			if admit(); lost > 0 {
				break
			}
		}
		broken.Store(false)
		if lost == 0 {
			t.Fatal("the disk is never full")
		}
		stop = keep()
		synctest.Wait()
		if safe != 1 {
			t.Errorf("%d of %d are vouched for, after the only sync of them failed", safe-1, sent-1)
		}
		stop()
		b.Settle(r, buffer.Fate{})
		b.Abandon()
		balance := b.Balance()
		if balance.Unaccounted != 0 {
			t.Errorf("%+v", balance.Sheet)
		}
		if err := b.Close(); err != nil {
			t.Log(err)
		}
	})
}
