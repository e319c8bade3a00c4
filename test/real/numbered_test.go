package real

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"testing"

	"github.com/spillway/spillway/test/real/parts"
)

// numbered is a shell script that writes lines `PREFIX 0000001 …`, each of exactly width bytes with
// its newline, to the standard output. awk pads; the widths here are all wider than the number.
func numbered(prefix string, lines, width int) string {
	head := len(prefix) + len(" 0000001 ") + len("\n")
	padding := strings.Repeat("x", width-head)
	return fmt.Sprintf(`awk 'BEGIN { for (i = 1; i <= %d; i++) printf "%s %%07d %s\n", i }'`, lines, prefix, padding)
}

// tally follows numbered lines of several prefixes through one stream of events.
type tally struct {
	// next is the number that the next line of a prefix must have, from 1.
	next map[string]int
	// repeats counts lines whose number came before.
	repeats int
	// bytes counts the messages' bytes, repeats included.
	bytes int64
}

// follow reads events to their end. A number that is skipped is a lost or disordered line and ends
// the test, because everything after it would be reported, too.
func follow(t *testing.T, events iter.Seq2[parts.Event, error]) *tally {
	t.Helper()
	seen := &tally{next: map[string]int{}}
	for event, err := range events {
		if err != nil {
			t.Fatalf("read the stream back: %v", err)
		}
		prefix, rest, _ := strings.Cut(event.Message, " ")
		digits, _, _ := strings.Cut(rest, " ")
		number, err := strconv.Atoi(digits)
		if err != nil {
			t.Fatalf("event %q is not a numbered line: %v", event.Message, err)
		}
		seen.bytes += int64(len(event.Message))
		want := seen.next[prefix] + 1
		switch {
		case number == want:
			seen.next[prefix] = number
		case number < want:
			seen.repeats++
		default:
			t.Fatalf("%s line %d follows line %d: the lines between are lost or out of order", prefix, number, want-1)
		}
	}
	return seen
}

// want checks that lines 1 to last of a prefix were all seen.
func (s *tally) want(t *testing.T, prefix string, last int) {
	t.Helper()
	if s.next[prefix] != last {
		t.Errorf("the last %s line that arrived is %d, want %d", prefix, s.next[prefix], last)
	}
}
