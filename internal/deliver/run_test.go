package deliver_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// TestAllInOrder delivers through a single connection: all of it, in order.
func TestAllInOrder(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{}, &script{limits: sink.Limits{Events: 50}, answer: always(delivered, 30*time.Millisecond)}, deliver.Config{})
		for n := range 400 {
			r.hand(n%2, n%17)
			time.Sleep(time.Duration(n%7) * time.Millisecond)
		}
		r.drain()
		if !slices.IsSortedFunc(r.has, func(a, b string) int { return cmpText(a[2:], b[2:]) }) {
			t.Error("what was delivered is not in order")
		}
	})
}

func cmpText(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// TestSmallRequestsAreSpaced: a trickle makes no more than five requests a
// second, the first of them at once.
func TestSmallRequestsAreSpaced(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{}, &script{answer: always(delivered, time.Millisecond)}, deliver.Config{})
		for range 99 {
			r.hand(0, 1)
			time.Sleep(10 * time.Millisecond)
		}
		want := []time.Duration{0, 200 * time.Millisecond, 400 * time.Millisecond, 600 * time.Millisecond, 800 * time.Millisecond}
		if diff := cmp.Diff(want, r.begun()); diff != "" {
			t.Errorf("requests of a second (-want +got):\n%s", diff)
		}
		r.drain()
	})
}

// TestASenderThatWaits: who sends one record at a time, and the next when the last is
// acknowledged, is not held up by what spaces small requests; whose acknowledgement does not wait
// for the destination, and messages of Kafka, which nobody waits with, are spaced like others.
func TestASenderThatWaits(t *testing.T) {
	for _, c := range []struct {
		name  string
		chunk record.Chunk
		each  time.Duration // from one request to the next
	}{
		{"delivered", record.Chunk{Encoding: record.EncodingEntry, Level: record.LevelDelivered}, 30 * time.Millisecond},
		{"kernel without a disk", record.Chunk{Encoding: record.EncodingEntry, Level: record.LevelKernel}, 30 * time.Millisecond},
		{"memory", record.Chunk{Encoding: record.EncodingEntry, Level: record.LevelMemory}, 200 * time.Millisecond},
		{"messages", record.Chunk{Encoding: record.EncodingMessage, Partition: record.Partition{Topic: "t", ID: [16]byte{7}}, Level: record.LevelDelivered}, 200 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				r := start(t, buffer.Config{}, &script{answer: always(delivered, 30*time.Millisecond)}, deliver.Config{})
				var want []time.Duration
				for i := range 5 {
					told := make(chan bool, 1)
					chunk := c.chunk
					chunk.Tag, chunk.Time, chunk.Count, chunk.Done = "app", time.Now().UnixNano(), 1, func(ok bool) { told <- ok }
					if chunk.Bodies = []byte{0x92, byte(i), 0x80}; chunk.Encoding == record.EncodingMessage {
						chunk.Bodies = record.AppendMessage(nil, &record.Message{Offset: int64(i), Value: []byte("{}")})
					}
					r.lines++
					r.buf.Admit(nil, &chunk)
					if !<-told {
						t.Error("a chunk is lost")
					}
					want = append(want, time.Duration(i)*c.each)
					if c.chunk.Level == record.LevelMemory {
						time.Sleep(200 * time.Millisecond) // so that each is a request of its own
					}
				}
				r.drain()
				if diff := cmp.Diff(want, r.begun()); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestFullRequestLeavesAtOnce: what fills a request does not wait.
func TestFullRequestLeavesAtOnce(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{}, &script{limits: sink.Limits{Events: 10, InFlight: 3}, answer: always(delivered, 0)}, deliver.Config{})
		r.hand(0, 1) // leaves at once, since nothing left before
		time.Sleep(50 * time.Millisecond)
		r.hand(0, 9)
		time.Sleep(20 * time.Millisecond)
		r.hand(0, 5) // makes a request of ten, and four are left
		time.Sleep(time.Second)
		if diff := cmp.Diff([]time.Duration{0, 70 * time.Millisecond, 200 * time.Millisecond}, r.begun()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		r.drain()
	})
}

// TestRecordLeavesInTime: whatever made small requests rarer, a record leaves at
// most 200 ms after the flush interval.
func TestRecordLeavesInTime(t *testing.T) {
	in(t, func(t *testing.T) {
		const flush = 2 * time.Second
		throttled := sink.Outcome{Throttled: true, Err: context.DeadlineExceeded}
		s := &script{answer: always(throttled, 0), limits: sink.Limits{InFlight: 16}}
		r := start(t, buffer.Config{}, s, deliver.Config{FlushInterval: flush})
		r.hand(0, 1)
		time.Sleep(time.Minute)
		r.from(always(delivered, 0))
		time.Sleep(time.Minute)
		for range 20 {
			handed, before := r.since(), len(r.begun())
			r.hand(0, 1)
			time.Sleep(2*flush + time.Duration(r.lines)*31*time.Millisecond)
			if got := r.begun(); len(got) != before+1 || got[before]-handed > flush+200*time.Millisecond {
				t.Errorf("a record that was handed over at %s left at %v", handed, got[before:])
			}
		}
		r.drain()
	})
}

// TestHurry makes what waits leave at once, and what comes later.
func TestHurry(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{}, &script{answer: always(delivered, 0)}, deliver.Config{})
		r.hand(0, 1)
		time.Sleep(50 * time.Millisecond)
		r.hand(0, 1)
		time.Sleep(50 * time.Millisecond)
		r.deliver.Hurry()
		time.Sleep(50 * time.Millisecond)
		r.hand(0, 1)
		time.Sleep(time.Hour)
		if diff := cmp.Diff([]time.Duration{0, 100 * time.Millisecond, 150 * time.Millisecond}, r.begun()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		r.drain()
	})
}

// TestWindow: as many requests are under way as the destination bears, and no
// more.
func TestWindow(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{limits: sink.Limits{Events: 10, InFlight: 3}, answer: always(delivered, 50*time.Millisecond)}
		r := start(t, buffer.Config{Limit: 1 << 20}, s, deliver.Config{})
		r.hand(0, 500)
		r.drain()
		most := 0
		for _, a := range r.attempts {
			most = max(most, a.active)
		}
		if last := r.attempts[len(r.attempts)-1]; most != 3 || last.end > 50*time.Millisecond*(500/10/3+1) {
			t.Errorf("at most %d requests were under way, the last ended after %s", most, last.end)
		}
	})
}

// TestMemoryIsGivenBack: an idle buffer holds nothing.
func TestMemoryIsGivenBack(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{}, &script{answer: always(delivered, 0)}, deliver.Config{})
		for range 3 {
			r.hand(0, 1000)
			time.Sleep(200 * time.Millisecond)
			if s := r.buf.State(); s.Held == 0 {
				t.Error("the memory was given back at once, though more may come")
			}
			time.Sleep(2 * time.Second)
			if s := r.buf.State(); s.Held != 0 {
				t.Errorf("%d bytes are held by an idle buffer", s.Held)
			}
		}
		r.drain()
	})
}

// TestAttemptsTimeOut: an attempt without an answer is given up, later each
// time, and the answer that never came may have been lost.
func TestAttemptsTimeOut(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{answer: func(ctx context.Context, n int, _ attempt) sink.Outcome {
			if n == 5 {
				return delivered
			}
			<-ctx.Done()
			return sink.Outcome{Err: ctx.Err(), Unsure: true}
		}}
		r := start(t, buffer.Config{}, s, deliver.Config{AttemptTimeout: 10 * time.Second})
		r.hand(0, 7)
		b := r.drain()
		var took []time.Duration
		for _, a := range r.attempts[:5] {
			took = append(took, a.end-a.begin)
		}
		want := []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 40 * time.Second, 40 * time.Second}
		if diff := cmp.Diff(want, took); diff != "" {
			t.Errorf("attempts took (-want +got):\n%s", diff)
		}
		if b.PossibleDuplicates != 7 {
			t.Errorf("%d records may be there twice, want each of the 7 once", b.PossibleDuplicates)
		}
	})
}

// TestDefaults: without a word an attempt ends after 15 s, and small requests
// are at most 5 s apart, however much the destination throttles.
func TestDefaults(t *testing.T) {
	in(t, func(t *testing.T) {
		throttled := sink.Outcome{Throttled: true, Err: context.DeadlineExceeded}
		r := start(t, buffer.Config{}, &script{answer: always(throttled, 0), limits: sink.Limits{InFlight: 100}}, deliver.Config{})
		r.hand(0, 1)
		synctest.Wait()
		if got := r.seen()[0].deadline; got != 15*time.Second {
			t.Errorf("an attempt ends after %s, want 15s", got)
		}
		time.Sleep(time.Minute)
		r.from(always(delivered, 0))
		time.Sleep(time.Minute)
		for range 100 {
			r.hand(0, 1)
			time.Sleep(100 * time.Millisecond)
		}
		begun := r.begun()
		if gap := begun[len(begun)-1] - begun[len(begun)-2]; gap != 5*time.Second {
			t.Errorf("two small requests are %s apart, want 5s", gap)
		}
		r.drain()
	})
}

// TestDrainHurries: what waits for company leaves at once.
func TestDrainHurries(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{}, &script{answer: always(delivered, 0)}, deliver.Config{})
		r.hand(0, 1)
		time.Sleep(50 * time.Millisecond)
		r.hand(0, 1)
		time.Sleep(50 * time.Millisecond)
		r.drain()
		if diff := cmp.Diff([]time.Duration{0, 100 * time.Millisecond}, r.begun()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

// TestSlowAnswer remembers slow answers for a while, and no failures, which say
// nothing about how long an answer takes.
func TestSlowAnswer(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{}, &script{answer: always(delivered, time.Second)}, deliver.Config{})
		next := func(out sink.Outcome, latency time.Duration) time.Duration {
			r.from(always(out, latency))
			r.hand(0, 1)
			time.Sleep(9 * time.Second)
			return r.deliver.SlowAnswer()
		}
		if got := r.deliver.SlowAnswer(); got != 0 {
			t.Errorf("before the first answer: %s", got)
		}
		if got := next(delivered, time.Second); got != time.Second {
			t.Errorf("after an answer of a second: %s", got)
		}
		if got := next(delivered, time.Millisecond); got != 875*time.Millisecond {
			t.Errorf("after a quick one: %s, want 875ms", got)
		}
		if got := next(away, 2*time.Second); got != 875*time.Millisecond {
			t.Errorf("after failures: %s, want 875ms", got)
		}
		if got := next(delivered, 3*time.Second); got != 3*time.Second {
			t.Errorf("after an answer of three seconds: %s", got)
		}
		r.drain()
	})
}

// TestDrainIsHeard at whatever moment it comes, also while the loop looks around because
// it was told to hurry.
func TestDrainIsHeard(t *testing.T) {
	for i := range 10_000 {
		in(t, func(t *testing.T) {
			r := start(t, buffer.Config{Limit: 1 << 20}, &script{answer: always(delivered, 0)}, deliver.Config{})
			synctest.Wait()
			r.deliver.Hurry()
			for range i % 2000 {
				r.deliver.Health()
			}
			r.drain()
			if late := r.since(); late > 0 {
				t.Fatalf("the end came after %v", late)
			}
		})
	}
}
