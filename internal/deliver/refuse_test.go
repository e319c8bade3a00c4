package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// refusing refuses every request that holds one of the culprits.
func refusing(reason string, culprits ...string) *script {
	return &script{
		limits: sink.Limits{Events: 100, InFlight: 2},
		answer: func(_ context.Context, _ int, a attempt) sink.Outcome {
			time.Sleep(time.Millisecond)
			for _, text := range a.texts {
				if slices.Contains(culprits, text) {
					return sink.Outcome{Verdict: sink.Refuse, Reason: reason, Err: errors.New("malformed")}
				}
			}
			return delivered
		},
	}
}

// TestRefusedIsHalved: a request that is refused is halved until the culprit
// stands alone; it alone is dropped, and its neighbours are there once.
func TestRefusedIsHalved(t *testing.T) {
	in(t, func(t *testing.T) {
		s := refusing("rejected-invalid", "0:000017", "0:000063")
		r := start(t, buffer.Config{}, s, deliver.Config{})
		r.hand(0, 100)
		b := r.drain()
		if diff := cmp.Diff(map[ledger.Reason]int64{ledger.RejectedInvalid: 2}, b.ByReason); diff != "" || b.Delivered != 98 {
			t.Errorf("%d are delivered; dropped (-want +got):\n%s", b.Delivered, diff)
		}
		records, markers := apart(r.has)
		if !slices.IsSorted(records) || len(markers) != 2 {
			t.Errorf("what was delivered is not in order, or has not two markers but %q", markers)
		}
		// Two culprits among a hundred are found by halving, not one by one.
		if n := len(r.attempts); n > 30 {
			t.Errorf("%d attempts were made", n)
		}
	})
}

// apart parts records from loss markers.
func apart(texts []string) (records, markers []string) {
	for _, text := range texts {
		if strings.HasSuffix(text, ":!") {
			markers = append(markers, text)
		} else {
			records = append(records, text)
		}
	}
	return records, markers
}

// TestRefusedAnywhere draws the culprits.
func TestRefusedAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "records")
		bad := rapid.SliceOfNDistinct(rapid.IntRange(1, n), 0, n, rapid.ID[int]).Draw(t, "culprits")
		rapid.SyncTest(t, func(t *rapid.T) {
			var culprits []string
			for _, i := range bad {
				culprits = append(culprits, fmt.Sprintf("0:%06d", i))
			}
			s := refusing("rejected-too-long", culprits...)
			r := start(t, buffer.Config{}, s, deliver.Config{})
			r.hand(0, n)
			b := r.drain()
			if b.Delivered != int64(n-len(bad)) || b.ByReason[ledger.RejectedTooLong] != int64(len(bad)) {
				t.Fatalf("%d of %d should be delivered, the balance is %+v", n-len(bad), n, b.Sheet)
			}
			for _, text := range s.has {
				if slices.Contains(culprits, text) {
					t.Fatalf("%s was delivered", text)
				}
			}
		})
	})
}

// TestRefusedWithoutReason: what a destination refuses is never taken for
// delivered, even if the sink forgets to say why.
func TestRefusedWithoutReason(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{}, refusing("", "0:000002"), deliver.Config{})
		r.hand(0, 3)
		if b := r.drain(); b.Delivered != 2 || b.ByReason[ledger.RejectedInvalid] != 1 {
			t.Errorf("the balance is %+v", b.Sheet)
		}
	})
}

// TestHalfRefusedHalfAway: a destination may go away in the middle of the
// halving; what was settled before stays so.
func TestHalfRefusedHalfAway(t *testing.T) {
	in(t, func(t *testing.T) {
		s := refusing("rejected-invalid", "0:000005")
		refuse := s.answer
		s.answer = func(ctx context.Context, n int, a attempt) sink.Outcome {
			if n%2 == 1 {
				return sink.Outcome{Err: errAway, Unsure: n%4 == 1}
			}
			return refuse(ctx, n, a)
		}
		r := start(t, buffer.Config{}, s, deliver.Config{})
		r.hand(0, 16)
		if b := r.drain(); b.Delivered != 15 || b.ByReason[ledger.RejectedInvalid] != 1 {
			t.Errorf("the balance is %+v", b.Sheet)
		}
	})
}

// TestRejectedByReason counts what a delivered request leaves out.
func TestRejectedByReason(t *testing.T) {
	in(t, func(t *testing.T) {
		out := sink.Outcome{Verdict: sink.Delivered, Rejected: []sink.Rejection{
			{First: 0, End: 3, Reason: "rejected-too-old"}, {First: 7, End: 8, Reason: "rejected-expired"},
			{First: 9, End: 10, Reason: "rejected-too-new"},
		}}
		r := start(t, buffer.Config{}, &script{answer: always(delivered, 0)}, deliver.Config{})
		r.hand(0, 1)
		synctest.Wait() // The next leave together, some time after this one.
		r.from(always(out, 0))
		r.hand(0, 5)
		r.hand(1, 5)
		time.Sleep(time.Second)
		b := r.drain()
		want := map[ledger.Reason]int64{ledger.RejectedTooOld: 3, ledger.RejectedExpired: 1, ledger.RejectedTooNew: 1}
		if diff := cmp.Diff(want, b.ByReason); diff != "" || b.Delivered != 6 {
			t.Errorf("%d are delivered; dropped (-want +got):\n%s", b.Delivered, diff)
		}
	})
}

// TestRejectionsAreToldAtTheEnd: the log is spared those that come within a
// minute, but hears of each before the end, and why.
func TestRejectionsAreToldAtTheEnd(t *testing.T) {
	in(t, func(t *testing.T) {
		r := start(t, buffer.Config{}, refusing("rejected-invalid", "0:000001", "0:000002", "0:000003"), deliver.Config{})
		const told = "WARN the destination rejects records"
		for want := range 3 {
			r.hand(0, 1)
			time.Sleep(time.Second)
			if got := r.log.count(told); got != 1 {
				t.Errorf("after %d rejections the log tells %d times of them: %q", want+1, got, r.log.lines)
			}
		}
		r.drain()
		if r.log.count(told) != 2 || r.log.count("rejected-invalid:2") != 1 || r.log.count("malformed") != 2 {
			t.Errorf("at the end the log does not tell of the other two: %q", r.log.lines)
		}
	})
}

// TestRefusedMarkerIsLogged: a loss marker that the destination will not take
// goes into the log with its text.
func TestRefusedMarkerIsLogged(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{answer: always(away, 0)}
		r := start(t, buffer.Config{Mode: buffer.NonBlocking}, s, deliver.Config{})
		for r.buf.Balance().Dropped == 0 {
			r.buf.Body(r.streams[0], time.Now().UnixNano(), random(4000, r.lines), record.Part{})
			r.lines++
		}
		lost := r.buf.Balance().Dropped
		r.from(func(_ context.Context, _ int, a attempt) sink.Outcome {
			if slices.Contains(a.texts, "0:!") {
				return sink.Outcome{Verdict: sink.Refuse, Reason: "rejected-invalid"}
			}
			return delivered
		})
		b := r.drain()
		if b.Dropped != lost || b.Markers != (ledger.Markers{Made: 1, Refused: 1}) {
			t.Errorf("%d are dropped, want %d; markers are %+v", b.Dropped, lost, b.Markers)
		}
		if text := fmt.Sprintf(`spillway-loss {"lost":%d,`, lost); r.log.count(text) != 1 || r.log.count("WARN a loss marker") != 1 {
			t.Errorf("%q is not in the log once: %q", text, r.log.lines)
		}
	})
}

// random is what does not shrink.
func random(size, seed int) []byte {
	b := make([]byte, size)
	x := uint64(seed)*0x9e3779b97f4a7c15 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte('a' + x%26)
	}
	return b
}

// TestSharedMomentsWait: no two requests that share a millisecond of a stream
// are ever at the destination together, and the earlier goes first.
func TestSharedMomentsWait(t *testing.T) {
	in(t, func(t *testing.T) {
		s := &script{limits: sink.Limits{Events: 5, InFlight: 4, OrderedBy: time.Millisecond}}
		under := map[moment]string{}
		s.answer = func(_ context.Context, n int, a attempt) sink.Outcome {
			s.mu.Lock()
			for _, m := range a.moments {
				if under[m] != "" {
					t.Errorf("%q is sent while %q of the same moment is", a.texts, under[m])
				}
			}
			for _, m := range a.moments {
				under[m] = a.texts[0]
			}
			s.mu.Unlock()
			time.Sleep(time.Duration(n*7%23) * time.Millisecond)
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, m := range a.moments {
				delete(under, m)
			}
			if n%3 == 0 {
				return away
			}
			return delivered
		}
		r := start(t, buffer.Config{Limit: 1 << 20}, s, deliver.Config{})
		for range 30 {
			r.hand(0, 60) // More than the stream's clock may run ahead for.
			r.hand(1, 3)
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		r.drain()
	})
}
