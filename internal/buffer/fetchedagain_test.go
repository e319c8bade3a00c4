package buffer_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

func messageAt(dst []byte, offset int64) []byte {
	return record.AppendMessage(dst, &record.Message{Offset: offset, Form: record.FormJSON, Value: []byte("{}")})
}

// hadMessages begins where a process that was killed had these messages on its disk, so
// many of which it had settled.
func (l *levels) hadMessages(of record.Partition, settled uint64, offsets ...int64) {
	l.Helper()
	s, err := diskbuffer.Create(l.disk.Open(), diskbuffer.Meta{Identity: "a"}, diskbuffer.Options{Max: 1 << 30})
	if err != nil {
		l.Fatal(err)
	}
	if err := s.AddStream(diskbuffer.Stream{Name: "app", Incarnation: [12]byte{7}}); err != nil {
		l.Fatal(err)
	}
	var frames []byte
	for _, at := range offsets {
		frames = messageAt(frames, at)
	}
	_, failed := s.Append(record.AppendBatch(nil, &record.Batch{
		Kind: record.KindRecords, Encoding: record.EncodingMessage, Count: len(offsets), FirstSeq: 1,
		Bytes: len(frames) - len(offsets)*record.FrameSize, Frames: frames, Partition: of.Append(nil),
	}))
	if err := errors.Join(failed, s.Settle(diskbuffer.Position{Events: settled, Records: settled}), s.Close(false)); err != nil {
		l.Fatal(err)
	}
	l.begin(buffer.Kernel)
}

// TestFetchedAgain: messages that a process had on its disk when it was killed, and that
// are read once more from their partition, count as possible duplicates: those that
// wait there as well as those that are settled. What is behind them does not, nor what is
// of another partition, and nothing does at a destination that recognises them.
func TestFetchedAgain(t *testing.T) {
	orders := record.Partition{Topic: "orders", ID: [16]byte{1}, Number: 3}
	other := record.Partition{Topic: "orders", ID: [16]byte{1}, Number: 4}
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
				l.hadMessages(orders, c.settled, 5, 6, 7)
				l.buf.Admit(nil, &record.Chunk{
					Tag: "app", Time: 1, Encoding: record.EncodingMessage, Count: 1, Bodies: messageAt(nil, c.offset), Partition: c.of,
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

// TestTriedBeforeIsOfTheRecord: of a batch, a process before may have delivered the first
// records and not the others; a request says which.
func TestTriedBeforeIsOfTheRecord(t *testing.T) {
	t.Run("fetched again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			orders := record.Partition{Topic: "orders", ID: [16]byte{1}, Number: 3}
			l := &levels{T: t, disk: disktest.New(1)}
			l.hadMessages(orders, 3, 5, 6, 7)
			var bodies []byte
			for at := range int64(4) {
				bodies = messageAt(bodies, 6+at)
			}
			l.buf.Admit(nil, &record.Chunk{Tag: "app", Time: 1, Encoding: record.EncodingMessage, Count: 4, Bodies: bodies, Partition: orders})
			r := l.buf.Take(true)
			if diff := cmp.Diff([]sink.Span{{First: 0, End: 2}}, r.Repeated()); diff != "" {
				t.Errorf("tried before (-want +got):\n%s", diff)
			}
			l.buf.Settle(r, buffer.Fate{})
			l.end(true)
		})
	})
	t.Run("was in a request", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := small(t, buffer.Kernel, buffer.Block)
			l.sink.Events, l.sink.OrderedBy = 4, 0
			if err := l.leave(); err != nil {
				t.Fatal(err)
			}
			l.buf.Lines(l.stream, someday, []byte("0\n1\n2\n"), true)
			l.buf.Lines(l.stream, someday+1e9, []byte("3\n4\n5\n6\n"), true) // The request ends inside of this batch.
			l.buf.Take(true)
			l.sink.Events = 10_000
			l.kill()
			l.begin()
			r := l.buf.Take(true)
			if diff := cmp.Diff([]sink.Span{{First: 0, End: 4}}, r.Repeated()); diff != "" || r.Events() != 7 {
				t.Errorf("tried before, of %d (-want +got):\n%s", r.Events(), diff)
			}
			l.buf.Settle(r, buffer.Fate{})
		})
	})
}
