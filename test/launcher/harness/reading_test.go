package harness

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spillway/spillway/test/launcher"
)

// recorder notes failures instead of failing.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper()                   {}
func (r *recorder) Failed() bool              { return false }
func (r *recorder) Error(args ...any)         { r.errors = append(r.errors, fmt.Sprint(args...)) }
func (r *recorder) Errorf(f string, a ...any) { r.errors = append(r.errors, fmt.Sprintf(f, a...)) }

func line(n int) string { return fmt.Sprintf("%012d text", n) }

func marker(lost, bytes, first, last int) string {
	return fmt.Sprintf(`spillway-loss {"lost":%d,"bytes":%d,"first_seq":%d,"last_seq":%d,`+
		`"first_time":"2026-01-02T03:04:05Z","last_time":"2026-01-02T03:04:06Z","reason":"overflow-newest"}`,
		lost, bytes, first, last)
}

func TestAReadingFindsEveryKindOfLie(t *testing.T) {
	good := []string{line(1), line(2), marker(3, 30, 3, 5), line(6), line(7)}
	with := func(at int, messages ...string) []string {
		changed := append(append([]string{}, good[:at]...), messages...)
		return append(changed, good[at+1:]...)
	}
	for _, c := range []struct {
		name     string
		messages []string
		change   func(*launcher.ExitLine)
		complain string // part of a complaint; empty for none
	}{
		{name: "all in order", messages: good},
		{name: "a loss without a marker", messages: append(append([]string{}, good[:2]...), good[3:]...), complain: "the markers tell of 0"},
		{name: "a lost line that nobody counted", messages: good[:4], complain: "readers miss 4 lines, the exit line says 3"},
		{name: "a marker in the wrong place", messages: []string{line(1), good[2], line(2), line(6), line(7)}, complain: "stands between lines 1 and 2"},
		{name: "a marker that names other lines", messages: with(2, marker(3, 30, 2, 4)), complain: "the markers name the runs"},
		{name: "a marker whose numbers do not fit", messages: with(2, marker(3, 30, 3, 6)), complain: "span 4"},
		{name: "a marker with other bytes", messages: with(2, marker(3, 31, 3, 5)), complain: "of 31 bytes"},
		{name: "a broken marker", messages: with(2, "spillway-loss {]"), complain: "read the loss marker"},
		{name: "a line out of order", messages: []string{line(2), line(1), good[2], line(6), line(7)}, complain: "behind a later one"},
		{name: "a line twice", messages: append(with(0, line(1)), line(1)), complain: "more than once"},
		{name: "a line twice that was counted", messages: append(with(0, line(1)), line(1)),
			change: func(e *launcher.ExitLine) { e.PossibleDuplicates = 1 }},
		{name: "a message of neither kind", messages: with(0, "hello"), complain: "neither lines nor markers"},
		{name: "a line that was never written", messages: append(with(0, line(1)), line(8)), complain: "never written"},
		{name: "a received line too few", messages: good, change: func(e *launcher.ExitLine) { e.Received-- }, complain: "7 lines written, 6 received"},
		{name: "a marker too many counted", messages: good, change: func(e *launcher.ExitLine) { e.Markers.Delivered++ }, complain: "2 delivered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var exit launcher.ExitLine
			exit.Received, exit.Delivered, exit.Dropped, exit.Bytes.Dropped = 7, 4, 3, 30
			exit.Markers.Made, exit.Markers.Delivered = 1, 1
			if c.change != nil {
				c.change(&exit)
			}
			r := &recorder{TB: t}
			Read(r, c.messages, "", 7).CheckAccounted(r, 7, launcher.Result{Exit: &exit})
			all := strings.Join(r.errors, "\n")
			if (c.complain == "") != (all == "") || !strings.Contains(all, c.complain) {
				t.Errorf("complaints:\n%s\nwant one with %q", Indent(all), c.complain)
			}
		})
	}
}

func TestLinesHaveTheirSizeAndTheirNumber(t *testing.T) {
	for _, size := range []int{16, 17, 100, 1000} {
		l := Lines{Prefix: "o", Size: size}
		text := string(l.Append(nil, 3))
		parts := strings.SplitAfter(text, "\n")
		if len(text) != 3*size || len(parts) != 4 || l.Written() != 3 {
			t.Fatalf("3 lines of %d bytes: %q", size, text)
		}
		for i, part := range parts[:3] {
			if n, ok := Number(part, "o"); !ok || n != int64(i+1) || len(part) != size {
				t.Errorf("line %d: %q", i+1, part)
			}
		}
	}
	for _, other := range []string{"", "o12", "e000000000001 x", "o00000000000x x", "spillway-loss {}"} {
		if n, ok := Number(other, "o"); ok {
			t.Errorf("%q has number %d", other, n)
		}
	}
}
