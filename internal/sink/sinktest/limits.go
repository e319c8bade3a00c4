package sinktest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spillway/spillway/internal/sink"
)

// mostBytes sends a request that is as large as the limits let it be, once of
// few long bodies and once of many short ones.
func (e *env) mostBytes() error {
	l := e.Sink.Limits()
	total := l.RequestBytes
	if total == 0 {
		total = 1 << 20
	}
	l.PerEvent += e.extra()
	for _, size := range []int{e.longest() / 4, 700} {
		var bodies []string
		left := total
		for left > 2*(size+l.PerEvent) && (l.Events == 0 || len(bodies) < l.Events-2) {
			bodies = append(bodies, strings.Repeat("n", size))
			left -= size + l.PerEvent
		}
		// The last takes what is left to the byte, or as much of it as a body can.
		bodies = append(bodies, strings.Repeat("l", min(left-l.PerEvent, e.longest())))
		if err := e.deliver(e.lines(0, bodies...)...); err != nil {
			return fmt.Errorf("%d bytes in bodies of %d: %w", total, size, err)
		}
	}
	return nil
}

func (e *env) mostEvents() error {
	l := e.Sink.Limits()
	n := l.Events
	if n == 0 {
		n = 20_000
	}
	if l.RequestBytes > 0 {
		n = min(n, l.RequestBytes/(5+l.PerEvent+e.extra()))
	}
	at := e.tick()
	events := make([]Event, n)
	for i := range events {
		events[i] = Event{Stream: uint32(i / 100 % len(Streams)), Time: at, Body: fmt.Sprintf("%05d", i)}
	}
	return e.deliver(events...)
}

func (e *env) longestSpan() error {
	span := e.Sink.Limits().Span
	if span == 0 {
		span = 48 * time.Hour
	}
	last := e.tick()
	return e.deliver(Event{Time: last.Add(-span), Body: "first"}, Event{Time: last.Add(-span / 2), Body: "middle"},
		Event{Time: last, Body: "last"})
}

// failed checks the outcome of an attempt that did not deliver events, and
// delivers them by another.
func (e *env) failed(out sink.Outcome, events []Event, r *Request) error {
	if out.Verdict != sink.Retry {
		return fmt.Errorf("the verdict of a failing attempt is %+v, want Retry", out)
	}
	if out.Err == nil {
		return errors.New("a failing attempt has no cause")
	}
	unsure := out.Unsure || len(out.Doubtful) > 0
	if e.Exact && unsure {
		return fmt.Errorf("the outcome is unsure, which this sink need not be: %w", out.Err)
	}
	if !unsure {
		if err := e.compare(); err != nil {
			return fmt.Errorf("a failing attempt (%w) left something: %w", out.Err, err)
		}
	}
	if err := delivered(e.Sink.Send(e.ctx, r)); err != nil {
		return fmt.Errorf("the attempt after a failing one (%w): %w", out.Err, err)
	}
	e.unsure = e.unsure || unsure
	e.sent = append(e.sent, events...)
	return nil
}

func (e *env) cancelled() error {
	if err := e.deliver(e.lines(0, "before")...); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	events := e.lines(0, "when it is", "too late")
	r := e.request(events)
	out := e.Sink.Send(ctx, r)
	if out.Verdict == sink.Delivered { // A sink that is quick need not look.
		e.sent = append(e.sent, events...)
		return nil
	}
	return e.failed(out, events, r)
}

func (e *env) failing() error {
	if e.Fail == nil {
		return nil
	}
	for _, size := range []int{10, e.longest() / 3} {
		if err := e.deliver(e.lines(0, "before", strings.Repeat("b", size))...); err != nil {
			return err
		}
		events := append(e.lines(0, "tried", strings.Repeat("t", size)), e.lines(1, "twice")...)
		r := e.request(events)
		e.Fail()
		if err := e.failed(e.Sink.Send(e.ctx, r), events, r); err != nil {
			return err
		}
	}
	return e.deliver(e.lines(0, "after")...)
}
