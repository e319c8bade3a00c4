package deliver_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
)

// abandon is what a pipeline does when its time is over.
func (r *rig) abandon() {
	r.buf.Abandon()
	r.deliver.Abandon()
}

// TestAbandon: what is under way may still end well; all that waits, in the
// buffer or for another attempt, is dropped and counted, and Run ends.
func TestAbandon(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{limits: sink.Limits{Events: 10, InFlight: 3}}
		s.answer = func(_ context.Context, n int, _ attempt) sink.Outcome {
			time.Sleep(time.Second)
			if n == 1 {
				return away // It will not be tried again.
			}
			return delivered
		}
		r := start(t, buffer.Config{Limit: 1 << 20}, s, deliver.Config{})
		r.hand(0, 95)
		time.Sleep(500 * time.Millisecond)
		r.abandon()
		r.hand(1, 7)
		b := r.drain()
		if b.Delivered != 20 || b.ByReason[ledger.Shutdown] != 82 || r.since() != time.Second {
			t.Errorf("after %s the balance is %+v, want 20 delivered and 82 dropped after 1s", r.since(), b.Sheet)
		}
	})
}

// TestAbandonWhileAway: nobody goes on waiting for a destination that is away.
func TestAbandonWhileAway(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{Limit: 1 << 20}, until(time.Hour, sink.Outcome{Err: errAway}), deliver.Config{})
		r.hand(0, 95)
		time.Sleep(20 * time.Minute)
		begin := r.since()
		r.abandon()
		if b := r.drain(); b.ByReason[ledger.Shutdown] != 95 || r.since()-begin > time.Millisecond {
			t.Errorf("%s later the balance is %+v", r.since()-begin, b.Sheet)
		}
	})
}

// TestCancel: when the context ends, Run does, once the attempts under way have
// let go; they are counted as given up, and what waits is left in the buffer.
func TestCancel(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{limits: sink.Limits{Events: 10, InFlight: 3}}
		s.answer = func(ctx context.Context, _ int, _ attempt) sink.Outcome {
			<-ctx.Done()
			time.Sleep(3 * time.Second) // A sink may take a moment to end.
			return sink.Outcome{Err: ctx.Err(), Unsure: true}
		}
		r := start(t, buffer.Config{Limit: 1 << 20}, s, deliver.Config{})
		r.hand(0, 95)
		time.Sleep(time.Second)
		r.cancel()
		<-r.ended
		if b := r.balance(); r.since() != 4*time.Second || b.ByReason[ledger.Shutdown] != 30 || b.Pending != 65 {
			t.Errorf("after %s the balance is %+v", r.since(), b.Sheet)
		}
	})
}

// TestDrainWaits: a drain takes as long as the destination is away, and Hurry
// and Drain may be called by several at once.
func TestDrainWaits(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{Limit: 1 << 20}, until(time.Hour, away), deliver.Config{})
		r.hand(0, 95)
		for range 3 {
			go r.deliver.Hurry()
			go r.deliver.Drain()
		}
		if b := r.drain(); b.Delivered != 95 || r.since() < time.Hour || r.since() > time.Hour+6*time.Second {
			t.Errorf("after %s %d of 95 are delivered", r.since(), b.Delivered)
		}
	})
}

// TestSettleWaitsForSend: a sink that lets go late still reads what it was
// given, while others overwrite everything that was given back. If a request
// were settled before Send has returned, the script would see it change.
func TestSettleWaitsForSend(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{limits: sink.Limits{Events: 3, InFlight: 4}}
		s.answer = func(ctx context.Context, n int, _ attempt) sink.Outcome {
			if n%3 == 0 {
				<-ctx.Done()
				time.Sleep(time.Minute)
				return sink.Outcome{Unsure: true}
			}
			return delivered
		}
		r := start(t, buffer.Config{Limit: 1 << 20, Mode: buffer.NonBlocking, DropOldest: true}, s, deliver.Config{})
		for range 300 {
			r.hand(0, 500)
			time.Sleep(time.Second)
		}
		r.abandon()
		r.drain()
	})
}

// keeper is a sink that breaks the contract: it keeps its requests.
type keeper struct {
	script
	kept []sink.Request
}

func (k *keeper) Send(_ context.Context, req sink.Request) sink.Outcome {
	k.kept = append(k.kept, req)
	return delivered
}

// TestReadingAfterSettleIsFoundOut: memory that was given back is not there to
// be read any more.
func TestReadingAfterSettleIsFoundOut(t *testing.T) {
	k := &keeper{script: script{limits: sink.Limits{InFlight: 1}}}
	b := buffer.New(buffer.Config{Mode: buffer.Blocking, Sink: k.limits}, ledger.New())
	var lines []byte
	for i := range 5000 {
		lines = fmt.Appendf(lines, "%d\n", i)
	}
	b.Lines(b.Open("stdout"), 1, lines, true)
	d := deliver.New(deliver.Config{Log: slog.New(&logged{})}, b, k)
	d.Drain()
	d.Run(context.Background())
	if got := b.Balance(); got.Delivered != 5000 || got.Unaccounted != 0 {
		t.Errorf("the balance is %+v", got.Sheet)
	}
	defer func() {
		if recover() == nil {
			t.Error("a request could be read after it was settled and its memory given back")
		}
	}()
	read(k.kept[0])
}

// TestAnything draws what the destination answers, what comes in and how it all
// ends: in the end everything is accounted for, and nobody is left.
func TestAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		outs := rapid.SliceOfN(rapid.SampledFrom([]sink.Outcome{
			delivered, away, {Unsure: true}, {Throttled: true, RetryAfter: 2 * time.Second}, {Verdict: sink.Refuse, Reason: "rejected-invalid"},
			{Verdict: sink.Delivered, Rejected: []sink.Rejection{{First: 0, End: 2, Reason: "rejected-too-old"}}},
		}), 1, 20).Draw(t, "answers")
		latencies := rapid.SliceOfN(rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 20 * time.Second}), 1, 5).Draw(t, "latencies")
		mode := rapid.SampledFrom([]buffer.Mode{buffer.Blocking, buffer.NonBlocking}).Draw(t, "mode")
		inFlight := rapid.IntRange(1, 5).Draw(t, "in flight")
		pauses := rapid.SliceOfN(rapid.SampledFrom([]time.Duration{0, 10 * time.Millisecond, time.Second, time.Minute}), 1, 8).Draw(t, "pauses")
		end := rapid.SampledFrom([]string{"drain", "abandon", "cancel"}).Draw(t, "end")
		rapid.SyncTest(t, func(t *rapid.T) {
			s := &script{limits: sink.Limits{Events: 20, InFlight: inFlight, OrderedBy: time.Millisecond}}
			s.answer = func(ctx context.Context, n int, _ attempt) sink.Outcome {
				select {
				case <-time.After(latencies[n%len(latencies)]):
				case <-ctx.Done():
					return sink.Outcome{Unsure: true}
				}
				if n >= 3*len(outs) {
					return delivered
				}
				return outs[n%len(outs)]
			}
			r := start(t, buffer.Config{Limit: 1 << 20, Mode: mode}, s, deliver.Config{})
			for i, pause := range pauses {
				r.hand(i%2, 10+13*i)
				time.Sleep(pause)
			}
			switch end {
			case "abandon":
				r.abandon()
			case "cancel":
				r.cancel()
			}
			r.deliver.Drain()
			<-r.ended
			r.cancel()
			b := r.balance()
			if end != "cancel" && b.Pending != 0 || end == "drain" && b.ByReason[ledger.Shutdown] != 0 {
				t.Fatalf("the balance is %+v", b.Sheet)
			}
		})
	})
}
