package buffer_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// TestStreamsThatAreHeldAreBounded: a tag costs memory beside its record, so that there is room for so many alone, and
// a tag beyond them is dropped like a record, or waits like one.
func TestStreamsThatAreHeldAreBounded(t *testing.T) {
	const tags, limit = 20_000, 8 << 20
	synctest.Test(t, func(t *testing.T) {
		for _, mode := range []buffer.Mode{buffer.NonBlocking, buffer.Blocking} {
			l := ledger.New()
			b := buffer.New(buffer.Config{Limit: limit, Mode: mode}, l)
			one := []byte(entry("x"))
			admitted := make(chan struct{})
			go func() {
				defer close(admitted)
				for i := range tags {
					b.Admit(nil, &record.Chunk{Tag: fmt.Sprint("tag", i), Encoding: record.EncodingEntry, Bodies: one, Count: 1})
				}
			}()
			synctest.Wait()
			n := len(b.Streams())
			if n < ledger.MaxNamedStreams || n > 4*ledger.MaxNamedStreams {
				t.Errorf("%s: %d streams are held", mode, n)
			}
			if held := b.State().Held; held > limit {
				t.Errorf("%s: %d bytes are held", mode, held)
			}
			for over := false; !over; {
				if r := b.Take(true); r != nil {
					b.Settle(r, buffer.Fate{})
					continue
				}
				synctest.Wait()
				select {
				case <-admitted:
					over = b.Idle()
				default:
				}
			}
			got := b.Balance()
			if got.Received != tags || got.Unaccounted != 0 || got.Pending != 0 || (got.Dropped > 0) != (mode == buffer.NonBlocking) {
				t.Errorf("%s: the balance is %+v", mode, got.Sheet)
			}
			if held := b.State().Held; held > 1<<20 {
				t.Errorf("%s: %d bytes are held though nothing waits", mode, held)
			}
		}
	})
}
