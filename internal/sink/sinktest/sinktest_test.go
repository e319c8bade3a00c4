package sinktest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// memory is a sink that keeps what it gets. Its fault spoils it in one way.
type memory struct {
	fault  string
	limits sink.Limits

	mu      sync.Mutex
	entries []Entry
	views   []record.Batch
	fail    bool
	closed  bool
}

func (m *memory) Limits() sink.Limits { return m.limits }

func (m *memory) Check(context.Context) error {
	if m.fault == "unhealthy" {
		return errors.New("not there")
	}
	return nil
}

func (m *memory) Close() error {
	m.closed = true
	if m.fault == "close loses" {
		m.entries = nil
	}
	return nil
}

func (m *memory) Send(ctx context.Context, req sink.Request) sink.Outcome {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.entries)
	if ctx.Err() != nil && m.fault != "half when cancelled" {
		return sink.Outcome{Err: ctx.Err()}
	}
	if m.limits.RequestBytes > 0 && m.fault == "off by one" && m.size(req) >= m.limits.RequestBytes ||
		m.limits.Events > 0 && m.fault == "one event less" && req.Events() >= m.limits.Events {
		return sink.Outcome{Verdict: sink.Refuse}
	}
	if strings.HasPrefix(m.fault, "again") && !m.fail && req.Events() > 1 {
		return m.takeSome(req)
	}
	for _, b := range req.Batches() {
		m.take(b)
		if m.fail || ctx.Err() != nil {
			return m.failHalfWay(ctx, before)
		}
	}
	switch m.fault {
	case "loses the last":
		m.entries = m.entries[:max(len(m.entries)-1, 0)]
	case "twice":
		m.entries = append(m.entries, m.entries[before:]...)
	case "disorder":
		slices.Reverse(m.entries[before:])
	}
	return sink.Outcome{Verdict: sink.Delivered}
}

// takeSome takes the first half of a request, and wants the other again.
func (m *memory) takeSome(req sink.Request) sink.Outcome {
	first := req.Events() / 2
	for index, b := range req.Batches() {
		if n := min(first-index, b.Count); n > 0 {
			b.Slice(0, n)
			m.take(b)
		}
	}
	out := sink.Outcome{Verdict: sink.Delivered, Again: []sink.Span{{First: first, End: req.Events()}}}
	switch m.fault {
	case "again all":
		out.Again[0].First = 0
	case "again nothing":
		out.Again = append(out.Again, sink.Span{First: req.Events(), End: req.Events()})
	case "again too much":
		out.Again[0].End++
	case "again what it has":
		out.Again[0].First--
	}
	return out
}

func (m *memory) failHalfWay(ctx context.Context, before int) sink.Outcome {
	m.fail = false
	out := sink.Outcome{Err: errors.Join(errors.New("half way"), ctx.Err())}
	switch m.fault {
	case "half when failing", "half when cancelled":
		return out
	case "unsure":
		out.Unsure = true
		return out
	case "no cause":
		out.Err = nil
	case "refuses":
		out.Verdict = sink.Refuse
	}
	m.entries = m.entries[:before]
	return out
}

func (m *memory) size(req sink.Request) int {
	n := 0
	for _, b := range req.Batches() {
		n += b.Bytes + b.Repair + b.Count*m.limits.PerEvent
	}
	return n
}

func (m *memory) take(b *record.Batch) {
	at := time.Unix(0, b.Time)
	if b.Kind == record.KindLoss {
		if m.fault != "no markers" {
			m.entries = append(m.entries, Entry{Streams[b.Stream], at, string(b.Loss().AppendText(nil))})
		}
		return
	}
	m.views = append(m.views, *b)
	for frames := b.Frames; len(frames) > 0; {
		var body []byte
		body, _, frames = b.Next(frames)
		if b.Encoding == record.EncodingEntry {
			if m.fault != "time of the batch" {
				at = time.Unix(int64(binary.BigEndian.Uint32(body[3:])), int64(binary.BigEndian.Uint32(body[7:])))
			}
			body = body[len(Packed(time.Time{}, "")):]
		}
		if b.Encoding == record.EncodingMessage {
			at, body = m.message(at, body)
		}
		e := Entry{Streams[b.Stream], at, string(body)}
		switch {
		case m.fault == "no empty lines" && len(body) == 0, m.fault == "no parts" && b.Part.Ordinal > 1:
			continue
		case m.fault == "repairs":
			e.Text = strings.ToValidUTF8(e.Text, "?")
		case m.fault == "cuts":
			e.Text = e.Text[:min(len(e.Text), 100_000)]
		case m.fault == "one stream":
			e.Stream = Streams[0]
		case m.fault == "own time":
			e.Time = time.Unix(0, 0)
		case m.fault == "trims":
			e.Text = strings.TrimSpace(e.Text)
		case m.fault == "keeps views" && len(m.views) > 1:
			if f := m.views[len(m.views)-2].Frames; !slices.ContainsFunc(f, func(c byte) bool { return c != 0 }) {
				e.Text = "overwritten"
			}
		}
		m.entries = append(m.entries, e)
	}
}

// message is the time and the line of a message.
func (m *memory) message(at time.Time, body []byte) (time.Time, []byte) {
	var in record.Message
	record.ParseMessage(body, &in)
	if m.fault != "time of the batch" {
		at = time.Unix(0, in.Time)
	}
	switch in.Form {
	case record.FormMap:
		return at, in.Value[len(Packed(time.Time{}, ""))-len(packedTime):]
	case record.FormJSON:
		var object struct {
			Log string `json:"log"`
		}
		if err := json.Unmarshal(in.Value, &object); err != nil {
			return at, []byte(err.Error())
		}
		return at, []byte(object.Log)
	}
	return at, in.Value
}

func destination(fault string) Destination {
	m := &memory{fault: fault, limits: sink.Limits{
		RequestBytes: 1 << 20, PerEvent: 26, Events: 10_000, BodyBytes: 1<<20 - 26, InFlight: 2,
	}}
	if fault == "no slot" {
		m.limits.InFlight = 0
	}
	return Destination{
		Sink:   m,
		Read:   func() ([]Entry, error) { return slices.Clone(m.entries), nil },
		Fail:   func() { m.fail = true },
		Traits: Traits{Bytes: true, Exact: true},
	}
}

func TestASoundSinkPasses(t *testing.T) {
	// In memory requests that are sent at once arrive in any order.
	Run(t, func(*testing.T) Destination {
		d := destination("")
		d.Sink.(*memory).limits.InFlight = 1
		return d
	})
}

func TestASoundSinkPassesWithEntries(t *testing.T) {
	RunEntries(t, func(*testing.T) Destination {
		d := destination("")
		d.Sink.(*memory).limits.InFlight = 1
		return d
	})
}

func TestASoundSinkPassesWithMessages(t *testing.T) {
	RunMessages(t, func(*testing.T) Destination {
		d := destination("")
		d.Sink.(*memory).limits.InFlight = 1
		return d
	})
}

func TestASinkThatTakesAPartPasses(t *testing.T) {
	for _, c := range checks {
		if c.name == "requests at once" || c.name == "cancelled" || c.name == "failing attempt" {
			continue // These send their requests themselves.
		}
		t.Run(c.name, func(t *testing.T) {
			e := &env{Destination: destination("again"), ctx: t.Context()}
			if err := c.run(e); err != nil {
				t.Fatal(err)
			}
			if err := e.finish(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTheSuiteFindsTheTimeOfTheBatch(t *testing.T) {
	at := slices.IndexFunc(checks, func(c check) bool { return c.name == "as long a span as a request takes" })
	for _, as := range []form{asEntries, asMessages} {
		e := &env{Destination: destination("time of the batch"), ctx: t.Context(), form: as}
		err := checks[max(at, 0)].run(e)
		if err == nil {
			err = e.finish()
		}
		if at < 0 || err == nil {
			t.Fatal("nothing wrong was found")
		}
		t.Log(err)
	}
}

func TestAnUnsureSinkPassesWhereItNeedNotBeExact(t *testing.T) {
	Run(t, func(*testing.T) Destination {
		d := destination("unsure")
		d.Sink.(*memory).limits.InFlight = 1
		d.Exact = false
		return d
	})
}

func TestTheSuiteFindsEveryFault(t *testing.T) {
	for fault, by := range map[string]string{
		"unhealthy":           "healthy destination",
		"no slot":             "healthy destination",
		"loses the last":      "one of each",
		"twice":               "one of each",
		"disorder":            "one of each",
		"one stream":          "one of each",
		"own time":            "one of each",
		"close loses":         "one of each",
		"no empty lines":      "empty lines",
		"repairs":             "invalid UTF-8",
		"trims":               "characters that are escaped",
		"cuts":                "longest bodies",
		"no parts":            "parts",
		"no markers":          "loss markers",
		"off by one":          "as many bytes as a request takes",
		"one event less":      "as many events as a request takes",
		"keeps views":         "many requests of all kinds",
		"half when cancelled": "cancelled",
		"half when failing":   "failing attempt",
		"unsure":              "failing attempt",
		"no cause":            "failing attempt",
		"refuses":             "failing attempt",
		"again all":           "one of each",
		"again nothing":       "one of each",
		"again too much":      "one of each",
		"again what it has":   "one of each",
	} {
		t.Run(fault, func(t *testing.T) {
			at := slices.IndexFunc(checks, func(c check) bool { return c.name == by })
			e := &env{Destination: destination(fault), ctx: t.Context()}
			err := checks[at].run(e)
			if err == nil {
				err = e.finish()
			}
			if err == nil {
				t.Fatalf("%q finds nothing wrong", by)
			}
			t.Log(err)
		})
	}
}

func TestRequestNumbersAndGroups(t *testing.T) {
	at := time.Unix(0, 1_700_000_000_000_000_000)
	var n Numbering
	n.NewRequest(Event{Time: at, Body: "a"}, Event{Time: at, Body: ""})
	r := n.NewRequest(Event{Time: at, Body: "c"}, Event{Time: at, Body: "\xff"}, Event{Time: at, Stream: 1, Body: "other"},
		Event{Time: at, Loss: &record.Loss{Lost: 3, Reason: "shutdown"}}, Event{Time: at, Body: "g"},
		Event{Time: at, Body: "h", Part: record.Part{Ordinal: 1}})
	type seen struct {
		index, count int
		stream       uint32
		seq          uint64
		kind         record.Kind
		part         uint32
		repair       int
	}
	var got []seen
	for i, b := range r.Batches() {
		repair := b.Repair
		if b.Kind == record.KindLoss {
			repair = 0
			if l := b.Loss(); l.FirstSeq != 5 || l.LastSeq != 7 || l.FirstTime != at.UnixNano() {
				t.Errorf("marker %+v", l)
			}
		}
		got = append(got, seen{i, b.Count, b.Stream, b.FirstSeq, b.Kind, b.Part.Ordinal, repair})
	}
	want := []seen{
		{0, 2, 0, 3, record.KindRecords, 0, 2}, {2, 1, 1, 1, record.KindRecords, 0, 0}, {3, 1, 0, 5, record.KindLoss, 0, 0},
		{4, 1, 0, 8, record.KindRecords, 0, 0}, {5, 1, 0, 9, record.KindRecords, 1, 0},
	}
	if !slices.Equal(got, want) || r.Events() != 6 {
		t.Errorf("%d events in %+v, want %+v", r.Events(), got, want)
	}
}
