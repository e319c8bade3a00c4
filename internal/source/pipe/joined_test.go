package pipe

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source/multiline"
)

// newJoiner joins lines to events that start with a line which starts with S, as
// the destination that counts repaired bytes has it.
func newJoiner(t rapid.TB, most int, interval time.Duration) *multiline.Joiner {
	j, err := multiline.New(multiline.Options{
		Start: regexp.MustCompile(`^S`), MaxBytes: most, FlushInterval: interval,
		Cost: func(line []byte) int { return len(line) + 2*record.InvalidBytes(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// separate takes events apart into the lines that they were made of, and checks
// that each begins where it has to.
func separate(records []got, limit int) ([]got, error) {
	var lines []got
	size, parts := 0, true // of the event before, or that there was none
	for i, r := range records {
		if r.part != (record.Part{}) {
			lines = append(lines, r)
			parts = true
			continue
		}
		if !strings.HasSuffix(r.body, "\n") {
			return nil, fmt.Errorf("event %d does not end with a line: %.100q", i, r.body)
		}
		first := true
		for line := range strings.Lines(r.body) {
			starts := strings.HasPrefix(line, "S")
			if !first && starts {
				return nil, fmt.Errorf("event %d goes on over the start of another: %.100q", i, r.body)
			}
			if first && !starts && !parts && size+repaired([]byte(line)) <= limit {
				return nil, fmt.Errorf("event %d starts with what continues the one before: %.100q", i, r.body)
			}
			lines = append(lines, got{body: strings.TrimSuffix(line, "\n")})
			first = false
		}
		size, parts = repaired([]byte(r.body)), false
	}
	return lines, nil
}

// TestJoinedReaderAgainstModel is the model's test for a reader that joins: no
// line is lost, doubled or out of place, whatever is cut between the events.
func TestJoinedReaderAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := limits.Draw(rt, "limit")
		var text []byte
		for range rapid.IntRange(0, 4).Draw(rt, "stretches") {
			text = append(text, rapid.SampledFrom([]string{"S", "S start\n", "S\n continues\n\n", "more\n"}).Draw(rt, "lines")...)
			text = append(text, someText(limit).Draw(rt, "text")...)
		}
		d, w := newPipe(t)
		intake := &recorder{max: limit}
		r := New(d, stdout, intake, Options{Joiner: newJoiner(rt, limit, time.Hour)})
		r.buf = make([]byte, bufferSize)
		for sent := 0; sent < len(text); {
			n := max(rapid.IntRange(1, bufferSize).Draw(rt, "chunk"), (len(text)-sent)/100)
			n = min(n, bufferSize, len(text)-sent)
			if err := feed(r, w, text[sent:sent+n]); err != nil {
				rt.Fatal(err)
			}
			sent += n
		}
		if err := w.Close(); err != nil {
			rt.Fatal(err)
		}
		if _, err := r.read(); !errors.Is(err, io.EOF) {
			rt.Fatalf("the end brought %v", err)
		}
		r.finish()
		lines, err := separate(intake.records, limit)
		if err != nil {
			rt.Fatal(err)
		}
		// A line that stands in an event takes a newline beside its own bytes.
		intake.records = lines
		if err := checkLines(text, limit-1, intake); err != nil {
			rt.Fatal(err)
		}
	})
}

// TestAnOpenEventGoesWhenItIsDue, though nothing more is written, and the reader
// does not look at the clock all the time to find that out.
func TestAnOpenEventGoesWhenItIsDue(t *testing.T) {
	d, w := newPipe(t)
	emitted := make(chan struct{}, 10)
	intake := &recorder{max: 1000, before: func() { emitted <- struct{}{} }}
	r := New(d, stdout, intake, Options{Joiner: newJoiner(t, 1000, 30*time.Millisecond)})
	var looks atomic.Int64
	r.now = func() time.Time { looks.Add(1); return time.Now() }
	ended := make(chan error, 1)
	go func() { ended <- r.Run() }()
	for _, event := range []string{"S one\n two\n", "S three\n"} {
		if _, err := io.WriteString(w, event); err != nil {
			t.Fatal(err)
		}
		for range strings.Count(event, "\n") + 1 { // A count for each line, and the event.
			<-emitted
		}
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n := looks.Load(); n > 100 {
		t.Errorf("the reader looked at the clock %d times for two events", n)
	}
	if got := intake.all(); len(got) != 2 || got[0].body != "S one\n two\n" || got[1].body != "S three\n" {
		t.Errorf("the events are %+v", got)
	}
}
