package multiline

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// given is a line that a Joiner was given, and whether the event before it was
// closed by a flush or an end of the stream.
type given struct {
	t      int64
	line   string
	closed bool
}

// TestJoinerProperties gives a Joiner any lines, flushes and ends of stream, and
// checks what must hold of every event by the lines alone.
func TestJoinerProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const largest = 24
		start := rapid.SampledFrom([]string{"^s", "s", "never", "", "^$"}).Draw(t, "start")
		j, err := New(Options{Start: mustCompile(start), MaxBytes: largest, FlushInterval: 5 * time.Second, Cost: utf8Cost})
		if err != nil {
			t.Fatal(err)
		}
		r := &recorder{}
		all := drive(t, j, r, largest)
		if _, open := j.Deadline(); open {
			t.Fatal("got an open event after the end, want none")
		}
		checkEvents(t, all, r.events, start, largest)
	})
}

// drive does what rapid draws and then ends the stream.
func drive(t *rapid.T, j *Joiner, r *recorder, largest int) []given {
	var all []given
	now, closed := int64(0), false
	for range rapid.IntRange(0, 40).Draw(t, "steps") {
		now += rapid.SampledFrom([]int64{0, 1, second, 4 * second}).Draw(t, "pause")
		switch rapid.SampledFrom([]string{"line", "line", "line", "line", "flush", "close"}).Draw(t, "step") {
		case "line":
			line := rapid.StringOfN(rapid.SampledFrom([]rune("sab \xff")), 0, largest/3-1, -1).Draw(t, "line")
			line = strings.ReplaceAll(line, "b", "\xff")
			all = append(all, given{now, line, closed})
			j.Line(now, []byte(line), r.emit)
			closed = false
		case "flush":
			deadline, open := j.Deadline()
			before := len(r.events)
			j.Flush(now, r.emit)
			if emitted := len(r.events) > before; emitted != (open && now >= deadline) {
				t.Fatalf("flush at %d with deadline %d, %v: got emitted %v", now, deadline, open, emitted)
			} else if emitted {
				closed = true
			}
		case "close":
			j.Close(r.emit)
			closed = true
		}
		if j.Held() > largest {
			t.Fatalf("got %d bytes held, want at most the largest event", j.Held())
		}
	}
	j.Close(r.emit)
	return all
}

// checkEvents walks through the lines event by event.
func checkEvents(t *rapid.T, all []given, events []event, start string, largest int) {
	re, last := mustCompile(start), int64(0)
	rest, held := all, 0
	for n, e := range events {
		if cost := utf8Cost([]byte(e.Body)); cost > largest {
			t.Fatalf("event %d costs %d, want at most %d: %q", n, cost, largest, e.Body)
		}
		if e.T < last {
			t.Fatalf("event %d has time %d after %d, want times that do not go back", n, e.T, last)
		}
		last = e.T
		for i, body := 0, e.Body; body != ""; i++ {
			if len(rest) == 0 || !strings.HasPrefix(body, rest[0].line+"\n") {
				t.Fatalf("event %d goes on with %q, want the next line of %+v", n, body, rest)
			}
			line := rest[0]
			matches, fits := re.MatchString(line.line), held+utf8Cost([]byte(line.line))+1 <= largest
			switch {
			case i == 0 && line.t != e.T:
				t.Fatalf("event %d has time %d, want that of its first line, %d", n, e.T, line.t)
			case i == 0 && n > 0 && !matches && !line.closed && fits:
				t.Fatalf("event %d starts with %q, want a match, a flush or a size cut before it", n, line.line)
			case i > 0 && (matches || line.closed || !fits):
				t.Fatalf("event %d holds %q, want an event to start with it", n, line.line)
			}
			if i == 0 {
				held = 0
			}
			held += utf8Cost([]byte(line.line)) + 1
			body, rest = body[len(line.line)+1:], rest[1:]
		}
	}
	if len(rest) != 0 {
		t.Fatalf("got no event with %+v, want every line in one", rest)
	}
}
