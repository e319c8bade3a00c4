package sinktest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// env is what one check works with.
type env struct {
	Destination
	ctx     context.Context
	numbers Numbering
	sent    []Event // what must be read back, in order
	unsure  bool    // an attempt was unsure, so what it sent may be there twice
	form    form    // of the records
	made    int     // messages
	now     time.Time
}

// check is one test of the suite. It returns what is wrong, so that the suite
// itself can be tested against sinks that are.
type check struct {
	name string
	run  func(*env) error
}

var checks = []check{
	{"healthy destination", (*env).healthy},
	{"one of each", (*env).oneOfEach},
	{"empty lines", (*env).emptyLines},
	{"invalid UTF-8", (*env).invalidText},
	{"characters that are escaped", (*env).escapes},
	{"longest bodies", (*env).longestBodies},
	{"parts", (*env).parts},
	{"loss markers", (*env).markers},
	{"as many bytes as a request takes", (*env).mostBytes},
	{"as many events as a request takes", (*env).mostEvents},
	{"as long a span as a request takes", (*env).longestSpan},
	{"many requests of all kinds", (*env).mixture},
	{"requests at once", (*env).atOnce},
	{"cancelled", (*env).cancelled},
	{"failing attempt", (*env).failing},
	{"nothing sent", func(*env) error { return nil }},
}

// tick is a later moment than all before, in every destination's resolution.
// The suite's times never go back, so that readers' order is that of sending.
func (e *env) tick() time.Time {
	if e.now.IsZero() {
		e.now = time.Now().Add(-time.Minute).Truncate(time.Millisecond).Add(123_456)
	}
	e.now = e.now.Add(time.Millisecond)
	return e.now
}

// lines makes an event of each body, all at one time.
func (e *env) lines(stream uint32, bodies ...string) []Event {
	at := e.tick()
	events := make([]Event, len(bodies))
	for i, b := range bodies {
		events[i] = Event{Stream: stream, Time: at, Body: b}
	}
	return events
}

// request makes a request and completes the events as it numbers them.
func (e *env) request(events []Event) *Request {
	for i := range events {
		switch {
		case events[i].Loss != nil:
		case e.form == asEntries:
			events[i].Part, events[i].Packed = record.Part{}, Packed(events[i].Time, events[i].Body)
		case e.form == asMessages:
			events[i].Part, events[i].Message = record.Part{}, message(e.made, events[i].Time, events[i].Body)
			e.made++
		}
		e.numbers.number(&events[i])
	}
	return NewRequest(events...)
}

// deliver sends events in one request, which must be delivered; what the sink wants
// again is sent again, alone.
func (e *env) deliver(events ...Event) error {
	r := e.request(events)
	for {
		out := e.Sink.Send(e.ctx, r)
		taken, again, err := parts(events, out)
		if err != nil {
			return fmt.Errorf("send %d events: %w", len(events), err)
		}
		e.sent = append(e.sent, taken...)
		if len(again) == 0 {
			return nil
		}
		events, r = again, NewRequest(again...)
	}
}

// parts parts the events of a request into those that the destination has, and those
// that are to be sent again.
func parts(events []Event, out sink.Outcome) (taken, again []Event, err error) {
	if out.Verdict != sink.Delivered || len(out.Rejected) > 0 {
		return nil, nil, fmt.Errorf("not all was delivered: %+v", out)
	}
	at := 0
	for _, s := range out.Again {
		if s.First < at || s.End <= s.First || s.End > len(events) {
			return nil, nil, fmt.Errorf("events %d to %d are wanted again, behind %d of %d", s.First, s.End, at, len(events))
		}
		taken, again = append(taken, events[at:s.First]...), append(again, events[s.First:s.End]...)
		at = s.End
	}
	if len(again) == len(events) {
		return nil, nil, errors.New("all events are wanted again, which is an attempt that failed")
	}
	return append(taken, events[at:]...), again, nil
}

func delivered(out sink.Outcome) error {
	if out.Verdict != sink.Delivered || len(out.Rejected) > 0 || len(out.Again) > 0 {
		return fmt.Errorf("not all was delivered: %+v", out)
	}
	return nil
}

// compare reads back and compares with all that was delivered.
func (e *env) compare() error {
	got, err := e.Read()
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if e.unsure {
		got = once(got)
	}
	if diff := e.diff(e.sent, got); diff != "" {
		return errors.New(diff)
	}
	return nil
}

// once removes the second and later of equal entries.
func once(entries []Entry) []Entry {
	seen := make(map[Entry]bool)
	return slices.DeleteFunc(entries, func(e Entry) bool {
		e.Time = e.Time.UTC()
		again := seen[e]
		seen[e] = true
		return again
	})
}

// finish ends every check: all is there, before Close and after.
func (e *env) finish() error {
	if err := e.compare(); err != nil {
		return err
	}
	if err := e.Sink.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if err := e.compare(); err != nil {
		return fmt.Errorf("after Close: %w", err)
	}
	return nil
}

func (e *env) healthy() error {
	if err := e.Sink.Check(e.ctx); err != nil {
		return fmt.Errorf("check a healthy destination: %w", err)
	}
	l := e.Sink.Limits()
	if l.InFlight < 1 {
		return fmt.Errorf("InFlight is %d, want at least 1", l.InFlight)
	}
	if l.RequestBytes > 0 && (l.BodyBytes == 0 || l.BodyBytes+l.PerEvent > l.RequestBytes) {
		return fmt.Errorf("a body of %d bytes does not fit in a request of %d", l.BodyBytes, l.RequestBytes)
	}
	return nil
}

func (e *env) oneOfEach() error {
	if err := e.deliver(e.lines(0, "a line")...); err != nil {
		return err
	}
	both := append(e.lines(1, "of the other stream", "and another"), e.lines(0, "the first again")...)
	return e.deliver(both...)
}

func (e *env) emptyLines() error {
	if err := e.deliver(e.lines(0, "")...); err != nil {
		return err
	}
	return e.deliver(e.lines(0, "", "between", "", "", "end", "")...)
}

func (e *env) invalidText() error {
	return e.deliver(e.lines(0, "\xff", "before\xc3", "\xe2\x82 cut off", "\xed\xa0\x80", "a\x80b\x80c", "\xf4\x90\x80\x80",
		"valid: Größe 😀 \ufffd", strings.Repeat("\xf0\x9f\x98", 100))...)
}

func (e *env) escapes() error {
	var all strings.Builder
	for c := range rune(0x300) {
		if c != '\n' {
			all.WriteRune(c)
		}
	}
	return e.deliver(e.lines(0, all.String(), `\`, `"`, `\"`, "\t", "\x00", "\r", " ", "<script>&amp;</script>", "\u2028\u2029",
		"two\nlines", `{"a":"\u0041"}`)...)
}

// longest is the largest body the suite sends.
func (e *env) longest() int {
	l := e.Sink.Limits()
	if l.BodyBytes == 0 {
		return 1<<20 - e.extra()
	}
	return l.BodyBytes - e.extra()
}

// extra is what an event takes beyond its body.
func (e *env) extra() int {
	switch e.form {
	case asEntries:
		return len(Packed(time.Time{}, strings.Repeat("x", 1<<16))) - 1<<16
	case asMessages:
		return message(1, time.Time{}, "").Size() - record.FrameSize
	}
	return 0
}

func (e *env) longestBodies() error {
	n := e.longest()
	for _, unit := range []string{"a", `"`, "\x01", "é", "😀", "\xff"} {
		size := len([]byte(string([]rune(unit)))) // after repair
		body := strings.Repeat(unit, n/size) + strings.Repeat("b", n%size)
		if err := e.deliver(e.lines(0, body)...); err != nil {
			return fmt.Errorf("a body of %d times %q: %w", n/size, unit, err)
		}
	}
	return e.deliver(e.lines(0, "short again")...)
}

func (e *env) parts() error {
	part := func(body string, n uint32, last bool) Event {
		return Event{Time: e.tick(), Body: body, Part: record.Part{Ordinal: n, Last: last}}
	}
	if err := e.deliver(part("first ", 1, false), part("second ", 2, false)); err != nil {
		return err
	}
	events := append([]Event{part("last", 3, true)}, e.lines(1, "whole")...)
	events = append(events, part("again ", 1, false), part("", 2, true))
	events[len(events)-1].Body = "and done"
	return e.deliver(append(events, e.lines(0, "whole")...)...)
}

func (e *env) marker(stream uint32) Event {
	return Event{Stream: stream, Time: e.tick(), Loss: &record.Loss{Lost: 17, Bytes: 4711, Reason: "overflow-newest"}}
}

func (e *env) markers() error {
	if err := e.deliver(e.marker(0)); err != nil {
		return err
	}
	events := append(e.lines(0, "before"), e.marker(0), e.marker(1))
	return e.deliver(append(events, e.lines(1, "after")...)...)
}

// mixture sends what a fixed seed makes, of which a failure can be repeated.
func (e *env) mixture() error {
	r := rand.New(rand.NewPCG(20, 26))
	for range 40 {
		var events []Event
		for range 1 + r.IntN(8) {
			stream := uint32(r.IntN(len(Streams)))
			if r.IntN(6) == 0 {
				events = append(events, e.marker(stream))
				continue
			}
			bodies := make([]string, 1+r.IntN(5))
			for i := range bodies {
				body := make([]byte, r.IntN(1<<r.IntN(10)))
				for j := range body {
					body[j] = byte(r.IntN(1 << (1 + r.IntN(8))))
				}
				bodies[i] = string(body)
			}
			events = append(events, e.lines(stream, bodies...)...)
		}
		if err := e.deliver(events...); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) atOnce() error {
	const rounds = 3
	for range rounds {
		requests := make([]*Request, min(e.Sink.Limits().InFlight, 8))
		for i := range requests {
			events := append(e.lines(0, fmt.Sprintf("request %d", i), ""), e.lines(1, strings.Repeat("x", 1000*i))...)
			events[1].Body = fmt.Sprintf("still request %d", i)
			requests[i] = e.request(events)
			e.sent = append(e.sent, events...)
		}
		errs := make([]error, len(requests))
		var senders sync.WaitGroup
		for i, r := range requests {
			senders.Go(func() { errs[i] = delivered(e.Sink.Send(e.ctx, r)) })
		}
		senders.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return nil
}
