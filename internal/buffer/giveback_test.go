package buffer_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// TestTheEndReturnsWhatNobodyHasVouchedFor: what is dropped at the end of a chunk that
// its source still waits to hear of is no loss, and no marker tells of it. What is in
// memory is all that some sources want to hear, and then it is lost.
func TestTheEndReturnsWhatNobodyHasVouchedFor(t *testing.T) {
	for _, level := range []record.Level{record.LevelMemory, record.LevelKernel, record.LevelPower, record.LevelDelivered} {
		t.Run(level.String(), func(t *testing.T) {
			m := newModel(t, buffer.Config{Mode: buffer.Blocking, Sink: cloud}, 2)
			f := m.streams[0]
			flight := m.chunk(f, someday, level, "in", "flight")
			s := m.take(true)
			waits := m.chunk(f, someday, level, "this", "one", "waits")
			m.lines(m.streams[1], someday, "a line", "and another")
			m.buf.Abandon()
			m.over = true
			m.send(s)
			m.settle(s, buffer.Fate{Dropped: ledger.Shutdown})
			late := m.chunk(f, someday, level, "late")
			want, answer, marked := map[ledger.Reason]int64{ledger.Shutdown: 2, ledger.Returned: 6}, false, int64(2)
			if level == record.LevelMemory {
				// What was in a request is lost without a marker, since nothing more is sent then.
				want, answer, marked = map[ledger.Reason]int64{ledger.Shutdown: 8}, true, 6
			}
			b := m.buf.Balance()
			if diff := cmp.Diff(want, b.ByReason); diff != "" || b.Unaccounted != 0 || b.Bytes.Unaccounted != 0 || b.Pending != 0 || b.Received != 8 {
				t.Errorf("the balance is %+v, reasons (-want +got):\n%s", b.Sheet, diff)
			}
			if b.Lost() != want[ledger.Shutdown] {
				t.Errorf("%d are lost, want %d", b.Lost(), want[ledger.Shutdown])
			}
			answers := [][]bool{flight.answers, waits.answers, late.answers}
			// What comes when it is too late is in nobody's memory.
			if diff := cmp.Diff([][]bool{{answer}, {answer}, {false}}, answers); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			told := int64(0)
			if r := m.buf.Take(true); r != nil {
				for _, loss := range markers(&sending{request: r}) {
					told += loss.Lost
				}
			}
			if told != marked {
				t.Errorf("the markers tell of %d records, want %d", told, marked)
			}
		})
	}
}

// TestAChunkInPiecesIsReturnedAsAWhole: its source hears of it when all of it is
// settled or given back, and no piece counts as lost because another went before.
func TestAChunkInPiecesIsReturnedAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, buffer.Config{Mode: buffer.Blocking}, 1)
		texts := make([]string, 300)
		for i := range texts {
			texts[i] = unlike(i, 1000)
		}
		var c *sent
		go func() { c = m.chunk(m.streams[0], someday, record.LevelDelivered, texts...) }()
		synctest.Wait()
		s := m.take(true)
		synctest.Wait()
		m.buf.Abandon()
		m.over = true
		synctest.Wait()
		if len(c.answers) > 0 {
			t.Errorf("its source hears %v while some of it is in flight", c.answers)
		}
		m.send(s)
		m.settle(s, buffer.Fate{})
		b := m.buf.Balance()
		if b.Delivered == 0 || b.Delivered+b.ByReason[ledger.Returned] != 300 || b.Unaccounted != 0 || b.Lost() != 0 {
			t.Errorf("the balance is %+v", b.Sheet)
		}
		if diff := cmp.Diff([]bool{false}, c.answers); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
	})
}

// TestWhatIsReturnedIsNotHeld: a chunk that is sent again while some of it is in flight
// and the rest given back is not vouched for.
func TestWhatIsReturnedIsNotHeld(t *testing.T) {
	b := buffer.New(buffer.Config{Mode: buffer.Blocking, Sink: cloud}, ledger.New())
	var answers []string
	done := func(name string) func(bool) {
		return func(ok bool) { answers = append(answers, fmt.Sprint(name, " ", ok)) }
	}
	origin := record.Origin{Key: [16]byte{1}}
	bodies := entry("a") + entry("b")
	b.Admit(nil, &record.Chunk{Tag: "app", Time: someday, Encoding: record.EncodingEntry, Bodies: []byte(bodies), Count: 2,
		Level: record.LevelDelivered, Origin: origin, Done: done("first")})
	one, two := b.Take(true).Split(1)
	b.Abandon()
	b.Settle(one, buffer.Fate{Dropped: ledger.Shutdown})
	if !b.Attach(origin, record.LevelDelivered, done("again")) {
		t.Error("the chunk is not known, though some of it is in flight")
	}
	b.Settle(two, buffer.Fate{})
	if diff := cmp.Diff([]string{"first false", "again false"}, answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if got := b.Balance(); got.Delivered != 1 || got.ByReason[ledger.Returned] != 1 || got.Unaccounted != 0 || got.Pending != 0 {
		t.Errorf("the balance is %+v", got.Sheet)
	}
}
