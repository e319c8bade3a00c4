package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
)

var reset = sink.Outcome{Err: errors.New("connection reset by peer"), Broken: true, Unsure: true}

// breaking is a destination to which the connection ends wherever one of the culprits is
// sent.
func breaking(limits sink.Limits, culprits ...string) *script {
	return &script{limits: limits, answer: func(_ context.Context, _ int, a attempt) sink.Outcome {
		time.Sleep(time.Millisecond)
		if slices.ContainsFunc(a.texts, func(text string) bool { return slices.Contains(culprits, text) }) {
			return reset
		}
		return delivered
	}}
}

// TestBreakerIsFound: a record with which the connection ends each time is given up, since
// others are taken between; these are delivered, and wait for it at most for a while.
func TestBreakerIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "records")
		bad := rapid.SliceOfNDistinct(rapid.IntRange(1, n), 1, min(n, 3), rapid.ID[int]).Draw(t, "culprits")
		inFlight := rapid.IntRange(1, 4).Draw(t, "in flight")
		rapid.SyncTest(t, func(t *rapid.T) {
			var culprits []string
			for _, i := range bad {
				culprits = append(culprits, fmt.Sprintf("0:%06d", i))
			}
			s := breaking(sink.Limits{Events: 100, InFlight: inFlight}, culprits...)
			k := &box{}
			r := start(t, buffer.Config{Limit: 16 << 20}, s, deliver.Config{DeadLetters: k})
			r.hand(0, n)
			for range 300 { // There is always something else to send.
				r.hand(1, 1)
				time.Sleep(time.Second)
			}
			if inFlight > len(bad) {
				// What waits for a proof keeps its place in the window.
				if b := r.balance(); b.Pending > 0 {
					t.Fatalf("after five minutes %d are pending", b.Pending)
				}
			}
			r.deliver.Drain()
			time.Sleep(time.Hour)
			if inFlight > len(bad) {
				b := r.drain()
				if b.DeadLettered != int64(len(bad)) {
					t.Fatalf("%d are dead letters, want %d", b.DeadLettered, len(bad))
				}
			} else {
				r.cancel()
				<-r.ended
			}
			for _, l := range k.letters {
				if l.Reason != string(ledger.RejectedTooLong) || !strings.Contains(l.Detail, "connection reset by peer") ||
					!slices.Contains(culprits, "0:"+string(l.Body)) {
					t.Fatalf("a dead letter is %+v", l)
				}
			}
		})
	})
}

// TestBrokenDestination: that connections end is no proof against a record where nothing
// else is taken either, however long that lasts.
func TestBrokenDestination(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inFlight, n := rapid.IntRange(1, 4).Draw(t, "in flight"), rapid.IntRange(1, 200).Draw(t, "records")
		rapid.SyncTest(t, func(t *rapid.T) {
			var well atomic.Bool
			s := &script{limits: sink.Limits{Events: 50, InFlight: inFlight}}
			s.answer = func(_ context.Context, n int, _ attempt) sink.Outcome {
				time.Sleep(time.Millisecond)
				switch {
				case well.Load():
					return delivered
				case n%5 == 0:
					return away
				}
				return reset
			}
			r := start(t, buffer.Config{Limit: 16 << 20}, s, deliver.Config{})
			r.hand(0, n)
			time.Sleep(time.Hour)
			if h := r.deliver.Health(); h.Up || h.Error == "" {
				t.Fatalf("the health is %+v", h)
			}
			tried := len(r.seen())
			well.Store(true)
			if b := r.drain(); b.Delivered != int64(n) {
				t.Fatalf("%d of %d are delivered: %+v", b.Delivered, n, b.Sheet)
			}
			// What was cut in half meanwhile is not in small pieces.
			if more := len(r.seen()) - tried; more > 10*inFlight+n/50 {
				t.Fatalf("%d attempts for %d records", more, n)
			}
		})
	})
}

// TestBreakerAlone: without anything else to send there is no proof, so the record waits,
// and health names it.
func TestBreakerAlone(t *testing.T) {
	for _, keyed := range []bool{false, true} {
		in(t, func(t *testing.T) {
			s := breaking(sink.Limits{InFlight: 2, Keyed: keyed}, "0:000002")
			s.keys = 1
			r := start(t, buffer.Config{}, s, deliver.Config{})
			r.hand(0, 3)
			time.Sleep(time.Hour)
			h := r.deliver.Health()
			if h.Up || !h.Config && !keyed || !strings.Contains(h.Error, "of stream 0, with 6 bytes, was sent alone") {
				t.Errorf("the health is %+v", h)
			}
			if want := map[bool]int{false: 2, true: 1}[keyed]; len(r.has) != want {
				t.Errorf("%v are delivered, want %d", r.has, want)
			}
			s.from(always(delivered, 0))
			r.drain()
			if h := r.deliver.Health(); !h.Up || h.Config {
				t.Errorf("after that the health is %+v", h)
			}
		})
	}
}
