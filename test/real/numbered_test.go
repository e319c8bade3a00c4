package real

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// follow reads events to their end. A number that is skipped means that a line is lost or out of
// order, and is an error at once, because everything after it would be one, too.
func follow(events iter.Seq2[parts.Event, error]) (*tally, error) {
	seen := &tally{next: map[string]int{}}
	for event, err := range events {
		if err != nil {
			return nil, fmt.Errorf("read the stream back: %w", err)
		}
		prefix, rest, _ := strings.Cut(event.Message, " ")
		digits, _, _ := strings.Cut(rest, " ")
		number, err := strconv.Atoi(digits)
		if err != nil {
			return nil, fmt.Errorf("event %q is not a numbered line: %w", event.Message, err)
		}
		seen.bytes += int64(len(event.Message))
		want := seen.next[prefix] + 1
		switch {
		case number == want:
			seen.next[prefix] = number
		case number < want:
			seen.repeats++
		default:
			return nil, fmt.Errorf("%s line %d follows line %d: the lines between are lost or out of order", prefix, number, want-1)
		}
	}
	return seen, nil
}

// mustFollow follows a stream of the rig's group.
func mustFollow(t *testing.T, cloud parts.CloudWatch, stream string) *tally {
	t.Helper()
	seen, err := follow(cloud.Events(group, stream))
	if err != nil {
		t.Fatal(err)
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

// TestFollow needs no real part: it shows that the check of all the others sees a lost line, a
// repeated one, and two in the wrong order.
func TestFollow(t *testing.T) {
	for _, c := range []struct {
		name     string
		messages []string
		want     tally
		wantErr  string
	}{
		{"two prefixes", []string{"a 1 x", "b 1 x", "a 2 x", "b 2 x", "b 3 x"}, tally{next: map[string]int{"a": 2, "b": 3}, bytes: 25}, ""},
		{"repeated", []string{"a 1 x", "a 2 x", "a 1 x", "a 3 x"}, tally{next: map[string]int{"a": 3}, repeats: 1, bytes: 20}, ""},
		{"lost", []string{"a 1 x", "a 3 x"}, tally{}, "a line 3 follows line 1"},
		{"lost at the head", []string{"a 2 x"}, tally{}, "a line 2 follows line 0"},
		{"out of order", []string{"a 1 x", "a 3 x", "a 2 x"}, tally{}, "a line 3 follows line 1"},
		{"something else", []string{"spillway-loss {}"}, tally{}, "not a numbered line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := follow(func(yield func(parts.Event, error) bool) {
				for _, message := range c.messages {
					if !yield(parts.Event{Message: message}, nil) {
						return
					}
				}
			})
			if c.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantErr) {
					t.Fatalf("error %v, want one with %q", err, c.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&c.want, got, cmp.AllowUnexported(tally{})); diff != "" {
				t.Errorf("tally (-want +got):\n%s", diff)
			}
		})
	}
}
