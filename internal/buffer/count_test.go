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

// TestMoreStreamsThanNames: streams without a name of their own in the ledger
// are accounted for like any other, also while their records are pending.
func TestMoreStreamsThanNames(t *testing.T) {
	b := buffer.New(buffer.Config{Limit: 4 << 20, Mode: buffer.Blocking, Sink: cloud}, ledger.New())
	const more = 5
	for i := range ledger.MaxNamedStreams + more {
		b.Lines(b.Open(fmt.Sprint("stream ", i)), someday, []byte("line\n"), true)
	}
	if got := len(b.Streams()); got != ledger.MaxNamedStreams+more {
		t.Errorf("the buffer has %d streams", got)
	}
	sheet := b.Balance()
	other := sheet.Streams[len(sheet.Streams)-1]
	if other.Stream != ledger.OtherStreams || other.Pending != more || other.Unaccounted != 0 || sheet.Unaccounted != 0 {
		t.Errorf("%q has %d pending and %d unaccounted, all have %d unaccounted; want %d, 0 and 0",
			other.Stream, other.Pending, other.Unaccounted, sheet.Unaccounted, more)
	}
}

// TestStreamReturns: two streams of one name have one account and their own
// numbers.
func TestStreamReturns(t *testing.T) {
	b := buffer.New(buffer.Config{Mode: buffer.Blocking}, ledger.New())
	for range 2 {
		b.Lines(b.Open("stdout"), someday, []byte("a\nb\n"), true)
	}
	if got := b.Balance(); len(got.Streams) != 1 || got.Pending != 4 || got.Unaccounted != 0 {
		t.Errorf("the balance is %+v", got)
	}
	seqs := []uint64{}
	for _, batch := range b.Take(true).Batches() {
		seqs = append(seqs, batch.FirstSeq)
	}
	if diff := cmp.Diff([]uint64{1, 1}, seqs); diff != "" {
		t.Errorf("first numbers (-want +got):\n%s", diff)
	}
}

// TestBesideTheBalance counts what stands beside the balance.
func TestBesideTheBalance(t *testing.T) {
	m := newModel(t, buffer.Config{Mode: buffer.NonBlocking, Sink: cloud}, 1)
	f := m.streams[0]
	m.lines(f, someday, "", "a", "\xff\xffb\xc0", "")
	m.body(f, someday, "two\nlines \x80", record.Part{})
	m.body(f, someday, "", record.Part{})
	m.buf.Count(f.Stream, ledger.Lines{Read: 2, Split: 1})
	want := ledger.Lines{Read: 6, Split: 1, Empty: 3, InvalidUTF8: 4}
	if diff := cmp.Diff(want, m.buf.Balance().Lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	m.overflow(f, someday, 1000)
	if b := m.buf.Balance(); b.Lines.Read != b.Received {
		t.Errorf("%d lines were read, %d records received; dropped ones were read, too", b.Lines.Read, b.Received)
	}
	m.finish()
}

// TestRejections takes ranges that begin and end anywhere, also between batches.
func TestRejections(t *testing.T) {
	for _, rejected := range [][]sink.Rejection{
		{reject(0, 6, ledger.RejectedTooOld)},
		{reject(0, 1, ledger.RejectedTooOld), reject(5, 6, ledger.RejectedTooNew)},
		{reject(1, 5, ledger.RejectedExpired)},
		{reject(2, 3, ledger.RejectedTooOld), reject(3, 4, ledger.RejectedTooNew)},
		{reject(0, 100, ledger.RejectedInvalid)},
		{reject(3, 3, ledger.RejectedInvalid)},
	} {
		m := newModel(t, buffer.Config{Mode: buffer.Blocking, Sink: cloud}, 2)
		m.lines(m.streams[0], someday, "a", "bb", "ccc")
		m.lines(m.streams[1], someday, "dddd", "eeeee", "ffffff")
		s := m.take(true)
		m.send(s)
		m.repeat(s, []span{{First: 0, End: len(s.events)}})
		m.settle(s, buffer.Fate{Rejected: rejected})
		m.checkBooks()
		m.finish()
	}
}

// TestRejectionNeedsNoReason: what a sink rejects is never taken for delivered,
// even if the sink forgets to say why.
func TestRejectionNeedsNoReason(t *testing.T) {
	for _, end := range []int{1, 2} {
		b := buffer.New(buffer.Config{Mode: buffer.Blocking}, ledger.New())
		b.Lines(b.Open("stdout"), someday, []byte("a\nb\n"), true)
		b.Settle(b.Take(true), buffer.Fate{Rejected: []sink.Rejection{{First: 0, End: end}}})
		if got := b.Balance(); got.Delivered != int64(2-end) || got.Dropped != int64(end) || got.Unaccounted != 0 {
			t.Errorf("%d of 2 were rejected: %d delivered, %d dropped", end, got.Delivered, got.Dropped)
		}
	}
}

// TestReasonsFitAMarker: a marker holds a reason of at most 32 bytes.
func TestReasonsFitAMarker(t *testing.T) {
	for _, why := range []ledger.Reason{ledger.OverflowNewest, ledger.OverflowOldest, ledger.MaxBlock, ledger.Shutdown, ledger.Returned} {
		var b record.Batch
		record.Parse(record.AppendLoss(nil, record.Loss{Lost: 1, Reason: string(why)}), &b)
		if got := b.Loss().Reason; got != string(why) {
			t.Errorf("%q comes back as %q", why, got)
		}
	}
}
