package cloudwatch

import (
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	sandbox "github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// TestLimitsAreTheService's limits: what the sink states is taken to the byte,
// the event and the millisecond, and what is one more is refused for good.
func TestLimitsAreTheServices(t *testing.T) {
	_, url := newSandbox(t, sandbox.Options{KeepBytes: -1})
	s := newSink(t, url)
	l := s.Limits()
	at := time.Now().Add(-time.Minute).Truncate(time.Millisecond)

	// filled has bytes to the limit of a request and more, the last line being what
	// is left after some lines of each kind.
	filled := func(more int) []sinktest.Event {
		events := []sinktest.Event{
			{Time: at, Body: strings.Repeat("\xff", 1000)}, {Time: at, Body: ""}, {Time: at, Body: "Größe\xc3"},
			{Time: at, Body: strings.Repeat("a", l.BodyBytes/2)},
			{Time: at, Loss: &record.Loss{Lost: 1, Bytes: 2, Reason: "overflow-newest"}},
		}
		left := l.RequestBytes + more
		for _, b := range numbered(events).Batches() {
			switch b.Kind {
			case record.KindLoss:
				left -= len(b.Loss().AppendText(nil)) + l.PerEvent
			default:
				left -= b.Bytes + b.Repair + b.Count*l.PerEvent
			}
		}
		return append(events, sinktest.Event{Time: at, Body: strings.Repeat("z", left-l.PerEvent)})
	}
	many := func(more int) []sinktest.Event {
		events := make([]sinktest.Event, l.Events+more)
		for i := range events {
			events[i] = sinktest.Event{Time: at, Body: "x"}
		}
		return events
	}
	for name, request := range map[string]func(more int) []sinktest.Event{
		"bytes of a request": filled,
		"bytes of a body": func(more int) []sinktest.Event {
			return []sinktest.Event{{Time: at, Body: strings.Repeat("b", l.BodyBytes+more)}}
		},
		"bytes of a body after repair": func(more int) []sinktest.Event {
			return []sinktest.Event{{Time: at, Body: strings.Repeat("\xff", l.BodyBytes/3) + strings.Repeat("b", l.BodyBytes%3+more)}}
		},
		"events": many,
		"span": func(more int) []sinktest.Event {
			return []sinktest.Event{{Time: at.Add(-l.Span), Body: "first"}, {Time: at.Add(time.Duration(more) * time.Millisecond), Body: "last"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			deliver(t, s, sinktest.NewRequest(request(0)...))
			out := s.Send(t.Context(), sinktest.NewRequest(request(1)...))
			if out.Verdict != sink.Refuse || out.Reason != string(ledger.RejectedInvalid) || out.Err == nil {
				t.Errorf("one more than the limit has the outcome %+v, want Refuse", out)
			}
		})
	}
}

// TestLimitsInDetail holds the rest of what the sink states.
func TestLimitsInDetail(t *testing.T) {
	want := sink.Limits{
		RequestBytes: 1_048_576, PerEvent: 26, Events: 10_000, Span: 24 * time.Hour, BodyBytes: 1_048_550,
		OrderedBy: time.Millisecond, InFlight: InFlight,
	}
	if got := newSink(t, "http://127.0.0.1:1/").Limits(); got != want {
		t.Errorf("the limits are %+v, want %+v", got, want)
	}
}
