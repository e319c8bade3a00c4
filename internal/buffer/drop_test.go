package buffer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// few are limits that leave several requests of a few records in flight.
var few = sink.Limits{Events: 7, OrderedBy: time.Millisecond, InFlight: 4}

// TestOldestSparesWhatIsInFlight: eviction takes what waits; a request keeps its
// records, whatever is thrown at the buffer meanwhile.
func TestOldestSparesWhatIsInFlight(t *testing.T) {
	m := newModel(t, buffer.Config{Limit: 4 << 20, Mode: buffer.NonBlocking, DropOldest: true, Sink: few}, 2)
	for n := range 40 {
		m.lines(m.streams[n%2], someday+int64(n)*int64(time.Millisecond), unlike(n, 300))
	}
	for m.take(false) != nil {
	}
	inFlight := len(m.flight)
	for n := range 10 {
		m.overflow(m.streams[n%2], someday+int64(time.Second), 50_000)
	}
	for len(m.flight) > 0 {
		m.send(m.flight[0])
		m.settle(m.flight[0], buffer.Fate{}) // It looks at every byte.
	}
	if b := m.buf.Balance(); inFlight != 4 || b.Delivered != int64(7*inFlight) {
		t.Errorf("%d requests were in flight and %d records are delivered, want 4 and 28", inFlight, b.Delivered)
	}
	m.finish()
}

// TestNewestKeepsWhatWaits: without drop: oldest, what was admitted stays.
func TestNewestKeepsWhatWaits(t *testing.T) {
	m := newModel(t, buffer.Config{Mode: buffer.NonBlocking, Sink: cloud}, 1)
	f := m.streams[0]
	m.overflow(f, someday, 500)
	before := m.buf.Balance()
	m.overflow(f, someday, 500)
	if after := m.buf.Balance(); after.Pending < before.Pending {
		t.Errorf("%d records were pending and now %d are", before.Pending, after.Pending)
	}
	m.finish()
}

// TestMarkerOfTheEndIsNotRefused: a marker for which the time was over was seen by
// nobody who could refuse it.
func TestMarkerOfTheEndIsNotRefused(t *testing.T) {
	b := buffer.New(buffer.Config{Limit: 1 << 20, Mode: buffer.NonBlocking, Sink: sink.Limits{InFlight: 64}}, ledger.New())
	defer b.Close()
	s := b.Open("stdout")
	for i := 0; b.Balance().Dropped == 0; i++ {
		b.Body(s, someday, []byte(unlike(i, b.MaxBody())), record.Part{})
	}
	for r := b.Take(true); r != nil; r = b.Take(true) {
		b.Settle(r, buffer.Fate{Dropped: ledger.Shutdown})
	}
	if got := b.Balance(); got.Markers != (ledger.Markers{Made: 1, Pending: 1}) || got.Unaccounted != 0 || got.Pending != 0 {
		t.Errorf("the balance is %+v, want one marker made and pending", got.Sheet)
	}
}

// TestMissed: of what is gone before it could be received a marker tells, between what
// was received before and after it, or alone; it is in no balance.
func TestMissed(t *testing.T) {
	b := buffer.New(buffer.Config{Limit: 1 << 20, Mode: buffer.Blocking, Sink: sink.Limits{InFlight: 64}}, ledger.New())
	defer b.Close()
	s := b.Open("orders")
	text := func(body string) {
		b.Body(s, someday, []byte(body), record.Part{})
	}
	take := func() (got []record.Batch) {
		t.Helper()
		r := b.Take(true)
		if r == nil {
			t.Fatal("there is nothing to take")
		}
		for _, batch := range r.Batches() {
			one := *batch
			one.Frames = append([]byte(nil), one.Frames...)
			got = append(got, one)
		}
		b.Settle(r, buffer.Fate{})
		return got
	}
	text("before")
	b.Miss("orders", someday, 20)
	b.Miss("orders", someday, 5)
	text("after")
	got := take()
	if len(got) != 3 || got[1].Kind != record.KindLoss || got[2].FirstSeq != 27 {
		t.Fatalf("%+v, want a marker between two records, the second of which is number 27", got)
	}
	want := record.Loss{Stream: s.Index, Lost: 25, FirstSeq: 2, LastSeq: 26, FirstTime: someday, LastTime: someday, Reason: "missed"}
	if loss := got[1].Loss(); loss != want {
		t.Errorf("the marker is %+v, want %+v", loss, want)
	}
	b.Miss("others", someday, 1)
	if got := take(); len(got) != 1 || got[0].Kind != record.KindLoss || got[0].Loss().Lost != 1 {
		t.Errorf("%+v, want a marker", got)
	}
	if got := b.Balance(); got.Received != 2 || got.Delivered != 2 || got.Dropped != 0 || got.Unaccounted != 0 || got.Markers != (ledger.Markers{Made: 2, Delivered: 2}) {
		t.Errorf("the balance is %+v", got.Sheet)
	}
}

// markers are the loss markers that a request holds.
func markers(s *sending) (all []record.Loss) {
	for _, b := range s.request.Batches() {
		if b.Kind == record.KindLoss {
			all = append(all, b.Loss())
		}
	}
	return all
}

// pin makes a buffer that is full of what is in flight, but for the record that
// waits in a block which a request holds, too: evicting it makes no room.
func pin(t *testing.T) (*model, *flow) {
	t.Helper()
	m := newModel(t, buffer.Config{
		Limit: 1 << 20, Mode: buffer.Blocking, MaxBlock: time.Millisecond, DropOldest: true, Sink: sink.Limits{InFlight: 4},
	}, 1)
	f := m.streams[0]
	for range 3 {
		m.body(f, someday, unlike(len(f.handed), m.buf.MaxBody()), record.Part{})
		m.take(true)
	}
	m.lines(f, someday, "in flight")
	m.take(true)
	m.lines(f, someday, "waits")
	if s := m.buf.State(); len(m.flight) != 4 || s.Waiting != 1 || s.Held < 3*s.Limit/4 {
		t.Fatalf("%d requests are in flight, the state is %+v", len(m.flight), s)
	}
	return m, f
}

// TestNeighbourMarkersMerge: records that were evicted and records that arrived
// and were refused right after them are one run, told by one marker.
func TestNeighbourMarkersMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f := pin(t)
		for range 3 {
			m.body(f, someday, unlike(len(f.handed), m.buf.MaxBody()), record.Part{})
		}
		m.checkBooks()
		for len(m.flight) > 0 {
			m.send(m.flight[0])
			m.settle(m.flight[0], buffer.Fate{})
		}
		s := m.take(true)
		if got := markers(s); len(got) != 1 || got[0].Lost != 4 {
			t.Errorf("the markers of a run of four are %+v", got)
		}
		m.finish()
	})
}

// TestEvictedMarkerIsNotLost: a marker that waits and is evicted becomes part
// of the marker for the records around it.
func TestEvictedMarkerIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f := pin(t)
		for range 3 {
			m.body(f, someday, unlike(len(f.handed), m.buf.MaxBody()), record.Part{})
		}
		m.settle(m.flight[0], buffer.Fate{})
		// Now the run of lost records is told in the buffer itself.
		m.lines(f, someday, "after the loss")
		if b := m.buf.Balance(); b.Markers.Made > 1 {
			t.Fatalf("markers: %+v, want one at most", b.Markers)
		}
		for range 5 {
			m.overflow(f, someday, 10_000)
		}
		for len(m.flight) > 0 {
			m.send(m.flight[0])
			m.settle(m.flight[0], buffer.Fate{})
		}
		got := markers(m.take(true))
		if b := m.buf.Balance(); len(got) != 1 || b.Markers.Made != 1 || got[0].Lost != b.Dropped || got[0].Bytes != b.Bytes.Dropped {
			t.Errorf("the markers are %+v, by the balance %+v with %d dropped", got, b.Markers, b.Dropped)
		}
		m.finish()
	})
}

// TestMarkersKeepToTheLimits: also a request of many markers is one that the
// destination takes.
func TestMarkersKeepToTheLimits(t *testing.T) {
	for _, limits := range []sink.Limits{
		{RequestBytes: 2000, PerEvent: 26, InFlight: 1},
		{Events: 3, InFlight: 1},
		{Span: 24 * time.Hour, InFlight: 1},
	} {
		for _, oldest := range []bool{false, true} {
			m := newModel(t, buffer.Config{Mode: buffer.NonBlocking, DropOldest: oldest, Sink: limits}, 40)
			// The last stream loses first, so that time runs against the order of streams.
			at := someday
			for i := len(m.streams) - 1; i >= 0; i-- {
				m.overflow(m.streams[i], at, 500)
				at += 3 * int64(time.Hour)
			}
			m.overflow(m.streams[0], at, 500)
			m.finish()
			if b := m.buf.Balance(); b.Markers.Made < 10 || b.Markers.Pending != 0 {
				t.Errorf("%+v, oldest %t: markers are %+v", limits, oldest, b.Markers)
			}
		}
	}
}

// TestLossIsToldWithoutSuccessor: a run of lost records after which nothing
// comes is told all the same, and until then the buffer is not idle.
func TestLossIsToldWithoutSuccessor(t *testing.T) {
	m := newModel(t, buffer.Config{Mode: buffer.NonBlocking, Sink: cloud}, 1)
	m.overflow(m.streams[0], someday, 500)
	for {
		if m.buf.Idle() {
			t.Fatal("the buffer is idle with a loss untold")
		}
		s := m.take(true)
		m.send(s)
		told := len(markers(s)) > 0
		if m.settle(s, buffer.Fate{}); told {
			break
		}
	}
	if !m.buf.Idle() {
		t.Error("the buffer is not idle, though all is told")
	}
	m.finish()
}
