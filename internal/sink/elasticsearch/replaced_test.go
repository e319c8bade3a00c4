package elasticsearch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// What is replaced in a record is counted once, when the record is there, however often it
// is sent.
func TestReplacedIsCountedOnce(t *testing.T) {
	event := func(n int, pad string) sinktest.Event {
		text := fmt.Sprintf("line %d %s\xff\xfe", n, pad)
		return sinktest.Event{
			Time: time.Unix(1_700_000_000, 0), Seq: uint64(n + 1),
			Packed: "\x92\x01\x82\xa2id\xa2" + fmt.Sprintf("%02d", n%10) + "\xa7message\xda" + string([]byte{byte(len(text) >> 8), byte(len(text))}) + text,
		}
	}
	for _, c := range []struct {
		name   string
		pad    int
		change func(*Options)
		item   func(n, attempt int) int // the status of an item; 0 is that it is taken
		want   int
	}{
		{name: "at once", want: 40},
		{name: "some are refused at first", item: func(n, attempt int) int { return map[bool]int{true: 429}[n%3 == 0 && attempt < 3] }, want: 40},
		{name: "some are rejected", item: func(n, _ int) int { return map[bool]int{true: 400}[n%10 == 3] }, want: 36},
		{name: "one overtakes another", change: func(o *Options) { o.ID, o.IDFieldName, o.Operation = IDField, "id", Index },
			item: func(n, attempt int) int { return map[bool]int{true: 429}[n < 10 && attempt < 2] }, want: 40},
		{name: "more than one body takes", pad: 2000, change: func(o *Options) { o.RequestSize = 4 << 10 }, want: 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			attempt := 0
			if c.item != nil {
				s.item = func(o *op) (int, string) {
					var n int
					if _, err := fmt.Sscanf(fmt.Sprint(o.doc["message"]), "line %d", &n); err != nil {
						t.Error(err)
					}
					return c.item(n, attempt), errorText("x", "y")
				}
			}
			made := sinkTo(t, s, c.change)
			var left []sinktest.Event
			for n := range 20 {
				left = append(left, event(n, strings.Repeat("x", c.pad)))
			}
			replaced := 0
			for ; len(left) > 0; attempt++ {
				out := made.Send(t.Context(), sinktest.NewRequest(left...))
				if out.Verdict != sink.Delivered || attempt > 20 {
					t.Fatalf("attempt %d: %+v", attempt, out)
				}
				replaced += out.Replaced
				var again []sinktest.Event
				for _, a := range out.Again {
					again = append(again, left[a.First:a.End]...)
				}
				left = again
			}
			if replaced != c.want {
				t.Errorf("%d bytes are told to be replaced, want %d", replaced, c.want)
			}
		})
	}
}
