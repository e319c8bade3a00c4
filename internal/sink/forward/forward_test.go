package forward

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

func decodeID(id string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(id) }

func timeOf(one []byte) time.Time { return time.Unix(0, entry.Time(one, 0)).UTC() }

// asLog makes lines as the suite expects them.
var asLog = entry.NewLines("log", false)

func logOptions() Options {
	return Options{Lines: func(*record.Stream) *entry.Lines { return asLog }, LineOverhead: asLog.Overhead(), TextKey: "log"}
}

var (
	second = time.Unix(1_700_000_000, 0).UTC()
	events = []sinktest.Event{
		{Time: second, Packed: sinktest.Packed(second, "one")}, {Time: second, Packed: sinktest.Packed(second, "two")},
		{Time: second, Stream: 1, Packed: sinktest.Packed(second, "of the other")}, {Time: second, Body: "a line"},
	}
)

func conformance(o Options) func(*testing.T) sinktest.Destination {
	return func(t *testing.T) sinktest.Destination {
		var failing atomic.Bool
		r := receive(t, &receiver{before: func(int, *got) error {
			if failing.Swap(false) {
				return errHangUp
			}
			return nil
		}})
		o := o
		o.Servers = []Server{r.server()}
		// Requests that are sent at once arrive in any order.
		o.InFlight = 1
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		d := sinktest.Destination{
			Sink: s, Read: func() ([]sinktest.Entry, error) { return readBack(r.all()) },
			Fail:   func() { failing.Store(true) },
			Traits: sinktest.Traits{Bytes: true},
		}
		if o.NoAck {
			d.Read = nil
		}
		return d
	}
}

func TestConformance(t *testing.T) { sinktest.Run(t, conformance(logOptions())) }

func TestConformanceWithEntries(t *testing.T) { sinktest.RunEntries(t, conformance(logOptions())) }

func TestConformanceWithMessages(t *testing.T) {
	sinktest.RunMessages(t, conformance(logOptions()))
}

// TestMessagesThatAreNoObjects: they are given up, one by one, and what stands
// between them is sent under the numbers that it has.
func TestMessagesThatAreNoObjects(t *testing.T) {
	r := receive(t, nil)
	s := open(t, logOptions(), r)
	object := func(value string, null bool) sinktest.Event {
		return sinktest.Event{Time: second, Message: &record.Message{Time: second.UnixNano(), Form: record.FormJSON, Value: []byte(value), Null: null}}
	}
	events := []sinktest.Event{
		object("[1]", false), object(`{"log":"a"}`, false), object(`{"log":"b"}`, false), object("{} {}", false), object("", true), object(`{"log":"c"}`, false),
	}
	out := s.Send(t.Context(), sinktest.NewRequest(events...))
	var got []string
	for _, one := range out.Rejected {
		got = append(got, fmt.Sprintf("%d to %d: %s, %s", one.First, one.End, one.Reason, one.Detail))
	}
	want := []string{
		"0 to 1: rejected-invalid, found '[' at byte 1; expected a JSON object, which begins with {",
		"3 to 4: rejected-invalid, found '{' at byte 4; expected nothing behind the object",
		"4 to 5: rejected-invalid, the message has no value (a tombstone)",
	}
	if diff := cmp.Diff(want, got); diff != "" || out.Verdict != sink.Delivered || len(out.Again) > 0 {
		t.Errorf("%+v (-want +got):\n%s", out, diff)
	}
	var sent []string
	for _, m := range r.all() {
		sent = append(sent, fmt.Sprintf("%d of %d: %q", number(m.chunk), m.size, m.entries))
	}
	one := func(line string) string {
		return strings.Replace(sinktest.Packed(second, line), "\xdb\x00\x00\x00\x01", "\xa1", 1)
	}
	want = []string{fmt.Sprintf("2 of 2: %q", one("a")+one("b")), fmt.Sprintf("6 of 1: %q", one("c"))}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func TestConformanceCompressed(t *testing.T) {
	for _, c := range []forward.Compression{forward.CompressionGzip, forward.CompressionZstd} {
		o := logOptions()
		o.Compression = c
		t.Run(c.String(), func(t *testing.T) { sinktest.RunEntries(t, conformance(o)) })
	}
}

// TestWhatIsSent: one message for each batch, with its tag, its number of entries
// and its id, and entries as they were.
func TestWhatIsSent(t *testing.T) {
	r := receive(t, nil)
	s := open(t, logOptions(), r)
	var numbers sinktest.Numbering
	numbers.NewRequest(events...)
	req := numbers.NewRequest(append(events, sinktest.Event{Time: second, Loss: &record.Loss{Lost: 3, Reason: "overflow-newest"}})...)
	send(t, s, req)
	var seen []string
	for _, m := range r.all() {
		raw, err := decodeID(m.chunk)
		if err != nil || len(raw) != 24 {
			t.Fatalf("the id %q: %v", m.chunk, err)
		}
		seen = append(seen, fmt.Sprintf("%s %s %d of %d: %d bytes", m.tag, strings.TrimRight(string(raw[:12]), "\x00"), number(m.chunk), m.size, len(m.entries)))
	}
	entries := len(events[0].Packed) + len(events[1].Packed)
	loss := record.Loss{Stream: 0, Lost: 3, FirstSeq: 7, LastSeq: 9, FirstTime: second.UnixNano(), LastTime: second.UnixNano(), Reason: "overflow-newest"}
	want := []string{
		fmt.Sprintf("stdout stdout 4 of 2: %d bytes", entries),
		fmt.Sprintf("stderr stderr 2 of 1: %d bytes", len(events[2].Packed)),
		"stdout stdout 6 of 1: 23 bytes",
		fmt.Sprintf("stdout stdout 7 of 1: %d bytes", len(asLog.AppendLoss(nil, &loss))),
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if got := string(r.all()[0].entries); got != events[0].Packed+events[1].Packed {
		t.Errorf("the entries became %x", got)
	}
}

func TestALargeBatchIsCutBetweenEntries(t *testing.T) {
	for _, form := range []string{"entries", "messages", "lines"} {
		o := logOptions()
		o.MaxChunk = 1000
		r := receive(t, nil)
		s := open(t, o, r)
		var all []sinktest.Event
		for i := range 100 {
			body := strings.Repeat("x", i)
			if i == 50 {
				body = strings.Repeat("y", 5000) // larger than a message may be
			}
			e := sinktest.Event{Time: second, Body: body}
			switch form {
			case "entries":
				e.Packed = sinktest.Packed(second, body)
			case "messages":
				e.Message = &record.Message{Time: second.UnixNano(), Value: []byte(body)}
			}
			all = append(all, e)
		}
		send(t, s, sinktest.NewRequest(all...))
		messages := r.all()
		next := uint64(1)
		for _, m := range messages {
			if number(m.chunk) != next || len(m.entries) > 1000 && m.size != 1 {
				t.Errorf("a message of %d bytes and %d entries from number %d, want %d", len(m.entries), m.size, number(m.chunk), next)
			}
			next += uint64(m.size)
		}
		back, err := readBack(messages)
		if err != nil || len(back) != len(all) || next != 101 || len(messages) < 9 || len(messages) > 40 {
			t.Errorf("%d entries in %d messages up to number %d, %v", len(back), len(messages), next, err)
		}
	}
}

// TestAPartOfARequest: what has its ack is delivered, the rest is handed back, and
// has the same ids when it is sent again.
func TestAPartOfARequest(t *testing.T) {
	ids := make(chan string, 10)
	r := receive(t, &receiver{before: func(n int, m *got) error {
		ids <- m.chunk
		if n == 2 {
			return errHangUp
		}
		return nil
	}})
	s := open(t, logOptions(), r)
	req := sinktest.NewRequest(events...)
	out := s.Send(t.Context(), req)
	if diff := cmp.Diff([]sink.Span{{First: 2, End: 4}}, out.Again); diff != "" || out.Verdict != sink.Delivered || !out.Unsure || out.Err == nil || out.Config {
		t.Fatalf("%+v (-want +got):\n%s", out, diff)
	}
	first, second := <-ids, <-ids
	send(t, s, sinktest.NewRequest(sinktest.Event{Time: events[2].Time, Stream: 1, Packed: events[2].Packed}))
	if got := r.all()[1].chunk; got != second || got == first {
		t.Errorf("sent again as %q, before as %q", got, second)
	}
}

func TestAServerThatIsAway(t *testing.T) {
	gone := receive(t, nil)
	gone.stop()
	s := open(t, logOptions(), gone)
	out := s.Send(t.Context(), sinktest.NewRequest(events...))
	if out.Verdict != sink.Retry || out.Err == nil || out.Unsure || out.Config {
		t.Errorf("%+v", out)
	}
	if err := s.Check(t.Context()); err == nil {
		t.Error("it is found healthy")
	}
}

func TestAnotherServerTakesOver(t *testing.T) {
	gone, there := receive(t, nil), receive(t, nil)
	gone.stop()
	s := open(t, logOptions(), gone, there)
	for range 20 {
		send(t, s, sinktest.NewRequest(events...))
	}
	if n := len(there.all()); n != 60 {
		t.Errorf("%d messages, want 60", n)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStandbyAndWeight(t *testing.T) {
	many, few, none, standby := receive(t, nil), receive(t, nil), receive(t, nil), receive(t, nil)
	o := logOptions()
	for i, r := range []*receiver{many, few, none, standby} {
		v := r.server()
		v.Weight = []int{9, 1, 0, 9}[i]
		v.Standby = r == standby
		o.Servers = append(o.Servers, v)
	}
	s := open(t, o)
	one := sinktest.NewRequest(events[0])
	for range 500 {
		send(t, s, one)
	}
	// 450 and 50 are expected; the bounds are more than seven deviations away.
	if n, m := len(many.all()), len(few.all()); n+m != 500 || n < 400 || m < 2 {
		t.Errorf("%d and %d messages", n, m)
	}
	many.stop()
	few.stop()
	for range 3 { // The connections that were there may be tried first.
		s.Send(t.Context(), one)
	}
	before := len(none.all())
	send(t, s, one)
	none.stop()
	for range 3 {
		s.Send(t.Context(), one)
	}
	if len(none.all()) == before || len(standby.all()) == 0 {
		t.Errorf("%d messages to the one of no weight, %d to the standby one", len(none.all()), len(standby.all()))
	}
}

// TestAnAckThatIsLate: an attempt that ends before the ack comes does not make the
// message be sent twice.
func TestAnAckThatIsLate(t *testing.T) {
	acked := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	r := receive(t, &receiver{
		before: func(int, *got) error {
			cancel()
			return nil
		},
		silent: func(int) bool {
			<-acked
			return false
		},
	})
	s := open(t, logOptions(), r)
	req := sinktest.NewRequest(events[0])
	out := s.Send(ctx, req)
	if out.Verdict != sink.Retry || !out.Unsure || !errors.Is(out.Err, context.Canceled) {
		t.Fatalf("%+v", out)
	}
	close(acked)
	send(t, s, req)
	if n := len(r.all()); n != 1 {
		t.Errorf("it came %d times", n)
	}
}

// TestWithoutAcks: no ids are sent, and a peer that has closed its end is noticed.
func TestWithoutAcks(t *testing.T) {
	o := logOptions()
	o.NoAck = true
	r := receive(t, nil)
	s := open(t, o, r)
	send(t, s, sinktest.NewRequest(events...))
	for range 3 {
		<-r.kept
	}
	r.mu.Lock()
	first := r.conns[<-r.accepted-1]
	r.mu.Unlock()
	if m := r.all()[0]; m.chunk != "" {
		t.Errorf("the id %q was sent", m.chunk)
	}
	ours := s.servers[0].conns[0]
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	<-ours.Done()
	send(t, s, sinktest.NewRequest(events...)) // on a new connection
	<-r.accepted
}

// TestAHalfClosedPeer: it is not written to, though writing would succeed.
func TestAHalfClosedPeer(t *testing.T) {
	o := logOptions()
	o.NoAck = true
	r := receive(t, nil)
	s := open(t, o, r)
	send(t, s, sinktest.NewRequest(events[0]))
	ours := s.servers[0].conns[0]
	number := <-r.accepted
	r.mu.Lock()
	half, ok := r.conns[number-1].(interface{ CloseWrite() error })
	r.mu.Unlock()
	if !ok || half.CloseWrite() != nil {
		t.Fatal("no half close")
	}
	<-ours.Done()
	send(t, s, sinktest.NewRequest(events[0]))
	<-r.accepted
}

func TestConnectionsOfAnAge(t *testing.T) {
	o := logOptions()
	o.MaxConnectionAge = time.Nanosecond
	r := receive(t, nil)
	s := open(t, o, r)
	for range 3 {
		send(t, s, sinktest.NewRequest(events[0]))
	}
	if m := r.all(); m[2].conn != 3 {
		t.Errorf("the third came by connection %d", m[2].conn)
	}
}

func TestATagThatCannotBeSent(t *testing.T) {
	o := logOptions()
	o.Tag = func(s *record.Stream) string {
		if s.Index == 1 {
			return ""
		}
		return "tag"
	}
	r := receive(t, nil)
	out := open(t, o, r).Send(t.Context(), sinktest.NewRequest(events...))
	if len(out.Rejected) != 1 || out.Rejected[0].First != 2 || out.Rejected[0].End != 3 || out.Verdict != sink.Delivered || len(r.all()) != 2 {
		t.Errorf("%+v, %d messages", out, len(r.all()))
	}
}

func TestWrongOptions(t *testing.T) {
	at := Server{Dial: forward.DialOptions{Address: "127.0.0.1:1"}}
	for want, o := range map[string]Options{
		"without a server": {},
		"below 0":          {Servers: []Server{at}, MaxChunk: -1},
		"weight":           {Servers: []Server{{Dial: at.Dial, Weight: -1}}},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q expected, got %v", want, err)
		}
	}
}

func TestIDs(t *testing.T) {
	s := open(t, logOptions(), receive(t, nil))
	a := &record.Stream{Index: 1, Incarnation: [12]byte{1}}
	var all []string
	for _, id := range []string{
		s.id(a, 1, 1), s.id(a, 2, 1), s.id(a, 1, 2), s.id(&record.Stream{Index: 1, Incarnation: [12]byte{2}}, 1, 1),
		s.id(&record.Stream{Index: 1}, 1, 1), s.id(&record.Stream{Index: 2}, 1, 1),
	} {
		if slices.Contains(all, id) || len(id) != 32 {
			t.Errorf("the id %q", id)
		}
		all = append(all, id)
	}
	if s.id(a, 1, 1) != all[0] {
		t.Error("an id changes")
	}
}
