package deliver_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// box keeps dead letters as the store does: one that comes twice is one.
type box struct {
	mu      sync.Mutex
	letters []record.Letter
	fail    func(n int) error // of the n-th call, from 0
	calls   int
}

func (b *box) Put(_ context.Context, letters []record.Letter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.calls
	b.calls++
	if b.fail != nil {
		if err := b.fail(n); err != nil {
			return err
		}
	}
	for _, l := range letters {
		if !slices.ContainsFunc(b.letters, func(o record.Letter) bool { return o.Origin == l.Origin }) {
			b.letters = append(b.letters, l)
		}
	}
	return nil
}

// rejecting rejects what the second and third records are, and refuses requests
// with a culprit.
func rejecting(_ context.Context, _ int, a attempt) sink.Outcome {
	out := sink.Outcome{Verdict: sink.Delivered}
	for i, text := range a.texts {
		switch {
		case strings.HasSuffix(text, "000002"), strings.HasSuffix(text, "000003"):
			out.Rejected = append(out.Rejected, sink.Rejection{First: i, End: i + 1, Reason: "rejected-too-old", Status: 400, Detail: "old"})
		case strings.HasSuffix(text, "000005"):
			return sink.Outcome{Verdict: sink.Refuse, Reason: "rejected-invalid", Status: 413, Err: errors.New("malformed")}
		}
	}
	return out
}

// TestDeadLetters: what the destination will never take is kept, with all that is
// known of it, and nothing is counted as lost.
func TestDeadLetters(t *testing.T) {
	in(t, func(t *testing.T) {
		dead := &box{}
		r := start(t, buffer.Config{}, &script{answer: rejecting}, deliver.Config{DeadLetters: dead, Source: "app"})
		r.hand(0, 6)
		b := r.drain()
		if b.DeadLettered != 3 || b.Dropped != 0 || b.Delivered != 3 || b.Markers.Made != 0 {
			t.Errorf("the balance is %+v", b.Sheet)
		}
		letter := func(n, seq string, status int, reason, detail string, attempts int) record.Letter {
			return record.Letter{
				Destination: "test", Source: "app", Tag: "stream 0", Seq: uint64(seq[0] - '0'), Body: []byte(n), Status: status,
				Reason: reason, Detail: detail, Attempts: attempts,
			}
		}
		want := []record.Letter{
			letter("000002", "2", 400, "rejected-too-old", "old", 2), letter("000003", "3", 400, "rejected-too-old", "old", 2),
			letter("000005", "5", 413, "rejected-invalid", "malformed", 4),
		}
		diff := cmp.Diff(want, dead.letters, cmpopts.IgnoreFields(record.Letter{}, "Origin", "Time", "First", "Last", "Attempts"))
		if diff != "" {
			t.Errorf("letters (-want +got):\n%s", diff)
		}
		for _, l := range dead.letters {
			if l.Attempts < 2 || l.First == 0 || l.Last < l.First || l.Time == 0 || !strings.HasSuffix(l.Origin, "/"+string(l.Body[5:])) || len(l.Origin) != 26 {
				t.Errorf("a letter says %+v", l)
			}
		}
		if n := r.log.count("they are kept as dead letters"); n == 0 || r.log.count("dropped") > 0 {
			t.Errorf("the log is %q", r.log.lines)
		}
	})
}

// TestDeadLettersFail: while the dead letters fail, what is rejected is pending, the
// rest is settled, and the health says so.
func TestDeadLettersFail(t *testing.T) {
	in(t, func(t *testing.T) {
		dead := &box{fail: func(n int) error {
			if n < 8 {
				return errors.New("disk full")
			}
			return nil
		}}
		r := start(t, buffer.Config{}, &script{answer: rejecting}, deliver.Config{DeadLetters: dead})
		r.hand(0, 4)
		time.Sleep(2 * time.Second)
		b := r.balance()
		if h := r.deliver.Health(); b.Delivered != 2 || b.Pending != 2 || !strings.Contains(h.DeadLetters, "disk full") || !h.Up {
			t.Errorf("the balance is %+v, the health %+v", b.Sheet, h)
		}
		b = r.drain()
		if h := r.deliver.Health(); b.DeadLettered != 2 || h.DeadLetters != "" {
			t.Errorf("at the end the balance is %+v, the health %+v", b.Sheet, h)
		}
		if len(dead.letters) != 2 || dead.calls > 12 {
			t.Errorf("%d letters in %d calls", len(dead.letters), dead.calls)
		}
	})
}

// TestDeadLettersAtTheEnd: what the dead letters do not take is given up with
// everything else when the time is over.
func TestDeadLettersAtTheEnd(t *testing.T) {
	in(t, func(t *testing.T) {
		dead := &box{fail: func(int) error { return errors.New("disk full") }}
		r := start(t, buffer.Config{}, &script{answer: rejecting}, deliver.Config{DeadLetters: dead})
		r.hand(0, 4)
		time.Sleep(time.Second)
		r.buf.Abandon()
		r.deliver.Abandon()
		b := r.drain()
		if b.Delivered != 2 || b.ByReason[ledger.Shutdown] != 2 {
			t.Errorf("the balance is %+v", b.Sheet)
		}
	})
}

// TestDeadLettersOfMessages: a letter of a message is told by its coordinates, one of a
// replay by what it was, and by the key of the letter that it was before.
func TestDeadLettersOfMessages(t *testing.T) {
	in(t, func(t *testing.T) {
		dead := &box{}
		s := &script{answer: func(_ context.Context, _ int, a attempt) sink.Outcome {
			return sink.Outcome{Verdict: sink.Refuse, Reason: "rejected-invalid"}
		}}
		r := start(t, buffer.Config{}, s, deliver.Config{DeadLetters: dead})
		m := record.Message{Offset: 41, Value: []byte("v")}
		first := record.AppendMessage(nil, &m)
		m.Offset = 44
		second := record.AppendMessage(nil, &m)
		r.buf.Admit(nil, &record.Chunk{
			Tag: "orders", Encoding: record.EncodingMessage, Bodies: slices.Concat(first, second), Count: 2,
			Partition: record.Partition{Topic: "orders", ID: [16]byte{7}, Number: 3},
		})
		r.buf.Admit(nil, &record.Chunk{
			Tag: "app", Encoding: record.EncodingEntry, Bodies: []byte("\x92\x01\x80"), Count: 1,
			Origin: record.Origin{Key: [16]byte{5}}, Identity: record.Identity{Key: [16]byte{0xab, 15: 1}, Number: 12},
		})
		r.lines += 3
		time.Sleep(time.Second)
		synctest.Wait()
		letter := func(tag, origin string, seq uint64, replayed byte, e record.Encoding, body []byte) record.Letter {
			return record.Letter{
				Destination: "test", Tag: tag, Origin: origin, Seq: seq, Encoding: e, Body: body, Reason: "rejected-invalid", Replayed: [16]byte{replayed},
			}
		}
		want := []record.Letter{
			letter("orders", "kafka:orders/3/41@BwAAAAAAAAAAAAAAAAAAAA", 1, 0, record.EncodingMessage, first[record.FrameSize:]),
			letter("orders", "kafka:orders/3/44@BwAAAAAAAAAAAAAAAAAAAA", 2, 0, record.EncodingMessage, second[record.FrameSize:]),
			letter("app", "ab000000000000000000000000000001/12", 1, 5, record.EncodingEntry, []byte("\x92\x01\x80")),
		}
		byOrigin := func(a, b record.Letter) int { return strings.Compare(a.Origin, b.Origin) }
		slices.SortFunc(want, byOrigin)
		slices.SortFunc(dead.letters, byOrigin)
		if diff := cmp.Diff(want, dead.letters, cmpopts.IgnoreFields(record.Letter{}, "Time", "First", "Last", "Attempts")); diff != "" {
			t.Errorf("letters (-want +got):\n%s", diff)
		}
		if b := r.buf.Balance(); b.DeadLettered != 3 || b.Unaccounted != 0 {
			t.Errorf("the balance is %+v", b.Sheet)
		}
		r.deliver.Drain()
		<-r.ended
		r.cancel()
	})
}

// TestDeadLettersOfChunks: a record of a chunk is told by the chunk and its place in
// it, so that one which comes twice is one letter; its source is told that it is
// settled.
func TestDeadLettersOfChunks(t *testing.T) {
	in(t, func(t *testing.T) {
		dead := &box{}
		s := &script{answer: func(_ context.Context, _ int, a attempt) sink.Outcome {
			return sink.Outcome{Verdict: sink.Delivered, Rejected: []sink.Rejection{{First: 1, End: 2, Reason: "rejected-invalid"}}}
		}}
		r := start(t, buffer.Config{}, s, deliver.Config{DeadLetters: dead})
		var answers []bool
		one := "\x92\x01\x81\xa1k\xa1v"
		r.buf.Admit(nil, &record.Chunk{
			Tag: "app.web", Time: 5, Encoding: record.EncodingEntry, Bodies: []byte(one + one + one), Count: 3, Level: record.LevelDelivered,
			Origin: record.Origin{Key: [16]byte{0xab, 15: 0xcd}}, Done: func(ok bool) { answers = append(answers, ok) },
		})
		r.lines += 3
		time.Sleep(time.Second)
		synctest.Wait()
		want := []record.Letter{{
			Destination: "test", Tag: "app.web", Origin: "ab0000000000000000000000000000cd/1", Seq: 2, Encoding: record.EncodingEntry,
			Body: []byte(one), Reason: "rejected-invalid", Attempts: 1,
		}}
		if diff := cmp.Diff(want, dead.letters, cmpopts.IgnoreFields(record.Letter{}, "Time", "First", "Last")); diff != "" {
			t.Errorf("letters (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]bool{true}, answers); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if b := r.buf.Balance(); b.Delivered != 2 || b.DeadLettered != 1 || b.Unaccounted != 0 {
			t.Errorf("the balance is %+v", b.Sheet)
		}
		r.deliver.Drain()
		<-r.ended
		r.cancel()
	})
}
