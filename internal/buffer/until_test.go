package buffer

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// A chunk that waits for room goes back when its source wants it back, counted nowhere; what has room is taken all
// the same.
func TestChunkWantedBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Limit: 64 << 10, Mode: Blocking}, ledger.New())
		st := b.Open("t")
		until, recall := context.WithCancel(t.Context())
		chunk := func() *record.Chunk {
			c := &record.Chunk{Tag: "t", Encoding: record.EncodingMessage, Count: 1, Until: until, Partition: record.Partition{Topic: "t", ID: [16]byte{1}}}
			c.Bodies = record.AppendMessage(nil, &record.Message{Value: make([]byte, 8<<10)})
			return c
		}
		admitted := 0
		var rest *record.Chunk
		go func() {
			for rest == nil {
				if rest = b.Admit(st, chunk()); rest == nil {
					admitted++
				}
			}
		}()
		synctest.Wait()
		if rest != nil || admitted == 0 {
			t.Fatalf("%d chunks are admitted, and one is back", admitted)
		}
		recall()
		synctest.Wait()
		if rest == nil || !rest.Unwanted() || rest.Count != 1 {
			t.Fatalf("%+v is back, expected the chunk that waited", rest)
		}
		if got := b.Balance(); got.Received != int64(admitted) || got.Pending != int64(admitted) || got.Dropped != 0 || got.Unaccounted != 0 {
			t.Errorf("%+v, expected %d received and pending", got.Sheet, admitted)
		}
		b.Abandon()
	})
}
