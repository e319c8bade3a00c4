package buffer_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// TestSettledChunks: a chunk is told as settled with its last record, whatever
// became of each, in however many requests; one of which a record is lost is not.
func TestSettledChunks(t *testing.T) {
	var told []string
	b := buffer.New(buffer.Config{
		Limit: 8 << 20, Mode: buffer.Blocking, Sink: sink.Limits{InFlight: 8, Events: 3},
		Settled: func(keys [][16]byte) {
			for _, k := range keys {
				told = append(told, string(k[:1]))
			}
		},
	}, ledger.New())
	admit := func(name byte, count int) {
		c := record.Chunk{Tag: "tag", Time: someday, Count: count}
		c.Origin.Key[0] = name
		for i := range count {
			c.Bodies, _ = record.AppendBody(append(make([]byte, 0, len(c.Bodies)+64), c.Bodies...), []byte(fmt.Sprint(i)))
		}
		b.Admit(nil, &c)
	}
	admit('a', 2)
	admit(0, 1) // Of no chunk.
	admit('b', 7)
	admit('c', 2)
	admit('d', 2)
	expect := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		told = nil
	}
	var requests []*buffer.Request
	for r := b.Take(true); r != nil; r = b.Take(true) {
		requests = append(requests, r)
	}
	if len(requests) != 5 {
		t.Fatalf("%d requests of 14 records, 3 at most in each", len(requests))
	}
	b.Settle(requests[0], buffer.Fate{})
	expect("two whole chunks", "a")
	b.Settle(requests[3], buffer.Fate{Rejected: []sink.Rejection{{First: 0, End: 1, Reason: string(ledger.RejectedInvalid)}}})
	expect("the end of b, and all of c", "c")
	b.Settle(requests[1], buffer.Fate{Dropped: ledger.RejectedTooLong})
	expect("the beginning of b")
	b.Settle(requests[2], buffer.Fate{})
	expect("the rest of b", "b")
	b.Settle(requests[4], buffer.Fate{Dropped: ledger.Shutdown})
	expect("what is lost")
	if s := b.Balance(); s.Unaccounted != 0 || s.Pending != 0 {
		t.Errorf("the balance is %+v", s.Sheet)
	}
}
