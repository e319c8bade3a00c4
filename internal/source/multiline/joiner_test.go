package multiline

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const second = int64(time.Second)

// event is what a Joiner emitted, copied.
type event struct {
	T    int64
	Body string
}

// recorder keeps the events that are emitted to it.
type recorder struct{ events []event }

func (r *recorder) emit(t int64, body []byte) {
	r.events = append(r.events, event{t, string(body)})
}

// utf8Cost counts three bytes for a bad byte, as for CloudWatch Logs.
func utf8Cost(line []byte) int {
	n := 0
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		if r == utf8.RuneError && size == 1 {
			n += 2
		}
		n += size
		line = line[size:]
	}
	return n
}

func newJoiner(t testing.TB, pattern string, maxBytes int) *Joiner {
	t.Helper()
	j, err := New(Options{Start: regexp.MustCompile(pattern), MaxBytes: maxBytes, FlushInterval: 5 * time.Second, Cost: utf8Cost})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// lines gives the lines to j, one second apart from the time first on.
func lines(j *Joiner, r *recorder, first int64, all ...string) {
	for i, line := range all {
		j.Line(first+int64(i)*second, []byte(line), r.emit)
	}
}

func check(t *testing.T, r *recorder, want ...event) {
	t.Helper()
	if diff := cmp.Diff(want, r.events); diff != "" {
		t.Errorf("events differ (-want +got):\n%s", diff)
	}
}

func TestJoinsContinuationLines(t *testing.T) {
	j, r := newJoiner(t, `^\S`, 1000), &recorder{}
	lines(j, r, 0, "panic: x", "\tat a", "\tat b", "next", "", "last")
	check(t, r, event{0, "panic: x\n\tat a\n\tat b\n"}, event{3 * second, "next\n\n"})
	j.Close(r.emit)
	check(t, r, event{0, "panic: x\n\tat a\n\tat b\n"}, event{3 * second, "next\n\n"}, event{5 * second, "last\n"})
	j.Close(r.emit)
	if len(r.events) != 3 {
		t.Errorf("got %d events after a second close, want 3", len(r.events))
	}
}

func TestEventAfterFlushHasItsOwnTime(t *testing.T) {
	j, r := newJoiner(t, "never", 1000), &recorder{}
	for i := range int64(3) {
		at := i * 6 * second
		j.Line(at, []byte("line"), r.emit)
		deadline, open := j.Deadline()
		if !open || deadline != at+5*second {
			t.Fatalf("got deadline %d, %v, want %d, true", deadline, open, at+5*second)
		}
		j.Flush(deadline-1, r.emit)
		if len(r.events) != int(i) {
			t.Fatalf("got %d events before the deadline, want %d", len(r.events), i)
		}
		j.Flush(deadline, r.emit)
	}
	check(t, r, event{0, "line\n"}, event{6 * second, "line\n"}, event{12 * second, "line\n"})
	if _, open := j.Deadline(); open {
		t.Error("got a deadline with no event open, want none")
	}
}

func TestContinuationDoesNotMoveTheDeadline(t *testing.T) {
	j, r := newJoiner(t, "^s", 1000), &recorder{}
	lines(j, r, 0, "start", " a", " b", " c")
	if deadline, _ := j.Deadline(); deadline != 5*second {
		t.Errorf("got deadline %d, want %d", deadline, 5*second)
	}
}

func TestFlushAfterTheClockWasSetBack(t *testing.T) {
	j, r := newJoiner(t, "^s", 1000), &recorder{}
	j.Line(3600*second, []byte("start"), r.emit)
	j.Flush(3596*second, r.emit)
	check(t, r)
	j.Flush(5*second, r.emit)
	check(t, r, event{3600 * second, "start\n"})
}

func TestLargestEvent(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  []event
	}{
		{"fits to the byte", []string{"s234", "6789"}, []event{{0, "s234\n6789\n"}}},
		{"one byte over", []string{"s234", "67890"}, []event{{0, "s234\n"}, {second, "67890\n"}}},
		{"goes on after a cut", []string{"s2345678", "2", "4", "6", "8"}, []event{{0, "s2345678\n"}, {1 * second, "2\n4\n6\n8\n"}}},
		{"empty lines cost their newline", strings.Split(strings.Repeat(",", 11), ","), []event{{0, strings.Repeat("\n", 10)}, {10 * second, "\n\n"}}},
		{"a bad byte costs three", []string{"s\xff\xff", "6"}, []event{{0, "s\xff\xff\n6\n"}}},
		{"a bad byte too many", []string{"s\xff\xff", "67"}, []event{{0, "s\xff\xff\n"}, {second, "67\n"}}},
		{"a line that is too long is an event", []string{"s2345678901", "2"}, []event{{0, "s2345678901\n"}, {second, "2\n"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, r := newJoiner(t, "^s", 10), &recorder{}
			lines(j, r, 0, c.lines...)
			j.Close(r.emit)
			check(t, r, c.want...)
		})
	}
}

func TestPlainBytesWithoutCost(t *testing.T) {
	j, err := New(Options{Start: regexp.MustCompile("^s"), MaxBytes: 6, FlushInterval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	lines(j, r, 0, "s\xff", "3\xff")
	j.Close(r.emit)
	check(t, r, event{0, "s\xff\n3\xff\n"})
}

func TestMemoryIsBoundedAndGivenBack(t *testing.T) {
	const largest = 300_000
	j, r := newJoiner(t, "^s", largest), &recorder{}
	line, peak := bytes.Repeat([]byte("x"), 999), 0
	for range 1000 {
		j.Line(0, line, r.emit)
		peak = max(peak, j.Held())
	}
	if peak != largest {
		t.Errorf("got a buffer of %d bytes, want it to stop at %d", peak, largest)
	}
	j.Close(r.emit)
	if j.Held() > keepBuffer {
		t.Errorf("got %d bytes held after a large event, want at most %d", j.Held(), keepBuffer)
	}
	j.Line(0, []byte("small"), r.emit)
	j.Close(r.emit)
	if j.Held() != firstBuffer {
		t.Errorf("got %d bytes held after a small event, want %d kept", j.Held(), firstBuffer)
	}
}

func TestNoAllocationPerLine(t *testing.T) {
	j := newJoiner(t, `^\d{4}-\d{2}-\d{2} `, 1<<20)
	start, next := []byte("2024-01-31 12:00:00 request failed"), []byte("\tat com.example.Main.run(Main.java:12)")
	size := 0
	emit := func(_ int64, body []byte) { size += len(body) }
	allocs := testing.AllocsPerRun(1000, func() {
		j.Line(0, start, emit)
		for range 9 {
			j.Line(0, next, emit)
		}
	})
	if allocs != 0 && !raceDetector || size == 0 {
		t.Errorf("got %v allocations for 10 lines and %d bytes out, want 0 and some", allocs, size)
	}
}

func TestNewNamesTheMissingOption(t *testing.T) {
	re := regexp.MustCompile("x")
	for want, o := range map[string]Options{
		"no start pattern":   {MaxBytes: 1, FlushInterval: 1},
		"largest event is 0": {Start: re, FlushInterval: 1},
		"flush interval is":  {Start: re, MaxBytes: 1},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one that says %q", err, want)
		}
	}
}
