package buffer_test

import (
	"testing"
	"testing/synctest"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/record"
)

// TestFetchedAgain: messages that a process had on its disk when it was killed, and that
// are read once more from their partition, count as possible duplicates: those that
// wait there as well as those that are settled. What is behind them does not, nor what is
// of another partition, and nothing does at a destination that recognises them.
func TestFetchedAgain(t *testing.T) {
	orders := record.Partition{Topic: "orders", ID: [16]byte{1}, Number: 3}
	other := record.Partition{Topic: "orders", ID: [16]byte{1}, Number: 4}
	message := func(offset int64) []byte {
		return record.AppendMessage(nil, &record.Message{Offset: offset, Form: record.FormJSON, Value: []byte("{}")})
	}
	for name, c := range map[string]struct {
		settled    uint64
		of         record.Partition
		offset     int64
		idempotent bool
		want       int64
	}{
		"waits":              {0, orders, 7, false, 1},
		"is settled":         {3, orders, 5, false, 1},
		"is behind":          {0, orders, 8, false, 0},
		"is of another":      {0, other, 7, false, 0},
		"is recognised":      {0, orders, 7, true, 0},
		"settled and behind": {3, orders, 8, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &levels{T: t, disk: disktest.New(1), idempotent: c.idempotent}
				s, err := diskbuffer.Create(l.disk.Open(), diskbuffer.Meta{Identity: "a"}, diskbuffer.Options{Max: 1 << 30})
				if err != nil {
					t.Fatal(err)
				}
				if err := s.AddStream(diskbuffer.Stream{Name: "app", Incarnation: [12]byte{7}}); err != nil {
					t.Fatal(err)
				}
				frames := append(append(message(5), message(6)...), message(7)...)
				if _, err := s.Append(record.AppendBatch(nil, &record.Batch{
					Kind: record.KindRecords, Encoding: record.EncodingMessage, Count: 3, FirstSeq: 1, Bytes: len(frames) - 3*record.FrameSize, Frames: frames,
					Partition: orders.Append(nil),
				})); err != nil {
					t.Fatal(err)
				}
				if err := s.Settle(diskbuffer.Position{Events: c.settled, Records: c.settled}); err != nil {
					t.Fatal(err)
				}
				if err := s.Close(false); err != nil {
					t.Fatal(err)
				}
				l.begin(buffer.Kernel)
				l.buf.Admit(nil, &record.Chunk{
					Tag: "app", Time: 1, Encoding: record.EncodingMessage, Count: 1, Bodies: message(c.offset), Partition: c.of,
				})
				for r := l.buf.Take(true); r != nil; r = l.buf.Take(true) {
					l.buf.Settle(r, buffer.Fate{})
				}
				b := l.buf.Balance()
				if b.PossibleDuplicates != c.want || b.Delivered != 4-int64(c.settled) || b.Unaccounted != 0 {
					t.Errorf("%d possible duplicates, want %d: %+v", b.PossibleDuplicates, c.want, b.Sheet)
				}
				l.end(true)
			})
		})
	}
}
