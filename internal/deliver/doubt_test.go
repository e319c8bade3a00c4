package deliver_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/sink"
)

// doubts is what a destination may have been brought by attempts that said nothing.
type doubts struct {
	mu    sync.Mutex
	of    map[string]bool
	wrong string
}

// asked holds what a request says of earlier attempts to what they were.
func (d *doubts) asked(req sink.Request) {
	texts := read(req).texts
	d.mu.Lock()
	defer d.mu.Unlock()
	var want []sink.Span
	for i, text := range texts {
		switch last := len(want) - 1; {
		case !d.of[text]:
		case last >= 0 && want[last].End == i:
			want[last].End++
		default:
			want = append(want, sink.Span{First: i, End: i + 1})
		}
	}
	if diff := cmp.Diff(want, req.Repeated()); diff != "" && d.wrong == "" {
		d.wrong = diff
	}
}

// note takes what an attempt may have brought there.
func (d *doubts) note(texts []string, spans ...sink.Span) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range spans {
		for _, text := range texts[s.First:s.End] {
			d.of[text] = true
		}
	}
}

// anySpans draws some of the events between two, by a number.
func anySpans(n, first, end int) (spans []sink.Span) {
	for i := first + n%2; i < end; i += 3 {
		spans = append(spans, sink.Span{First: i, End: min(i+1+n%2, end)})
	}
	return spans
}

// TestDoubtIsOfTheRecord: of which records an earlier attempt may have brought to the
// destination is known for each, however requests are divided and halved, and each of
// them that is delivered counts as a possible duplicate.
func TestDoubtIsOfTheRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kinds := rapid.SliceOfN(rapid.IntRange(0, 4), 1, 30).Draw(t, "answers")
		rapid.SyncTest(t, func(t *rapid.T) {
			d := &doubts{of: map[string]bool{}}
			s := &script{limits: sink.Limits{InFlight: rapid.IntRange(1, 3).Draw(t, "in flight"), Events: 20}, ask: d.asked}
			s.answer = func(_ context.Context, n int, a attempt) sink.Outcome {
				time.Sleep(time.Millisecond)
				all := len(a.texts)
				if n >= len(kinds) {
					return delivered
				}
				out := sink.Outcome{Err: errors.New("no answer")}
				switch kinds[n] {
				case 0: // Nobody knows.
					out.Unsure = true
					d.note(a.texts, sink.Span{End: all})
				case 1: // The first may have arrived.
					out.Doubtful = []sink.Span{{End: (all + 1) / 2}}
					d.note(a.texts, out.Doubtful...)
				case 2: // Some were taken; of the others some may have arrived.
					out.Verdict, out.Again = sink.Delivered, []sink.Span{{First: all / 3, End: all}}
					out.Doubtful = anySpans(n, all/3, all)
					d.note(a.texts, out.Doubtful...)
				case 3: // Some were taken, and of the others all may have arrived.
					out.Verdict, out.Again, out.Unsure = sink.Delivered, anySpans(n, 0, all), true
					d.note(a.texts, out.Again...)
				case 4:
					if all == 1 {
						return delivered
					}
					return sink.Outcome{Verdict: sink.Refuse, Reason: "rejected-invalid", Err: out.Err}
				}
				return out
			}
			r := start(t, buffer.Config{Limit: 1 << 20}, s, deliver.Config{})
			for range rapid.IntRange(1, 3).Draw(t, "times") {
				r.hand(rapid.IntRange(0, 1).Draw(t, "stream"), rapid.IntRange(1, 30).Draw(t, "lines"))
			}
			b := r.drain()
			if d.wrong != "" {
				t.Fatalf("what a request says of earlier attempts (-want +got):\n%s", d.wrong)
			}
			if b.PossibleDuplicates != int64(len(d.of)) {
				t.Fatalf("%d records are possibly there twice, want %d", b.PossibleDuplicates, len(d.of))
			}
		})
	})
}
